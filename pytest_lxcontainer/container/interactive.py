"""Commands that a person talks to: they read from the caller's descriptors, and write there."""

from __future__ import annotations

import os
from collections.abc import Mapping

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
