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
