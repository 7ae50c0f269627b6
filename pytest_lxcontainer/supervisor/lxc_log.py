"""What LXC itself has written down about one start of a container."""

from __future__ import annotations

from pathlib import Path

from ..container.liblxc import exit_code_in, problems_in, shut_down_in


class LxcLog:
    """The log at *path*, from the last `mark` on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._begin = 0

    def mark(self) -> None:
        """Note that a start begins."""
        self._begin = self._path.stat().st_size if self._path.exists() else 0

    @property
    def exit_code(self) -> int:
        """What the command ended with; see `liblxc.exit_code_in`."""
        return exit_code_in(self._text())

    @property
    def shut_down(self) -> str:
        """What was asked of the kernel, if that ended it; see `liblxc.shut_down_in`."""
        return shut_down_in(self._text())

    @property
    def problems(self) -> str:
        """Its last errors, a line each."""
        return "\n".join(problems_in(self._text()))

    def _text(self) -> str:
        try:
            with self._path.open("rb") as file:
                file.seek(self._begin)
                return file.read().decode("utf-8", "replace")
        except OSError:
            return ""
