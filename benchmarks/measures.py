"""What is measured side by side, part by part; each gives lines of the table."""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import flat
import idle
from floors import floors
from lines import Line
from suites import Suite, has_option
from surroundings import HERE, docker_reference, unpacked
from workers import plugin_command, worker

from pytest_lxcontainer import Settings

PLUGIN, COLD, TESTCONTAINERS, DOCKER_TOOLS = "plugin", "plugin, --lxc-pool 0", "testcontainers", "pytest-docker-tools"
PAUSE = 0.15
"""Seconds before each measurement of a single container: what the one before left to be done does not slow it down."""

NO_RYUK = {"TESTCONTAINERS_RYUK_DISABLED": "true"}
"""Its reaper is one more container, of an image from Docker Hub; without it testcontainers is faster."""

Measures = Mapping[str, Callable[[], float]]


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured: *rounds* of suites with so many *tests*, *starts* and *clones* of single containers.

    Suites with a database have *databases* tests, *slow_databases* where each takes more than a second.
    """

    rounds: int
    tests: int
    databases: int
    slow_databases: int
    starts: int
    floors: int
    idle: int
    clones: int
    extremes: flat.Extremes

    def with_rounds(self, rounds: int | None) -> Scale:
        return replace(self, rounds=rounds) if rounds else self


FULL = Scale(3, 200, 100, 20, 30, 10, 20, 40, flat.Extremes(668 * 10**6, 120, 200, 1 << 30))
QUICK = Scale(1, 5, 3, 1, 2, 1, 2, 2, flat.Extremes(5 * 10**6, 10, 3, 1 << 26))


@dataclass(frozen=True, slots=True)
class Peers:
    """Where the peers are: an interpreter that has them, and a Docker daemon with its process id."""

    python: Path
    docker_host: str
    daemon: int

    @property
    def environment(self) -> dict[str, str]:
        return {"DOCKER_HOST": self.docker_host, **NO_RYUK}


@dataclass(frozen=True, slots=True)
class Bench:
    """One run: *image* is that of all but the databases, without *peers* the plugin is measured alone."""

    image: str
    scale: Scale
    scratch: Path
    peers: Peers | None
    loads: list[float] = field(default_factory=list)
    """The machine's load in the minute before each round."""

    # Suites

    def suite(self) -> Line:
        """With floors: one command of each, measured between the suites."""
        suites = self._suites("exec", self.image, self.scale.tests)
        with self._floors() as single:
            figures = self._interleaved({**_runs(suites), **single})
        work = f"{self.scale.tests} tests, each a fresh container and one exec: time per test"
        note = "podman, liblxc and bwrap: one command, without pytest" if single else ""
        return Line("suite", work, "s", figures, TESTCONTAINERS, {PLUGIN: 1 / 20}, note)

    def suite_in_two(self) -> Line:
        suites = self._suites("exec", self.image, self.scale.tests)
        parallel = {
            name: replace(suite, plugins=(*suite.plugins, "xdist"), arguments=(*suite.arguments, "-n", "2"))
            for name, suite in suites.items()
        }
        work = f"the same {self.scale.tests} tests with -n 2: time per test"
        return Line("suite-n2", work, "s", self._interleaved(_runs(parallel)), TESTCONTAINERS, {PLUGIN: 1 / 15})

    def postgres(self) -> Line:
        suites = self._suites("postgres", "postgres:15", self.scale.databases)
        if TESTCONTAINERS in suites:
            suites[TESTCONTAINERS] = replace(suites[TESTCONTAINERS], tests=self.scale.slow_databases)
        figures = self._interleaved(_runs(suites))
        work = f"{self.scale.databases} tests, each a fresh migrated PostgreSQL, connect and query: time per test"
        note = f"of testcontainers {self.scale.slow_databases} tests" if self.peers else ""
        return Line("postgres", work, "s", figures, TESTCONTAINERS, {PLUGIN: 1 / 40}, note)

    def _suites(self, kind: str, image: str, tests: int) -> dict[str, Suite]:
        """By subject; each has run once, so that images and templates are there."""
        place = self._place(f"suite-{kind}")
        plugin = Suite(f"plugin_{kind}", Path(sys.executable), image, tests, place, ("lxcontainer",), self._store)
        suites = {PLUGIN: plugin}
        if self.peers:
            peer = Suite(
                "", self.peers.python, docker_reference(image), tests, place, environment=self.peers.environment
            )
            suites[TESTCONTAINERS] = replace(peer, file=f"testcontainers_{kind}")
            if kind == "exec":
                suites[DOCKER_TOOLS] = replace(peer, file=f"docker_tools_{kind}", plugins=("docker_tools",))
        for suite in suites.values():
            replace(suite, tests=1).run()
        return suites

    @contextlib.contextmanager
    def _floors(self) -> Iterator[Measures]:
        if self.peers is None:
            yield {}
            return
        with floors(docker_reference(self.image), unpacked(self.image, self.scratch), self.scratch) as single:
            for measure in single.values():
                measure()
            yield {name: _median_of(self.scale.floors, measure) for name, measure in single.items()}

    # Single containers

    def start(self) -> Line:
        """From the request to a container that can be used, as a fixture's set-up has it."""
        cycles = self.scale.starts + 1
        with contextlib.ExitStack() as stack:
            ask = {name: stack.enter_context(self._plugin(name, cycles, more)) for name, more in self._pools().items()}
            if self.peers:
                ask[TESTCONTAINERS] = stack.enter_context(self._testcontainers())
            for measure in ask.values():
                measure()
            figures = self._interleaved(ask, self.scale.starts, PAUSE)
        targets = {PLUGIN: 1 / 50, COLD: 1 / 8}
        return Line("start", "container request to usable", "s", figures, TESTCONTAINERS, targets)

    def _pools(self) -> dict[str, tuple[str, ...]]:
        """The plugin's subjects, with their options."""
        return {PLUGIN: (), **({COLD: self._without_pool} if self._without_pool else {})}

    @contextlib.contextmanager
    def _plugin(self, name: str, cycles: int, options: tuple[str, ...]) -> Iterator[Callable[[], float]]:
        place = self._place(name.replace(" ", "-").replace(",", ""))
        env = {"BENCH_IMAGE": self.image, "BENCH_CYCLES": str(cycles), "BENCH_BALLAST": "0"}
        command = [*plugin_command(place), *self._store, *options]
        with worker("plugin", command, env, place) as ask:
            yield lambda: ask()["start"]

    @contextlib.contextmanager
    def _testcontainers(self) -> Iterator[Callable[[], float]]:
        assert self.peers is not None
        env = {**self.peers.environment, "BENCH_IMAGE": docker_reference(self.image)}
        command = [str(self.peers.python), str(HERE / "testcontainers_worker.py")]
        with worker("testcontainers", command, env, self._place("testcontainers")) as ask:
            yield lambda: ask()["start"]

    # Memory

    def memory(self) -> Line:
        figures: dict[str, list[float]] = {}
        for _ in range(self.scale.rounds):
            self.loads.append(os.getloadavg()[0])
            found = idle.plugin(self._settings, self.image, self.scale.idle)
            if self.peers:
                reference = docker_reference(self.image)
                found |= idle.docker(self.peers.docker_host, self.peers.daemon, reference, self.scale.idle)
            for name, held in found.items():
                figures.setdefault(name, []).append(held)
        work = "memory per idle container beyond its own processes (PSS)"
        note = f"growth with {self.scale.idle} containers, a command has run in each; Docker with one port published"
        return Line("memory", work, "B", figures, idle.PUBLISHED, {idle.USED: 1 / 3}, note)

    # Flat cost

    def flat(self) -> list[Line]:
        settings, extremes, rounds = self._settings, self.scale.extremes, self.scale.clones
        place = self._place("flat")
        measures: Mapping[str, Callable[[], flat.Figures]] = {
            "image size": lambda: flat.by_size(settings, extremes, rounds, place),
            "number of layers": lambda: flat.by_layers(settings, extremes, rounds, place),
            "other containers": lambda: flat.by_others(settings, extremes, rounds),
            "memory of pytest": lambda: flat.by_memory(extremes, rounds, place, (*self._store, *self._without_pool)),
        }
        return [self._flat_line(name, measure) for name, measure in measures.items()]

    def _flat_line(self, name: str, measure: Callable[[], flat.Figures]) -> Line:
        self.loads.append(os.getloadavg()[0])
        figures = measure()
        plain, extreme = figures
        return Line(f"flat: {name}", f"flat cost of a clone: {name}", "s", figures, plain, {extreme: 1.2})

    # What all share

    @property
    def _settings(self) -> Settings:
        return replace(Settings.from_environment(), store=self.scratch / "store")

    @property
    def _store(self) -> tuple[str, ...]:
        return ("--lxc-store", str(self.scratch / "store"))

    @property
    def _without_pool(self) -> tuple[str, ...]:
        return ("--lxc-pool", "0") if has_option("--lxc-pool", self.scratch) else ()

    def _place(self, name: str) -> Path:
        path = self.scratch / name
        path.mkdir(mode=0o755, exist_ok=True)
        return path

    def _interleaved(self, measures: Measures, rounds: int = 0, pause: float = 0.0) -> dict[str, list[float]]:
        """A B C A B C ...: what disturbs the machine for a while disturbs all of them."""
        figures: dict[str, list[float]] = {name: [] for name in measures}
        for _ in range(rounds or self.scale.rounds):
            self.loads.append(os.getloadavg()[0])
            for name, measure in measures.items():
                time.sleep(pause)
                figures[name].append(measure())
        return figures


def _median_of(count: int, measure: Callable[[], float]) -> Callable[[], float]:
    return lambda: statistics.median(measure() for _ in range(count))


def _runs(suites: Mapping[str, Suite]) -> dict[str, Callable[[], float]]:
    return {name: suite.run for name, suite in suites.items()}


PARTS: Mapping[str, Callable[[Bench], list[Line]]] = {
    "suite": lambda bench: [bench.suite()],
    "suite-n2": lambda bench: [bench.suite_in_two()],
    "postgres": lambda bench: [bench.postgres()],
    "start": lambda bench: [bench.start()],
    "memory": lambda bench: [bench.memory()],
    "flat": Bench.flat,
}
