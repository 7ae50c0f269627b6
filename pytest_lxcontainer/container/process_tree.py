"""Ending a command with everything it started."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

_QUIET_ROUNDS = 2
"""Looks that must find nothing new: a listing of /proc is no snapshot, a child may be born behind its reading head."""


def kill_tree(leader: int) -> set[int]:
    """SIGKILL process *leader*, its descendants and every process of its session; returns which they were.

    What `exec` starts is a subreaper: its orphans are its children again, whatever session they are in. Each round
    stops what it found before it looks again. A process that forks faster than /proc can be read gets away, unless
    its cgroup is frozen meanwhile.
    """
    doomed: set[int] = set()
    quiet = 0
    while quiet < _QUIET_ROUNDS:
        fresh = _members(leader, doomed) - doomed
        quiet = 0 if fresh else quiet + 1
        for pid in fresh:
            _send(pid, signal.SIGSTOP)
        doomed |= fresh
    doomed.add(leader)
    for pid in doomed:
        _send(pid, signal.SIGKILL)
    return doomed


def _members(leader: int, known: set[int]) -> set[int]:
    table = {pid: stat for pid in _pids() if (stat := _parent_and_session(pid))}
    members = {leader} if leader in table else set()
    members |= {pid for pid, (_, session) in table.items() if session == leader} | (known & table.keys())
    while children := {pid for pid, (parent, _) in table.items() if parent in members} - members:
        members |= children
    return members


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _parent_and_session(pid: int) -> tuple[int, int] | None:
    """Parent and session of *pid* as in proc_pid_stat(5), ``None`` for what has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else (int(fields[1]), int(fields[3]))


def _send(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
