"""How many of the coming tests will ask for the same container: what the pool is to start ahead of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import pytest

from .choice import PLACE_OF_FIXTURE, made_by_lxc_container, marked

HORIZON = 64
"""Tests to look ahead: many times what a pool keeps."""

_PLACES = pytest.StashKey[dict[str, int]]()
"""Where each test is in the order of the run."""
_KEYS = pytest.StashKey[dict[str, str]]()


def coming_after(request: pytest.FixtureRequest) -> int | None:
    """How many of the next tests ask for what *request* does; ``None`` for a fixture of a wider scope.

    Workers of xdist take tests in turn: a part of them is this one's.
    """
    if request.scope != "function":
        return None
    item, name = request.node, str(request.fixturename)
    if name not in getattr(item, "fixturenames", ()):
        return 0
    key = _key(item, name)
    count = sum(_key(other, name) == key for other in _next(item) if name in getattr(other, "fixturenames", ()))
    workers = int(getattr(request.config, "workerinput", {}).get("workercount", 1))
    return -(-count // workers)


def _next(item: pytest.Item) -> Iterator[pytest.Item]:
    items = item.session.items
    stash = item.session.stash
    if _PLACES not in stash:
        stash[_PLACES] = {each.nodeid: place for place, each in enumerate(items)}
    place = stash[_PLACES].get(item.nodeid, len(items))
    return islice(items, place + 1, place + 1 + HORIZON)


def _key(item: pytest.Item, name: str) -> str:
    """What decides which image and settings fixture *name* has for *item*, in words; the same for those alike."""
    keys = item.stash.setdefault(_KEYS, {})
    if name not in keys:
        param = getattr(getattr(item, "callspec", None), "params", {}).get(name)
        made = made_by_lxc_container(item, name)
        own = marked(item) if made is None else getattr(made, PLACE_OF_FIXTURE)
        keys[name] = f"{own!r} {param!r}"
    return keys[name]
