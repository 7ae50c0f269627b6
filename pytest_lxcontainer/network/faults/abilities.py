"""What this kernel and this host's programs can do to packets, found out by trying."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from . import netlink, rules
from .nfqueue import Queues, queue_rule
from .programs import run, succeeds

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_EVERYTHING = '"1,6 0 0 4294967295"'


@dataclass(frozen=True, slots=True)
class Abilities:
    """Each is what one thing was found to do in a network namespace made for the trial.

    *redirects*: filters of classic BPF on clsact send packets to another device. *queue_statement*, *queue_target*:
    nftables' own and iptables' way to hand packets to a process. *nfqueue*: a process can have them. *copies*: nftables
    copies packets, by chance. *destroys*: connections can be ended from outside.
    """

    netem: bool = False
    htb: bool = False
    tbf: bool = False
    ifb: bool = False
    redirects: bool = False
    nftables: bool = False
    copies: bool = False
    queue_statement: bool = False
    queue_target: bool = False
    nfqueue: bool = False
    destroys: bool = False

    @property
    def shapes(self) -> bool:
        """Whether traffic control does what needs no netem."""
        return self.htb and self.tbf and self.ifb and self.redirects

    @property
    def doubles(self) -> bool:
        """Whether packets can be duplicated."""
        return self.nftables and self.copies

    @property
    def holds(self) -> bool:
        """Whether packets can be held by a process."""
        return self.nfqueue and self.doubles and (self.queue_statement or self.queue_target)

    def to_dict(self) -> dict[str, bool]:
        """As plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Abilities:
        """What `to_dict` has made."""
        return cls(**values)


def find_abilities() -> Abilities:
    """Try it in a fork of this process, which is to have one thread: in a network namespace that goes with it.

    An ordinary user's is in a user namespace, as its containers are. Where none can be made, nothing can be done.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _try_and_tell(writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        told = answer.read()
    os.waitpid(pid, 0)
    return Abilities.from_dict(json.loads(told)) if told else Abilities()


def _try_and_tell(writer: int) -> NoReturn:
    # Nothing of the caller's is to run here, whatever happens: no handler, no test.
    with contextlib.suppress(BaseException):
        _enter_scratch_namespace()
        os.write(writer, json.dumps(_tried().to_dict()).encode())
    os._exit(0)


def _tried() -> Abilities:
    return Abilities(
        netem=succeeds("tc", "-batch", "-", text="qdisc replace dev lo root netem delay 1ms\n"),
        htb=succeeds("tc", "-batch", "-", text=_HTB_TRIAL),
        tbf=succeeds("tc", "-batch", "-", text="qdisc replace dev lo root tbf rate 1gbit burst 250k limit 1m\n"),
        ifb=succeeds("ip", "-batch", "-", text="link add name lxt-trial type ifb\n"),
        redirects=succeeds("tc", "-batch", "-", text=_REDIRECT_TRIAL),
        nftables=_nft("flush chain ip t c"),
        copies=_nft("add rule ip t c numgen random mod 9 < 3 dup to ip daddr device lo"),
        queue_statement=_nft("add rule ip t c queue num 1 bypass"),
        queue_target=_has_queue_target(),
        nfqueue=_can_bind_queue(),
        destroys=_can_destroy(),
    )


_HTB_TRIAL = """\
qdisc replace dev lo root handle 1: htb
class add dev lo parent 1: classid 1:1 htb rate 100gbit quantum 60000
qdisc add dev lo parent 1:1 blackhole
"""

_REDIRECT_TRIAL = f"""\
qdisc add dev lo clsact
filter add dev lo egress protocol all pref 1 bpf bytecode {_EVERYTHING} action mirred egress redirect dev lo
"""


def _nft(command: str) -> bool:
    chain = "add table ip t\nadd chain ip t c { type filter hook postrouting priority 300; }\n"
    return succeeds("nft", "-f", "-", text=f"{chain}{command}\n")


def _has_queue_target() -> bool:
    try:
        with contextlib.closing(netlink.opened()) as door:
            netlink.ask(door, queue_rule(socket.AF_INET, "t", "c", 1, bypass=True))
    except OSError:
        return False
    return True


def _can_bind_queue() -> bool:
    try:
        with contextlib.closing(Queues()) as queues:
            queues.bind(rules.HOLD, copied=64, unsegmented=True)
    except OSError:
        return False
    return True


def _can_destroy() -> bool:
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        with contextlib.suppress(Exception):
            return bool(run("ss", "-K", "-H", "-n", "-t", "-l", f"sport = :{port}").strip())
    return False


def _enter_scratch_namespace() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) == 0:
        return
    uid, gid = os.geteuid(), os.getegid()
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    for name, content in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        Path("/proc/self", name).write_text(content, encoding="ascii")
