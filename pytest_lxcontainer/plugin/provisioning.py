"""The run's `Provisioner` in this process: made when it is known that a test wants a container."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from .images import uses_of
from .journal import JOURNAL
from .options import settings_of
from .run import RUN
from .terminal import drawing

if TYPE_CHECKING:
    from ..provision import Provisioner

_PROVISIONER = pytest.StashKey["Provisioner"]()


def provisioner_of(config: pytest.Config) -> Provisioner:
    """The one of this process, made if there is none."""
    if _PROVISIONER not in config.stash:
        from ..provision import Provisioner

        journal = config.stash.get(JOURNAL, None)
        provisioner = config.stash[_PROVISIONER] = Provisioner(
            settings_of(config),
            identity=config.stash[RUN].identity(),
            observer=journal.note if journal else None,
            uses=uses_of(config),
            watch=drawing(config),
        )
        if journal and journal.wants_samples:
            provisioner.begin_sampling()
    return config.stash[_PROVISIONER]


def begin(config: pytest.Config) -> None:
    """Have the supervisor start while pytest goes on; what keeps it from that, the first test will be told."""
    from ..errors import LxContainerError

    if not config.getoption("collectonly"):
        with suppress(LxContainerError, OSError):
            provisioner_of(config).begin()


def close(config: pytest.Config) -> None:
    """End the run if it is this process's, where anything of it has begun."""
    provisioner = config.stash.get(_PROVISIONER, None)
    if provisioner is not None:
        del config.stash[_PROVISIONER]
        _take_samples(config, provisioner)
        provisioner.close()


def _take_samples(config: pytest.Config, provisioner: Provisioner) -> None:
    """Ask for what was measured before it goes with the run; of one that workers share, its owner asks."""
    from ..errors import LxContainerError

    journal = config.stash.get(JOURNAL, None)
    if journal and journal.wants_samples and not hasattr(config, "workerinput"):
        with suppress(LxContainerError):
            journal.add_samples(provisioner.samples())
