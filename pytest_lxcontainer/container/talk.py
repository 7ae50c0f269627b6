"""Commands between the caller's descriptors: on a terminal of the container's, or with pipes; and its own command."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from ..errors import DestroyedError, NotRunningError
from .backend import Backend, ExecHandle, ExecSpec
from .exec import Pipes
from .pty import other_end
from .relay import Relay, Stdio
from .spec import ContainerSpec
from .terminal import Raw, copy_size

_BY_SIGNAL = 128
"""What a shell adds to the number of the signal that has killed a command."""


def on_terminal(backend: Backend, name: str, spec: ExecSpec, stdio: Stdio) -> int:
    """Run *spec* with a terminal; see `Interactive.exec_interactive`."""
    master = backend.open_terminal(name, spec.uid)
    try:
        copy_size(master, stdio.stdout, stdio.stdin)
        slave = other_end(master)
        try:
            handle = backend.exec(name, replace(spec, tty=True), [slave] * 3)
        finally:
            os.close(slave)
        with Raw(stdio.stdin) as raw, Relay() as relay:
            show(relay, master, stdio, raw)
            relay.copy(master, stdio.stdout)
            return _until_end(relay, handle)
    finally:
        os.close(master)


def show(relay: Relay, master: int, stdio: Stdio, raw: Raw) -> None:
    """Have *relay* feed the terminal of *master*, and keep it of the size of the caller's."""

    def size() -> None:
        copy_size(master, stdio.stdout, stdio.stdin)

    def again() -> None:
        raw.begin()
        size()

    relay.on_signal(signal.SIGWINCH, size)
    relay.on_signal(signal.SIGCONT, again)
    if stdio.stdin is not None:
        relay.feed(stdio.stdin, os.dup(master), is_terminal=True)


def on_pipes(backend: Backend, name: str, spec: ExecSpec, stdio: Stdio) -> int:
    """Run *spec* with three pipes; see `Interactive.exec_interactive`."""
    with Pipes(stdin=stdio.stdin is not None) as pipes:
        handle = backend.exec(name, spec, pipes.theirs)
        pipes.close_theirs()
        with Relay() as relay:
            if stdio.stdin is not None:
                relay.feed(stdio.stdin, pipes.give_up(0), is_terminal=False)
            relay.copy(pipes.ours[1], stdio.stdout)
            relay.copy(pipes.ours[2], stdio.stderr)
            return _until_end(relay, handle)


def _until_end(relay: Relay, handle: ExecHandle) -> int:
    relay.when(handle.fileno(), relay.stop)
    try:
        relay.run()
        return shell_code(handle.wait() or 0)
    except BrokenPipeError:
        handle.abandon()
        return shell_code(-signal.SIGPIPE)
    except BaseException:
        handle.abandon()
        raise


def attach(backend: Backend, name: str, spec: ContainerSpec, stdio: Stdio) -> int:
    """Be in front of the container's own command; see `Interactive.attach`."""
    if not spec.stdin:
        stdio = replace(stdio, stdin=None)
    log = backend.follow(name, this_start=True)
    try:
        with Raw(stdio.stdin if spec.tty else None) as raw, Relay() as relay:
            command = backend.attach(name)
            if command is not None and spec.tty:
                relay.keep(command)
                copy_size(command, stdio.stdout, stdio.stdin)
                show(relay, command, stdio, raw)
            elif not spec.tty:
                _pass_signals(relay, backend, name)
                _feed(relay, backend, name, command, stdio.stdin)
            relay.follow(log, stdio.stdout)
            relay.run()
    except BrokenPipeError:
        return shell_code(-signal.SIGPIPE)
    finally:
        log.close()
    return _exit_code(backend, name)


def _feed(relay: Relay, backend: Backend, name: str, command: int | None, stdin: int | None) -> None:
    """Pass on to a command without a terminal, at *command* if anything can be, what comes from *stdin*."""
    if command is not None and stdin is not None:
        relay.feed(stdin, command, is_terminal=False, at_end=partial(_unless_ended, backend.close_stdin, name))
    elif command is not None:
        os.close(command)


def _pass_signals(relay: Relay, backend: Backend, name: str) -> None:
    """Pass on what is to interrupt or end a command without a terminal."""
    for number in (signal.SIGINT, signal.SIGTERM):
        relay.on_signal(number, partial(_unless_ended, backend.signal, name, number))


def _unless_ended(operation: Callable[..., None], *arguments: Any) -> None:
    """Do what is too late when the container has ended."""
    with suppress(NotRunningError, DestroyedError):
        operation(*arguments)


def _exit_code(backend: Backend, name: str) -> int:
    try:
        return backend.status(name).exit_code or 0
    except DestroyedError:
        return shell_code(-signal.SIGKILL)


def shell_code(code: int) -> int:
    """What a shell has for an exit code that is negative where a signal has killed a command."""
    return code if code >= 0 else _BY_SIGNAL - code
