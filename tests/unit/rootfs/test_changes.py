"""What a report shows of the difference between two stacks, on directories made by hand."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pytest_lxcontainer.rootfs.changes import Bounds, Changed, changes, crowded
from pytest_lxcontainer.rootfs.made import Made


@pytest.fixture
def lower(tmp_path: Path) -> Path:
    return made_dir(tmp_path / "lower")


@pytest.fixture
def upper(tmp_path: Path) -> Path:
    return made_dir(tmp_path / "upper")


def made_dir(path: Path) -> Path:
    path.mkdir()
    return path


def write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def found(lower: Path, upper: Path, **bounds: Any) -> dict[str, Any]:
    with ExitStack() as stack:
        fds = []
        for path in (lower, upper):
            fds.append(os.open(path, os.O_RDONLY | os.O_DIRECTORY))
            stack.callback(os.close, fds[-1])
        return changes(fds[:1], fds, Made.of((), (), 0, 0), Bounds(**{"seconds": 10, **bounds}))


def texts(told: dict[str, Any]) -> list[tuple[str, str | None, str | None]]:
    return [(each["path"], each["before"], each["after"]) for each in told["changes"] if each["is_file"]]


def lines(listed: Sequence[Changed]) -> list[tuple[str, int]]:
    return [(each.path, each.count) for each in listed]


def test_small_texts_are_told(lower: Path, upper: Path) -> None:
    write(lower / "conf", "a=1\n")
    write(upper / "conf", "a=22\n")
    write(upper / "new", "ü\n")
    told = found(lower, upper)
    assert texts(told) == [("/conf", "a=1\n", "a=22\n"), ("/new", "", "ü\n")]
    assert [(each["old_size"], each["size"]) for each in told["changes"]] == [(4, 5), (0, 3)]


def test_what_is_no_small_text_is_not(lower: Path, upper: Path) -> None:
    write(upper / "binary", b"\0\1")
    write(upper / "latin", b"\xe9")
    write(upper / "large", "x" * 101)
    write(lower / "shrunk", "x" * 101)
    write(upper / "shrunk", "y")
    assert texts(found(lower, upper, text_size=100)) == [
        (f"/{name}", None, None) for name in ("binary", "large", "latin", "shrunk")
    ]


def test_nothing_but_files_is_opened(lower: Path, upper: Path) -> None:
    os.mkfifo(upper / "fifo")
    (upper / "link").symlink_to("/etc/passwd")
    write(lower / "was-file", "x")
    os.mkfifo(upper / "was-file")
    told = found(lower, upper)
    assert [(each["path"], each["after"]) for each in told["changes"]] == [
        ("/fifo", None),
        ("/link", None),
        ("/was-file", None),
    ]


def test_changed_files_come_before_new_ones_where_there_are_too_many(lower: Path, upper: Path) -> None:
    write(lower / "z", "1")
    for name in "abcz":
        write(upper / name, "22")
    told = found(lower, upper, texts=2)
    assert [path for path, _, after in texts(told) if after is not None] == ["/a", "/z"]


def test_many_in_one_directory_are_counted_but_for_the_first(lower: Path, upper: Path) -> None:
    write(upper / "etc" / "conf", "x")
    for number in range(20):
        write(upper / "data" / f"{number:02}", "xx")
    told = found(lower, upper, crowd=8)
    shown = [(each["path"], each["count"], each["size"]) for each in told["changes"] if each["path"] != "/etc"]
    assert shown == [
        ("/data", 0, 0),
        ("/data/00", 0, 2),
        ("/data/01", 0, 2),
        ("/data/02", 0, 2),
        ("/data", 17, 34),
        ("/etc/conf", 0, 1),
    ]


def test_directories_in_directories_are_counted_together() -> None:
    every = [Changed("added", f"/a/{outer}/{inner}") for outer in range(10) for inner in range(10)]
    assert lines(crowded([*every, Changed("added", "/b")], 8)) == [
        ("/a/0/0", 0),
        ("/a/0/1", 0),
        ("/a/0/2", 0),
        ("/a", 97),
        ("/b", 0),
    ]


def test_a_count_is_of_the_kind_that_all_are() -> None:
    added = [Changed("added", f"/a/{number}") for number in range(9)]
    assert crowded(added, 8)[-1].kind == "added"
    assert crowded([*added, Changed("deleted", "/a/x")], 8)[-1].kind == "changed"


def test_the_root_is_never_a_crowd() -> None:
    every = [Changed("added", f"/{number}") for number in range(9)]
    assert len(crowded(every, 8)) == 9


def test_nesting_may_be_deep() -> None:
    every = [Changed("added", "/a" * depth) for depth in range(1, 3000)]
    assert sum(each.count or 1 for each in crowded(every, 8)) == 2999


def test_lines_are_bounded(lower: Path, upper: Path) -> None:
    for number in range(10):
        write(upper / str(number), "x")
    told = found(lower, upper, lines=4)
    assert (len(told["changes"]), told["left_out"], told["complete"]) == (4, 6, True)


def test_the_walk_is_bounded(lower: Path, upper: Path) -> None:
    for number in range(10):
        write(upper / str(number), "x")
    told = found(lower, upper, entries=4)
    assert (len(told["changes"]), told["left_out"], told["complete"]) == (4, 0, False)


def test_so_is_its_time(lower: Path, upper: Path) -> None:
    for number in range(2000):
        write(upper / "data" / str(number), "x")
    begin = time.perf_counter()
    told = found(lower, upper, seconds=0.005)
    assert not told["complete"]
    assert time.perf_counter() - begin < 1


def test_a_copy_that_nobody_wrote_to_is_not_read(lower: Path, upper: Path) -> None:
    for root in (lower, upper):
        write(root / "copied", "x")
        os.utime(root / "copied", ns=(0, 0))
    assert found(lower, upper)["changes"] == []


def test_names_need_not_be_utf8(lower: Path, upper: Path) -> None:
    write(Path(os.fsdecode(os.fsencode(upper) + b"/\xff")), "x")
    assert texts(found(lower, upper)) == [("/\udcff", "", "x")]
