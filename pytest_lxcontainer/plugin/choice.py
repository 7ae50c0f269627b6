"""Which image and settings a fixture is to use: its own, its parameter's, its markers', the options'."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

IMAGE_OF_FIXTURE = "lxc_image"
"""Attribute of a fixture made by `lxc_container`."""

PLACE_OF_FIXTURE = "lxc_place"
"""Another one: where it is defined."""

_PACKAGE = __name__.rpartition(".")[0]
_ITEM = pytest.StashKey[pytest.Item]()
_SEEN = pytest.StashKey[dict[tuple[Any, ...], Any]]()

Choice = tuple[Any, dict[str, Any]]
"""An image, ``None`` where it is left open, and settings."""


def marked(node: pytest.Item | pytest.Collector) -> Choice:
    """What ``@pytest.mark.container`` says for *node*: the nearest counts.

    One that names no image adds its settings to those of the next, and wins where both have one.
    """
    settings: dict[str, Any] = {}
    for marker in node.iter_markers("container"):
        image, given = _of_marker(marker)
        settings = {**given, **settings}
        if image is not None:
            return image, settings
    return None, settings


def _of_marker(marker: pytest.Mark) -> Choice:
    settings = dict(marker.kwargs)
    if len(marker.args) > 1 or (marker.args and "image" in settings):
        raise pytest.UsageError("@pytest.mark.container takes one image, and settings by keyword")
    return (marker.args[0] if marker.args else settings.pop("image", None)), settings


def with_param(choice: Choice, param: Any) -> Choice:
    """*choice* under a fixture's parameter: an image, or a mapping of settings that may have ``image``."""
    image, settings = choice
    if param is None:
        return choice
    if not isinstance(param, Mapping):
        return param, settings
    settings = {**settings, **param}
    return settings.pop("image", image), settings


def name_of_param(param: Any) -> str | None:
    """A readable part of a test's id for a parameter that pytest would only number; ``None`` leaves it to pytest."""
    if isinstance(param, Mapping):
        words = [str(name_of_param(value) or value) for value in (param.get("image"),) if value is not None]
        words += [f"{name}={value}" for name, value in param.items() if name != "image" and _is_plain(value)]
        return "-".join(words) or None
    module = type(param).__module__
    if module == "pytest_lxcontainer.template":
        return str(param.title)
    if not module.startswith("pytest_lxcontainer.image."):
        return None
    reference = getattr(param, "reference", param)
    return str(getattr(reference, "familiar", reference))


def _is_plain(value: Any) -> bool:
    return isinstance(value, (str, int, float))


def is_parametrized(node: pytest.Item, name: str) -> bool:
    """Whether a ``parametrize`` marker of *node* is for the argument *name*."""
    for marker in node.iter_markers("parametrize"):
        names = marker.args[0] if marker.args else marker.kwargs.get("argnames", ())
        if name in ([each.strip() for each in names.split(",")] if isinstance(names, str) else names):
            return True
    return False


def made_by_lxc_container(node: pytest.Item, name: str) -> Any:
    """The fixture *name* that *node* sees, if `lxc_container` made it; ``None`` where it did not, or is hidden."""
    fixture = _seen(node, name)
    return fixture if hasattr(fixture, IMAGE_OF_FIXTURE) else None


def note_item(item: pytest.Item) -> None:
    """Remember the test whose fixtures are made now: a request of a wider scope does not know it."""
    item.config.stash[_ITEM] = item


def param_of(request: pytest.FixtureRequest, own: Collection[Any] = ()) -> Any:
    """The parameter that is meant for this fixture, which may have its *own*; ``None`` without one.

    pytest gives a parameter to all fixtures of its name: also that of one which hides this one, and builds on it.
    """
    param = getattr(request, "param", None)
    item = request.config.stash.get(_ITEM, None)
    if param is None or item is None or param in map(value_of_param, own):
        return param
    name = str(request.fixturename)
    seen = _seen(item, name)
    is_hidden = seen is not None and not hasattr(seen, IMAGE_OF_FIXTURE)
    return None if is_hidden and not is_parametrized(item, name) else param


def value_of_param(param: Any) -> Any:
    """What `pytest.param` holds."""
    return param.values[0] if isinstance(param, type(pytest.param(None))) else param


def _seen(node: pytest.Item, name: str) -> Any:
    """What *node* sees as fixture *name*; ``None`` for those of this plugin."""
    seen = node.config.stash.setdefault(_SEEN, {})
    key = (name, getattr(node, "cls", None), getattr(node, "module", None), node.path.parent)
    if key not in seen:
        found = (getattr(home, name, None) for home in _homes(node))
        seen[key] = next((fixture for fixture in found if fixture is not None), None)
    return seen[key]


def _homes(node: pytest.Item) -> Iterator[Any]:
    """Where people write fixtures, the nearest to *node* first: class, module, conftests, other plugins."""
    yield from (getattr(node, "cls", None), getattr(node, "module", None))
    plugins = node.config.pluginmanager.get_plugins()
    conftests = {Path(path).parent: each for each in plugins if (path := _conftest(each))}
    for directory in node.path.parents:
        if directory in conftests:
            yield conftests[directory]
    for plugin in plugins:
        is_other = plugin not in conftests.values() and not _name(plugin).startswith(_PACKAGE)
        if is_other and not isinstance(plugin, type) and _name(plugin):
            yield plugin


def _name(plugin: Any) -> str:
    """Of a plugin that is a module; others have no fixtures that hide anything."""
    return str(getattr(plugin, "__name__", ""))


def _conftest(plugin: Any) -> str:
    path = str(getattr(plugin, "__file__", None) or "")
    return path if Path(path).name == "conftest.py" else ""
