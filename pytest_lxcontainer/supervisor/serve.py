"""Owning one run, from the first of what it has to the last."""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import socket
from pathlib import Path

from ..container.cgroups import host_hierarchies
from ..container.zygote import Zygote
from ..errors import LxContainerError
from . import protocol
from .block_groups import lay_out_apart
from .host import inspect_host
from .loop import Loop
from .owner import Owner
from .run import Run
from .scope import make_room
from .server import Server
from .sweep import occupy


def serve(listening: int, run_id: str, runs_dir: str, owner_text: str, zygote: Zygote) -> int:
    """Own the run until its end, answering those who come to descriptor *listening*; returns the exit code."""
    make_room(os.geteuid(), host_hierarchies(), (os.getpid(), zygote.pid))
    directory = Path(runs_dir, run_id)
    try:
        owner = Owner.parse(owner_text)
        owner_pidfd = None if owner.is_nobody else owner.open_pidfd()
    except OSError as error:
        return _refuse(error)
    listener = socket.socket(fileno=listening)
    try:
        directory.mkdir(mode=0o711, exist_ok=True)
        directory.chmod(0o711)
        occupy(directory)
        lay_out_apart(directory)
        loop = Loop()
        server = Server(Run(run_id, directory, inspect_host(directory), loop, zygote), loop, listener, owner_pidfd)
    except (LxContainerError, OSError) as error:
        shutil.rmtree(directory, ignore_errors=True)
        return _refuse(error)
    print("ready", flush=True)
    _let_go_of_stdout()
    # Every fork copies what the collector touches; what is there now stays for good.
    gc.freeze()
    server.serve()
    return 0


def ignore_terminal_signals() -> None:
    """Ctrl-C is for pytest; the supervisor ends when pytest does."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _refuse(error: Exception) -> int:
    print(json.dumps(protocol.describe(error)), flush=True)
    return 1


def _let_go_of_stdout() -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
