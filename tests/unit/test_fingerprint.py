"""When a function counts as changed."""

from __future__ import annotations

import functools
import importlib.util
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pytest_lxcontainer import wait
from pytest_lxcontainer.errors import InvalidSettingsError
from pytest_lxcontainer.fingerprint import fingerprint

MODULE = """
SCHEMA = "create table t ()"
OTHER = "not named"
LIMITS = {"rows": [1, 2]}


def prepare(container):
    create(container, SCHEMA)
    return LIMITS


def create(container, schema):
    container.exec(schema)


def unrelated():
    return 1


class Loader:
    def __init__(self, path):
        self.path = path

    def __call__(self, container):
        container.exec(self.path)

    def method(self, container):
        container.exec(self.path)


def factory(path, size=1):
    def prepare(container):
        container.exec([path, size])

    return prepare


def again(depth):
    return again(depth - 1) if depth else 0
"""


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Load `MODULE` with changes as the module ``prepared``."""

    def load(text: str) -> ModuleType:
        path = tmp_path / str(len(list(tmp_path.iterdir()))) / "prepared.py"
        path.parent.mkdir()
        path.write_text(text)
        spec = importlib.util.spec_from_file_location("prepared", path)
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "prepared", module)
        spec.loader.exec_module(module)
        return module

    return load


Load = Callable[[str], ModuleType]


def test_the_same_source_gives_the_same_text(load: Load) -> None:
    assert fingerprint(load(MODULE).prepare) == fingerprint(load(MODULE).prepare)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("create(container, SCHEMA)", "create(container, SCHEMA + '')"),
        ("create table t ()", "create table u ()"),
        ("[1, 2]", "[1, 3]"),
        ("container.exec(schema)", "container.exec(schema, check=True)"),
    ],
    ids=["its own source", "a constant it names", "a list it names", "a function it calls"],
)
def test_a_change_gives_another(load: Load, old: str, new: str) -> None:
    assert fingerprint(load(MODULE).prepare) != fingerprint(load(MODULE.replace(old, new)).prepare)


@pytest.mark.parametrize(
    ("old", "new"), [("not named", "changed"), ("return 1", "return 2"), ("\n\nSCHEMA", "\nSCHEMA")]
)
def test_a_change_of_what_it_has_nothing_to_do_with_gives_the_same(load: Load, old: str, new: str) -> None:
    assert fingerprint(load(MODULE).prepare) == fingerprint(load(MODULE.replace(old, new)).prepare)


MAKERS: dict[str, Callable[[ModuleType, Any], Callable[..., Any]]] = {
    "a closure": lambda module, value: module.factory(value),
    "a bound argument": lambda module, value: functools.partial(module.prepare, value),
    "a default": lambda module, value: eval("lambda container, path=value: path", {"value": value}),
    "an object": lambda module, value: module.Loader(value),
    "a method": lambda module, value: module.Loader(value).method,
    "a pattern": lambda module, value: wait.log("." * 300 + str(value)),
    "a condition": lambda module, value: wait.file(str(value)),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_what_it_is_given_counts(load: Load, make: Callable[[ModuleType, Any], Callable[..., Any]]) -> None:
    module = load(MODULE)
    assert fingerprint(make(module, "/a")) == fingerprint(make(module, "/a"))
    assert fingerprint(make(module, "/a")) != fingerprint(make(module, "/b"))


def test_a_function_that_calls_itself_is_read_once(load: Load) -> None:
    assert fingerprint(load(MODULE).again).count("def again") == 1


def test_sets_have_no_order(load: Load) -> None:
    one, other = {f"{number}" for number in range(50)}, {f"{number}" for number in reversed(range(50))}
    prepare = load(MODULE).prepare
    assert fingerprint(functools.partial(prepare, one)) == fingerprint(functools.partial(prepare, other))


def test_what_has_no_text_is_refused(load: Load) -> None:
    with pytest.raises(InvalidSettingsError, match=r"function prepare .* holds a lock.*\n.*pass key="):
        fingerprint(functools.partial(load(MODULE).prepare, threading.Lock()))


def test_without_source_the_code_counts() -> None:
    def compiled(text: str) -> Any:
        return eval(text)

    assert fingerprint(compiled("lambda c: c.a")) == fingerprint(compiled("lambda c: c.a"))
    assert fingerprint(compiled("lambda c: c.a")) != fingerprint(compiled("lambda c: c.b"))
    assert fingerprint(compiled("lambda c: c.a(1)")) != fingerprint(compiled("lambda c: c.a(2)"))
