"""What becomes of a failed test's containers: ``--lxc-on-failure destroy|keep|save``.

Where they are not just destroyed, their fixtures' teardown only puts them aside: whether the teardown itself fails is
known when pytest asks for its report. What a failed test has used is kept then, and all else is destroyed.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from .images import uses_of
from .options import on_failure_of
from .provisioning import provisioner_of

if TYPE_CHECKING:
    from ..container.container import Container

_AFTERMATH = pytest.StashKey["Aftermath | None"]()

Way = dict[str, str]
"""Of the evidence: how to walk into a container (``kept``), or why there is no way (``not_kept``)."""

_MOST = 10
"""Tests of a process whose containers are kept: all of them go on using memory."""


def part_with(config: pytest.Config, container: Container) -> None:
    """Have done with *container*, whose scope has ended: destroy it, unless it may be wanted yet."""
    aftermath = aftermath_of(config)
    if aftermath is None:
        container.release()
    else:
        aftermath.put_aside(container)


def aftermath_of(config: pytest.Config) -> Aftermath | None:
    """That of this process; ``None`` where failed tests' containers are destroyed as all others are."""
    if _AFTERMATH not in config.stash:
        choice = on_failure_of(config)
        config.stash[_AFTERMATH] = None if choice == "destroy" else Aftermath(config, saves=choice == "save")
    return config.stash[_AFTERMATH]


class Aftermath:
    """Containers of tests that have failed, and those whose scope has ended in the teardown under way."""

    def __init__(self, config: pytest.Config, *, saves: bool) -> None:
        self._config = config
        self._saves = saves
        self._aside: list[Container] = []
        self._wanted: dict[int, str] = {}
        self._kept: set[str] = set()
        self._told: dict[str, dict[int, Way]] = {}

    def put_aside(self, container: Container) -> None:
        """Destroy or keep *container* in `settle`."""
        self._aside.append(container)

    def failed(self, test: str, containers: Sequence[Container]) -> dict[int, Way]:
        """*test* (a node id) has failed, and used *containers*; gives for each, by `id`, how to walk into it.

        They are saved now, as they are; those to be kept are so when their scope ends, since others may use them.
        """
        if test not in self._told:
            there = [each for each in containers if not each.is_destroyed]
            self._told[test] = self._save(test, there) if self._saves else self._mark(test, there)
        return self._told[test]

    def settle(self) -> None:
        """Destroy what was put aside, but keep what a failed test had."""
        from ..errors import LxContainerError

        aside, self._aside = self._aside, []
        for container in aside:
            test = self._wanted.pop(id(container), "")
            try:
                if test and not self._saves and not container.is_destroyed:
                    provisioner_of(self._config).keep(container, test)
                else:
                    container.release()
            except LxContainerError as error:
                self._notice(f"container {container.name} of {test or 'a test'}: {error}")

    def forget_old(self) -> None:
        """Destroy what the oldest failed tests had, of all runs, so that no more than the most are left."""
        from ..errors import LxContainerError

        if not self._kept:
            return
        with suppress(LxContainerError):  # another run is at it, or its supervisor is just ending
            provisioner_of(self._config).forget_kept(_MOST)

    def _notice(self, text: str) -> None:
        """Have *text* in the run's summary: what goes wrong here fails no test."""
        uses_of(self._config).notices[text] = None

    def _mark(self, test: str, containers: Sequence[Container]) -> dict[int, Way]:
        if len(self._kept) >= _MOST:
            reason = f"not kept: {_MOST} tests' containers have been kept already"
            return {id(each): {"not_kept": reason} for each in containers}
        self._kept.add(test)
        for each in containers:
            self._wanted.setdefault(id(each), test)
        provisioner = provisioner_of(self._config)
        return {id(each): self._way(provisioner.id_of(each)) for each in containers}

    def _save(self, test: str, containers: Sequence[Container]) -> dict[int, Way]:
        if not containers:
            return {}
        try:
            saved = provisioner_of(self._config).save(test, containers)
        except Exception as error:  # a report must not fail where its subject did
            return {id(each): {"not_kept": f"not saved: {error}"} for each in containers}
        several = len(containers) > 1
        pairs = zip(containers, saved.containers, strict=True)
        return {id(each): self._way(saved.id, made.name if several else "") for each, made in pairs}

    def _way(self, *words: str) -> Way:
        """What to paste into a shell: with the store, where it is not the one that the command would look into."""
        from ..provision import Settings

        store = provisioner_of(self._config).settings.store
        place = [] if Settings.from_environment().store == store else [f"LXCONTAINER_STORE={shlex.quote(str(store))}"]
        return {"kept": " ".join([*place, "lxcontainer enter", *filter(None, words)])}


def close_aftermath(config: pytest.Config) -> None:
    """Settle what was put aside last, and let go of what earlier runs have kept beyond the most that is kept."""
    aftermath = config.stash.get(_AFTERMATH, None)
    if aftermath is not None:
        aftermath.settle()
        aftermath.forget_old()
