"""Running commands inside a container."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal, overload

from ..errors import ExecTimeoutError, InvalidSettingsError
from ..image.image import Image
from ..rootfs.users import User, resolve_user
from .backend import Backend, ExecSpec
from .contents import Contents
from .exec import Command, ExecResult, Pipes, Process, argv, run, shell_line
from .history import History
from .logs import Logs
from .spec import ContainerSpec
from .traits import Traits


class Commands(Logs, Contents):
    """`exec` and its kin."""

    def __init__(self, backend: Backend, spec: ContainerSpec, image: Image, traits: Traits = Traits()) -> None:
        super().__init__(backend, spec, image, traits)
        self.history = History()
        """The commands that this process has run in it."""

    @overload
    def exec(
        self,
        command: Command,
        *,
        user: str | int | None = ...,
        cwd: str | None = ...,
        env: Mapping[str, str] | None = ...,
        input: str | bytes | None = ...,
        timeout: float | None = ...,
        check: bool = ...,
        text: Literal[True] = ...,
    ) -> ExecResult[str]: ...

    @overload
    def exec(
        self,
        command: Command,
        *,
        user: str | int | None = ...,
        cwd: str | None = ...,
        env: Mapping[str, str] | None = ...,
        input: str | bytes | None = ...,
        timeout: float | None = ...,
        check: bool = ...,
        text: Literal[False],
    ) -> ExecResult[bytes]: ...

    def exec(  # noqa: PLR0913 - each is a choice of the user's, by keyword, as in subprocess.run
        self,
        command: Command,
        *,
        user: str | int | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        input: str | bytes | None = None,
        timeout: float | None = None,
        check: bool = False,
        text: bool = True,
    ) -> ExecResult[str] | ExecResult[bytes]:
        """Run *command* to its end: a list is argv, a string goes to the image's SHELL (default: ``/bin/sh -c``).

        It runs as *user* and in *cwd* (defaults: the image's), with the container's environment and *env* on top,
        and *input* on stdin. After *timeout* seconds it and its children are killed and `ExecTimeoutError` is
        raised. With *check*, an exit code other than 0 raises `ExecFailedError`. A command that is not found ends
        with 127, one that cannot be executed with 126; a negative code is the signal that killed it. Output is
        text (UTF-8, with U+FFFD for what is not), or bytes with ``text=False``.
        """
        __tracebackhide__ = True
        spec = self._exec_spec(command, user, cwd, env)
        data = input.encode() if isinstance(input, str) else input
        ran = self.history.begin(spec.args)
        try:
            raw = self._timed("exec", partial(run, self._backend, self.id, spec, data=data, timeout=timeout))
        except BaseException as error:
            self.history.left(ran, error)
            if text and isinstance(error, ExecTimeoutError):
                error.stdout, error.stderr = _decoded(error.stdout), _decoded(error.stderr)
            raise
        self.history.ended(ran, raw)
        result: ExecResult[str] | ExecResult[bytes] = _as_text(raw) if text else raw
        if check and result.exit_code != 0:
            # Asked for before it is raised: an exception that is being handled would be shown as well.
            result.check(container=self.id, again=self._again(spec))
        return result

    def check_output(self, command: Command, **options: Any) -> str:
        """Run *command* and return its stdout without the last line break; `ExecFailedError` unless it succeeds."""
        result: ExecResult[str] = self.exec(command, check=True, **options)
        return result.stdout.removesuffix("\n")

    def popen(
        self,
        command: Command,
        *,
        user: str | int | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Process:
        """Start *command* and go on; the `Process` has live binary streams, and ends with the container."""
        spec = self._exec_spec(command, user, cwd, env)
        ran = self.history.begin(spec.args)
        with Pipes(stdin=True) as pipes:
            try:
                handle = self._backend.exec(self.id, spec, pipes.theirs)
            except BaseException as error:
                self.history.left(ran, error)
                raise
            return Process(handle, spec.args, pipes, partial(self.history.told, ran))

    def _exec_spec(
        self, command: Command, user: str | int | None, cwd: str | None, env: Mapping[str, str] | None
    ) -> ExecSpec:
        words = argv(command, self._traits.shell)
        if not words or any("\0" in word for word in words):
            raise InvalidSettingsError(f"{command!r} is no command", hint="pass a list of words, or a shell command")
        _check_env(env or {})
        complete = dict(self._spec.env)
        who = self._default_user() if user is None else self._look_up(str(user))
        if user is not None:
            complete["HOME"] = who.home
        complete.update(env or {})
        return ExecSpec(words, tuple(complete.items()), cwd or self._spec.cwd, who.uid, who.gid, who.groups)

    def _again(self, spec: ExecSpec) -> str:
        """A line for a shell of the host that runs *spec* once more; empty where the container has ended."""
        pid = self.status().pid
        return "" if pid is None else shell_line(spec, pid, user_namespace=not self._spec.privileged)

    def _default_user(self) -> User:
        return User(self._spec.uid, self._spec.gid, self._spec.groups, self._traits.home, "")

    def _look_up(self, user: str) -> User:
        return resolve_user(user, self._optional("/etc/passwd"), self._optional("/etc/group"))

    def _optional(self, path: str) -> bytes | None:
        try:
            return self.read_bytes(path)
        except OSError:
            return None


def _check_env(env: Mapping[str, str]) -> None:
    """Raise `InvalidSettingsError` for what execve(2) cannot pass on."""
    for name, value in env.items():
        if not name or "=" in name or "\0" in f"{name}{value}":
            raise InvalidSettingsError(f"env: {name!r} cannot be set to {value!r}", hint="no '=' in names, no NUL")


def _as_text(raw: ExecResult[bytes]) -> ExecResult[str]:
    return ExecResult(raw.args, raw.exit_code, _decoded(raw.stdout), _decoded(raw.stderr), raw.duration)


def _decoded(output: bytes) -> str:
    return output.decode("utf-8", "replace")
