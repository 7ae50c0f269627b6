"""What a run must not leave on the host, looked for by the ids of the runs that a test made.

Other runs may live at the same time, of this suite's other workers or of anybody else: only what bears the id
of a run that appeared in a watched store counts, and not if its owner lives outside the test's processes.
"""

from __future__ import annotations

import ctypes
import os
import re
import struct
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from pytest_lxcontainer.container.cgroups import cgroups_of, host_hierarchies, processes_below
from pytest_lxcontainer.network.programs import found

GRACE = 5.0
"""Seconds that what a test started may take to go: teardown happens behind its back."""

_POLL = 0.02
_SUPERVISOR = "pytest_lxcontainer.supervisor"
_OWNER = re.compile(r"[0-9]+:[0-9]+:[0-9a-f-]+")
"""A supervisor's last argument; see `pytest_lxcontainer.supervisor.owner`."""
_RUN_ID = re.compile("[0-9a-f]{8}")
_IN_CREATE = 0x100
_EVENT = struct.Struct("iIII")
_libc = ctypes.CDLL(None, use_errno=True)


class Leaks:
    """Sees every run that appears in *stores*, however short-lived, and what is left of them."""

    def __init__(self, *stores: Path) -> None:
        self._watches: list[tuple[int, Path]] = []
        self.run_ids: set[str] = set()
        """Runs seen so far, by any process."""
        self._before: set[str] = set()
        for store in stores:
            self.watch(store)

    def __enter__(self) -> Leaks:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for fd, _ in self._watches:
            os.close(fd)

    def watch(self, store: Path) -> None:
        """Look at the runs of *store*, too."""
        runs_dir = store / "runs"
        fd = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if fd < 0 or _libc.inotify_add_watch(fd, os.fsencode(runs_dir), _IN_CREATE) < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(runs_dir))
        self._watches.append((fd, runs_dir))
        self.run_ids.update(path.name for path in runs_dir.iterdir() if _RUN_ID.fullmatch(path.name))

    def snapshot(self) -> None:
        """Take what is there now as the state to come back to."""
        self._before = self._things()

    def assert_nothing_new(self, timeout: float = GRACE) -> None:
        """Wait until nothing but the snapshot is left, at most *timeout* seconds."""
        deadline = time.monotonic() + timeout
        left = self._things() - self._before
        while left and time.monotonic() < deadline:
            time.sleep(_POLL)
            # What is new since then is another worker's.
            left &= self._things()
        assert not left, f"left after {timeout:g} s:\n" + "\n".join(sorted(left))

    def _things(self) -> set[str]:
        self._learn_run_ids()
        processes = list(_processes())
        strangers = set(_of_strangers(processes))
        return set(_things_of(self.run_ids - strangers, [path for _, path in self._watches], processes))

    def _learn_run_ids(self) -> None:
        for fd, _ in self._watches:
            try:
                data = os.read(fd, 1 << 16)
            except BlockingIOError:
                continue
            names = (name.partition(".")[0] for name in _created(data))
            self.run_ids.update(name for name in names if _RUN_ID.fullmatch(name))


def _created(data: bytes) -> Iterator[str]:
    """Names in the events that inotify(7) reports."""
    offset = 0
    while offset < len(data):
        _, _, _, length = _EVENT.unpack_from(data, offset)
        offset += _EVENT.size
        yield os.fsdecode(data[offset : offset + length].rstrip(b"\0"))
        offset += length


class _Process:
    def __init__(self, pid: int, arguments: list[str], cgroups: str) -> None:
        self.pid = pid
        self.arguments = arguments
        self.cgroups = cgroups

    @property
    def supervises(self) -> bool:
        is_one = any(_SUPERVISOR in argument for argument in self.arguments)
        return is_one and _OWNER.fullmatch(self.arguments[-1]) is not None

    @property
    def run_id(self) -> str:
        return self.arguments[-3] if self.supervises else ""

    @property
    def owner(self) -> int:
        return int(self.arguments[-1].partition(":")[0])


def _processes() -> Iterator[_Process]:
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            arguments = Path("/proc", name, "cmdline").read_bytes().decode("utf-8", "replace").split("\0")[:-1]
            cgroups = Path("/proc", name, "cgroup").read_text()
        except OSError:
            continue
        yield _Process(int(name), arguments, cgroups)


def _of_strangers(processes: Iterable[_Process]) -> Iterator[str]:
    """Ids of runs whose owner lives and is neither this process nor one that it started."""
    for process in processes:
        if process.supervises:
            ancestors = list(_ancestors(process.owner))
            if ancestors and os.getpid() not in ancestors:
                yield process.run_id


def _ancestors(pid: int) -> Iterator[int]:
    """*pid* and what started it; nothing if it has ended."""
    while pid:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return
        if fields[0] in "ZX":
            return
        yield pid
        pid = int(fields[1])


def _things_of(run_ids: set[str], runs_dirs: list[Path], processes: list[_Process]) -> Iterator[str]:
    for process in processes:
        if process.run_id in run_ids or any(f"/lxt-{run_id}" in process.cgroups for run_id in run_ids):
            yield f"process {process.pid}: {' '.join(process.arguments)[-120:]}"
    yield from (f"cgroup {path}" for path in _cgroups(run_ids))
    for runs_dir in runs_dirs:
        yield from (f"directory {path}" for path in _paths(runs_dir, run_ids))
    aliases = [*Path("/tmp").glob("lxt*"), *Path("/run").glob("lxt*")]
    yield from (f"alias {path}" for path in aliases if path.name[3:] in run_ids)
    yield from _kernel_things_of(run_ids)


def _kernel_things_of(run_ids: set[str]) -> Iterator[str]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if any(f"/runs/{run_id}" in line for run_id in run_ids):
            yield f"mount {line}"
    for name in os.listdir("/sys/class/net"):
        if any(name.startswith(f"lxt{run_id}") for run_id in run_ids):
            yield f"interface {name}"
    yield from (f"table {name}" for name in _tables() if name[3:11] in run_ids)
    for line in Path("/proc/net/unix").read_text().splitlines():
        name = line.rpartition(" ")[2]
        if name.startswith("@pytest-lxcontainer/run/") and name.rpartition("/")[2] in run_ids:
            yield f"socket {name}"


def _tables() -> Iterator[str]:
    """Names of the tables of nftables that are ours, of all runs; only root makes and sees them."""
    nft = found("nft")
    if nft and os.geteuid() == 0:
        listed = subprocess.run([nft, "list", "tables"], capture_output=True, text=True, check=True).stdout
        yield from (line.split()[2] for line in listed.splitlines() if line.startswith("table ip lxt"))


def _cgroups(run_ids: set[str]) -> Iterator[Path]:
    """Cgroups of runs, and what LXC makes where it was not told another place: beside the process that starts it."""
    hierarchies = host_hierarchies()
    beside = {*hierarchies.roots, *cgroups_of(os.getpid(), hierarchies).values()}
    for root in hierarchies.roots:
        for path, directories, _ in os.walk(root):
            for name in directories:
                found = Path(path, name)
                run_id = _run_of(found)
                left_by_lxc = found.parent in beside and name.startswith("lxc.") and not processes_below(found)
                if run_id in run_ids or left_by_lxc:
                    yield found


def _run_of(cgroup: Path) -> str:
    return next((part[4:] for part in cgroup.parts if part.startswith("lxt-")), "")


def _paths(runs_dir: Path, run_ids: set[str]) -> Iterator[Path]:
    """Directories of runs and of their containers, and the files beside them."""
    if not runs_dir.exists():
        return
    for path in runs_dir.iterdir():
        if path.name.partition(".")[0] in run_ids:
            yield path
            if path.is_dir():
                yield from (each for each in path.iterdir() if each.is_dir())


def supervisor_of(run_id: str) -> int:
    """The process that owns the run."""
    pids = [process.pid for process in _processes() if process.run_id == run_id]
    # Its forks have its command line, too.
    return next(pid for pid in pids if parent_of(pid) not in pids)


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
