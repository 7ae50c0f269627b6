"""``reset="test"``: a container of a wider scope that every test finds as if it were new."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ..container.container import Container

_RESET = pytest.StashKey[list[tuple[str, Any]]]()
"""The fixtures' names, and their containers, of which each has served a test."""


def check_reset(reset: Any, scope: Any) -> None:
    """Refuse a *reset* that cannot be done."""
    if reset not in (None, "test"):
        raise pytest.UsageError(f"lxc_container: reset={reset!r} is not known; the one there is: 'test'")
    if reset and scope in ("function", "run"):
        why = "a new container is as fresh" if scope == "function" else "other workers' tests would lose it under them"
        raise pytest.UsageError(f"lxc_container: reset={reset!r} is for scopes class to session, not {scope!r}: {why}")


def reset_between_tests(request: pytest.FixtureRequest, container: Container) -> None:
    """Reset *container*, this fixture's, before each further test that asks for the fixture."""
    entry = (str(request.fixturename), container)
    known = request.config.stash.setdefault(_RESET, [])
    known.append(entry)
    request.addfinalizer(lambda: known.remove(entry))


def reset_for(item: pytest.Item) -> None:
    """Reset what other tests have used and *item* asks for."""
    __tracebackhide__ = True
    for name, container in item.config.stash.get(_RESET, ()):
        if name in getattr(item, "fixturenames", ()):
            container.renew()
