"""Faults as traffic control has them, as text for ``tc -batch``; see tc-htb(8), tc-tbf(8) and tc-netem(8).

The packets of one way go through a device of their own (ifb), so that the interface keeps the qdisc it has. There a
filter gives each a class: what is lost goes into a black hole, of which nobody is told, as on a wire. Netfilter would
tell a sender that it may not send.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...errors import InvalidSettingsError
from . import classifier
from .fault import Fault, Selection, Way
from .treatment import Treatment, loss_of

MOST_SELECTIONS = 8
"""There are classes for all combinations."""

_MAJOR = 1
_LOST = _MAJOR << 16 | 0xFFFF
_SHARED = 0x8000
_UNLIMITED = "rate 100gbit quantum 60000"
_PACKET = 1500
_QUEUED = 0.25
"""Seconds that a packet may wait for its turn where the rate is limited; what comes then is lost."""
_LEAST_QUEUE = 32 * 1024
"""Bytes."""
_BURST = 0.002
"""Seconds that a bucket is filled in. What is larger is parted as on a wire; else TCP's packets come by 64 KiB."""
_LEAST_BURST = 2 * _PACKET
_NETEM_PACKETS = 100_000


@dataclass(frozen=True, slots=True)
class _Class:
    """The packets that are of all these *selections*, and of no other of the tree's."""

    number: int
    treatment: Treatment
    limited_by: int

    @property
    def handle(self) -> str:
        return f"{_MAJOR}:{self.number:x}"

    @property
    def pool(self) -> str:
        """The class that it shares its rate with others in."""
        return f"{_MAJOR}:{_SHARED | self.limited_by:x}"


def build(device: str, faults: Sequence[Fault], way: Way, *, mark: int = 0) -> list[str]:
    """The qdisc, classes and filter that *device* gets for *faults* that go this *way*; what has *mark* is lost.

    Several rates hold for each combination of them apart.
    """
    lossy = [fault for fault in faults if loss_of(fault)]
    shaped = [fault for fault in faults if not loss_of(fault)]
    selections = list(dict.fromkeys(fault.selection for fault in shaped))
    if len(selections) > MOST_SELECTIONS:
        raise InvalidSettingsError(
            f"faults for {len(selections)} different choices of peers and ports",
            hint=f"there may be {MOST_SELECTIONS} at a time; those with the same peers and ports count as one",
        )
    program = classifier.class_of(lossy, selections, way, _LOST, mark=mark)
    return [
        f"qdisc add dev {device} root handle {_MAJOR}: htb",
        *(_black_hole(device) if lossy or mark else []),
        *_class_lines(device, _classes(shaped, selections)),
        f'filter add dev {device} parent {_MAJOR}: protocol all prio 1 bpf bytecode "{classifier.text(program)}"',
    ]


def redirect(at: str, device: str, faults: Sequence[Fault], way: Way, *, mark: int = 0) -> str:
    """Sends the packets that *faults* are for, and those with *mark*, through *device*.

    *at* is where: an interface, one of its hooks, a preference.
    """
    chosen = classifier.text(classifier.any_of(faults, way, mark=mark))
    return f'filter add dev {at} protocol all bpf bytecode "{chosen}" action mirred egress redirect dev {device}'


def netem(treatment: Treatment) -> str:
    """The qdisc, after its name, that delays and corrupts.

    A rate that does not limit makes it keep the packets' order, whatever their jitter.
    """
    words = [f"limit {_netem_limit(treatment)}"]
    if treatment.delay:
        words.append(f"delay {_us(treatment.delay)}" + (f" {_us(treatment.jitter)}" if treatment.jitter else ""))
        if treatment.overtaking:
            words.append(f"reorder {_percent(treatment.overtaking)}")
    if treatment.corrupted:
        words.append(f"corrupt {_percent(treatment.corrupted)}")
    if treatment.jitter:
        words.append("rate 100gbit")
    return " ".join(words)


def _classes(shaped: Sequence[Fault], selections: Sequence[Selection]) -> list[_Class]:
    """One for each set of selections that a packet may be of."""
    limits = {fault.selection for fault in shaped if fault.kind == "rate"}
    classes = []
    for number in range(1, 1 << len(selections)):
        chosen = {each for index, each in enumerate(selections) if number >> index & 1}
        limited_by = sum(1 << index for index, each in enumerate(selections) if each in chosen & limits)
        treatment = Treatment.of(fault for fault in shaped if fault.selection in chosen)
        classes.append(_Class(number, treatment, limited_by))
    return classes


def _class_lines(device: str, classes: Sequence[_Class]) -> Iterable[str]:
    members = Counter(each.pool for each in classes if each.treatment.rate)
    pools = {each.pool: each.treatment.rate for each in classes if each.treatment.rate}
    for pool, rate in pools.items():
        yield f"class add dev {device} parent {_MAJOR}: classid {pool} htb {_htb(rate, rate)}"
    for each in classes:
        rate = each.treatment.rate
        parent = each.pool if rate else f"{_MAJOR}:"
        limit = _htb(rate / members[each.pool], rate) if rate else _UNLIMITED
        yield f"class add dev {device} parent {parent} classid {each.handle} htb {limit}"
        yield f"qdisc add dev {device} parent {each.handle} {_leaf(each.treatment)}"


def _leaf(treatment: Treatment) -> str:
    if treatment.delay or treatment.corrupted:
        return f"netem {netem(treatment)}"
    if treatment.rate:
        burst = max(_LEAST_BURST, round(treatment.rate * _BURST / 8))
        return f"tbf rate {round(treatment.rate)}bit burst {burst} limit {_bytes(treatment.rate, _QUEUED)}"
    return f"pfifo limit {_NETEM_PACKETS}"


def _black_hole(device: str) -> list[str]:
    handle = f"{_MAJOR}:{_LOST & 0xFFFF:x}"
    return [
        f"class add dev {device} parent {_MAJOR}: classid {handle} htb {_UNLIMITED}",
        f"qdisc add dev {device} parent {handle} blackhole",
    ]


def _htb(rate: float, ceil: float) -> str:
    return f"rate {max(8, round(rate))}bit ceil {round(ceil)}bit quantum {_PACKET * 2}"


def _netem_limit(treatment: Treatment) -> int:
    if not treatment.rate:
        return _NETEM_PACKETS
    return _bytes(treatment.rate, _QUEUED + treatment.delay + treatment.jitter) // _PACKET


def _bytes(rate: float, duration: float) -> int:
    return max(_LEAST_QUEUE, round(rate * duration / 8))


def _us(duration: float) -> str:
    return f"{round(duration * 1e6)}us"


def _percent(share: float) -> str:
    return f"{share * 100:.6g}%"
