"""The process that waits until the pool's clones are ready.

Conditions take their time, and ask a container over the supervisor. So a fork of the supervisor, made when first
needed, is one more of its clients, with all that a test has to wait with. It is told what to wait for over a socket,
and answers each request on one that comes with it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ..container.attach import PR_SET_PDEATHSIG, keep_only
from ..container.demand import Preparation
from ..container.spec import ContainerSpec
from . import protocol
from .loop import wait
from .owner import Owner
from .protocol import Message

if TYPE_CHECKING:
    from ..container.backend import Status
    from .client import SupervisorClient


class Warmer:
    """Waits for containers of run *run_id* in another process."""

    def __init__(self, run_id: str, runs_dir: Path) -> None:
        self._run_id = run_id
        self._runs_dir = runs_dir
        self._socket: socket.socket | None = None
        self._pid = 0

    async def make_ready(self, name: str, spec: ContainerSpec, preparation: Preparation) -> None:
        """Wait until container *name* is ready; raises what kept it from that."""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                task = {"name": name, "spec": spec.to_dict(), "preparation": asdict(preparation)}
                protocol.send(self._door(), task, [theirs.fileno()])
            await wait([ours.fileno()])
            answer, _ = protocol.receive(ours)
        if "error" in answer:
            raise protocol.rebuild(answer["error"])

    def close(self) -> None:
        """End the process."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)

    def _door(self) -> socket.socket:
        if self._socket is None:
            self._socket, theirs = socket.socketpair()
            supervisor = os.getpid()
            self._pid = os.fork()
            if self._pid == 0:
                _serve(theirs, self._run_id, self._runs_dir, supervisor)
            theirs.close()
        return self._socket


def _serve(door: socket.socket, run_id: str, runs_dir: Path, supervisor: int) -> NoReturn:
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        # Clients hang up by closing the last descriptor of their connections.
        keep_only([door.fileno()])
        if os.getppid() == supervisor:
            _work(door, run_id, runs_dir)
    finally:
        os._exit(0)


def _work(door: socket.socket, run_id: str, runs_dir: Path) -> None:
    # Imported here: the supervisor itself, which every fork copies, does without them.
    import threading

    from .client import SupervisorClient

    client = SupervisorClient(run_id, runs_dir, Owner.of(os.getpid()))
    while True:
        try:
            task, fds = protocol.receive(door)
        except ConnectionError:
            return
        threading.Thread(target=_answer, args=(client, task, socket.socket(fileno=fds[0])), daemon=True).start()


def _answer(client: SupervisorClient, task: Message, asker: socket.socket) -> None:
    answer: Message = {"ok": None}
    try:
        _wait_for(client, task)
    except Exception as error:
        answer = {"error": protocol.describe(error)}
    with asker, suppress(OSError):
        protocol.send(asker, answer)


def _wait_for(client: SupervisorClient, task: Message) -> None:
    from ..container import wait
    from ..container.container import Container
    from ..container.pooled import traits_for

    class Started(Container):
        """Of one that there is already."""

        def _reserve(self) -> Status:
            return client.status(task["name"])

    traits = traits_for(Preparation(**task["preparation"]))
    image: Any = None  # of no interest to conditions, which are about the container
    container = Started(client, ContainerSpec.from_dict(task["spec"]), image, traits)
    wait.until_all(container, traits.readiness.conditions, time.monotonic() + traits.readiness.timeout)
