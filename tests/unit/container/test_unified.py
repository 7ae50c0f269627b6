"""Unified diffs, and what can be made with them."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_lxcontainer.container.unified import unified

NUMBERS = [f"{number}\n" for number in range(100)]


def changed(*lines: int) -> str:
    return "".join(f"x{line}" if number in lines else line for number, line in enumerate(NUMBERS))


def patched(before: str, diff: str) -> str:
    """What patch(1) would make of *before*; it must find all that the hunks say, at the lines that they say."""
    old, new, at = before.splitlines(), [], 0
    lines = diff.split("\n")
    while lines:
        match = re.fullmatch(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@", lines.pop(0))
        assert match, diff
        begin, count, _, new_count = (int(number) if number is not None else 1 for number in match.groups())
        begin -= count > 0
        new += old[at:begin]
        hunk = [lines.pop(0) for _ in range(_length(lines))]
        ours, theirs = ([line[1:] for line in hunk if line[0] in signs] for signs in (" -", " +"))
        assert (old[begin : begin + count], len(theirs)) == (ours, new_count)
        new += theirs
        at = begin + count
    return "".join(f"{line}\n" for line in [*new, *old[at:]])


def _length(lines: list[str]) -> int:
    """How many lines there are before the next hunk."""
    return next((number for number, line in enumerate(lines) if line.startswith("@@")), len(lines))


def test_a_change_in_the_middle_has_three_lines_around_it() -> None:
    assert unified("".join(NUMBERS), changed(50)) == ("@@ -48,7 +48,7 @@\n 47\n 48\n 49\n-50\n+x50\n 51\n 52\n 53")


@pytest.mark.parametrize("lines", [(0,), (99,), (0, 99), (10, 12, 80), tuple(range(100))])
def test_changes_far_from_one_another_are_hunks_of_their_own(lines: tuple[int, ...]) -> None:
    diff = unified("".join(NUMBERS), changed(*lines))
    assert patched("".join(NUMBERS), diff) == changed(*lines)


def test_what_was_not_there_is_its_lines() -> None:
    assert unified("", "a\nb\n") == "+a\n+b"
    assert unified("", "no end") == "+no end"


def test_what_is_the_same_is_nothing() -> None:
    assert unified("a\n", "a\n") == ""


def test_only_a_line_feed_ends_a_line() -> None:
    assert unified("", "a\x0cb\u2028c\n") == "+a\x0cb\u2028c"


def test_no_more_lines_than_wanted() -> None:
    assert unified("", "1\n2\n3\n4\n", 2) == "+1\n+2\n... 2 more lines"


def test_texts_that_are_hard_to_compare_take_no_longer() -> None:
    before = "".join(f"{number * number % 997}\n" for number in range(20000))
    after = "".join(f"{number * number % 991}\n" for number in range(20000))
    begin = time.perf_counter()
    diff = unified(before, after)
    assert time.perf_counter() - begin < 1
    assert patched(before, diff) == after


TEXTS = st.lists(st.sampled_from("abcd"), max_size=30).map(lambda letters: "".join(f"{each}\n" for each in letters))


@settings(max_examples=300, deadline=None)
@given(before=TEXTS.filter(bool), after=TEXTS.filter(bool))
def test_a_diff_makes_one_text_of_the_other(before: str, after: str) -> None:
    if before != after:
        assert patched(before, unified(before, after)) == after
