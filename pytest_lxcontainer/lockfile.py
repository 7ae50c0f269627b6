"""Lock files: the digest that each tag named when a run used it, for later runs to use that and no other.

::

    # Written by pytest-lxcontainer: ...
    docker.io/library/redis:7 sha256:...

A file is read once, at the start of a run. Where it is there, its pins are all that the run may use, and it is never
written; where it is absent or to be updated, the tags that the run used are merged into it at the end.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from .errors import ImageNotFoundError, LockFileError, LxContainerError
from .image import Digest, Reference

if TYPE_CHECKING:
    from .image.name import ImageName

_HEADER = """\
# Written by pytest-lxcontainer (--lxc-lock): the digest that each tag is pinned to. --lxc-lock-update renews it.
"""
_POLL = 0.01  # seconds
_TIMEOUT = 30.0  # seconds, for others who write a file in the same directory

Mode: TypeAlias = Literal["locked", "new", "update"]


class Uses:
    """What a run used: it pins nothing, and remembers."""

    def __init__(self) -> None:
        self.used: dict[ImageName, Digest] = {}
        """By the name that was asked for; of several platforms' manifests the index, where there is one."""
        self.local: set[ImageName] = set()
        """Those of them that were made here."""
        self.notices: dict[str, None] = {}
        """What registries had to say beside their answers, in order and each once."""

    @property
    def asks(self) -> bool:
        """Whether the run is to find out what tags name now, even where the store knows what they named."""
        return False

    def pin(self, reference: Reference) -> Reference:
        """*reference* as it is."""
        return reference

    def note(self, reference: ImageName, digest: Digest, *, local: bool = False) -> None:
        """Remember that the run used *reference*, which named the manifest or index *digest*; *local*: made here."""
        self.used[reference] = digest
        if local:
            self.local.add(reference)

    def warn(self, reference: ImageName, notice: str) -> None:
        """Remember a *notice* of the registry of *reference*."""
        self.notices[f"{reference.familiar}: {notice}"] = None

    def explain(self, reference: ImageName, error: LxContainerError) -> None:
        """Add to *error*, to which using *reference* led, what is known of it here."""

    def save(self) -> None:
        """Keep what was noted for later runs, where there is a file for it."""


class LockFile(Uses):
    """The pins of one run, from the file at *path* and for it.

    *mode* is "locked" where the file is there and rules, "new" where it is absent, "update" where it is to be written
    anew. Only the first process of a run finds out (`mode_of`): another may begin when the file is already written.
    """

    def __init__(self, path: Path, mode: Mode) -> None:
        """Raise `LockFileError` for a file that cannot be read, or that it will not be possible to write."""
        super().__init__()
        self.path = path
        self.mode = mode
        self.pins: Mapping[Reference, Digest] = {} if mode == "new" else _read(path)
        if mode != "locked" and not os.access(path.resolve().parent, os.W_OK | os.X_OK):
            raise LockFileError(f"the lock file {path} cannot be written", hint="is its directory there, and yours?")

    @staticmethod
    def mode_of(path: Path, *, update: bool) -> Mode:
        """How a run that begins now uses the file."""
        if update:
            return "update"
        return "locked" if os.path.exists(path) else "new"  # noqa: PTH110 - Path.exists raises where it may not look

    @property
    def asks(self) -> bool:
        """Whether the file is to be updated, which takes what tags name now."""
        return self.mode == "update"

    def pin(self, reference: Reference) -> Reference:
        """*reference* with the digest it is pinned to; raises `LockFileError` in a locked run if it is to no digest.

        What has a digest of its own needs no pin.
        """
        if self.mode != "locked" or reference.digest:
            return reference
        if reference not in self.pins:
            raise LockFileError(
                f"{reference.familiar} is not in the lock file {self.path}",
                details="a run with a lock file uses no tag that it does not pin",
                hint="run once with --lxc-lock-update, or name the image by its digest",
            )
        return reference.with_digest(self.pins[reference])

    def explain(self, reference: ImageName, error: LxContainerError) -> None:
        """Add the lock file's name to *error* where the digest was its choice."""
        if self.mode != "locked" or reference not in self.pins:
            return
        error.details = "\n".join(filter(None, [error.details, f"the digest is from the lock file {self.path}"]))
        if isinstance(error, ImageNotFoundError):
            error.hint = "run once with --lxc-lock-update, which pins what the tag names now"

    def save(self) -> None:
        """Merge the tags that were used into the file, unless the run is locked; whole or not at all.

        Tags that this run did not use stay: it may have been a part of the tests. Raises `LockFileError`.
        """
        fresh = {
            name: digest
            for name, digest in self.used.items()
            if isinstance(name, Reference) and name.digest is None and name not in self.local
        }
        if self.mode == "locked" or not fresh:
            return
        path = self.path.resolve()  # A link stays one.
        with _errors("written", self.path), _alone(path.parent):
            text = _text({**_read(path), **fresh})
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                _write(path, text)


def _read(path: Path) -> dict[Reference, Digest]:
    """The pins in a file; none where there is no file."""
    pins: dict[Reference, Digest] = {}
    with _errors("read", path):
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return pins
        except UnicodeDecodeError:
            raise LockFileError(f"{path} is no lock file", details="it is no text", hint=_MEND) from None
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            reference, digest = _pin(path, number, line)
            if pins.setdefault(reference, digest) != digest:
                raise _malformed(path, number, f"{reference} is pinned to two digests")
    return pins


def _pin(path: Path, number: int, line: str) -> tuple[Reference, Digest]:
    name, _, digest = line.strip().partition(" ")
    try:
        pin = Reference.parse(name), Digest.parse(digest.strip())
    except LxContainerError as error:
        raise _malformed(path, number, error.message) from None
    if pin[0].digest:
        raise _malformed(path, number, f"{name} has a digest already")
    return pin


_MEND = "a line is: REFERENCE DIGEST; remove the file to have it written anew, or restore it"


def _malformed(path: Path, number: int, problem: str) -> LockFileError:
    return LockFileError(f"{path}, line {number}: this is no pin", details=problem, hint=_MEND)


def _text(pins: Mapping[Reference, Digest]) -> str:
    """A line for each pin, sorted: two people's changes meet only where they change the same tag."""
    return _HEADER + "".join(sorted(f"{reference} {digest}\n" for reference, digest in pins.items()))


def _write(path: Path, text: str) -> None:
    """Put *text* in the place of what is at *path*, with its mode; the caller keeps others from doing so."""
    # One name, which the next writer takes over if this one is killed.
    temporary = path.with_name(f".{path.name}.new")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            with suppress(FileNotFoundError):
                os.fchmod(file.fileno(), path.stat().st_mode & 0o7777)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Keep other writers out by a lock on *directory* itself, which leaves no file beside the user's."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + _TIMEOUT
        while not _got(fd):
            if time.monotonic() >= deadline:
                raise TimeoutError(errno.ETIMEDOUT, f"another process has locked {directory} for {_TIMEOUT:g} s")
            time.sleep(_POLL)
        try:
            yield
        finally:
            fcntl.flock(fd, fcntl.LOCK_UN)
    finally:
        os.close(fd)


def _got(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _errors(verb: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LockFileError(f"the lock file {path} cannot be {verb}: {error.strerror}") from error


def full_name(name: ImageName, digest: Digest) -> str:
    """How people are told which image was used: ``redis:7@sha256:...``."""
    return (replace(name, digest=digest) if isinstance(name, Reference) else name).familiar
