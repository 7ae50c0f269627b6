"""A run in a process of its own that does all that a network can be asked for, until it and all its are killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from pytest_lxcontainer import PrivateNetwork
from pytest_lxcontainer.provision import Provisioner
from pytest_lxcontainer.settings import Settings
from pytest_lxcontainer.supervisor.owner import Owner

from .conftest import wait_until

BACK = PrivateNetwork("back")


def live(store: Path, reference: str, rounds: int) -> None:
    """Have containers on several networks, with faults, recordings and restarts, *rounds* times."""
    os.setsid()
    with Provisioner(Settings(store=store)) as provisioner:
        for _ in range(rounds):
            _live_once(provisioner, reference)


def _live_once(provisioner: Provisioner, reference: str) -> None:
    app = provisioner.run(reference, name="app", group="g", network=["default", BACK])
    db = provisioner.run(reference, name="db", group="g", network=BACK)
    with app.network.capture(provisioner.layout.root / f"{provisioner.identity.run_id}-{app.id}.pcap"):
        app.network.delay("20ms", jitter="5ms").loss(5)
        db.network.rate("1mbit").partition("192.0.2.1")
        app.exec(["ping", "-c", "1", "-W", "1", "db"])
        db.restart()
    db.network.down()
    app.restart()
    isolated = provisioner.run(reference, network="isolated")
    # Others like it are started ahead.
    pooled = provisioner.clone(reference, coming=2).start()
    app.network.clear()
    for box in (db, isolated, pooled, app):
        box.destroy()


def kill_all(pid: int, pause: float) -> set[Owner]:
    """SIGKILL process *pid*, and *pause* seconds later whatever it had started, and they; returns them all.

    Not all have ended by then: those that are frozen cannot. The run's supervisor has.
    """
    owner = Owner.of(pid)
    its_own, family = set(_children(owner)), _family({owner})
    _signal([owner], signal.SIGKILL)
    time.sleep(pause)
    stopped: set[Owner] = set()
    # Stopped first, so that nobody gets away to a child.
    while fresh := family - stopped:
        _signal(fresh, signal.SIGSTOP)
        stopped |= fresh
        family = _family(family)
    _signal(family, signal.SIGKILL)
    wait_until(lambda: not any(each.alive for each in its_own))
    return family


def _family(processes: set[Owner]) -> set[Owner]:
    """*processes*, and whatever they and theirs have started."""
    found, new = set(processes), set(processes)
    while new:
        new = {child for each in new for child in _children(each)} - found
        found |= new
    return found


def _children(process: Owner) -> Iterator[Owner]:
    for path in Path(f"/proc/{process.pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in path.read_text().split():
                with suppress(OSError):
                    yield Owner.of(int(child))


def _signal(processes: Iterable[Owner], number: int) -> None:
    for each in processes:
        # An ordinary user may not kill the processes in containers: they end with those that he may.
        with suppress(ProcessLookupError, PermissionError):
            if each.alive:
                os.kill(each.pid, number)
