#!/usr/bin/env python3
"""Compare what a container costs a test: this plugin, testcontainers on Docker, and bare bubblewrap.

Runs as root, with the plugin installed for this interpreter; everything else it installs or starts itself
(scripts/host-setup --bench, scripts/with-registry). See README.md beside it for what is measured.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path

from docker_daemon import docker_daemon
from surroundings import docker_reference, linux, prepare, said, scratch_directory, unpacked
from workers import HERE, STAGES, Cycle, bwrap_cycle, plugin_command, testcontainers_python, worker

GIB = 1 << 30
PLUGIN, HEAVY, REFERENCE, FLOOR = "plugin", "plugin, pytest holds 1 GB", "testcontainers", "bwrap"
PAUSE = 0.15
"""Seconds between two measurements: what one leaves to be done behind its back must not slow the next one down."""

Subjects = Mapping[str, Callable[[], Cycle]]


def main(argv: Sequence[str]) -> int:
    options = parse(argv)
    prepare()
    with scratch_directory() as scratch, subjects(options, scratch) as chosen:
        apart = interleaved(chosen, options.rounds, options.warmup)
        chained = {name: in_a_row(measure, options.chain) for name, measure in chosen.items()}
        versions = machine(scratch)
    report(options, versions, apart, chained)
    return 0


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, metavar="N", help="measured rounds (default: 20)")
    parser.add_argument("--warmup", type=int, default=3, metavar="N", help="rounds before them (default: 3)")
    parser.add_argument("--chain", type=int, default=10, metavar="N", help="lives back to back (default: 10)")
    parser.add_argument("--image", default="debian:bookworm-slim", help="image of all (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every single figure there too")
    return parser.parse_args(argv)


@contextlib.contextmanager
def subjects(options: argparse.Namespace, scratch: Path) -> Iterator[Subjects]:
    """Give what is compared, ready to be asked, by name."""
    with contextlib.ExitStack() as stack:
        env = {"BENCH_IMAGE": options.image, "BENCH_CYCLES": str(options.warmup + options.rounds + options.chain)}

        def plugin(name: str, ballast: int) -> Callable[[], Cycle]:
            directory = scratch / re.sub(r"\W+", "-", name)
            directory.mkdir(mode=0o755)
            command = plugin_command(directory)
            return stack.enter_context(worker(name, command, {**env, "BENCH_BALLAST": str(ballast)}, directory))

        def testcontainers() -> Callable[[], Cycle]:
            directory = scratch / "docker"
            directory.mkdir()
            docker = {
                "DOCKER_HOST": stack.enter_context(docker_daemon(directory)),
                "BENCH_IMAGE": docker_reference(options.image),
                # Its reaper is one more container, which testcontainers would start once a session.
                "TESTCONTAINERS_RYUK_DISABLED": "true",
            }
            command = [str(testcontainers_python(scratch)), str(HERE / "testcontainers_worker.py")]
            return stack.enter_context(worker("testcontainers", command, docker, directory))

        rootfs = unpacked(options.image, scratch)
        yield {
            PLUGIN: plugin(PLUGIN, 0),
            HEAVY: plugin(HEAVY, GIB),
            REFERENCE: testcontainers(),
            FLOOR: lambda: bwrap_cycle(rootfs),
        }


def interleaved(chosen: Subjects, rounds: int, warmup: int) -> dict[str, list[Cycle]]:
    """A B C A B C ...: what disturbs the machine for a while disturbs all of them."""
    cycles: dict[str, list[Cycle]] = {name: [] for name in chosen}
    for number in range(warmup + rounds):
        for name, measure in chosen.items():
            time.sleep(PAUSE)
            cycle = measure()
            if number >= warmup:
                cycles[name].append(cycle)
    return cycles


def in_a_row(measure: Callable[[], Cycle], count: int) -> float:
    """Seconds for one life where one test follows the other at once, whatever is done behind its back."""
    begin = time.perf_counter()
    for _ in range(count):
        measure()
    return (time.perf_counter() - begin) / count if count else float("nan")


def medians(cycles: Sequence[Cycle]) -> Cycle:
    return {stage: statistics.median(cycle[stage] for cycle in cycles) for stage in STAGES}


def report(
    options: argparse.Namespace,
    versions: Mapping[str, str],
    apart: Mapping[str, Sequence[Cycle]],
    chained: Mapping[str, float],
) -> None:
    print(f"{options.image}, command: sleep infinity; medians of {options.rounds} rounds, in ms")
    print(", ".join(f"{name} {value}" for name, value in versions.items()))
    print(f"\n{'':<26}{'start':>9}{'exec':>9}{'teardown':>10}{'sum':>9}{'ratio':>8}{'in a row':>10}")
    reference = sum(medians(apart[REFERENCE]).values())
    for name, cycles in apart.items():
        median = medians(cycles)
        figures = [f"{median[stage] * 1e3:.1f}" if median[stage] else "" for stage in STAGES]
        total = sum(median.values())
        print(
            f"{name:<26}{figures[0]:>9}{figures[1]:>9}{figures[2]:>10}{total * 1e3:>9.1f}"
            f"{total / reference:>8.3f}{chained[name] * 1e3:>10.1f}"
        )
    print(f"\nratio: the sum by that of {REFERENCE}; in a row: one life when {options.chain} follow each other at once")
    if options.json:
        figures_of_all = {"machine": versions, "seconds": apart, "seconds in a row": chained}
        options.json.write_text(json.dumps(figures_of_all, indent=1) + "\n")


def machine(scratch: Path) -> dict[str, str]:
    """What the figures depend on."""
    pip = [scratch / "testcontainers" / "bin" / "python", "-m", "pip", "show", "testcontainers"]
    shown = subprocess.run(pip, capture_output=True, text=True, check=True).stdout
    return {
        "cores": str(os.cpu_count()),
        "Linux": linux(),
        "Python": platform.python_version(),
        "pytest": metadata.version("pytest"),
        "plugin": metadata.version("pytest-lxcontainer"),
        "LXC": said("lxc-start", "--version"),
        "dockerd": said("dockerd", "--version"),
        "testcontainers": re.findall(r"(?m)^Version: (.*)", shown)[0],
        "bubblewrap": said("bwrap", "--version"),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
