"""Counting matches in a text that comes in pieces."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_lxcontainer.container.matches import KEPT, Matches


def counted(pattern: str, *pieces: bytes) -> int:
    matches = Matches(re.compile(pattern, re.MULTILINE))
    for piece in pieces:
        matches.feed(piece)
    return matches.count


@pytest.mark.parametrize(
    ("pattern", "pieces", "count"),
    [
        ("up", [b"up\n"], 1),
        ("up", [b"u", b"p"], 1),
        ("up", [b"up", b"\n", b"up\n"], 2),
        ("up up", [b"up ", b"up\nup", b" up\n"], 2),
        ("^a$", [b"a\nab\nba\na\n"], 2),
        ("a$", [b"a", b"b\n"], 0),
        ("^", [b"a\nb", b"\n"], 3),
        ("one\ntwo", [b"one\n", b"two\n", b"one\ntwo\n"], 2),
        ("gr\u00fc\u00df", ["gr\u00fc\u00df\n".encode()[:3], "gr\u00fc\u00df\n".encode()[3:]], 1),
        ("\ufffd", [b"\xff\n"], 1),
        (r"\w+", [b"ab", b"cd", b"\n"], 1),
    ],
)
def test_each_match_counts_once(pattern: str, pieces: list[bytes], count: int) -> None:
    assert counted(pattern, *pieces) == count


@given(
    st.text("ab\n", max_size=60), st.lists(st.integers(0, 60)), st.sampled_from(["a", "ab", "^b", "a$", "b\na", "a+"])
)
def test_pieces_make_no_difference(text: str, cuts: list[int], pattern: str) -> None:
    data = text.encode()
    ends = [0, *sorted(cuts), len(data)]
    pieces = [data[begin:end] for begin, end in pairwise(ends)]
    assert counted(pattern, *pieces) == counted(pattern, data)


def test_a_line_that_does_not_end_is_looked_through() -> None:
    matches = Matches(re.compile("end"))
    for _ in range(1000):
        matches.feed(b"x" * 1000)
    matches.feed(b"end")
    assert matches.count == 1


def test_what_is_kept_is_bounded() -> None:
    matches = Matches(re.compile("never"))
    for _ in range(100):
        matches.feed(b"a line of some length\n" * 1000)
        matches.feed(b"x" * KEPT)
        assert len(matches._lines) + len(matches._rest) <= 3 * KEPT
