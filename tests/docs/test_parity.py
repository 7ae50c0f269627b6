"""The pages that compare us with others are up to date, complete, and name only what exists."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import parity

METHODS = 94
"""Exported methods of go-lxc's Container, at its commit ccae595."""

TESTS = 90


@pytest.mark.parametrize(("path", "text"), list(parity.pages()), ids=lambda value: getattr(value, "name", ""))
def test_the_pages_are_those_that_the_script_writes(path: Path, text: str) -> None:
    assert path.read_text(encoding="utf-8") == text, "run scripts/parity-pages"


def test_every_method_is_there_once() -> None:
    names = [name for row in parity.rows(parity.GO_LXC) for name in row.first.split()]
    assert len(names) == len(set(names))
    assert len(names) == METHODS


def test_every_test_of_theirs_is_walked_through_once() -> None:
    names = [name for theirs, _, _ in parity.walked() for name in theirs]
    assert len(names) == len(set(names))
    assert len(names) == TESTS


@pytest.mark.parametrize("row", parity.rows(parity.GO_LXC), ids=lambda row: row.first.split()[0])
def test_what_has_a_meaning_has_a_counterpart(row: parity.Row) -> None:
    assert bool(row.ours) == (row.second != "none")
    assert row.ours or row.note


@pytest.mark.parametrize(
    "row", [row for _, table in parity.PEERS for row in parity.rows(table)], ids=lambda row: row.first
)
def test_what_a_peer_does_is_done_here_or_there_is_a_reason(row: parity.Row) -> None:
    assert row.ours or row.note


def test_every_name_of_ours_exists() -> None:
    tables = [parity.GO_LXC, *(table for _, table in parity.PEERS)]
    names = {name for table in tables for row in parity.rows(table) for name in row.ours}
    assert sorted(name for name in names if not parity.exists(name)) == []
    assert not parity.exists(".no_such_thing") and not parity.exists("=no_such_thing")


@pytest.mark.parametrize("walked", parity.walked(), ids=lambda walked: walked[0][0])
def test_their_tests_have_one_of_ours_or_a_reason(walked: tuple[tuple[str, ...], tuple[str, ...], str]) -> None:
    _, ours, note = walked
    assert ours or note
    for each in ours:
        path, name = parity.place_of(each)
        assert path.exists(), path
        assert not name or name in parity.functions_in(path), each
