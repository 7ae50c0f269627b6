"""Commands that a person talks to: they read from the caller's descriptors, and write there."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from functools import partial

from ..errors import NotRunningError
from .commands import Commands
from .exec import Command


class Interactive(Commands):
    """Commands with the caller's terminal, or with the caller's pipes."""

    def exec_interactive(  # noqa: PLR0913 - each is a choice of the user's, by keyword, as for `exec`
        self,
        command: Command,
        *,
        user: str | int | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        tty: bool,
        stdin: int | None = 0,
        stdout: int = 1,
        stderr: int = 2,
    ) -> int:
        """Run *command* to its end between the caller's file descriptors; returns its exit code.

        One that a signal has killed counts as 128 + signal, as in a shell. With *tty* it has a terminal of the
        container's: of the size of the caller's, which is raw meanwhile (each key is the command's, Ctrl-C too), and
        with the caller's TERM; all it writes goes to *stdout*. Without, it has three pipes, and its stdin ends with the
        caller's; ``None`` is an empty one. When nobody reads what it writes it is killed, as when the caller is
        interrupted. Otherwise as `exec`.
        """
        from .relay import Stdio
        from .talk import on_pipes, on_terminal  # few tests need it

        variables = {**({"TERM": os.environ.get("TERM") or "xterm"} if tty else {}), **(env or {})}
        spec = self._exec_spec(command, user, cwd, variables)
        talk = on_terminal if tty else on_pipes
        return talk(self._backend, self.id, spec, Stdio(stdin, stdout, stderr))

    def attach(self, *, stdin: int | None = 0, stdout: int = 1, stderr: int = 2, start: bool = False) -> int:
        """Be in front of its command until that ends; returns its exit code.

        What it has written since its start is passed on to *stdout*, and what it writes: both its streams, as they are
        in the log. With the setting ``tty`` it has a terminal, which takes on the size of the caller's. With the
        setting ``stdin``, what comes from *stdin* is passed on, keys as for `exec_interactive`; without a terminal its
        stdin ends with *stdin*, and it gets the caller's SIGINT and SIGTERM. With *start* it is started first, without
        waiting until it is ready. One that has ended is told of. If nobody reads any more, 141 is returned; it goes on.
        Raises, with *start*, `StartFailedError` where it cannot be started, or its command cannot be executed.
        """
        from .relay import Stdio
        from .talk import attach
        from .terminal import size_of

        if start:
            self._begin(size_of(stdout, stdin) if self._spec.tty else None)
        return attach(self._backend, self.id, self._spec, Stdio(stdin, stdout, stderr))

    def close_stdin(self) -> None:
        """End the stdin of its command, of one that has the setting ``stdin``: who reads there gets to the end."""
        with suppress(NotRunningError):  # it has ended by itself
            self._backend.close_stdin(self.id)

    @abstractmethod
    def _begin(self, size: tuple[int, int] | None = None) -> None:
        """Start it, with a terminal of *size*; `StartFailedError` where it, or its command, cannot be started."""

    def shell(self, *, user: str | int | None = None, stdin: int = 0, stdout: int = 1, stderr: int = 2) -> int:
        """Let the caller talk to a shell in it: as *user*, in the directory and with the environment of its command.

        The shell is its own bash, or sh; where it has neither, one of the host's, with the usual programs, which are
        mounted read-only meanwhile. It has a terminal if *stdin* is one. Returns its exit code, as `exec_interactive`.
        Raises `NotRunningError` unless it is running, and `FrozenError` while it is frozen.
        """
        from .shells import lent_tools, own_shell
        from .toolbox import BIN

        path = self._spec_path()
        talk = partial(
            self.exec_interactive, user=user, tty=os.isatty(stdin), stdin=stdin, stdout=stdout, stderr=stderr
        )
        own = own_shell(self._backend, self.id, path)
        if own is not None:
            return talk([own])
        with lent_tools(self._backend, self.id) as tools:
            return talk(tools.shell, env={"PATH": f"{path}:{BIN}"})

    def _spec_path(self) -> str:
        return dict(self._spec.env).get("PATH", os.defpath)
