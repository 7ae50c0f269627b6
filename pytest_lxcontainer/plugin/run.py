"""Which run this process belongs to: its own, or under xdist the controller's."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from .options import settings_of

if TYPE_CHECKING:
    from ..provision import RunIdentity
    from ..supervisor.client import SupervisorClient


_REASON = "lxcontainer_end"


@dataclass(frozen=True, slots=True)
class SharedRun:
    """A run's name, and its owner as text; empty for this process, which is looked at when it is needed."""

    run_id: str
    owner: str = ""

    @classmethod
    def of(cls, config: pytest.Config) -> SharedRun:
        """The controller's run in a worker of xdist, a new one elsewhere."""
        inherited = getattr(config, "workerinput", {}).get("lxcontainer_run")
        if inherited:
            run_id, _, owner = inherited.partition(" ")
            return cls(run_id, owner)
        return cls(os.urandom(4).hex())

    def to_text(self) -> str:
        """For a worker."""
        return f"{self.run_id} {self.identity().owner}"

    def identity(self) -> RunIdentity:
        """As the other rooms want it."""
        from ..provision import RunIdentity
        from ..supervisor.owner import Owner

        return RunIdentity(self.run_id, Owner.parse(self.owner) if self.owner else Owner.of(os.getpid()))


EVERYBODY = "run"
"""The group that all others are in: of the containers that xdist's workers share."""


def group_of(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """Where containers belong: the test, class, module ... of this process, after all that it is in."""
    worker = getattr(request.config, "workerinput", {}).get("workerid", "")
    return (EVERYBODY, f"session {worker}".rstrip(), *(node.nodeid for node in request.node.listchain()[1:]))


def supervisor_of(config: pytest.Config) -> SupervisorClient | None:
    """The way to the run's supervisor; ``None`` where there is none.

    The controller of xdist need not know where the store is: the supervisor answers at an address made of the run's
    name.
    """
    run = config.stash.get(RUN, None)
    if run is None:
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(f"\0pytest-lxcontainer/run/{run.run_id}")
        except OSError:
            return None
    from ..store.layout import Layout
    from ..supervisor.client import SupervisorClient

    runs_dir = Layout(settings_of(config).store).runs_dir
    return SupervisorClient(run.run_id, runs_dir, run.identity().owner)


def end_run(config: pytest.Config, reason: str) -> NoReturn:
    """End the whole run as a usage error; from a worker of xdist by way of `ended_by`, which the controller asks."""
    if hasattr(config, "workeroutput"):
        config.workeroutput[_REASON] = reason
    pytest.exit(reason, returncode=pytest.ExitCode.USAGE_ERROR)


def ended_by(node: Any) -> str:
    """Why a worker of xdist wants the run to end; empty if it does not."""
    return str(getattr(node, "workeroutput", {}).get(_REASON, ""))


RUN = pytest.StashKey[SharedRun]()
