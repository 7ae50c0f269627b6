"""What differs between two stacks as a report shows it: bounded, with many in one directory as one, and with texts.

Where a container has written thousands of files, they are told apart from what a person looks for by where they are:
of a directory with many the first few are listed, and the others counted.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .diff import ADDED, CHANGED, Differing, differing, looks_same, size_of
from .made import Made
from .merged import Found, enter_path

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NAMED = 3
"""Of a directory with many: how many are listed."""
_LAST = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is looked at, and how much of it told.

    The walk ends after so many *seconds*, or with so many *entries* that differ. At most *lines* are told; a directory
    with more than *crowd* of them (0: no matter how many) has all but a few counted. *texts* files have their contents
    told, of at most *text_size* bytes each.
    """

    seconds: float = 0.05
    entries: int = 5000
    lines: int = 40
    crowd: int = 8
    texts: int = 10
    text_size: int = 65536


@dataclass(slots=True)
class Changed:
    """One path: *kind* as in `diff.Difference`, bytes of the regular file there now and before, and *is_file*.

    With *count* it stands for so many paths below it, and for all their bytes. *before* and *after* are texts of files
    that have some and are small.
    """

    kind: str
    path: str
    size: int = 0
    old_size: int = 0
    is_file: bool = False
    count: int = 0
    before: str | None = None
    after: str | None = None


def changes(old: Sequence[int], new: Sequence[int], made: Made, bounds: Bounds) -> dict[str, Any]:
    """What turns the stack *old* into *new* (directories open for reading, base first), as plain values.

    ``changes`` are `Changed`, ``left_out`` says how many further paths were found, ``complete`` whether all were.
    Files of one size and time of change are taken for the same here.
    """
    found, complete = _found(old, new, made, bounds)
    listed = crowded(found, bounds.crowd)
    told, others = listed[: bounds.lines], listed[bounds.lines :]
    for each in _worth_reading(told, bounds):
        each.before, each.after = _texts(old, new, each, bounds.text_size)
    return {
        "changes": [_plain(each) for each in told],
        "left_out": sum(each.count or 1 for each in others),
        "complete": complete,
    }


def _found(old: Sequence[int], new: Sequence[int], made: Made, bounds: Bounds) -> tuple[list[Changed], bool]:
    deadline = time.monotonic() + bounds.seconds
    found: list[Changed] = []
    walk = differing(old, new, made, looks_same)
    try:
        for each in walk:
            found.append(_changed(each))
            if len(found) >= bounds.entries or time.monotonic() > deadline:
                return found, False
    finally:
        walk.close()
    return found, True


def _changed(each: Differing) -> Changed:
    is_file = each.after is not None and stat.S_ISREG(each.after.status.st_mode)
    return Changed(each.kind, each.path, size_of(each.after), size_of(each.before), is_file)


@dataclass(slots=True)
class _Directory:
    """What is told of one directory: *lines*, in order, and directories in it."""

    lines: list[Changed] = field(default_factory=list)
    inner: dict[str, _Directory] = field(default_factory=dict)


def crowded(found: Sequence[Changed], crowd: int) -> list[Changed]:
    """*found*, in which what is in directories with more than *crowd* lines is counted together but for a few."""
    if not crowd:
        return sorted(found, key=lambda each: each.path)
    root = _Directory()
    for each in found:
        at = root
        for name in each.path.split("/")[1:-1]:
            at = at.inner.setdefault(name, _Directory())
        at.lines.append(each)
    return _lines_of(root, crowd)


def _lines_of(root: _Directory, crowd: int) -> list[Changed]:
    """Those of a tree, from its leaves up, without recursion: a container may nest directories very deeply."""
    order: list[tuple[str, _Directory]] = [("", root)]
    for path, directory in order:
        order.extend((f"{path}/{name}", inner) for name, inner in directory.inner.items())
    for path, directory in reversed(order):
        below = [line for inner in directory.inner.values() for line in inner.lines]
        directory.lines = sorted([*directory.lines, *below], key=_place)
        if path and len(directory.lines) > crowd:
            directory.lines = _with_others_counted(path, directory.lines)
    return root.lines


def _place(each: Changed) -> str:
    """What a line is sorted by: that of the others in a directory comes after all in it."""
    return f"{each.path}/{_LAST}" if each.count else each.path


def _with_others_counted(path: str, lines: Sequence[Changed]) -> list[Changed]:
    named = [each for each in lines if not each.count][:_NAMED]
    others = [each for each in lines if each not in named]
    kinds = {each.kind for each in others}
    kind = kinds.pop() if len(kinds) == 1 else CHANGED
    count, size = sum(each.count or 1 for each in others), sum(each.size for each in others)
    return [*named, Changed(kind, path, size, count=count)]


def _worth_reading(told: Sequence[Changed], bounds: Bounds) -> Iterator[Changed]:
    """Files that may be small texts: those that were there before, first."""
    small = [each for each in told if each.is_file and max(each.size, each.old_size) <= bounds.text_size]
    small.sort(key=lambda each: each.kind == ADDED)
    yield from small[: bounds.texts]


def _texts(old: Sequence[int], new: Sequence[int], each: Changed, limit: int) -> tuple[str | None, str | None]:
    """The text before, empty for what was not there, and after; both ``None`` where either is none."""
    before = "" if each.kind == ADDED else _text(old, each.path, limit)
    after = None if before is None else _text(new, each.path, limit)
    return (None, None) if after is None else (before, after)


def _text(stack: Sequence[int], path: str, limit: int) -> str | None:
    directory, _, name = path[1:].rpartition("/")
    try:
        with enter_path(stack, directory) as inside:
            found = inside.find(name)
            data = None if found is None else _content(found, limit)
    except OSError:  # it has gone, or has become something else
        return None
    if data is None or b"\0" in data:
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _content(found: Found, limit: int) -> bytes | None:
    if not stat.S_ISREG(found.status.st_mode):
        return None
    with os.fdopen(os.open(found.name, _READ, dir_fd=found.dir_fd), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return None
        data = file.read(limit + 1)
    return data if len(data) <= limit else None


def _plain(each: Changed) -> Mapping[str, Any]:
    return {name: getattr(each, name) for name in Changed.__slots__}
