"""The supervisor process: ``python -m pytest_lxcontainer.supervisor RUN_ID RUNS_DIR OWNER``.

Started by `client.connect`, with a clean environment and in a session of its own. It says ``ready`` on stdout once it
accepts connections, or an error as JSON.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import socket
import sys
from pathlib import Path

from ..container.cgroups import host_hierarchies
from ..errors import LxContainerError
from . import protocol
from .host import inspect_host
from .loop import Loop
from .owner import Owner
from .run import Run
from .scope import make_room
from .server import Server, ignore_terminal_signals
from .sweep import occupy


def main(arguments: list[str]) -> int:
    """Own one run; returns the exit code."""
    run_id, runs_dir, owner_text = arguments
    ignore_terminal_signals()
    os.umask(0o022)
    make_room(os.geteuid(), host_hierarchies())
    directory = Path(runs_dir, run_id)
    try:
        owner_pidfd = Owner.parse(owner_text).open_pidfd()
        listener = _listen(run_id)
    except OSError as error:
        # Another process of the run may have been quicker: then the directory is that supervisor's.
        return _refuse(error)
    try:
        directory.mkdir(mode=0o711, exist_ok=True)
        directory.chmod(0o711)
        occupy(directory)
        loop = Loop()
        server = Server(Run(run_id, directory, inspect_host(directory), loop), loop, listener, owner_pidfd)
    except (LxContainerError, OSError) as error:
        shutil.rmtree(directory, ignore_errors=True)
        return _refuse(error)
    print("ready", flush=True)
    _let_go_of_stdout()
    # Every fork copies what the collector touches; what is there now stays for good.
    gc.freeze()
    server.serve()
    return 0


def _refuse(error: Exception) -> int:
    print(json.dumps(protocol.describe(error)), flush=True)
    return 1


def _listen(run_id: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(protocol.socket_name(run_id))
    listener.listen(128)
    return listener


def _let_go_of_stdout() -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
