"""Where the page is written to."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from .page import render


def check_writable(path: Path) -> None:
    """Make the directory of *path* where it is missing; `pytest.UsageError` where no file can be written there."""
    try:
        if path.is_dir():
            raise IsADirectoryError(None, "it is a directory")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise pytest.UsageError(
            f"the page of the run cannot be written to {path}: {error.strerror}\nhint: --lxc-report FILE.html"
        ) from None


def write(path: Path, model: dict[str, Any]) -> None:
    """Write the page of *model*: the whole of it, or nothing."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(render(model), encoding="utf-8", errors="replace")
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
