"""Snapshots of the run's containers: sealing, comparing and replacing upper dirs.

Reading a container's files takes long, and its ids; each time a fork does it, while the loop goes on.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ..container.attach import CLONE_NEWUSER, PR_SET_PDEATHSIG, become, setns
from ..errors import ContainerError, StoreError, SupervisorError
from ..rootfs.made import Made
from ..rootfs.overlay import STACKS, may_lack, paths_of
from . import protocol, refusals
from .life import Life
from .loop import until_gone
from .run import Run

if TYPE_CHECKING:
    from ..rootfs.sandbox import Sandbox

_OPEN_DIR = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

DIRECTORY = "s"
"""In a run's directory; short, since paths of layers share one mount(2). No container's name is without a hyphen."""


class Snapshots:
    """Makes snapshots of the containers of *run*, which go with it."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._directory = run.directory / DIRECTORY
        self._directory.mkdir()
        self._directory.chmod(0o711)
        self._count = 0
        self._forks: set[int] = set()

    def close(self) -> None:
        """End what is still being done, and have all snapshots removed."""
        for pid in self._forks:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self._forks.clear()
        if self._count:
            # Files of the container's other users are not an ordinary user's to remove.
            self._run.discard(self._directory)

    async def seal(self, life: Life, directory: str | None) -> list[str]:
        """A copy of what *life* has written as a layer on top of its own, all of which are returned, base first.

        The copy is made in *directory*, which is empty and the caller's, else in one of the run's. Its processes stand
        still meanwhile, where it has cgroups of its own.
        """
        target = self._new_directory() if directory is None else Path(directory)
        overlay, made = life.overlay(), _made(life)
        life.hold()
        try:
            await self._work_on(life, lambda: _sandbox(life).seal(overlay, target, made))
            self._check(life)
        except BaseException:
            if directory is None:
                self._run.discard(target)
            raise
        finally:
            life.freezing.let_go()
        return [*life.spec.lower_dirs, str(target)]

    def _new_directory(self) -> Path:
        self._count += 1
        path = self._directory / str(self._count)
        path.mkdir(mode=0o700)
        return path

    async def differences(self, life: Life, since: Sequence[str]) -> list[Any]:
        """What *life*'s files differ by from the stack *since* (base first); see `rootfs.diff.Difference`."""
        old, new, made = _compared(life, since)
        found: list[Any] = await self._work_on(life, lambda: _sandbox(life).compare(old, new, made))
        return found

    async def changes(self, life: Life, since: Sequence[str], bounds: Mapping[str, Any]) -> dict[str, Any]:
        """The same as a report shows it; see `rootfs.changes`."""
        old, new, made = _compared(life, since)
        found: dict[str, Any] = await self._work_on(life, lambda: _changes(life, old, new, made, bounds))
        return found

    async def restore(self, life: Life, lower_dirs: Sequence[str]) -> None:
        """Have the stack *lower_dirs* (base first) and nothing else in *life*, which is ended if it runs."""
        life.hold(still=False)
        try:
            life.kill()
            await life.until_dead()
            await life.until_clean()
            self._check(life)
            self._run.replace_files(life, lower_dirs)
            await self._work_on(life, lambda: _make_dirs(life))
        finally:
            life.freezing.let_go()

    async def make_dirs(self, life: Life) -> None:
        """Make the directories of a new container that its layers do not have: where it works, and its volumes."""
        if _lacking_of(life):
            await self._work_on(life, lambda: _make_dirs(life))

    def _check(self, life: Life) -> None:
        if self._run.lives.get(life.name) is not life:
            raise refusals.destroyed(life.name)

    async def _work_on(self, life: Life, work: Callable[[], Any]) -> Any:
        """As `_in_fork`, of what is done to the files of *life*, and fails where they go meanwhile."""
        try:
            return await self._in_fork(work)
        except Exception:
            self._check(life)
            raise

    async def _in_fork(self, work: Callable[[], Any]) -> Any:
        """Give what *work* returns, or raise what it raises, from a process of its own."""
        answer = os.memfd_create("lxcontainer-answer")
        try:
            pid = os.fork()
            if pid == 0:
                _work(answer, work)
            self._forks.add(pid)
            await until_gone(pid)
            self._forks.discard(pid)
            _, status = os.waitpid(pid, 0)
            os.lseek(answer, 0, os.SEEK_SET)
            with os.fdopen(answer, "rb", closefd=False) as file:
                text = file.read()
        finally:
            os.close(answer)
        if not text:
            code = os.waitstatus_to_exitcode(status)
            raise SupervisorError(f"the process that works on a container's files ended with {code}")
        message = json.loads(text)
        if "error" in message:
            raise protocol.rebuild(message["error"])
        return message["ok"]


def _work(answer: int, work: Callable[[], Any]) -> NoReturn:
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        # Every directory on the way down is open, in each layer that has it.
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        os.umask(0)
        try:
            message = {"ok": work()}
        except Exception as error:
            if not isinstance(error, (StoreError, ContainerError)):
                traceback.print_exc()
            message = {"error": protocol.describe(error)}
        with os.fdopen(answer, "wb", closefd=False) as file:
            file.write(json.dumps(message).encode("ascii"))
    finally:
        os._exit(0)


def _sandbox(life: Life) -> Sandbox:
    """A sandbox with the ids of *life*, which ends with this process at the latest."""
    # Imported here: the supervisor itself, which every fork copies, does without it.
    from ..rootfs.sandbox import Sandbox

    return Sandbox(life.idmap)


def _compared(life: Life, since: Sequence[str]) -> tuple[list[Path], list[Path], Made]:
    """The stacks to compare, and what is no difference between them."""
    old = [Path(each) for each in since]
    if gone := [path for path in old if not path.is_dir()]:
        raise StoreError("the image to compare with is no longer there", details="\n".join(map(str, gone)))
    overlay = life.overlay()
    return old, [*overlay.lower_dirs, overlay.upper_dir], _made(life)


def _changes(
    life: Life, old: Sequence[Path], new: Sequence[Path], made: Made, bounds: Mapping[str, Any]
) -> dict[str, Any]:
    # Imported here as in `_sandbox`, which is done without where it can be: it takes longer than all else.
    from ..rootfs.changes import Bounds, changes

    limits = Bounds(**bounds)
    try:
        # By path only as whoever this is: the container's root may not pass all that leads there.
        before, after = ([os.open(path, _OPEN_DIR) for path in stack] for stack in (old, new))
        if not life.host.is_root:
            _take_ids_of(life)
        return changes(before, after, made, limits)
    except OSError as error:
        if life.host.is_root:
            raise StoreError(f"comparing a container's files: {error.strerror}") from None
    return _sandbox(life).changes(old, new, made, limits)


def _take_ids_of(life: Life) -> None:
    """Become the root of a running container's user namespace; `OSError` where it does not run."""
    boot = life.boot
    if boot is None or boot.entry_pidfd is None:
        raise ProcessLookupError
    setns(boot.entry_pidfd, CLONE_NEWUSER)
    become(0, 0, ())


def _make_dirs(life: Life) -> None:
    """Make what was made for it when it was created, and has gone with its upper dir."""
    if lacking := _lacking_of(life):
        with _sandbox(life) as sandbox:
            for path in lacking:
                sandbox.make_dirs(life.overlay(), path)


def _lacking_of(life: Life) -> tuple[str, ...]:
    return _lacking(life.spec.lower_dirs, (life.spec.cwd, *life.spec.volumes))


@lru_cache(maxsize=STACKS)
def _lacking(lower_dirs: tuple[str, ...], paths: tuple[str, ...]) -> tuple[str, ...]:
    """Those of *paths* that a stack may lack; what layers do not lack they never will."""
    return tuple(path for path in paths if may_lack(paths_of(lower_dirs), path))


def _made(life: Life) -> Made:
    """What may have been made in its upper dir, with ids as whoever reads there sees them."""
    spec = life.spec
    as_root = os.geteuid() == 0
    uid, gid = (life.idmap.host_uid(0), life.idmap.host_gid(0)) if as_root else (0, 0)
    return Made.of(life.mounted, (spec.cwd, *spec.volumes), uid, gid)
