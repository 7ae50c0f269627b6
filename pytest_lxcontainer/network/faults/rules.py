"""Rules of nftables that hand the packets to be held to this process, and duplicate some; see nft(8).

A packet that goes out is held as a copy, which belongs to no socket, and the sender is told that the packet has gone.
Held itself, it would count as not sent: TCP then keeps two packets under way and no more.

Where traffic control can, it is that which loses the packet itself: the container's own connection tracking has then
seen it. Else a queue without a reader does.

A packet that comes in twice comes over loopback the second time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .fault import Fault, Selection, Way
from .marks import COPY, SWALLOW

FAMILY, TABLE = "ip", "lxt-faults"
HOLD, REWRITE, VANISH = 27_741, 27_742, 27_743
"""Numbers of queues: packets that are held, those that may be changed; the last has no reader, and so loses all."""

QUEUES = {"hold": HOLD, "rewrite": REWRITE, "vanish": VANISH}
"""Chains, and the queue that each puts packets into."""

_MARKED = f"meta mark set meta mark | {COPY:#x}"
_UNMARKED = f"meta mark set meta mark & {0xFFFF_FFFF ^ COPY:#x}"
_SWALLOWED = f"meta mark set meta mark | {SWALLOW:#x}"
_MILLION = 1_000_000
_OUT_PRIORITY, _IN_PRIORITY = 300, -450
"""Behind all that the container does to what it sends, before all that it does to what it gets."""


def delete() -> str:
    """Removes all, whether it is there or not."""
    return f"table {FAMILY} {TABLE}\ndelete table {FAMILY} {TABLE}\n"


def foundation(*, with_queues: bool) -> str:
    """The table with its chains, of which those of `QUEUES` are empty if not *with_queues*."""
    queues = [_chain(name, _queue(number) if with_queues else "") for name, number in QUEUES.items()]
    chains = [
        *queues,
        *(_chain(name) for name in ("copy", "copy-out", "copy-in", "copied-out", "copied-in")),
        _chain("out", f"type filter hook postrouting priority {_OUT_PRIORITY}; policy accept;"),
        _chain("in", f"type filter hook prerouting priority {_IN_PRIORITY}; policy accept;"),
    ]
    return f"{delete()}table {FAMILY} {TABLE} {{\n{''.join(chains)}}}\n"


def selecting(held: Sequence[Fault], doubled: Sequence[Fault], interface: str, *, swallows: bool) -> str:
    """Replaces, in one moment, the rules that say which packets are held, and which come twice.

    *swallows*: traffic control loses what has `marks.SWALLOW`.
    """
    is_copy = f"meta mark & {COPY:#x} == {COPY:#x}"
    own, to_itself = f'to ip daddr device "{interface}"', "to ip daddr"
    rules = {
        "copy": [_MARKED, f"dup {own}", *([_UNMARKED, _SWALLOWED] if swallows else ["goto vanish"])],
        "copy-out": [_MARKED, f"dup {own}", _UNMARKED],
        "copy-in": [_MARKED, f"dup {to_itself}", _UNMARKED],
        "copied-out": [_UNMARKED, *_into_queues(held, "out")],
        "copied-in": [_UNMARKED, *_into_queues(held, "in")],
        "out": [
            f'oifname != "{interface}" return',
            f"{is_copy} goto copied-out",
            *_by_chance(doubled, "out", "jump copy-out"),
            *_matches(held, "out", "goto copy"),
        ],
        "in": [
            f'iifname "lo" {is_copy} goto copied-in',
            f'iifname != "{interface}" return',
            *_by_chance(doubled, "in", "jump copy-in"),
            *_into_queues(held, "in"),
        ],
    }
    lines = [f"flush chain {FAMILY} {TABLE} {chain}" for chain in rules]
    lines += [f"add rule {FAMILY} {TABLE} {chain} {rule}" for chain, each in rules.items() for rule in each]
    return "\n".join(lines) + "\n"


def _into_queues(faults: Sequence[Fault], way: Way) -> list[str]:
    changing = [fault for fault in faults if fault.kind == "corrupt"]
    return [*_matches(changing, way, "goto rewrite"), *_matches(faults, way, "goto hold")]


def _by_chance(faults: Iterable[Fault], way: Way, then: str) -> list[str]:
    return [rule for each in faults for rule in _matches([each], way, f"{_chance(each.amount)} {then}")]


def _chance(share: float) -> str:
    limit = round(share * _MILLION)
    return f"numgen random mod {_MILLION} < {limit}" if limit < _MILLION else ""


def _matches(faults: Iterable[Fault], way: Way, then: str) -> list[str]:
    selections = dict.fromkeys(fault.selection for fault in faults if fault.goes(way))
    return [f"{condition} {then}".strip() for each in selections for condition in _conditions(each, way)]


def _conditions(selection: Selection, way: Way) -> list[str]:
    field = "daddr" if way == "out" else "saddr"
    peers = f"ip {field} {{ {', '.join(map(str, selection.peers))} }}" if selection.peers else ""
    if not selection.ports:
        return [peers]
    ports = ", ".join(map(str, selection.ports))
    # Only the first fragment of a datagram has its ports.
    has_ports = "ip frag-off & 0x1fff == 0 ip protocol { tcp, udp }"
    return [f"{peers} {has_ports} th {end} {{ {ports} }}".strip() for end in ("sport", "dport")]


def _queue(number: int) -> str:
    return f"queue num {number}" + ("" if number == VANISH else " bypass")


def _chain(name: str, content: str = "") -> str:
    body = f"\n    {content}\n  " if content else " "
    return f"  chain {name} {{{body}}}\n"
