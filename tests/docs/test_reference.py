"""The reference says of every name what the code has: its parameters, in order, and their defaults."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pytest_lxcontainer import Container, ContainerSettings, Limits, Stats, lxc_container, wait
from pytest_lxcontainer.container.network import Network
from pytest_lxcontainer.plugin.fixtures import Containers

from .markdown import ROOT

_CALL = re.compile(r"`(?P<name>[\w.]+)\((?P<parameters>[^`]*)\)")
REFERENCE = ROOT / "docs" / "reference"


def page(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def calls(name: str) -> Iterator[tuple[str, str]]:
    """Every ``name(parameters)`` in the tables of a page."""
    for line in page(name).splitlines():
        if line.startswith("|"):
            yield from ((match["name"], match["parameters"]) for match in _CALL.finditer(line.partition(" | ")[0]))


_OF_NETWORK = "network."

METHODS = [(name, parameters) for name, parameters in calls("container.md") if hasattr(Container, name)]
NETWORK_METHODS = [each for each in calls("container.md") if each[0].startswith(_OF_NETWORK)]


@pytest.mark.parametrize(("name", "written"), METHODS, ids=[name for name, _ in METHODS])
def test_a_containers_methods_take_what_is_written(name: str, written: str) -> None:
    taken = _taken(getattr(Container, name))
    if name == "set_limits":  # which passes on what it is given
        taken = [(field.name, inspect.Parameter.KEYWORD_ONLY, None) for field in dataclasses.fields(Limits)]
    assert sorted(_parsed(written), key=_order) == sorted(taken, key=_order)


@pytest.mark.parametrize(("name", "written"), NETWORK_METHODS, ids=[name for name, _ in NETWORK_METHODS])
def test_a_networks_methods_take_what_is_written(name: str, written: str) -> None:
    taken = _taken(getattr(Network, name.removeprefix(_OF_NETWORK)))
    assert sorted(_parsed(written), key=_order) == sorted(taken, key=_order)


def _taken(method: Callable[..., Any]) -> list[tuple[str, Any, object]]:
    """Parameters of a method but for ``self``, as `_parsed` has them."""
    parameters = list(inspect.signature(method).parameters.values())[1:]
    return [(each.name, each.kind, _told(each.default)) for each in parameters]


def _told(default: object) -> object:
    """A default as a reader sees it: that None may be left out goes without saying."""
    return None if default is inspect.Parameter.empty else default


def _order(parameter: tuple[str, Any, object]) -> tuple[Any, str]:
    """Positional ones stay in their order, those by keyword have none."""
    name, kind, _ = parameter
    return kind, name if kind is inspect.Parameter.KEYWORD_ONLY else ""


def _parsed(written: str) -> list[tuple[str, Any, object]]:
    kind: Any = inspect.Parameter.POSITIONAL_OR_KEYWORD
    found: list[tuple[str, Any, object]] = []
    for each in written.split(", ") if written else ():
        name, _, default = each.partition("=")
        if name == "*":
            kind = inspect.Parameter.KEYWORD_ONLY
        elif name.startswith("*"):
            stars = inspect.Parameter.VAR_KEYWORD if name.startswith("**") else inspect.Parameter.VAR_POSITIONAL
            found.append((name.lstrip("*"), stars, None))
            kind = inspect.Parameter.KEYWORD_ONLY
        else:
            found.append((name, kind, ast.literal_eval(default) if default else None))
    return found


def test_every_method_is_written_with_its_parameters() -> None:
    written = {name for name, _ in METHODS}
    assert _methods(Container) - written == set()
    written = {name.removeprefix(_OF_NETWORK) for name, _ in NETWORK_METHODS}
    assert _methods(Network) - written == {"put_on", "take_off"}  # for the plugin


def _methods(owner: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(owner, inspect.isfunction) if not name.startswith("_")}


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(ContainerSettings)] + ["name"])
def test_every_setting_is_in_the_table(name: str) -> None:
    assert f"\n| `{name}` |" in page("fixtures.md").partition("## Settings")[2]


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Limits)])
def test_every_limit_is_in_the_table(name: str) -> None:
    rows = page("container.md").partition("\n## Limits\n")[2].partition("\n## ")[0]
    assert re.search(rf"^\|[^|]*`{name}`[^|]*\|", rows, re.MULTILINE)


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Stats)])
def test_every_figure_is_named(name: str) -> None:
    assert re.search(rf"\b{name}\b", page("container.md").partition("\n## Measurements\n")[2].partition("\n## ")[0])


CONDITIONS = [
    name
    for name, value in vars(wait).items()
    if inspect.isfunction(value) and value.__annotations__.get("return") == "Condition" and not name.startswith("_")
]


def test_every_condition_is_in_the_table() -> None:
    assert "port" in CONDITIONS
    assert [name for name in CONDITIONS if f"`wait.{name}(" not in page("fixtures.md")] == []


@pytest.mark.parametrize(
    ("function", "written"),
    [
        (Containers.run, "image, command=None, *, name=None, **settings"),
        (Containers.network, "name"),
        (Containers.partition, "*groups"),
        (lxc_container, "image"),
    ],
    ids=["run", "network", "partition", "lxc_container"],
)
def test_fixtures_take_what_is_written(function: Callable[..., Any], written: str) -> None:
    names = [name for name in inspect.signature(function).parameters if name != "self"]
    text = page("fixtures.md")
    assert f"({written}" in text
    assert all(re.search(rf"\b{name}\b", text) for name in names)
