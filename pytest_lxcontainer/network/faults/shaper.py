"""Puts the faults that traffic control knows in force on an interface, and takes them off again."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence

from . import tree
from .fault import WAYS, Fault, Way
from .programs import run, run_batch, try_batch

_HOOKS: dict[Way, str] = {"out": "egress", "in": "ingress"}
_PREFERENCE = 49_100
"""High, so that filters of the container's own come first."""
_QUEUE_LENGTH = 10_000


class Shaper:
    """What is in force is replaced by building the new beside it and turning the packets there.

    So none slips through in between. What waits in the old is lost, as on a route that changes.
    """

    def __init__(self, interface: str) -> None:
        self._interface = interface
        self._in_force: list[Fault] = []
        self._mark = 0
        self._generation: int | None = None
        self._clsact_is_ours = False

    def set(self, faults: list[Fault], *, mark: int = 0) -> None:
        """Have exactly *faults* in force, and lose what goes out with *mark*; if that fails, all stays as it was."""
        if (faults, mark) == (self._in_force, self._mark):
            return
        if faults or mark:
            self._replace(faults, mark)
        else:
            self._clear()
        self._in_force, self._mark = faults, mark

    def remove_leftovers(self) -> None:
        """Of one like this that was killed."""
        there = {name for _, name in socket.if_nameindex()}
        for generation in (0, 1):
            if there & {_device(way, generation) for way in WAYS}:
                self._remove(generation)
                self._clsact_is_ours = True
        if self._clsact_is_ours:
            self._remove_clsact()

    def _replace(self, faults: Sequence[Fault], mark: int) -> None:
        old, new = self._generation, 1 if self._generation == 0 else 0
        try:
            self._build(new, faults, mark)
        except BaseException:
            self._remove(new)
            if old is None:
                self._remove_clsact()
            raise
        self._generation = new
        if old is not None:
            self._remove(old)

    def _build(self, generation: int, faults: Sequence[Fault], mark: int) -> None:
        marks: dict[Way, int] = {"out": mark, "in": 0}
        going = {way: [fault for fault in faults if fault.goes(way)] for way in WAYS}
        chosen = {way: found for way, found in going.items() if found or marks[way]}
        devices = {way: _device(way, generation) for way in chosen}
        trees = [
            line for way, found in chosen.items() for line in tree.build(devices[way], found, way, mark=marks[way])
        ]
        run_batch("ip", [line for device in devices.values() for line in _device_lines(device)])
        run_batch("tc", trees)
        self._make_clsact()
        for way, found in chosen.items():
            at = f"{self._interface} {_HOOKS[way]} pref {_PREFERENCE + generation}"
            run_batch("tc", [tree.redirect(at, devices[way], found, way, mark=marks[way])])

    def _clear(self) -> None:
        if self._generation is not None:
            self._remove(self._generation)
            self._generation = None
            self._remove_clsact()

    def _remove(self, generation: int) -> None:
        """Not always are there both ways, nor all of one."""
        preference = _PREFERENCE + generation
        try_batch("tc", [f"filter del dev {self._interface} {hook} pref {preference}" for hook in _HOOKS.values()])
        try_batch("ip", [f"link delete dev {_device(way, generation)}" for way in WAYS])

    def _make_clsact(self) -> None:
        kinds = [each["kind"] for each in _json("qdisc", "show", "dev", self._interface)]
        if "clsact" not in kinds:
            run("tc", "qdisc", "add", "dev", self._interface, "clsact")
            self._clsact_is_ours = True

    def _remove_clsact(self) -> None:
        """Unless somebody else uses it."""
        used = any(_json("filter", "show", "dev", self._interface, hook) for hook in _HOOKS.values())
        if self._clsact_is_ours and not used:
            run("tc", "qdisc", "del", "dev", self._interface, "clsact")
        self._clsact_is_ours = False


def _device(way: Way, generation: int) -> str:
    return f"lxt-{way}{generation}"


def _device_lines(device: str) -> list[str]:
    return [
        f"link add name {device} txqueuelen {_QUEUE_LENGTH} type ifb",
        f"link set dev {device} up",
    ]


def _json(*arguments: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(run("tc", "-json", *arguments) or "[]")
    return found
