"""Runs inside a network namespace and does there what a test asks over descriptor `argv[1]`; see `wire`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from typing import Any

from pytest_lxcontainer.network.faults import Abilities, find_abilities, serve


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    door = socket.socket(fileno=int(sys.argv[1]))
    door.sendall(b"{}\n")
    while True:
        data, fds, _, _ = socket.recv_fds(door, 1 << 16, 1)
        if not data:
            return
        _answer(door, json.loads(data), fds)


def _answer(door: socket.socket, request: dict[str, Any], fds: list[int]) -> None:
    if "socket" in request:
        with socket.socket(*request["socket"]) as made:
            socket.send_fds(door, [b"{}\n"], [made.fileno()])
        return
    door.sendall(json.dumps(_done(door, request, fds)).encode() + b"\n")


def _done(door: socket.socket, request: dict[str, Any], fds: list[int]) -> Any:
    if "run" in request:
        done = subprocess.run(request["run"], check=False, capture_output=True, text=True, input=request["text"])
        return {"code": done.returncode, "stdout": done.stdout, "stderr": done.stderr}
    if "abilities" in request:
        return find_abilities().to_dict()
    if "reap" in request:
        return os.waitpid(request["reap"], 0)[1]
    return _start_serving(door, fds[0], Abilities.from_dict(request["serve"]))


def _start_serving(door: socket.socket, fd: int, abilities: Abilities) -> int:
    pid = os.fork()
    if pid == 0:
        door.close()
        with contextlib.suppress(KeyboardInterrupt), socket.socket(fileno=fd) as own:
            serve(own, "eth0", abilities)
            os._exit(0)
        os._exit(1)
    os.close(fd)
    return pid


if __name__ == "__main__":
    main()
