"""Two network namespaces joined by a veth pair, and what it takes to measure between them; needs no LXC.

A socket belongs to the namespace in which it was made: an agent there makes it and passes it here.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple

from pytest_lxcontainer.network.faults import Abilities, Fault

_ROOT = Path(__file__).parents[2]
_AGENT = "tests.system.namespace_agent"
_IN_USER_NAMESPACE = ["unshare", "--user", "--map-root-user", "--net"]
_ECHO_REQUEST, _ECHO_REPLY = 8, 0
_PING = struct.Struct("!BBHHHd")

BOX, PEER, OTHER = "10.64.0.2", "10.64.0.3", "10.64.0.4"


class Namespace:
    """One network namespace; *command* brings a program into it."""

    def __init__(self, command: Sequence[str]) -> None:
        self._lock = threading.Lock()
        self._door, theirs = socket.socketpair()
        # An ordinary user's PATH may lack where nft and tc are.
        path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
        environment = {**os.environ, "PYTHONPATH": str(_ROOT), "PATH": path}
        with theirs:
            self._process = subprocess.Popen(
                [*command, sys.executable, "-m", _AGENT, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=environment,
                cwd=_ROOT,
            )
        self._receive()
        self.pid = self._process.pid

    def close(self) -> None:
        self._door.close()
        self._process.wait()

    def run(self, *arguments: str, text: str = "") -> str:
        done = self.ask({"run": arguments, "text": text})
        assert done["code"] == 0, (arguments, done["stderr"])
        return str(done["stdout"])

    def abilities(self) -> Abilities:
        return Abilities.from_dict(self.ask({"abilities": True}))

    def ask(self, request: dict[str, Any], *fds: int) -> Any:
        return self._asked(request, fds)[0]

    def socket(self, kind: int, protocol: int = 0, family: int = socket.AF_INET) -> socket.socket:
        (fd,) = self._asked({"socket": [family, kind, protocol]}, [])[1]
        made = socket.socket(fileno=fd)
        made.settimeout(5)
        return made

    def _asked(self, request: dict[str, Any], fds: Sequence[int]) -> tuple[Any, list[int]]:
        with self._lock:
            socket.send_fds(self._door, [json.dumps(request).encode()], fds)
            return self._receive()

    def _receive(self) -> tuple[Any, list[int]]:
        data, fds, _, _ = socket.recv_fds(self._door, 1 << 16, 1)
        while not data.endswith(b"\n"):
            more = self._door.recv(1 << 16)
            assert more, "the agent has ended"
            data += more
        return json.loads(data), fds


class Wire:
    """*box*, at `BOX`, has its faults served; *peer* has `PEER` and `OTHER`."""

    def __init__(self, *, in_user_namespace: bool) -> None:
        with ExitStack() as stack:
            first = _IN_USER_NAMESPACE if in_user_namespace else ["unshare", "--net"]
            self.box = Namespace(first)
            stack.callback(self.box.close)
            beside = ["nsenter", f"--user=/proc/{self.box.pid}/ns/user", "--preserve-credentials", "unshare", "--net"]
            self.peer = Namespace(beside if in_user_namespace else first)
            stack.callback(self.peer.close)
            self._join()
            self._stack = stack.pop_all()

    def close(self) -> None:
        self._stack.close()

    def _join(self) -> None:
        self.box.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", str(self.peer.pid))
        for namespace, addresses in ((self.box, [BOX]), (self.peer, [PEER, OTHER])):
            for address in addresses:
                namespace.run("ip", "address", "add", f"{address}/24", "dev", "eth0")
            for link in ("lo", "eth0"):
                namespace.run("ip", "link", "set", "dev", link, "up")


class Serving:
    """A process that serves the faults of *namespace*."""

    def __init__(self, namespace: Namespace, abilities: Abilities) -> None:
        self._namespace = namespace
        self._door, theirs = socket.socketpair()
        self._door.settimeout(20)
        with theirs:
            self.pid: int = namespace.ask({"serve": abilities.to_dict()}, theirs.fileno())

    def set(self, *faults: Fault) -> None:
        assert self.ask(set_of(*faults)) == {"ok": None}

    def ask(self, request: Any) -> Any:
        self.begin(request)
        return self.answer()

    def begin(self, request: Any) -> None:
        self._door.sendall(json.dumps(request).encode() + b"\n")

    def answer(self) -> Any:
        return json.loads(self._door.makefile().readline())

    def close(self) -> int:
        """Close the door; returns the status the process ended with."""
        self._door.close()
        return int(self._namespace.ask({"reap": self.pid}))


def set_of(*faults: Fault) -> dict[str, Any]:
    """The request that has exactly *faults* in force."""
    return {"do": "set", "faults": [fault.to_dict() for fault in faults]}


class Reply(NamedTuple):
    number: int
    seconds: float


def ping(
    source: Namespace, target: str, count: int = 1, *, most: int = 0, patience: float = 1.0, bind: str = ""
) -> list[Reply]:
    """Send so many echo requests, one a millisecond; the replies as they come.

    Until there are *most* (or as many as requests), or *patience* seconds after the last request.
    """
    with source.socket(socket.SOCK_RAW, socket.IPPROTO_ICMP) as sock:
        if bind:
            sock.bind((bind, 0))
        replies: list[Reply] = []
        start = time.monotonic()
        for number in range(count):
            sock.sendto(_echo_request(number), (target, 0))
            _collect(sock, replies, start + (number + 1) / 1000, count=1 << 30)
        _collect(sock, replies, time.monotonic() + patience, most or count)
        return replies


def _echo_request(number: int) -> bytes:
    now = time.monotonic()
    bare = _PING.pack(_ECHO_REQUEST, 0, 0, 0x6C78, number, now)
    total = sum(struct.unpack("!8H", bare))
    total = (total & 0xFFFF) + (total >> 16)
    return _PING.pack(_ECHO_REQUEST, 0, ~(total + (total >> 16)) & 0xFFFF, 0x6C78, number, now)


def _collect(sock: socket.socket, replies: list[Reply], deadline: float, count: int) -> None:
    """Until *deadline*, or there are *count* replies."""
    while len(replies) < count and (left := deadline - time.monotonic()) > 0:
        if not select.select([sock], [], [], left)[0]:
            return
        packet = sock.recv(2048)
        now = time.monotonic()
        kind, _, _, _, number, sent = _PING.unpack_from(packet, (packet[0] & 15) * 4)
        if kind == _ECHO_REPLY:
            replies.append(Reply(number, now - sent))


class Echo:
    """Answers UDP at a port of a namespace's."""

    def __init__(self, namespace: Namespace, address: str, port: int) -> None:
        self._sock = namespace.socket(socket.SOCK_DGRAM)
        self._sock.bind((address, port))
        self._sock.settimeout(0.02)
        self._is_open = True
        self._thread = threading.Thread(target=self._answer, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._is_open = False
        self._thread.join()
        self._sock.close()

    def _answer(self) -> None:
        while self._is_open:
            with suppress(TimeoutError):
                self._sock.sendto(*self._sock.recvfrom(2048))


def round_trip(source: Namespace, target: tuple[str, int], *, own_port: int = 0, timeout: float = 1.0) -> float | None:
    """Seconds until a datagram is back; ``None`` if it is not."""
    with source.socket(socket.SOCK_DGRAM) as sock:
        sock.bind(("", own_port))
        sock.settimeout(timeout)
        start = time.monotonic()
        sock.sendto(b"hello", target)
        try:
            sock.recv(100)
        except TimeoutError:
            return None
        return time.monotonic() - start


def connected(
    source: Namespace, target: Namespace, address: str, port: int, family: int = socket.AF_INET
) -> tuple[socket.socket, socket.socket]:
    """Both ends of a new TCP connection: the one that has asked, the one that was asked, of which *family* is."""
    with target.socket(socket.SOCK_STREAM, family=family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("", port))
        listener.listen()
        asking = source.socket(socket.SOCK_STREAM)
        asking.connect((address, port))
        return asking, listener.accept()[0]


def throughput(sender: socket.socket, receiver: socket.socket, duration: float, settle: float = 0.3) -> float:
    """Bits per second of TCP's content that arrive within *duration*, counted from *settle* seconds after the first."""
    thread = threading.Thread(target=_send_until_closed, args=(sender,), daemon=True)
    thread.start()
    receiver.recv(1)
    start = time.monotonic() + settle
    count, now = 0, time.monotonic()
    while now < start + duration:
        size = len(receiver.recv(1 << 18))
        now = time.monotonic()
        count += size if now > start else 0
    receiver.close()
    thread.join()
    sender.close()
    return count * 8 / (now - start)


def _send_until_closed(sock: socket.socket) -> None:
    data = bytes(1 << 18)
    try:
        while True:
            sock.sendall(data)
    except OSError:
        return


def flooded(source: Namespace, target: Namespace, address: tuple[str, int], duration: float = 1.0) -> float:
    """Bits per second of Ethernet that arrive when more is sent than a rate of up to 50 Mbit/s lets through."""
    size, headers = 1000, 42
    with source.socket(socket.SOCK_DGRAM) as sender, target.socket(socket.SOCK_DGRAM) as receiver:
        receiver.bind(address)
        receiver.settimeout(0)
        begin = time.monotonic() + 0.2
        count, end = 0, begin + duration
        while (now := time.monotonic()) < end:
            # As much as 50 Mbit/s, in lots that a busy machine need not hurry for.
            for _ in range(7):
                with suppress(BlockingIOError):
                    sender.sendto(bytes(size), socket.MSG_DONTWAIT, address)
            with suppress(BlockingIOError):
                while receiver.recv(2 * size):
                    count += now > begin
            time.sleep(0.001)
    return count * (size + headers) * 8 / duration
