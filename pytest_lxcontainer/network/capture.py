"""Recording what passes an interface, as a file that Wireshark opens.

https://www.tcpdump.org/manpages/pcap-savefile.5.html, with time stamps in nanoseconds.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from select import select

LINKTYPE_ETHERNET = 1
SNAPLEN = 1 << 18
"""Bytes kept of a packet; segments may come together, as they are handed on before they are cut for a wire."""

_MAGIC = 0xA1B23C4D
_FILE_HEADER = struct.Struct("=IHHiIII")
_PACKET_HEADER = struct.Struct("=IIII")
_TIME = struct.Struct("ll")
_AT_ONCE = 1000
_ETH_P_ALL = 0x0003
_SO_TIMESTAMPNS = 35
_RECEIVE_BUFFER = 1 << 23
_SO_RCVBUFFORCE = 33


def file_header() -> bytes:
    """What every such file begins with."""
    return _FILE_HEADER.pack(_MAGIC, 2, 4, 0, 0, SNAPLEN, LINKTYPE_ETHERNET)


def record(packet: bytes, time: tuple[int, int]) -> bytes:
    """One *packet* that came at *time*, seconds since the epoch and nanoseconds."""
    kept = packet[:SNAPLEN]
    return _PACKET_HEADER.pack(*time, len(kept), len(packet)) + kept


def serve(door: socket.socket, output: int, interface: str = "eth0") -> None:
    """Write what passes *interface*, which is in this thread's network namespace, to file descriptor *output*.

    Says ``recording`` over *door* as soon as nothing more is missed, and goes on until that ends or says something.
    What has come by then is written, and the number of packets told.
    """
    with closing(_listener(interface)) as packets, open(output, "wb", buffering=0) as file:
        file.write(file_header())
        door.sendall(b"recording\n")
        count = 0
        while True:
            ready = select([door, packets], [], [])[0]
            # Also when it is to end: first what has come.
            records = list(islice(_received(packets), _AT_ONCE))
            file.write(b"".join(records))
            count += len(records)
            if door in ready:
                break
        door.sendall(f"{count}\n".encode())


def _listener(interface: str) -> socket.socket:
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    packets.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    _widen(packets)
    packets.setblocking(False)
    # Only now does anything come.
    packets.bind((interface, _ETH_P_ALL))
    return packets


def _widen(packets: socket.socket) -> None:
    """Let much wait to be written; more than the host's usual bound only where this process may."""
    try:
        packets.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
    except PermissionError:
        packets.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)


def _received(packets: socket.socket) -> Iterator[bytes]:
    while True:
        try:
            packet, ancillary, _, _ = packets.recvmsg(SNAPLEN, socket.CMSG_SPACE(_TIME.size))
        except BlockingIOError:
            return
        times = [_TIME.unpack(data) for _, kind, data in ancillary if kind == _SO_TIMESTAMPNS]
        yield record(packet, times[0] if times else (0, 0))
