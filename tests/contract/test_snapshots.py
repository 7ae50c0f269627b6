"""What every `Backend` does with a container's files at one moment."""

from __future__ import annotations

import pytest

from pytest_lxcontainer.errors import ContainerError

from .conftest import Bench


def write(bench: Bench, name: str, path: str, text: str) -> None:
    with bench.backend.open_file(name, path, "wb") as file:
        file.write(text.encode())


def read(bench: Bench, name: str, path: str) -> str:
    with bench.backend.open_file(name, path, "rb") as file:
        return file.read().decode()


def clone(bench: Bench, lower_dirs: tuple[str, ...]) -> str:
    """A started container of other layers."""
    return Bench.start(_Cloner(bench, lower_dirs))


class _Cloner(Bench):
    def __init__(self, bench: Bench, lower_dirs: tuple[str, ...]) -> None:
        super().__init__(bench.backend, lower_dirs)
        self._made = bench._made


def test_a_clone_of_a_snapshot_has_what_was_written_before_it(bench: Bench, box: str) -> None:
    write(bench, box, "/note", "before")
    layers = bench.backend.snapshot(box)
    write(bench, box, "/note", "after")
    assert layers[:-1] == bench.lower_dirs
    assert bench.backend.status(box).state == "RUNNING"
    assert read(bench, clone(bench, layers), "/note") == "before"
    assert read(bench, box, "/note") == "after"


def test_a_stopped_container_has_snapshots_too(bench: Bench, box: str) -> None:
    write(bench, box, "/note", "x")
    bench.backend.stop(box, timeout=0.1)
    assert read(bench, clone(bench, bench.backend.snapshot(box)), "/note") == "x"


def test_diff_tells_what_was_added_changed_and_deleted_by_path(bench: Bench, box: str) -> None:
    assert bench.backend.diff(box, bench.lower_dirs) == []
    write(bench, box, "/changed", "1")
    write(bench, box, "/deleted", "1")
    layers = bench.backend.snapshot(box)
    assert bench.backend.diff(box, layers) == []
    write(bench, box, "/changed", "22")
    write(bench, box, "/added", "333")
    assert bench.exec(box, "rm ../deleted").exit_code == 0
    since = [("added", "/added", 3), ("changed", "/changed", 2), ("deleted", "/deleted", 0)]
    assert bench.backend.diff(box, layers) == since
    assert bench.backend.diff(box, bench.lower_dirs) == [("added", "/added", 3), ("added", "/changed", 2)]


def test_restore_kills_and_leaves_the_files_of_the_layers_only(bench: Bench, box: str) -> None:
    write(bench, box, "/note", "kept")
    layers = bench.backend.snapshot(box)
    write(bench, box, "/note", "lost")
    write(bench, box, "/other", "lost")
    ips = bench.backend.status(box).ips
    status = bench.backend.restore(box, layers)
    assert (status.name, status.state, status.ips) == (box, "STOPPED", ips)
    bench.backend.start(box, timeout=20)
    assert read(bench, box, "/note") == "kept"
    assert not bench.backend.has_file(box, "/other")
    bench.backend.restore(box, bench.lower_dirs)
    bench.backend.start(box, timeout=20)
    assert not bench.backend.has_file(box, "/note")


@pytest.mark.parametrize("operation", ["snapshot", "restore", "diff"])
def test_an_unknown_name_is_an_error(bench: Bench, operation: str) -> None:
    arguments = () if operation == "snapshot" else ((),)
    with pytest.raises(ContainerError, match="nobody"):
        getattr(bench.backend, operation)("nobody", *arguments)


def test_changes_tell_texts_too(bench: Bench, box: str) -> None:
    write(bench, box, "/changed", "1\n")
    layers = bench.backend.snapshot(box)
    write(bench, box, "/changed", "22\n")
    with bench.backend.open_file(box, "/binary", "wb") as file:
        file.write(b"\0\xff")
    found = bench.backend.changes(box, layers, {})
    assert (found["left_out"], found["complete"]) == (0, True)
    binary, changed = found["changes"]
    assert (binary["kind"], binary["path"], binary["size"], binary["after"]) == ("added", "/binary", 2, None)
    assert (changed["kind"], changed["before"], changed["after"]) == ("changed", "1\n", "22\n")


def test_changes_are_bounded(bench: Bench, box: str) -> None:
    layers = bench.backend.snapshot(box)
    for name in "abcdefghijkl":
        write(bench, box, f"/tmp/{name}", "x")
    found = bench.backend.changes(box, layers, {"crowd": 8})
    assert [(each["path"], each["count"]) for each in found["changes"]] == [
        ("/tmp/a", 0),
        ("/tmp/b", 0),
        ("/tmp/c", 0),
        ("/tmp", 9),
    ]
    found = bench.backend.changes(box, layers, {"crowd": 0, "lines": 2, "texts": 1})
    assert [(each["path"], each["after"]) for each in found["changes"]] == [("/tmp/a", "x"), ("/tmp/b", None)]
    assert (found["left_out"], found["complete"]) == (10, True)
    found = bench.backend.changes(box, layers, {"crowd": 0, "entries": 3})
    assert (len(found["changes"]), found["complete"]) == (3, False)


def test_usage_is_told_after_its_end_too(bench: Bench) -> None:
    name = bench.start("i=0; while test $i -lt 30000; do i=$((i+1)); done; exec sleep 1000")
    assert bench.backend.usage(name).cpu_time is not None
    bench.backend.stop(name, timeout=0.1)
    used = bench.backend.usage(name)
    remains = bench.backend.destroy(name)
    assert remains is not None and remains.usage == used
