"""The documentation says what is so: its examples run, its commands exist, its links lead somewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from .markdown import PAGES, ROOT, Block, Example, blocks, examples, settled

_LINK = re.compile(r"\]\((?!https?://)(?P<path>[^)#]*)(?:#(?P<anchor>[^)]*))?\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, store: Path, mirror: str) -> pytest.Pytester:
    """A reader's project, on the tests' store and registry."""
    monkeypatch.setenv("LXCONTAINER_STORE", str(store))
    monkeypatch.setenv("LXCONTAINER_MIRROR", mirror)
    monkeypatch.setenv("COLUMNS", "80")
    # In CI pytest shows more than a reader at a terminal gets.
    for name in ("PYTEST_ADDOPTS", "CI", "BUILD_NUMBER"):
        monkeypatch.delenv(name, raising=False)
    pytester.makeini("[pytest]\n")
    return pytester


@pytest.mark.parametrize("example", examples(), ids=str)
def test_example_runs(project: pytest.Pytester, example: Example, leaks: object) -> None:
    for block in example.files:
        (project.path / block.file_name).write_text(block.text)
    typed = shlex.split(example.shown.commands[0])[1:] if example.shown else []
    result = project.runpytest_subprocess("-p", "no:cacheprovider", *typed)
    if example.shown:
        assert settled(result.stdout.str()) == settled(example.shown.output)
    else:
        assert result.ret == pytest.ExitCode.OK


@pytest.mark.parametrize("block", [each for each in blocks("python") if "script" in each.info], ids=str)
def test_script_runs(project: pytest.Pytester, block: Block, leaks: object) -> None:
    script = project.path / "script.py"
    script.write_text(block.text)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd=project.path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("block", blocks("toml", "ini"), ids=str)
def test_configuration_is_known_to_pytest(pytester: pytest.Pytester, block: Block) -> None:
    name = "pyproject.toml" if block.info[0] == "toml" else "pytest.ini"
    (pytester.path / name).write_text(block.text)
    pytester.makepyfile("def test_nothing(): pass")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--strict-config", "--strict-markers")
    assert result.ret == pytest.ExitCode.OK


@pytest.mark.parametrize(
    "command",
    sorted({command for block in blocks("console", "sh") for command in block.commands}),
)
def test_command_exists(command: str, request: pytest.FixtureRequest) -> None:
    # Without what the shell makes of it: what another command prints, and where the output goes.
    plain = re.split(r" [<>|] ", re.sub(r"\$\([^)]*\)", "word", command))[0]
    words = shlex.split(plain, comments=True)
    while words and (words[0] in ("sudo", "env") or "=" in words[0]):
        del words[0]
    check = _CHECKS.get(words[0])
    if check is not None:
        check(words[1:], request.config)


def _check_lxcontainer(words: list[str], config: pytest.Config) -> None:
    from pytest_lxcontainer.cli.parser import parser

    parser().parse_args(words)


def _check_make(words: list[str], config: pytest.Config) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in words:
        assert re.search(rf"(?m)^{re.escape(target)}:", makefile)


def _check_pytest(words: list[str], config: pytest.Config) -> None:
    known = set(re.findall(r"--lxc-[\w-]+", _pytest_help()))
    assert {word.partition("=")[0] for word in words if word.startswith("--lxc-")} <= known


def _check_script(words: list[str], config: pytest.Config) -> None:
    script = next((word for word in words if not word.startswith("-")), None)
    if script and script.endswith(".py"):
        assert (ROOT / script).exists()


def _pytest_help() -> str:
    command = [sys.executable, "-m", "pytest", "--help"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


_CHECKS = {
    "lxcontainer": _check_lxcontainer,
    "make": _check_make,
    "pytest": _check_pytest,
    "python": _check_script,
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    prose = _FENCED.sub("", page.read_text(encoding="utf-8"))
    for match in _LINK.finditer(prose):
        target = (page.parent / match["path"]).resolve() if match["path"] else page
        assert target.exists(), match[0]
        if match["anchor"]:
            assert match["anchor"] in _anchors(target), match[0]


@pytest.mark.parametrize(
    "option", ["image", "pull", "mirror", "platform", "lock", "store", "timeout", "pool", "durations", "report"]
)
def test_every_option_is_documented(option: str) -> None:
    page = (ROOT / "docs" / "reference" / "options.md").read_text(encoding="utf-8")
    assert f"--lxc-{option}" in page and f"LXCONTAINER_{option.upper()}" in page


@pytest.mark.parametrize("room", ["container", "supervisor", "plugin", "registry", "store", "network", "image"])
def test_the_architecture_names_every_module(room: str) -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    modules = [path.stem for path in (ROOT / "pytest_lxcontainer" / room).glob("*.py") if path.stem != "__init__"]
    assert [name for name in modules if not re.search(rf"\b{name}\b", page)] == []


def test_every_error_is_documented() -> None:
    from pytest_lxcontainer import errors

    page = (ROOT / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")
    classes = [name for name, value in vars(errors).items() if isinstance(value, type) and name.endswith("Error")]
    assert [name for name in classes if f"`{name}`" not in page] == []


def test_every_public_name_of_a_container_is_documented() -> None:
    from pytest_lxcontainer import Container

    page = (ROOT / "docs" / "reference" / "container.md").read_text(encoding="utf-8")
    names = [name for part in Container.__mro__[:-1] for name in vars(part) if not name.startswith("_")]
    assert [name for name in names if not re.search(rf"`{name}\b", page)] == []


def _anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = _HEADING.findall(_FENCED.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
