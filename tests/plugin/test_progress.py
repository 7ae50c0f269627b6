"""What is being fetched is shown on a terminal, and pytest's own lines stay as they are."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..fakes.registry import FakeRegistry
from ..fakes.terminal import Terminal
from ..system.leaks import Leaks
from .conftest import Inner

DRAWN = re.compile(r"box:1: (\d)/(\d) layers, (\S+ \S+) of (\S+ \S+), (\S+ \S+/s|unpacking)")
TESTS = """
    def test_before(): pass

    def test_it(containers):
        print("captured")
        assert containers.run("BOX:1").running

    def test_after(): pass
"""


class Slow:
    """A registry that takes a second for an image, an empty store, and tests that want it."""

    def __init__(self, inner: Inner, registry: FakeRegistry, store: Path) -> None:
        self.inner = inner
        self.image = f"{registry.host}/box:1"
        (layer, *_) = sorted(map(len, registry.repository("box").blobs.values()), reverse=True)
        registry.seconds_per_chunk = 1.0 / (layer / 65536)
        self.environment = {**os.environ, "LXCONTAINER_STORE": str(store)}

    def pytest(self, terminal: Terminal, *options: str, tests: str = TESTS) -> int:
        self.inner.write(test_it=tests.replace("BOX:1", self.image))
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
        return terminal.run(command, self.inner.path, self.environment)

    @property
    def pull(self) -> list[str]:
        return [sys.executable, "-m", "pytest_lxcontainer.cli", "pull", self.image]


@pytest.fixture
def slow(inner: Inner, busybox_registry: FakeRegistry, own_store: Path, leaks: Leaks) -> Slow:
    leaks.watch(own_store)
    return Slow(inner, busybox_registry, own_store)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    with Terminal(120) as terminal:
        yield terminal


def grows(drawn: list[tuple[str, ...]]) -> bool:
    """Whether drawings tell of more and more bytes, up to all of them."""
    done = [each[2] for each in drawn]
    return len(set(done)) > 2 and all(each[1] == "1" and each[3] == drawn[0][3] for each in drawn)


@pytest.mark.parametrize("options", [(), ("-s",), ("-v",), ("-q",), ("--capture=sys",)])
def test_a_run_shows_it_and_nothing_of_it_stays(slow: Slow, terminal: Terminal, options: tuple[str, ...]) -> None:
    assert slow.pytest(terminal, *options) == 0
    assert grows(DRAWN.findall(terminal.raw))
    seen = "\n".join(terminal.screen.text)
    assert " layers" not in seen
    if options in ((), ("--capture=sys",)):
        assert re.search(r"^test_it.py \.\.\. +\[100%\]$", seen, re.MULTILINE)
    elif options == ("-v",):
        assert re.search(r"^test_it.py::test_it PASSED +\[ 66%\]$", seen, re.MULTILINE)
    elif options == ("-q",):
        assert re.search(r"^\.\.\. +\[100%\]$", seen, re.MULTILINE)
    else:
        assert "test_it.py .captured\n" in seen
    assert "3 passed" in seen


def test_it_is_not_in_what_a_failed_test_captured(slow: Slow, terminal: Terminal) -> None:
    assert slow.pytest(terminal, tests=TESTS.replace(".running", ".pid == 0")) == 1
    assert grows(DRAWN.findall(terminal.raw))
    seen = "\n".join(terminal.screen.text)
    assert " layers" not in seen and "captured" in seen


@pytest.mark.parametrize("options", [("-qq",), ("-o", "log_cli=true")])
def test_what_is_to_be_quiet_is(slow: Slow, terminal: Terminal, options: tuple[str, ...]) -> None:
    assert slow.pytest(terminal, *options) == 0
    assert " layers" not in terminal.raw


def test_without_a_terminal_a_run_shows_nothing(slow: Slow, inner: Inner) -> None:
    result = inner.run(
        f"--lxc-store={slow.environment['LXCONTAINER_STORE']}", test_it=TESTS.replace("BOX:1", slow.image)
    )
    result.assert_outcomes(passed=3)
    assert " layers" not in result.stdout.str() + result.stderr.str()
    assert "\x1b" not in result.stdout.str() + result.stderr.str()


def test_the_command_shows_it_and_then_what_it_prints_elsewhere(slow: Slow, terminal: Terminal, inner: Inner) -> None:
    assert terminal.run(slow.pull, inner.path, slow.environment) == 0
    assert grows(DRAWN.findall(terminal.raw))
    done = subprocess.run(slow.pull, env=slow.environment, capture_output=True, text=True, check=True)
    assert terminal.screen.text == [*done.stdout.splitlines(), ""]


def test_without_a_terminal_the_command_prints_what_it_has_done(slow: Slow) -> None:
    done = subprocess.run(slow.pull, env=slow.environment, capture_output=True, text=True, check=True)
    assert re.fullmatch(rf"{slow.image}: 1 layer, .* .iB\nDigest: sha256:.*\n{slow.image}\n", done.stdout)
    assert done.stderr == ""
