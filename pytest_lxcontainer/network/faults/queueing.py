"""Has packets held by this process: the rules, the queues and who decides, put together."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Sequence

from . import netlink, rules
from .abilities import Abilities
from .fault import Fault
from .holder import Holder
from .nfqueue import MOST_WAITING, WHOLE, Queues, queue_rule
from .programs import run, succeeds

_HEADERS = 64
"""Bytes: an IP header with all its options, and the ports behind it."""
_AT_ONCE = 256


class Queueing:
    """Nothing is there until there are faults.

    If this process is killed, what it holds is lost, and packets pass from then on.
    """

    def __init__(self, interface: str) -> None:
        self._interface = interface
        self._holder = Holder()
        self._queues: Queues | None = None

    def remove_leftovers(self) -> None:
        """Of one like this that was killed."""
        succeeds("nft", "-f", "-", text=rules.delete())

    def set(self, held: Sequence[Fault], doubled: Sequence[Fault], abilities: Abilities) -> None:
        """Have exactly these faults in force; what waits goes on at once where there are none."""
        if self._queues is None and (held or doubled):
            self._queues = _founded(abilities)
        if self._queues is None:
            return
        run("nft", "-f", "-", text=rules.selecting(held, doubled, self._interface, swallows=abilities.shapes))
        self._holder.set(held)
        if not held and not doubled:
            self._close(self._queues)

    def filenos(self) -> list[int]:
        """What to wait for before `work`."""
        return [self._queues.fileno()] if self._queues else []

    def timeout(self) -> float | None:
        """Seconds until `work` has something to do even if nothing comes."""
        return self._holder.timeout()

    def work(self, most: int = _AT_ONCE) -> None:
        """Take what has come, let go what is due."""
        if self._queues is None:
            return
        now = time.monotonic()
        for packet in self._queues.packets(most):
            self._holder.take(packet, now)
        self._queues.send(self._holder.due(time.monotonic()))

    def _close(self, queues: Queues) -> None:
        self.work(MOST_WAITING)
        # Only now, when nothing comes and nothing waits: with a chain that has a hook goes all that waits anywhere.
        run("nft", "-f", "-", text=rules.delete())
        queues.close()
        self._queues = None


def _founded(abilities: Abilities) -> Queues:
    queues = Queues()
    try:
        if abilities.holds:
            queues.bind(rules.HOLD, copied=_HEADERS, unsegmented=True)
            queues.bind(rules.REWRITE, copied=WHOLE, unsegmented=False)
        run("nft", "-f", "-", text=rules.foundation(with_queues=abilities.queue_statement))
        if abilities.holds and not abilities.queue_statement:
            _add_queue_rules()
    except BaseException:
        succeeds("nft", "-f", "-", text=rules.delete())
        queues.close()
        raise
    return queues


def _add_queue_rules() -> None:
    with contextlib.closing(netlink.opened()) as door:
        for chain, number in rules.QUEUES.items():
            bypass = number != rules.VANISH
            netlink.ask(door, queue_rule(socket.AF_INET, rules.TABLE, chain, number, bypass=bypass))
