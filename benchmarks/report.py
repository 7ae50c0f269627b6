#!/usr/bin/env python3
"""Measure what reporting costs: a test that passes, and one that fails with a container, small or a whole database.

Runs as root or as an ordinary user, with the plugin installed for this interpreter. See README.md beside it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from surroundings import prepare, scratch_directory

from pytest_lxcontainer import Container, Provisioner, Settings
from pytest_lxcontainer.container.history import History
from pytest_lxcontainer.rootfs.idmap import IdMap
from pytest_lxcontainer.rootfs.sandbox import Sandbox

CONFTEST = """
import json, time
from pathlib import Path
import pytest
from pytest_lxcontainer import lxc_container, wait

small = lxc_container("busybox", scope="module")
database = lxc_container("postgres:15", scope="module", env={"POSTGRES_PASSWORD": "x"},
                         ready=wait.all_of(wait.port(5432), wait.log("ready to accept connections", times=2)))
taken = {}

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item):
    begin = time.perf_counter()
    try:
        return (yield)
    finally:
        taken[item.nodeid] = taken.get(item.nodeid, 0.0) + time.perf_counter() - begin

def pytest_sessionfinish():
    Path("taken.json").write_text(json.dumps(taken))
"""

SUITE = """
import pytest

@pytest.mark.parametrize("number", range({rounds}))
class TestIt:
    def test_passes_without(self, number): pass
    def test_fails_without(self, number): assert 0

    def test_passes_small(self, small, number): small.exec(["true"])
    def test_fails_small(self, small, number):
        small.exec(["false"])
        assert 0

    def test_passes_database(self, database, number): database.exec(["true"])
    def test_fails_database(self, database, number):
        database.exec(["false"])
        assert 0
"""

KINDS = {"without": "no container", "small": "busybox", "database": "postgres, 1000 new files"}


class Silent(History):
    """Remembers as little as nothing, to compare with."""

    def begin(self, args: tuple[str, ...]) -> None:  # type: ignore[override]
        return None

    def ended(self, ran: object, result: object) -> None:
        """Forget it."""


def main(argv: Sequence[str]) -> int:
    options = parse(argv)
    prepare(compared=False)
    with scratch_directory() as scratch, contextlib.ExitStack() as stack:
        # Not all files in it are an ordinary user's to remove.
        sandbox = stack.enter_context(Sandbox(IdMap.for_host()))
        stack.callback(sandbox.remove, scratch / "store")
        print(f"what reporting costs, in ms, medians of {options.rounds} tests (in parentheses: nine in ten)\n")
        print(f"{'':<28}{'passes':>18}{'fails':>18}{'fails, -vv':>18}")
        taken = {name: reports(scratch, options.rounds, name) for name in ("-q", "-vv")}
        for kind, name in KINDS.items():
            row = [
                taken["-q"][f"test_passes_{kind}"],
                taken["-q"][f"test_fails_{kind}"],
                taken["-vv"][f"test_fails_{kind}"],
            ]
            print(f"{name:<28}" + "".join(f"{figures(each):>18}" for each in row))
        print("\nbeside that a test pays, in microseconds:")
        settings = Settings(store=scratch / "store", mirrors=Settings.from_environment().mirrors)
        with Provisioner(settings) as provisioner, provisioner.run("busybox", ["sleep", "infinity"]) as box:
            remembered, read = for_a_command(options.rounds * 20), for_an_end(box, options.rounds * 20)
        print(f"{'for each command':<28}{remembered * 1e6:>18.1f}")
        print(f"{'for each container':<28}{read * 1e6:>18.1f}")
    return 0


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50, metavar="N", help="tests of each kind (default: 50)")
    return parser.parse_args(argv)


def reports(scratch: Path, rounds: int, verbosity: str) -> Mapping[str, list[float]]:
    """Seconds that the reports of each test took, all three phases together, by the tests' names."""
    (scratch / "conftest.py").write_text(CONFTEST)
    (scratch / "test_it.py").write_text(SUITE.format(rounds=rounds))
    options = [verbosity, "-p", "no:cacheprovider", f"--lxc-store={scratch / 'store'}", "test_it.py"]
    command = [sys.executable, "-m", "pytest", *options]
    done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
    if done.returncode != 1:
        raise SystemExit(done.stdout + done.stderr)
    found: dict[str, list[float]] = {}
    for test, seconds in json.loads((scratch / "taken.json").read_text()).items():
        found.setdefault(test.rpartition("::")[2].partition("[")[0], []).append(seconds)
    return found


def figures(seconds: Sequence[float]) -> str:
    ordered = sorted(seconds)
    return f"{statistics.median(ordered) * 1e3:.2f} ({ordered[len(ordered) * 9 // 10] * 1e3:.2f})"


def for_a_command(rounds: int) -> float:
    """Seconds that remembering one takes, beside what nothing takes."""
    from pytest_lxcontainer.container.exec import ExecResult

    result = ExecResult(("true",), 0, b"", b"", 0.001)

    def remember(history: History) -> Callable[[], None]:
        return lambda: history.ended(history.begin(result.args), result)

    return median_of(remember(History()), rounds) - median_of(remember(Silent()), rounds)


def for_an_end(box: Container, rounds: int) -> float:
    """Seconds that reading what a container used takes in the supervisor, beside what asking for nothing takes."""
    return median_of(box.usage, rounds) - median_of(box.status, rounds)


def median_of(work: Callable[[], object], rounds: int) -> float:
    taken = []
    for _ in range(rounds):
        begin = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
