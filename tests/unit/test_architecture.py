"""The shape of the package: who imports whom, and who alone does what."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pytest_lxcontainer

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pytest_lxcontainer"
MODULES = sorted(PACKAGE.rglob("*.py"))
STORE_DIRS = {"blobs", "images", "layers", "locks", "runs", "trash"}
NETWORK_MODULES = {"requests", "urllib3", "http.client", "http.server", "urllib.request", "ftplib", "aiohttp", "httpx"}


def name_of(module: Path) -> str:
    return str(module.relative_to(PACKAGE))


@pytest.fixture(params=MODULES, ids=name_of)
def module(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def parsed(module: Path) -> ast.Module:
    return ast.parse(module.read_text())


def imported(tree: ast.AST) -> Iterator[str]:
    """Absolute imports, wherever they are."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_import_rule_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The contracts in pyproject.toml; run there, ``lint-imports`` says more."""
    # Imported here, so that its absence fails this test and no other.
    from importlinter.cli import lint_imports

    monkeypatch.chdir(ROOT)
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


def test_a_module_says_what_it_is(module: Path) -> None:
    assert ast.get_docstring(parsed(module))


def test_a_module_is_named_for_what_is_in_it(module: Path) -> None:
    assert module.stem.strip("_") not in {"utils", "util", "helpers", "common", "misc", "core", "base", "tools"}


def test_public_names_are_documented_at_home_and_resolve() -> None:
    for name in pytest_lxcontainer.__all__:
        value = getattr(pytest_lxcontainer, name)
        assert isinstance(value, int) or value.__doc__, name


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_like_it"):
        pytest_lxcontainer.nothing_like_it  # noqa: B018 - looking is the test


def test_type_checkers_see_the_same_public_names() -> None:
    for node in ast.walk(parsed(PACKAGE / "__init__.py")):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            seen = {alias.asname for each in node.body if isinstance(each, ast.ImportFrom) for alias in each.names}
    assert seen >= set(pytest_lxcontainer.__all__) - {"errors"}


def loaded_by(statement: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after *statement* and not before."""
    program = f"import sys, json; before = set(sys.modules); {statement}; print(json.dumps([*sys.modules]))"
    # Not as coverage or a debugger would have it: only what the package itself asks for.
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, env=env)
    return set(json.loads(done.stdout))


def test_the_plugin_costs_a_project_that_does_not_use_it_nothing() -> None:
    loaded = loaded_by("import pytest_lxcontainer.plugin")
    heavy = {"lxc", "requests", "filelock", "concurrent.futures.process", "http.client", "ssl"}
    assert loaded & heavy == set()
    rooms = {name.split(".")[1] for name in loaded if name.startswith("pytest_lxcontainer.")}
    assert rooms == {"plugin"}


def test_the_package_itself_loads_none_of_its_rooms() -> None:
    assert {name for name in loaded_by("import pytest_lxcontainer") if name.startswith("pytest_lxcontainer.")} == set()


def test_the_supervisor_is_small() -> None:
    loaded = loaded_by("import pytest_lxcontainer.supervisor.__main__, pytest_lxcontainer.supervisor.serve")
    rooms = {name.split(".")[1] for name in loaded if name.startswith("pytest_lxcontainer.")}
    assert rooms <= {"container", "errors", "image", "network", "rootfs", "supervisor"}
    assert loaded & {"pytest", "requests", "filelock", "asyncio", "threading.Timer"} == set()


def test_what_is_copied_for_each_container_is_smaller_still() -> None:
    loaded = loaded_by("import pytest_lxcontainer.supervisor.__main__")
    heavy = {"lxc", "dataclasses", "inspect", "pathlib", "subprocess", "threading", "fcntl"}
    assert loaded & heavy == set()
    assert {name for name in loaded if name.startswith("pytest_lxcontainer.container.")} == {
        f"pytest_lxcontainer.container.{name}"
        for name in ("attach", "launching", "monitor", "parcel", "pty", "sibling", "wiring", "zygote")
    }


def test_a_provisioner_that_only_looks_into_the_store_imports_no_http() -> None:
    assert loaded_by("import pytest_lxcontainer.provision") & {"requests", "urllib3", "http.client"} == set()


def test_only_the_layout_builds_paths_into_the_store(module: Path) -> None:
    joined = []
    for node in ast.walk(parsed(module)):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            parts = [node.right]
        elif isinstance(node, ast.Call) and isinstance(node.func, (ast.Name, ast.Attribute)):
            called = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            parts = node.args if called in ("Path", "joinpath", "join") else []
        else:
            continue
        joined += [part.value for part in parts if isinstance(part, ast.Constant) and part.value in STORE_DIRS]
    assert joined == [] or module == PACKAGE / "store" / "layout.py"


def test_only_the_registry_opens_connections_to_registries(module: Path) -> None:
    found = set(imported(parsed(module))) & NETWORK_MODULES
    allowed = {"http.client"} if module == PACKAGE / "container" / "wait.py" else set()
    assert found <= allowed or PACKAGE / "registry" in module.parents  # `wait.http` asks a container


def test_no_module_keeps_state(module: Path) -> None:
    """Nothing is rebound at run time: a name at module level means what it meant when it was imported."""
    assert [node for node in ast.walk(parsed(module)) if isinstance(node, ast.Global)] == []
