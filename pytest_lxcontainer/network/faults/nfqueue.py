"""Packets that netfilter hands to this process, and what becomes of them: NFQUEUE.

A packet stays in the kernel, however large; what is read is its number and its beginning.
Numbers from linux/netfilter/nfnetlink_queue.h, nf_tables.h, nf_tables_compat.h and xt_NFQUEUE.h.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..netlink import NLM_F_ACK, NLM_F_CREATE, attribute
from . import netlink
from .fault import Way

_QUEUE = 3 << 8
_VERDICT, _CONFIG = _QUEUE | 1, _QUEUE | 2
_CFG_CMD, _CFG_PARAMS, _CFG_MAXLEN, _CFG_MASK, _CFG_FLAGS = 1, 2, 3, 4, 5
_BIND = 1
_COPY_PACKET = 2
_TAKES_UNSEGMENTED = 4
_VERDICT_HDR, _PAYLOAD = 2, 10
_DROP, _ACCEPT = 0, 1

_NFTABLES = 10
_NEW_RULE = _NFTABLES << 8 | 6
_RULE_TABLE, _RULE_CHAIN, _RULE_EXPRESSIONS = 1, 2, 4
_LIST_ELEMENT, _EXPRESSION_NAME, _EXPRESSION_DATA = 1, 1, 2
_TARGET_NAME, _TARGET_REVISION, _TARGET_INFO = 1, 2, 3

MOST_WAITING = 1 << 17
"""Packets in one queue; those beyond are lost."""
_SOL_NETLINK, _NO_ENOBUFS = 270, 5
_SO_RCVBUFFORCE = 33
_BUFFER = 16 << 20
_READ = 1 << 17
_TOLD_AT_ONCE = 100
"""Verdicts; with packets of 1500 bytes that is below what the smallest usual socket buffer takes."""

WHOLE = 0xFFFF
"""As *copied*: all of a packet."""

# The attribute with a packet's number is the first.
_PACKET_AT, _PACKET = netlink.HEADER_SIZE + 4, struct.Struct("!I2xB")
_POSTROUTING = 4
_RESOURCE_AT = 18


class Packet(NamedTuple):
    """One that waits for its verdict; *content* is it from its IP header on, as far as it was copied."""

    id: int
    queue: int
    way: Way
    content: memoryview


class Queues:
    """The queues that are bound through one socket."""

    def __init__(self) -> None:
        self._sock = netlink.opened()
        self._buffer = memoryview(bytearray(_READ))
        self._sock.setsockopt(_SOL_NETLINK, _NO_ENOBUFS, 1)
        try:
            self._sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        except PermissionError:  # beyond the host's limit only for the host's own root
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)

    def fileno(self) -> int:
        """For select."""
        return self._sock.fileno()

    def close(self) -> None:
        """Packets that still wait are dropped, those to come pass rules that say ``bypass``."""
        self._sock.close()

    def bind(self, number: int, *, copied: int, unsegmented: bool) -> None:
        """Have the packets of queue *number*, with their first *copied* bytes.

        *unsegmented*: as they are, up to 64 KiB with a checksum that is still to be made. Else as on the wire.
        """
        flags = _TAKES_UNSEGMENTED if unsegmented else 0
        for attributes in (
            [attribute(_CFG_CMD, struct.pack("!BBH", _BIND, 0, 0))],
            [
                attribute(_CFG_PARAMS, struct.pack("!IB", copied, _COPY_PACKET)),
                attribute(_CFG_MAXLEN, struct.pack("!I", MOST_WAITING)),
                attribute(_CFG_MASK, struct.pack("!I", _TAKES_UNSEGMENTED)),
                attribute(_CFG_FLAGS, struct.pack("!I", flags)),
            ],
        ):
            request = netlink.message(_CONFIG, *attributes, flags=NLM_F_ACK, resource=number)
            netlink.ask(self._sock, request)

    def packets(self, most: int) -> Iterator[Packet]:
        """What has come, *most* at once; *content* is valid until the next one."""
        for _ in range(most):
            try:
                size = self._sock.recv_into(self._buffer, 0, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            if (packet := self._parsed(self._buffer[:size])) is not None:
                yield packet

    def _parsed(self, data: memoryview) -> Packet | None:
        if netlink.kind_of(data) != _QUEUE:  # a verdict came late: the packet has gone with its interface
            return None
        (queue,) = struct.unpack_from("!H", data, _RESOURCE_AT)
        (number, hook) = _PACKET.unpack_from(data, _PACKET_AT)
        at = netlink.HEADER_SIZE
        while True:
            length, kind = struct.unpack_from("=HH", data, at)
            if kind == _PAYLOAD:
                return Packet(number, queue, "out" if hook == _POSTROUTING else "in", data[at + 4 : at + length])
            at += (length + 3) & ~3

    def send(self, verdicts: Sequence[bytes]) -> None:
        """Tell what becomes of packets: any number of `accepted` and `dropped`, in this order."""
        for at in range(0, len(verdicts), _TOLD_AT_ONCE):
            self._sock.send(b"".join(verdicts[at : at + _TOLD_AT_ONCE]))


def accepted(packet: Packet, content: bytes | None = None) -> bytes:
    """The verdict that lets *packet* go on, with another *content* if there is one."""
    return _verdict(packet, _ACCEPT, b"" if content is None else attribute(_PAYLOAD, content))


def dropped(packet: Packet) -> bytes:
    """The verdict that it is no more."""
    return _verdict(packet, _DROP)


def queue_rule(family: int, table: str, chain: str, number: int, *, bypass: bool) -> bytes:
    """A request that adds a rule to nftables, which puts all packets into queue *number*.

    As iptables' target, which also kernels have whose nftables lacks the statement. *bypass*: as long as nobody
    has bound the queue packets go on, and are not lost.
    """
    info = struct.pack("=HHHxx", number, 1, bypass)
    target = (
        attribute(_TARGET_NAME, b"NFQUEUE\0"),
        attribute(_TARGET_REVISION, struct.pack("!I", 3)),
        attribute(_TARGET_INFO, info),
    )
    expression = attribute(_EXPRESSION_NAME, b"target\0"), netlink.nested(_EXPRESSION_DATA, *target)
    rule = netlink.message(
        _NEW_RULE,
        attribute(_RULE_TABLE, table.encode() + b"\0"),
        attribute(_RULE_CHAIN, chain.encode() + b"\0"),
        netlink.nested(_RULE_EXPRESSIONS, netlink.nested(_LIST_ELEMENT, *expression)),
        flags=NLM_F_ACK | NLM_F_CREATE | netlink.NLM_F_APPEND,
        family=family,
    )
    return netlink.batch(_NFTABLES, rule)


def _verdict(packet: Packet, verdict: int, *attributes: bytes) -> bytes:
    header = attribute(_VERDICT_HDR, struct.pack("!II", verdict, packet.id))
    return netlink.message(_VERDICT, header, *attributes, resource=packet.queue)
