"""The terminal that pytest writes to, for progress: a file descriptor that capturing does not turn elsewhere."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ..progress import Drawing

_TERMINAL = pytest.StashKey[int]()
_SILENT = -2  # the verbosity of -qq


def open_terminal(config: pytest.Config) -> None:
    """Keep the terminal, if pytest writes to one; before the first test, when nothing is captured."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    # A worker of xdist has none. Live logs may be written at any time, and would mix with a drawing.
    live_logs = config.getini("log_cli") or config.getoption("log_cli_level", None)
    if reporter is not None and reporter.isatty and config.get_verbosity() > _SILENT and not live_logs:
        config.stash[_TERMINAL] = os.dup(sys.stdout.fileno())


def close_terminal(config: pytest.Config) -> None:
    """Give it back."""
    fd = config.stash.get(_TERMINAL, None)
    if fd is not None:
        os.close(fd)
        del config.stash[_TERMINAL]


def drawing(config: pytest.Config) -> Drawing | None:
    """Who draws progress on the terminal; ``None`` where there is none."""
    from ..progress import Drawing, can_draw

    fd = config.stash.get(_TERMINAL, None)
    if fd is None or not can_draw(fd):
        return None
    writer = config.get_terminal_writer()
    return Drawing(fd, lambda: writer.width_of_current_line)
