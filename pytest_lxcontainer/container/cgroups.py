"""Where a container's cgroups are, on hosts with v1, v2 or both.

Formats: https://docs.kernel.org/admin-guide/cgroup-v1/ and https://docs.kernel.org/admin-guide/cgroup-v2.html
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_UNLIMITED = 1 << 60
"""cgroup v1 writes "no limit" as the largest page-aligned number; anything this large is one."""

_LONGEST_NUMBER = 64


@dataclass(frozen=True, slots=True)
class Hierarchies:
    """The host's mounted cgroup hierarchies: v1 controllers by name, and the unified one if mounted."""

    v1: tuple[tuple[str, Path], ...]
    unified: Path | None

    @property
    def roots(self) -> tuple[Path, ...]:
        """Every hierarchy's mount point, once."""
        roots = dict.fromkeys(path for _, path in self.v1)
        if self.unified is not None:
            roots[self.unified] = None
        return tuple(roots)

    def controller(self, name: str) -> Path | None:
        """The v1 mount point of controller *name*, if it is on v1."""
        return dict(self.v1).get(name)

    @property
    def limits_on_v1(self) -> bool:
        """Whether the controllers that limits need are on v1 (also true of hybrid hosts)."""
        return self.controller("memory") is not None or self.controller("pids") is not None


def read_hierarchies(mountinfo: str) -> Hierarchies:
    """Read the text of ``/proc/self/mountinfo`` (proc_pid_mountinfo(5))."""
    v1: list[tuple[str, Path]] = []
    unified = None
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        mount_point, fs_type = Path(left.split(" ")[4]), right.split(" ")[0]
        if fs_type == "cgroup2":
            unified = unified or mount_point
        elif fs_type == "cgroup":
            options = right.split(" ")[2].split(",")
            names = [name.removeprefix("name=") for name in options if name not in ("rw", "ro", "xattr")]
            v1.extend((name, mount_point) for name in names)
    return Hierarchies(tuple(v1), unified)


def host_hierarchies() -> Hierarchies:
    """The hierarchies this process sees."""
    return read_hierarchies(Path("/proc/self/mountinfo").read_text())


def cgroups_of(pid: int, hierarchies: Hierarchies) -> dict[str, Path]:
    """Where process *pid* is: directory by v1 controller name, the unified one under ``""``."""
    found: dict[str, Path] = {}
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0":
            if hierarchies.unified is not None:
                found[""] = hierarchies.unified / path.lstrip("/")
            continue
        for name in controllers.split(","):
            root = hierarchies.controller(name.removeprefix("name="))
            if root is not None:
                found[name.removeprefix("name=")] = root / path.lstrip("/")
    return found


def entry_files(cgroups: Mapping[str, Path]) -> tuple[Path, ...]:
    """The files that a single-threaded process writes ``0`` to in order to join *cgroups*, each hierarchy's once.

    On v1 that is ``tasks``: for ``cgroup.procs`` the kernel takes a lock on all threads of the host, for which it
    waits a grace period of RCU, some 8 ms on an idle machine. The unified hierarchy knows only that one, and is left
    out where v1 has the controllers.
    """
    v1 = dict.fromkeys(path / "tasks" for name, path in cgroups.items() if name)
    return tuple(v1) or tuple(path / "cgroup.procs" for path in cgroups.values())


def number_in(path: Path) -> int | None:
    """The number in a cgroup's file; ``None`` for no limit, and where there is no such file."""
    # A fifth of what Path.read_text costs: the end of each container reads some.
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        text = os.read(fd, _LONGEST_NUMBER).strip()
    except OSError:  # its cgroup has been removed
        return None
    finally:
        os.close(fd)
    return int(text) if text.lstrip(b"-").isdigit() and int(text) < _UNLIMITED else None


def table_in(path: Path) -> dict[str, int]:
    """A file of ``key number`` lines; empty where there is no such file."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    return {parts[0]: int(parts[1]) for line in lines if len(parts := line.split()) == 2}


@dataclass(frozen=True, slots=True)
class Freezer:
    """The file that halts the processes of a cgroup: ``freezer.state`` on v1, ``cgroup.freeze`` on v2."""

    path: Path

    def set(self, frozen: bool, timeout: float = 1.0) -> None:
        """Halt them, or let them go on; returns when they stand still, or *timeout* seconds have passed."""
        is_v1 = self.path.name == "freezer.state"
        words = ("THAWED", "FROZEN") if is_v1 else ("0", "1")
        self.path.write_text(words[frozen])
        deadline = time.monotonic() + timeout
        while frozen and not self._is_frozen(is_v1) and time.monotonic() < deadline:
            time.sleep(0.0002)

    def let_die(self, pids: Iterable[int]) -> None:
        """Let processes that are killed end while the others stand still; on v1 none of a frozen cgroup does."""
        if self.path.name == "freezer.state":
            for pid in pids:
                with suppress(OSError):  # it has ended
                    (self.path.parent.parent / "cgroup.procs").write_text(str(pid))

    def _is_frozen(self, is_v1: bool) -> bool:
        if is_v1:
            return self.path.read_text().strip() == "FROZEN"
        return "frozen 1" in (self.path.parent / "cgroup.events").read_text()


def freezer_in(cgroups: Mapping[str, Path]) -> Freezer | None:
    """The freezer among a container's own *cgroups* (by v1 controller, ``""``: unified), if there is one."""
    if "freezer" in cgroups:
        return Freezer(cgroups["freezer"] / "freezer.state")
    return Freezer(cgroups[""] / "cgroup.freeze") if "" in cgroups else None


def remove_tree(directory: Path, expected: Iterable[str] = ()) -> bool:
    """Remove the cgroup *directory* and those below it; false where one still holds a process.

    Those of the names *expected* are what is below it, most of the time.
    """
    path = os.fspath(directory)
    for name in expected:
        _remove(f"{path}/{name}")
    return _remove_tree(path)


def _remove_tree(directory: str) -> bool:
    # Most have none below them; what else they hold, files that the kernel makes as they are listed, are dozens.
    if _remove(directory):
        return True
    try:
        below = [entry.path for entry in os.scandir(directory) if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return True
    return bool(below) and all([_remove_tree(path) for path in below]) and _remove(directory)


def _remove(directory: str) -> bool:
    try:
        os.rmdir(directory)  # noqa: PTH106 - thirty for each container
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def thaw_below(directory: Path) -> None:
    """Let go on what stands still in the cgroup *directory*, or below: on v1 not even SIGKILL ends it before."""
    for path, _, files in os.walk(directory):
        if "freezer.state" in files:
            with suppress(OSError):  # it is gone, or the root's, which cannot be frozen
                Path(path, "freezer.state").write_text("THAWED")


def processes_below(directory: Path) -> set[int]:
    """Every process in the cgroup *directory* and those below it."""
    found: set[int] = set()
    for path, _, _ in os.walk(directory):
        try:
            found.update(int(pid) for pid in Path(path, "cgroup.procs").read_text().split())
        except OSError:
            continue
    return found
