"""Pulls in processes of their own, forked from one that has everything imported: cheap enough to kill a hundred."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

from pytest_lxcontainer.provision import Provisioner
from pytest_lxcontainer.rootfs.idmap import IdMap
from pytest_lxcontainer.rootfs.sandbox import Sandbox
from pytest_lxcontainer.settings import Settings
from pytest_lxcontainer.store.layout import Layout
from pytest_lxcontainer.store.prune import Rules, prune
from pytest_lxcontainer.supervisor.owner import Owner

TIMEOUT = 60.0


def context() -> ForkServerContext:
    """Where such processes come from."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", __name__, "pytest_lxcontainer.registry.client"])
    return context


def pull(store: Path, reference: str, barrier: Any = None, answers: Any = None) -> None:
    """Pull, at the same time as all others at the *barrier*, and answer with each layer's path and inode."""
    os.setsid()
    if barrier is not None:
        barrier.wait(TIMEOUT)
    with Provisioner(Settings(store=store)) as provisioner:
        layers = provisioner.pull(reference).lower_dirs
    if answers is not None:
        answers.put([(str(path), path.stat().st_ino) for path in layers])


def prune_all(store: Path) -> None:
    """Prune every image."""
    os.setsid()
    with Sandbox(IdMap.for_host()) as sandbox:
        prune(Layout(store), sandbox, Rules(unused=True))


def kill(process: ForkServerProcess, *, session: bool = False) -> list[Owner]:
    """SIGKILL *process*, or its whole *session*; returns the helpers it had. It may have ended by itself."""
    assert process.pid is not None  # it was started
    helpers: list[Owner] = []
    with suppress(ProcessLookupError):
        # Stopped, so that it starts no more of them.
        os.kill(process.pid, signal.SIGSTOP)
        helpers = list(_children(process.pid))
        with suppress(ProcessLookupError):
            if session:
                os.killpg(process.pid, signal.SIGKILL)
        os.kill(process.pid, signal.SIGKILL)
    process.join(TIMEOUT)
    return helpers


def _children(pid: int) -> Iterator[Owner]:
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            yield from (Owner.of(int(child)) for child in path.read_text().split())
