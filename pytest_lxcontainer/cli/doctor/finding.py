"""What a check found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

Verdict = Literal["ok", "lack", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's outcome: *found* is what is there, *command* what mends it: a line for root's shell.

    A ``lack`` keeps containers from running; a ``note`` is worth knowing and does not.
    """

    name: str
    verdict: Verdict
    found: str
    command: str = ""

    def to_dict(self) -> dict[str, str]:
        """As plain values."""
        return asdict(self)


def ok(name: str, found: str) -> Finding:
    """All is well."""
    return Finding(name, "ok", found)


def lack(name: str, found: str, command: str = "") -> Finding:
    """Containers cannot run."""
    return Finding(name, "lack", found, command)


def note(name: str, found: str, command: str = "") -> Finding:
    """Containers run without."""
    return Finding(name, "note", found, command)


def ready(findings: Sequence[Finding]) -> bool:
    """Whether containers can run."""
    return all(finding.verdict != "lack" for finding in findings)
