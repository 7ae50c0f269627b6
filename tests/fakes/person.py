"""Somebody at a terminal: a program on a pty, what is typed, and what is to be seen."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pexpect

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0
"""Seconds for what is to be seen."""


class Person(pexpect.spawn):  # type: ignore[misc]  # pexpect has no types
    """A program on a terminal of 30 lines and 100 columns."""

    def __init__(self, command: Sequence[str], **options: Any) -> None:
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        env = {**os.environ, "PYTHONPATH": path, "TERM": "xterm", **options.pop("env", {})}
        options = {"timeout": PATIENCE, "dimensions": (30, 100), "encoding": "utf-8", **options}
        super().__init__(command[0], list(command[1:]), env=env, **options)

    def sees(self, text: str) -> None:
        """Wait for *text*, a regular expression."""
        self.expect(text)

    def leaves(self) -> int:
        """Wait for the end of the program; its exit code, as a shell has it."""
        self.expect(pexpect.EOF)
        self.close()
        return int(self.exitstatus if self.exitstatus is not None else 128 + self.signalstatus)
