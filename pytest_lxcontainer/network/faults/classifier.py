"""Filters that tell a traffic control which packets a fault is for: programs of classic BPF.

The kernel takes these from a container's root; of extended BPF it does not.
https://docs.kernel.org/networking/filter.html. They see Ethernet frames without VLAN tags.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .fault import Fault, Selection, Way
from .treatment import loss_of


class Instruction(NamedTuple):
    """As the kernel has it: a code, how many instructions to skip if true and if false, a constant."""

    code: int
    if_true: int
    if_false: int
    constant: int


Program = list[Instruction]

ALL = 0xFFFFFFFF
"""What a filter returns to match without naming a class."""

_LOAD_WORD, _LOAD_HALF, _LOAD_BYTE, _LOAD_MEMORY = 0x20, 0x28, 0x30, 0x60
_LOAD_HALF_AT_INDEX, _INDEX_BY_IP_HEADER = 0x48, 0xB1
_SET, _STORE, _OR = 0x00, 0x02, 0x44
_IF_EQUAL, _IF_AT_LEAST, _IF_BITS = 0x15, 0x35, 0x45
_RETURN, _RETURN_IT = 0x06, 0x16

_MAJOR = 0xFFFF_0000
_MARK, _RANDOM = 0xFFFFF000 + 20, 0xFFFFF000 + 56
_ETHERTYPE, _ARP, _IPV4 = 12, 0x0806, 0x0800
_IP = 14
_FRAGMENT, _LATER_FRAGMENT = _IP + 6, 0x1FFF
_PROTOCOL, _TCP, _UDP = _IP + 9, 6, 17
_ADDRESS = {"in": _IP + 12, "out": _IP + 16}
_SOURCE_PORT, _DESTINATION_PORT = _IP, _IP + 2


def text(program: Sequence[Instruction]) -> str:
    """As tc(8) reads it."""
    return ",".join(
        [str(len(program)), *(f"{code} {true} {false} {constant}" for code, true, false, constant in program)]
    )


def any_of(faults: Iterable[Fault], way: Way, *, mark: int = 0) -> Program:
    """Matches the packets that at least one of *faults* is for, and those with *mark*."""
    found = [_return(ALL)]
    matches = _joined(_for_selection(fault.selection, way, found) for fault in faults)
    return [*_marked(mark, found), *matches, _return(0)]


def class_of(lossy: Iterable[Fault], selections: Sequence[Selection], way: Way, lost: int, *, mark: int = 0) -> Program:
    """Returns a class: *lost* also for *mark*, or, of the same qdisc, with a bit for each selection a packet is of."""
    losses = _joined(_for_selection(each.selection, way, _chance(loss_of(each), [_return(lost)])) for each in lossy)
    start = [_do(_SET, lost & _MAJOR), _do(_STORE, 0)]
    bits = _joined(_for_selection(each, way, _add_bit(1 << index)) for index, each in enumerate(selections))
    return [*_marked(mark, [_return(lost)]), *losses, *start, *bits, _do(_LOAD_MEMORY, 0), _do(_RETURN_IT, 0)]


def _marked(mark: int, then: Program) -> Program:
    return [_do(_LOAD_WORD, _MARK), Instruction(_IF_BITS, 0, len(then), mark), *then] if mark else []


def _for_selection(selection: Selection, way: Way, then: Program) -> Program:
    """*then* for packets of *selection*; others go on behind it."""
    if selection.is_everything:
        # Not ARP: who loses one of those waits for a second, whatever the share, and also after all is well again.
        return [_do(_LOAD_HALF, _ETHERTYPE), Instruction(_IF_EQUAL, len(then), 0, _ARP), *then]
    if selection.ports:
        then = _with_ports(selection.ports, then)
    if selection.peers:
        addresses = [int(peer) for peer in selection.peers]
        then = _if_any([([_do(_LOAD_WORD, _ADDRESS[way])], addresses)], then)
    return _if_any([([_do(_LOAD_HALF, _ETHERTYPE)], [_IPV4])], then)


def _with_ports(ports: Sequence[int], then: Program) -> Program:
    source = [_do(_INDEX_BY_IP_HEADER, _IP), _do(_LOAD_HALF_AT_INDEX, _SOURCE_PORT)]
    destination = [_do(_LOAD_HALF_AT_INDEX, _DESTINATION_PORT)]
    then = _if_any([(source, ports), (destination, ports)], then)
    # Only the first fragment of a datagram has its ports.
    then = [_do(_LOAD_HALF, _FRAGMENT), Instruction(_IF_BITS, len(then), 0, _LATER_FRAGMENT), *then]
    return _if_any([([_do(_LOAD_BYTE, _PROTOCOL)], [_TCP, _UDP])], then)


def _if_any(alternatives: Sequence[tuple[Program, Sequence[int]]], then: Program) -> Program:
    """*then* where what one of *alternatives* loads equals one of its values."""
    tests: Program = []
    for load, values in reversed(alternatives):
        for value in reversed(values):
            last = not tests
            tests.insert(0, Instruction(_IF_EQUAL, len(tests), len(then) if last else 0, value))
        tests[:0] = load
    return tests + then


def _chance(share: float, then: Program) -> Program:
    if share >= 1:
        return then
    limit = round(share * (1 << 32))
    return [_do(_LOAD_WORD, _RANDOM), Instruction(_IF_AT_LEAST, len(then), 0, limit), *then]


def _add_bit(bit: int) -> Program:
    return [_do(_LOAD_MEMORY, 0), _do(_OR, bit), _do(_STORE, 0)]


def _do(code: int, constant: int) -> Instruction:
    return Instruction(code, 0, 0, constant)


def _return(value: int) -> Instruction:
    return _do(_RETURN, value)


def _joined(programs: Iterable[Program]) -> Program:
    return [instruction for program in programs for instruction in program]
