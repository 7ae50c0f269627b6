"""The process that keeps faults in force: it is in the container's network namespace, and does what it is told.

Over its door come lines of JSON, and each is answered by one: ``{"ok": null}`` or ``{"error": "what happened"}``.

- ``{"do": "set", "faults": [...]}``: these are all that are in force from now on (`Fault.to_dict`).
- ``{"do": "reset", "peers": [...], "ports": [...]}``: resets TCP connections.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import Any, NamedTuple

from ...errors import HostNotReadyError, LxContainerError
from .abilities import Abilities, find_abilities
from .fault import Fault, Kind
from .marks import SWALLOW
from .programs import ProgramError
from .queueing import Queueing
from .reset import reset
from .shaper import Shaper

_READ = 1 << 16
_NEED_NETEM: tuple[Kind, ...] = ("delay", "reorder", "corrupt")
_LOSSES: tuple[Kind, ...] = ("loss", "partition", "down")
_SHAPED: tuple[Kind, ...] = ("rate", *_LOSSES)
_KNOWN_ERRORS = (LxContainerError, ProgramError, OSError, ValueError, KeyError, TypeError)


def serve(door: socket.socket, interface: str = "eth0", abilities: Abilities | None = None) -> None:
    """Do what is asked over *door* until that ends; then all is undone.

    *abilities* are found out when the first faults come, if they are not given. Needs a process of one thread that is
    root of the network namespace's user namespace.
    """
    in_force = _InForce(interface, abilities)
    try:
        with contextlib.suppress(ConnectionError):
            _converse(door, in_force)
    finally:
        with contextlib.suppress(ProgramError):  # the interface may have gone before
            in_force.set(())


class _InForce:
    """The faults of one interface, in whatever ways there are."""

    def __init__(self, interface: str, abilities: Abilities | None) -> None:
        self._abilities = abilities
        self._shaper = Shaper(interface)
        self._shaped: list[Fault] = []
        self._mark = 0
        self.queueing = Queueing(interface)
        self._has_begun = False

    def set(self, faults: Sequence[Fault]) -> None:
        """Have exactly *faults* in force, or, where that fails, those that were."""
        self._begin()
        abilities = self._known() if faults else Abilities()
        ways = divide(faults, abilities)
        before, before_mark = self._shaped, self._mark
        mark = SWALLOW if abilities.shapes and any(fault.goes("out") for fault in ways.held) else 0
        # What is marked must be lost from before the first until after the last, or it goes out twice.
        self._shape(ways.shaped, mark | before_mark)
        try:
            self.queueing.set(ways.held, ways.doubled, abilities)
        except BaseException:
            self._shape(before, before_mark)
            raise
        self._shape(ways.shaped, mark)

    def reset(self, peers: Sequence[IPv4Address], ports: Sequence[int]) -> None:
        """See `reset.reset`; `HostNotReadyError` where the kernel ends no connections from outside."""
        if not self._known().destroys:
            raise HostNotReadyError(
                "this host's kernel cannot reset connections",
                hint="it needs a kernel with CONFIG_INET_DIAG_DESTROY and the program 'ss' of iproute2",
            )
        reset(peers, ports)

    def _shape(self, faults: list[Fault], mark: int) -> None:
        self._shaper.set(faults, mark=mark)
        self._shaped, self._mark = faults, mark

    def _begin(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            self._shaper.remove_leftovers()
            self.queueing.remove_leftovers()

    def _known(self) -> Abilities:
        if self._abilities is None:
            self._abilities = find_abilities()
        return self._abilities


class Ways(NamedTuple):
    """Faults by who does them: traffic control, this process, nftables."""

    shaped: list[Fault]
    held: list[Fault]
    doubled: list[Fault]


def divide(faults: Sequence[Fault], abilities: Abilities) -> Ways:
    """Who is to do which; `HostNotReadyError` where nobody on this host can."""
    ways = Ways([], [], [])
    for fault in faults:
        if fault.kind == "duplicate" and abilities.doubles:
            ways.doubled.append(fault)
        elif abilities.shapes and fault.kind in (_NEED_NETEM if abilities.netem else ()) + _SHAPED:
            ways.shaped.append(fault)
        elif abilities.holds and fault.kind in _NEED_NETEM + _LOSSES:
            ways.held.append(fault)
        else:
            raise _lacking(fault)
    return ways


def _lacking(fault: Fault) -> HostNotReadyError:
    modules = "sch_htb, ifb, cls_bpf and act_mirred"
    if fault.kind == "duplicate":
        modules = "nf_tables, nft_numgen and nft_dup_ipv4"
    elif fault.kind in _NEED_NETEM:
        modules = f"sch_netem, {modules}, or nfnetlink_queue, nft_queue and nft_dup_ipv4"
    return HostNotReadyError(
        f"this host's kernel or programs can do no {fault.kind}",
        hint=f"provide the kernel modules {modules}, and the programs of iproute2 and nftables",
    )


def _converse(door: socket.socket, in_force: _InForce) -> None:
    received = b""
    while True:
        if not _comes(door, in_force.queueing):
            continue
        data = door.recv(_READ)
        if not data:
            return
        *lines, received = (received + data).split(b"\n")
        for line in lines:
            door.sendall(json.dumps(_answer(line, in_force)).encode() + b"\n")


def _comes(door: socket.socket, queueing: Queueing) -> bool:
    """Wait, letting packets go as they are due; whether something came over *door*."""
    # Not poll, which counts in milliseconds.
    ready = select.select([door.fileno(), *queueing.filenos()], [], [], queueing.timeout())[0]
    queueing.work()
    return door.fileno() in ready


def _answer(line: bytes, in_force: _InForce) -> dict[str, str | None]:
    try:
        _do(json.loads(line), in_force)
    except _KNOWN_ERRORS as error:
        return {"error": "; ".join(str(error).splitlines()) or type(error).__name__}
    return {"ok": None}


def _do(request: dict[str, Any], in_force: _InForce) -> None:
    if request["do"] == "set":
        in_force.set([Fault.from_dict(each) for each in request["faults"]])
    elif request["do"] == "reset":
        in_force.reset([IPv4Address(peer) for peer in request.get("peers", ())], request.get("ports", ()))
    else:
        raise ValueError(f"no such request: {request['do']!r}")
