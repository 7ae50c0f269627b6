"""The client's side of containers that stay when their run has ended."""

from __future__ import annotations

import socket
from abc import abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import SupervisorError
from . import protocol
from .record import Listed

_ANSWER_TIMEOUT = 5.0
"""Seconds a supervisor has to tell what it has; one that is stopped tells nothing."""


class KeepClient:
    """What stays, by requests to the supervisor."""

    @abstractmethod
    def _ask(self, operation: str, **fields: Any) -> Any: ...

    def let_stay(self, name: str, note: Mapping[str, Any], *, is_removed: bool = False) -> None:
        """Have container *name* go with no process; with *is_removed*, it goes when its command has ended.

        *note* is given back to whoever lists it (`Record.note`).
        """
        self._ask("stay", name=name, note=note, is_removed=is_removed)

    def keep(self, name: str, note: Mapping[str, Any], test: str) -> None:
        """Have container *name* stay as it is now, frozen where it can be, for *test* has failed."""
        self._ask("keep", name=name, note=note, test=test)


def list_run(run_id: str) -> list[Listed]:
    """The containers of a run, the one that was made first, first; `SupervisorError` where nobody answers for it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_ANSWER_TIMEOUT)
        try:
            connection.connect(protocol.socket_name(run_id))
            protocol.send(connection, {"do": "list"})
            answer, _ = protocol.receive(connection)
        except OSError as error:
            raise SupervisorError(f"nobody answers for run {run_id}", details=str(error)) from None
    return [Listed.from_dict(run_id, each) for each in answer["ok"]]


def list_runs(runs_dir: Path) -> list[Listed]:
    """The containers of all runs that live below *runs_dir*, the one that was made last, first."""
    found: list[Listed] = []
    for directory in runs_dir.glob("*/"):
        with suppress(SupervisorError):  # it has ended, or ends just now
            found += list_run(directory.name)
    return sorted(found, key=lambda each: each.record.created, reverse=True)
