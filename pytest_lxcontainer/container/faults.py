"""Breaking a container's network: the faults that can be put on it, and taking them off again."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address
from typing import Any, Protocol, cast

from ..errors import InvalidSettingsError
from ..network.faults import Direction, Fault, Kind, bits_per_second, fraction, seconds


class _Reachable(Protocol):
    @property
    def ips(self) -> tuple[str, ...]: ...


Peer = str | IPv4Address | _Reachable
"""An IPv4 address, or a container."""

Peers = Peer | Iterable[Peer] | None
Ports = int | Iterable[int] | None


class Breakable:
    """What faults can be put on, one after the other; they are in force together.

    Each may be for some packets only: those *to* (or from) peers, containers or addresses; those of a TCP or UDP *port*
    at either end; those of one *direction*: what it sends, ``"out"``, what it gets, ``"in"``, or ``"both"``.
    Amounts are written as in tc(8). Raises `InvalidSettingsError` for what is no amount, peer or port, and
    `KernelRefusedError` where this host can do no such thing (``lxcontainer doctor`` tells).
    """

    @abstractmethod
    def _put(self, *faults: Fault) -> Faults: ...

    def delay(
        self,
        time: float | str,
        *,
        jitter: float | str = 0.0,
        to: Peers = None,
        port: Ports = None,
        direction: Direction = "out",
    ) -> Faults:
        """Have packets come later by *time*, give or take up to *jitter*: seconds, or ``"100ms"``.

        A round trip meets it once. Order is kept; see `reorder`.
        """
        return self._put(_fault("delay", direction, to, port, seconds(time), seconds(jitter)))

    def loss(
        self, percent: float | str, *, to: Peers = None, port: Ports = None, direction: Direction = "out"
    ) -> Faults:
        """Lose *percent* of the packets, each by chance."""
        return self._share("loss", percent, direction, to, port)

    def duplicate(
        self, percent: float | str, *, to: Peers = None, port: Ports = None, direction: Direction = "out"
    ) -> Faults:
        """Have *percent* of the packets arrive twice."""
        return self._share("duplicate", percent, direction, to, port)

    def reorder(
        self, percent: float | str, *, to: Peers = None, port: Ports = None, direction: Direction = "out"
    ) -> Faults:
        """Have *percent* of the packets overtake those that a `delay` holds up."""
        return self._share("reorder", percent, direction, to, port)

    def corrupt(
        self, percent: float | str, *, to: Peers = None, port: Ports = None, direction: Direction = "out"
    ) -> Faults:
        """Change one bit in *percent* of the packets, which their checksums tell."""
        return self._share("corrupt", percent, direction, to, port)

    def rate(self, rate: float | str, *, to: Peers = None, port: Ports = None, direction: Direction = "both") -> Faults:
        """Let no more through than *rate*, bits per second or ``"1mbit"``, in either direction."""
        return self._put(_fault("rate", direction, to, port, bits_per_second(rate)))

    def partition(self, *others: Peer, port: Ports = None, direction: Direction = "both") -> Faults:
        """Let nothing through to *others*, nor from them: it is lost, and nobody is told."""
        if not others:
            raise InvalidSettingsError("partition: from whom?", hint="name containers or addresses, or use down()")
        return self._put(_fault("partition", direction, others, port))

    def down(self) -> Faults:
        """Let nothing through at all but on the loopback, as if its cable were pulled."""
        return self._put(_fault("down", "both", None, None))

    def _share(self, kind: Kind, percent: float | str, direction: Direction, to: Peers, port: Ports) -> Faults:
        return self._put(_fault(kind, direction, to, port, fraction(percent)))


class Faults(Breakable):
    """Faults that a test has put on: to be put on more of, and taken off together, by `undo` or leaving a ``with``.

    ``with container.network.delay("100ms").loss(5): ...``
    """

    def __init__(self, on: _Holder, numbers: Sequence[int], faults: Sequence[Fault]) -> None:
        self._on = on
        self._numbers = list(numbers)
        self._faults = list(faults)

    def __repr__(self) -> str:
        return f"<Faults: {'; '.join(map(str, self._faults)) or 'none'}>"

    def __enter__(self) -> Faults:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.undo()

    def undo(self) -> None:
        """Take them off; what is off already, or was on a container that is gone, is fine."""
        numbers, self._numbers, self._faults = self._numbers, [], []
        if numbers:
            self._on.take_off(numbers)

    def clear(self) -> None:
        """As `undo`."""
        self.undo()

    def up(self) -> Faults:
        """Undo those of them that are `down`."""
        downs = [each for each in zip(self._numbers, self._faults, strict=True) if each[1].kind == "down"]
        self._on.take_off([number for number, _ in downs])
        self._faults = [fault for fault in self._faults if fault.kind != "down"]
        self._numbers = [number for number in self._numbers if number not in dict(downs)]
        return self

    def _put(self, *faults: Fault) -> Faults:
        self._numbers += self._on.put_on(faults)
        self._faults += faults
        return self


class _Member(_Reachable, Protocol):
    @property
    def network(self) -> Breakable: ...


class Partition:
    """Groups of containers of which none reaches another's, until `undo` or the end of a ``with``."""

    def __init__(self, groups: Iterable[_Member | Iterable[_Member]]) -> None:
        members = [[each] if hasattr(each, "ips") else list(each) for each in cast("Iterable[Any]", groups)]
        if len(members) < 2:
            raise InvalidSettingsError("partition: between whom?", hint="name two containers or lists, or more")
        self._faults: list[Faults] = []
        try:
            for number, group in enumerate(members[:-1]):
                others = [other for later in members[number + 1 :] for other in later]
                for member in group:
                    self._faults.append(member.network.partition(*others))
        except BaseException:
            self.undo()
            raise

    def __repr__(self) -> str:
        return f"<Partition: {'; '.join(map(str, self._faults)) or 'none'}>"

    def __enter__(self) -> Partition:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.undo()

    def undo(self) -> None:
        """Join them again; done already is fine."""
        while self._faults:
            self._faults.pop().undo()


class _Holder(Protocol):
    def put_on(self, faults: Sequence[Fault]) -> list[int]: ...

    def take_off(self, numbers: Sequence[int] | None) -> None: ...


def _fault(kind: Kind, direction: Direction, to: Peers, port: Ports, amount: float = 0.0, jitter: float = 0.0) -> Fault:
    return Fault(kind, direction, addresses(to), ports(port), amount, jitter)


def addresses(peers: Peers) -> tuple[IPv4Address, ...]:
    """Those of *peers*; raises `InvalidSettingsError` for one that has none."""
    if peers is None:
        return ()
    if isinstance(peers, (str, IPv4Address)) or hasattr(peers, "ips") or not isinstance(peers, Iterable):
        peers = [cast("Peer", peers)]
    found = [address for peer in peers for address in _addresses_of(peer)]
    return tuple(dict.fromkeys(found))


def _addresses_of(peer: Peer) -> list[IPv4Address]:
    texts = [peer] if isinstance(peer, (str, IPv4Address)) else list(getattr(peer, "ips", ()))
    try:
        found = [IPv4Address(text) for text in texts]
    except ValueError:
        found = []
    if not found:
        raise InvalidSettingsError(f"{peer!r} has no IPv4 address", hint="name a container, or an address of one")
    return found


def ports(port: Ports) -> tuple[int, ...]:
    """One port or several as a tuple; raises `InvalidSettingsError` for what is none."""
    found = () if port is None else (port,) if isinstance(port, int) else tuple(port)
    if not all(isinstance(each, int) and 0 < each < 65536 for each in found):
        raise InvalidSettingsError(f"port={port!r}: a port is a number from 1 to 65535")
    return found
