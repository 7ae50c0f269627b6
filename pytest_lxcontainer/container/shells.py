"""Which shell a person gets in a container: one of its own, or one that the host lends it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ..errors import ContainerFileError, DestroyedError, NotRunningError
from .backend import Backend
from .toolbox import PLACE, Tools

_SHELLS = ("bash", "sh")
_ANYBODYS = 0o111


def own_shell(backend: Backend, name: str, path: str) -> str | None:
    """The first program called bash, else sh, in the directories of *path*; ``None`` where there is neither."""
    directories = [each for each in path.split(":") if each.startswith("/")]
    candidates = (f"{directory.rstrip('/')}/{shell}" for shell in _SHELLS for directory in directories)
    return next((each for each in candidates if _is_program(backend, name, each)), None)


def _is_program(backend: Backend, name: str, path: str) -> bool:
    try:
        with backend.open_file(name, path, "rb") as file:
            return bool(os.fstat(file.fileno()).st_mode & _ANYBODYS)
    except ContainerFileError:
        return False


@contextmanager
def lent_tools(backend: Backend, name: str) -> Iterator[Tools]:
    """Have the host's programs at `PLACE` meanwhile, which the container cannot change."""
    tools = backend.tools()
    backend.mount(name, tools.directory, PLACE, True)
    try:
        yield tools
    finally:
        _take_back(backend, name)


def _take_back(backend: Backend, name: str) -> None:
    try:
        with suppress(NotRunningError, DestroyedError):  # it has ended meanwhile
            backend.unmount(name, PLACE, remove=True)
    except ContainerFileError as error:
        # ESRCH: it is ending; EBUSY: somebody else has a shell there.
        if error.errno not in (errno.ESRCH, errno.EBUSY):
            raise
