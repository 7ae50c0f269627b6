"""Running the host's network programs."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable

from ...errors import HostNotReadyError
from ..programs import program


class ProgramError(Exception):
    """A program that did not do it; the text is what it wrote to stderr, in one line."""


def run(name: str, *arguments: str, text: str = "") -> str:
    """Run *name* with *text* as its stdin; returns its stdout.

    Raises `ProgramError` where it fails, `HostNotReadyError` where there is none.
    """
    done = subprocess.run([program(name), *arguments], input=text, check=False, capture_output=True, text=True)
    if done.returncode:
        raise ProgramError(f"{name}: {'; '.join(done.stderr.split(chr(10))).strip('; ') or 'failed'}")
    return done.stdout


def run_batch(name: str, lines: Iterable[str]) -> None:
    """Run *lines*, each a command of ``ip`` or ``tc``, up to the first that fails."""
    run(name, "-batch", "-", text="".join(f"{line}\n" for line in lines))


def try_batch(name: str, lines: Iterable[str]) -> None:
    """Run all *lines*, each a command of ``ip`` or ``tc``, of which some may fail."""
    succeeds(name, "-force", "-batch", "-", text="".join(f"{line}\n" for line in lines))


def succeeds(name: str, *arguments: str, text: str = "") -> bool:
    """Whether it does; a program that is not installed does not."""
    try:
        run(name, *arguments, text=text)
    except (ProgramError, HostNotReadyError):
        return False
    return True
