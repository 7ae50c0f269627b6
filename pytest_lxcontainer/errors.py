"""The one exception tree of the package.

::

    LxContainerError                  what happened, details, hint
    ├── InvalidReferenceError         also ValueError: the text is no image reference
    ├── InvalidSettingsError          also ValueError: a setting, option or marker that cannot be used
    ├── LockFileError                 the file of pinned tags: unreadable, or without the tag that is asked for
    ├── HostNotReadyError             the host lacks something; the hint holds the command that provides it
    ├── RegistryError                 status, url
    │   ├── RegistryUnreachableError  nobody answered
    │   ├── ImageNotFoundError        the registry answered: no such repository, tag or digest
    │   ├── AuthenticationError       the registry refused the credentials, or wants some
    │   └── RateLimitedError          retry_after
    ├── ImageSourceError              path: an archive or directory is missing, unreadable, or not what its name says
    ├── ExportError                   path: files that an image cannot be written into
    ├── ImageNotCachedError           pulling is forbidden and the store does not have it
    ├── UnsupportedImageError         a media type or platform that cannot run here
    ├── CorruptImageError             also the manifest lies about size or structure
    │   └── DigestMismatchError       expected, actual
    ├── UnsafeLayerError              entry: a path that would escape, or an entry no layer may hold
    ├── StoreError                    the cache directory cannot be read or written (full disk, permissions)
    ├── SupervisorError               the helper process ended or answered nonsense
    └── ContainerError                container
        ├── StartFailedError          exit_code, log
        ├── StateError                state: what the operation asks for is not so in this state
        │   ├── NotRunningError       it has ended, or has not been started
        │   │   └── FrozenError       it runs, but stands still
        │   ├── AlreadyRunningError   it has been started already
        │   ├── AlreadyFrozenError    it stands still already
        │   ├── NotFrozenError        it does not stand still
        │   └── DestroyedError        it is no more
        ├── UnknownItemError          also KeyError: a cgroup file, configuration key, device or interface is not there
        ├── KernelRefusedError        also OSError: a limit, cgroup file, device or interface cannot be had like that
        ├── NotPermittedError         only root may do this
        ├── NotDelegatedError         the operation needs cgroups that this user may not make
        ├── ContainerDiedError        exit_code, log: it ended while something waited for it
        ├── ExecFailedError           result
        ├── ExecTimeoutError          args, timeout, stdout, stderr
        ├── WaitTimeoutError          awaited, timeout, last_seen
        ├── ContainerNotFoundError    no container has that name or id
        ├── SnapshotNotFoundError     no such snapshot of this container, or it went with its run
        └── ContainerFileError        path, also OSError
            ├── ContainerFileNotFoundError    also FileNotFoundError
            ├── ContainerNotADirectoryError   also NotADirectoryError
            ├── ContainerIsADirectoryError    also IsADirectoryError
            └── ContainerPermissionError      also PermissionError

Every error prints as what happened, the details a line each, and the hint: what to do about it.
"""

from __future__ import annotations

import os
from errno import EACCES, EISDIR, ENOENT, ENOTDIR, EPERM
from typing import Any


class LxContainerError(Exception):
    """Base of everything this package raises on purpose.

    *message* says what happened, *details* what is known beside it, *hint* what to do about it.
    """

    def __init__(self, message: str, *, details: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.details = details.strip("\n")
        self.hint = hint

    def __str__(self) -> str:
        parts = [self.message]
        if self.details:
            parts.append(self.details)
        if self.hint:
            parts.append(f"hint: {self.hint}")
        return "\n".join(parts)


class InvalidReferenceError(LxContainerError, ValueError):
    """The text is no image reference."""


class InvalidSettingsError(LxContainerError, ValueError):
    """A setting, option or marker that cannot be used as given."""


class LockFileError(LxContainerError):
    """The file that tags are pinned in cannot be read or written, or does not have the tag that is asked for."""


class HostNotReadyError(LxContainerError):
    """The host lacks something containers need; the hint holds the command that provides it."""


class RegistryError(LxContainerError):
    """A registry answered with an error, or with something that is no registry's answer.

    *status* is the HTTP status (0 where there was none), *url* the request's, without secrets.
    """

    def __init__(self, message: str, *, status: int = 0, url: str = "", **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.status = status
        self.url = url


class RegistryUnreachableError(RegistryError):
    """No connection to the registry: down, unknown host, refused or timed out."""


class ImageNotFoundError(RegistryError):
    """The registry has no such repository, tag or digest."""


class AuthenticationError(RegistryError):
    """The registry refused the credentials, or wants some and there are none."""


class RateLimitedError(RegistryError):
    """The registry asks for fewer pulls; *retry_after* is in seconds, ``None`` where it did not say."""

    def __init__(self, message: str, *, retry_after: float | None = None, **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.retry_after = retry_after


class ImageSourceError(LxContainerError):
    """An archive or directory that should hold an image is missing or of another kind; *path* is its path."""

    def __init__(self, message: str, *, path: str = "", **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.path = path


class ExportError(LxContainerError):
    """An image cannot be written into files: no room, no permission, or something else is there; *path* is theirs."""

    def __init__(self, message: str, *, path: str = "", **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.path = path


class ImageNotCachedError(LxContainerError):
    """Pulling is forbidden (``--lxc-pull never``) and the store does not have the image."""


class UnsupportedImageError(LxContainerError):
    """A media type, platform or layer form that cannot run here."""


class CorruptImageError(LxContainerError):
    """Bytes that are not what their descriptor, or their own structure, says."""


class DigestMismatchError(CorruptImageError):
    """Bytes whose digest is not the one they were asked for by."""

    def __init__(self, message: str, *, expected: str, actual: str, **kwargs: Any) -> None:
        details = f"expected: {expected}\nactual:   {actual}"
        super().__init__(message, details=details, **kwargs)
        self.expected = expected
        self.actual = actual


class UnsafeLayerError(LxContainerError):
    """A layer holds an entry that no layer may hold; nothing was written outside its directory."""

    def __init__(self, message: str, *, entry: str = "", **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.entry = entry


class StoreError(LxContainerError):
    """The store directory cannot be read or written as needed: full disk, permissions, a foreign layout."""


class SupervisorError(LxContainerError):
    """The run's supervisor ended, could not be started, or answered what it should not."""


class ContainerError(LxContainerError):
    """Base of what concerns one container; *container* is its name."""

    def __init__(self, message: str, *, container: str = "", **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.container = container


class StartFailedError(ContainerError):
    """The container did not start: *exit_code* (``None`` if it never ran) and the *log*'s last lines."""

    def __init__(self, message: str, *, exit_code: int | None = None, log: str = "", **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.exit_code = exit_code
        self.log = log


class StateError(ContainerError):
    """The container's *state*, LXC's word or ``DESTROYED``, forbids the operation."""

    def __init__(self, message: str, *, state: str = "", **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.state = state


class NotRunningError(StateError):
    """The operation needs a running container; *state* is the one it is in."""


class FrozenError(NotRunningError):
    """The operation needs processes that can go on, and the container is frozen."""


class AlreadyRunningError(StateError):
    """What runs cannot be started."""


class AlreadyFrozenError(StateError):
    """What stands still cannot be frozen."""


class NotFrozenError(StateError):
    """What does not stand still cannot be unfrozen."""


class DestroyedError(StateError):
    """The container has been destroyed: nothing is left of it."""


class UnknownItemError(ContainerError, KeyError):
    """There is no such cgroup file, configuration key, device or interface."""


class KernelRefusedError(ContainerError, OSError):
    """The kernel does not take a limit, a cgroup file's value, a device or an interface; *errno* as usual, or 0."""

    def __init__(self, message: str, *, errno: int = 0, **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.errno = errno


class NotPermittedError(ContainerError):
    """Only root may do this, and the run is an ordinary user's."""


class NotDelegatedError(ContainerError):
    """The operation needs cgroups of the container's own, and this user may not make any.

    The hint holds the command that delegates them; everything that needs none works without.
    """


class ContainerDiedError(ContainerError):
    """The container ended while something waited for it: *exit_code* and the *log*'s last lines."""

    def __init__(self, message: str, *, exit_code: int | None = None, log: str = "", **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.exit_code = exit_code
        self.log = log


class ExecFailedError(ContainerError):
    """A command run with ``check=True`` ended with another code than 0; *result* is its `ExecResult`."""

    def __init__(self, message: str, *, result: Any = None, **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.result = result


class ExecTimeoutError(ContainerError):
    """A command outlived its *timeout* (seconds) and was killed; what it had written is kept."""

    def __init__(self, message: str, *, timeout: float = 0, stdout: Any = "", stderr: Any = "", **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.timeout = timeout
        self.stdout = stdout
        self.stderr = stderr


class WaitTimeoutError(ContainerError):
    """A condition did not come true in time: what was *awaited*, for how long, what was *last_seen*."""

    def __init__(
        self, message: str, *, awaited: str = "", timeout: float = 0, last_seen: str = "", **kwargs: Any
    ) -> None:
        super().__init__(message, **kwargs)
        self.awaited = awaited
        self.timeout = timeout
        self.last_seen = last_seen


class ContainerNotFoundError(ContainerError):
    """No container has this name or id, or several have."""


class SnapshotNotFoundError(ContainerError):
    """An image that is no snapshot of this container, or one that is gone with the run it was made in."""


class ContainerFileError(ContainerError, OSError):
    """A file in the container could not be read or written; *path* is its path there, *errno* as usual.

    What the host's files would raise as a class of its own, is of that class too.
    """

    def __init__(self, message: str, *, path: str = "", errno: int = 0, **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.path = path
        self.errno = errno

    @classmethod
    def of(cls, path: str, code: int, container: str, **kwargs: Any) -> ContainerFileError:
        """The error of the class that goes with errno *code*."""
        kind = _BY_ERRNO.get(code, cls)
        message = f"{path} in container {container}: {os.strerror(code)}"
        return kind(message, path=path, errno=code, container=container, **kwargs)


class ContainerFileNotFoundError(ContainerFileError, FileNotFoundError):
    """There is no such file or directory in the container."""


class ContainerNotADirectoryError(ContainerFileError, NotADirectoryError):
    """It, or what leads to it, is in the container and no directory."""


class ContainerIsADirectoryError(ContainerFileError, IsADirectoryError):
    """It is a directory in the container, where a file is needed."""


class ContainerPermissionError(ContainerFileError, PermissionError):
    """The kernel does not let the container's root do that."""


_BY_ERRNO: dict[int, type[ContainerFileError]] = {
    ENOENT: ContainerFileNotFoundError,
    ENOTDIR: ContainerNotADirectoryError,
    EISDIR: ContainerIsADirectoryError,
    EACCES: ContainerPermissionError,
    EPERM: ContainerPermissionError,
}
