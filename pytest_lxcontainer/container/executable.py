"""Telling why a command could not be executed, from the image's layers."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from ..errors import CorruptImageError, StoreError
from ..rootfs.overlay import stat_path


def problem(lower_dirs: Sequence[Path], word: str, path: str, cwd: str) -> str:
    """What is wrong with *word* as a program in an image of *lower_dirs* (base first); empty if nothing is known.

    *path* is the command's PATH, *cwd* its working directory.
    """
    try:
        return _problem(lower_dirs, word, path, cwd)
    except (StoreError, PermissionError):
        return ""


def _problem(lower_dirs: Sequence[Path], word: str, path: str, cwd: str) -> str:
    if "/" in word:
        places = [word if word.startswith("/") else f"{cwd}/{word}"]
    else:
        places = [f"{directory}/{word}" for directory in path.split(":") if directory]
    found = [status for place in places if (status := _status(lower_dirs, place))]
    if not found:
        return f"there is no {word} in the image" + ("" if "/" in word else f" (PATH is {path})")
    if not any(stat.S_ISREG(status.st_mode) and status.st_mode & 0o111 for status in found):
        return f"{word} in the image is not executable"
    return ""


def _status(lower_dirs: Sequence[Path], path: str) -> os.stat_result | None:
    try:
        return stat_path(lower_dirs, path)
    except CorruptImageError:  # a link to itself
        return None
