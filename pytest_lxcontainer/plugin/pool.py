"""How many of the coming tests will ask for the same container: what the pool is to start ahead of them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from .choice import PLACE_OF_FIXTURE, made_by_lxc_container, marked
from .shared import count_of_workers

HORIZON = 64
"""Tests to look ahead: many times what a pool keeps."""

_AHEAD = pytest.StashKey["_Ahead"]()


def coming_after(request: pytest.FixtureRequest) -> int | None:
    """How many of the next tests ask for what *request* does; ``None`` for a fixture of a wider scope.

    Workers of xdist take tests in turn: a part of them is this one's.
    """
    if request.scope != "function":
        return None
    session = request.node.session
    if _AHEAD not in session.stash:
        session.stash[_AHEAD] = _Ahead(session.items)
    count: int = session.stash[_AHEAD].count(request.node, str(request.fixturename))
    return -(-count // count_of_workers(request.config))


class _Ahead:
    """What the tests *items* ask for, in their order, looked at only as far as anybody asks."""

    def __init__(self, items: Sequence[pytest.Item]) -> None:
        self._items = items
        self._places = {item.nodeid: place for place, item in enumerate(items)}
        self._keys: dict[str, list[str]] = {}
        """By fixture: the key of each test, from the first one on."""

    def count(self, item: pytest.Item, name: str) -> int:
        """How many of the next tests ask for the same container as fixture *name* of *item* is."""
        place = self._places.get(item.nodeid)
        keys = self._keys.setdefault(name, [])
        if place is None:
            return 0
        end = place + 1 + HORIZON
        keys.extend(_key(each, name) for each in self._items[len(keys) : end])
        return keys[place + 1 : end].count(keys[place]) if keys[place] else 0


def _key(item: pytest.Item, name: str) -> str:
    """What decides which image and settings fixture *name* has for *item*, in words: the same for those alike.

    Empty for a test that does not ask for it by name.
    """
    if name not in getattr(item, "fixturenames", ()):
        return ""
    param = getattr(getattr(item, "callspec", None), "params", {}).get(name)
    made = made_by_lxc_container(item, name)
    own = marked(item) if made is None else getattr(made, PLACE_OF_FIXTURE)
    return f"{own!r} {param!r}"
