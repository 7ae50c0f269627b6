"""Records of failed tests whose containers were saved as images: what it takes to run all of them again."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import ContainerNotFoundError, InvalidReferenceError
from ..image.reference import Reference
from .disk import disk_errors, write_whole
from .layout import Layout

KEEP_MOST = 20
"""How many failed tests stay saved."""

MAX_AGE = 7 * 86400.0
"""Seconds for which they do."""

_ID_BYTES = 4
_SHORTEST_ID = 3


@dataclass(frozen=True, slots=True)
class SavedContainer:
    """A container as it was: its *name* among the test's, and *reference*, that of the image it was saved as.

    *image* is what it was made of, as that is shown, *spec* a `ContainerSpec` as plain values, without its layers.
    *state* and *exit_code* are those at saving, and *reason* why it had ended.
    """

    name: str
    reference: Reference
    image: str
    spec: Mapping[str, Any]
    ports: tuple[int, ...] = ()
    state: str = "STOPPED"
    exit_code: int | None = None
    reason: str = ""

    @property
    def ran(self) -> bool:
        """Whether its command was running."""
        return self.state != "STOPPED"


@dataclass(frozen=True, slots=True)
class SavedTest:
    """A failed *test* (its node id) with all its containers; *saved_at* is in seconds since the epoch.

    *id* is 8 hex digits, *reason* what people are told of the failure.
    """

    id: str
    test: str
    saved_at: float
    containers: tuple[SavedContainer, ...]
    reason: str = ""

    def container(self, name: str) -> SavedContainer:
        """The one called *name*, or raise `ContainerNotFoundError`."""
        for each in self.containers:
            if each.name == name:
                return each
        raise ContainerNotFoundError(
            f"saved test {self.id} has no container {name}",
            container=name,
            details=f"it has: {', '.join(each.name for each in self.containers)}",
        )


class SavedStore:
    """Remembers saved tests; their images are `ImageRecord`s as all others are, and their layers with them."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def new_id(self) -> str:
        """An id that no saved test has."""
        while True:
            found = os.urandom(_ID_BYTES).hex()
            if not self._layout.saved_record(found).exists():
                return found

    def add(self, saved: SavedTest) -> None:
        """Remember *saved*."""
        path = self._layout.saved_record(saved.id)
        containers = [{**asdict(each), "reference": str(each.reference)} for each in saved.containers]
        fields = {"test": saved.test, "saved_at": saved.saved_at, "reason": saved.reason, "containers": containers}
        with disk_errors("record a saved test", path):
            write_whole(self._layout.temporary(), path, json.dumps(fields, indent=1).encode())

    def list(self) -> list[SavedTest]:
        """Every saved test that is not too old, the latest first."""
        expired = {each.id for each in self.expired()}
        return [each for each in self._all() if each.id not in expired]

    def expired(self) -> Sequence[SavedTest]:
        """Those that are older than `MAX_AGE`, or not among the latest `KEEP_MOST`."""
        since = time.time() - MAX_AGE
        return [each for number, each in enumerate(self._all()) if number >= KEEP_MOST or each.saved_at < since]

    def find(self, text: str) -> SavedTest:
        """The one whose id begins with *text*, or raise `ContainerNotFoundError` where there is none, or several."""
        found = chosen(self.list(), text)
        if found is None:
            raise ContainerNotFoundError(f"no such saved test: {text}")
        return found

    def remove(self, saved: SavedTest) -> None:
        """Forget *saved*; what its images have goes when these are forgotten."""
        path = self._layout.saved_record(saved.id)
        with disk_errors("forget a saved test", path), suppress(FileNotFoundError):
            path.unlink()

    def _all(self) -> Sequence[SavedTest]:
        found = filter(None, map(_read, self._layout.saved_dir.glob("*.json")))
        return sorted(found, key=lambda each: (each.saved_at, each.id), reverse=True)


def chosen(tests: Sequence[SavedTest], text: str) -> SavedTest | None:
    """The one of *tests* whose id begins with *text*; `ContainerNotFoundError` where there are several."""
    begins = len(text) >= _SHORTEST_ID
    found = [each for each in tests if each.id == text or (begins and each.id.startswith(text))]
    if len(found) > 1:
        lines = "\n".join(f"{each.id}  {each.test}" for each in found)
        raise ContainerNotFoundError(
            f"{text!r} is the beginning of the ids of {len(found)} saved tests", details=lines, hint="give a whole id"
        )
    return found[0] if found else None


def saved_name(saved_id: str, container: str) -> Reference:
    """The reference of the image that *container* (a host name) of a saved test becomes."""
    return Reference("localhost", f"saved/{saved_id}/{container}", "latest")


def _read(path: Path) -> SavedTest | None:
    """Read a record; one that cannot be read counts as absent, and its images as everyone's."""
    try:
        fields = json.loads(path.read_bytes())
        containers = tuple(
            SavedContainer(**{**each, "reference": Reference.parse(each["reference"]), "ports": tuple(each["ports"])})
            for each in fields["containers"]
        )
        return SavedTest(path.stem, str(fields["test"]), float(fields["saved_at"]), containers, str(fields["reason"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, InvalidReferenceError):
        return None
