#!/usr/bin/env python3
"""Measure what its network costs a container that is started cold: address, bridge, rules, names.

Alternates clones with the default network, with an isolated one, and with network="none".
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from surroundings import prepare, scratch_directory

from pytest_lxcontainer import Image, Provisioner, Settings

NETWORKS = ("default", "isolated", "none")
IDLE = ("sleep", "infinity")
PAUSE = 0.05
"""Seconds after a container is gone: what the kernel takes apart behind its back must not slow the next one down."""

Taken = tuple[float, float, float]
"""Seconds until it runs and of its destruction, and of a processor's time for its whole life."""


def main(argv: Sequence[str]) -> int:
    options = parse(argv)
    prepare(compared=False)
    with scratch_directory() as scratch:
        settings = Settings(store=scratch / "store", mirrors=Settings.from_environment().mirrors)
        with Provisioner(settings) as provisioner:
            image = provisioner.pull(options.image)
            supervisor = supervisor_after(provisioner, image)
            taken: dict[str, list[Taken]] = {name: [] for name in NETWORKS}
            for number in range(options.warmup + options.rounds):
                # Each may gain or lose by the one before: they take turns.
                for name in NETWORKS[number % len(NETWORKS) :] + NETWORKS[: number % len(NETWORKS)]:
                    once = lived(provisioner, image, name, supervisor)
                    if number >= options.warmup:
                        taken[name].append(once)
    report(taken)
    if options.json:
        named = {"seconds to start, to destroy, on a processor": taken}
        options.json.write_text(json.dumps(named, indent=1) + "\n")
    return 0


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100, metavar="N", help="measured rounds (default: 100)")
    parser.add_argument("--warmup", type=int, default=5, metavar="N", help="rounds before them (default: 5)")
    parser.add_argument("--image", default="busybox:latest", help="image of all (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every single figure there too")
    return parser.parse_args(argv)


def supervisor_after(provisioner: Provisioner, image: Image) -> int:
    """The process id of the run's supervisor, which a first container starts."""
    provisioner.run(image, IDLE).destroy()
    owner = provisioner.layout.run_dir(provisioner.identity.run_id) / "supervisor"
    return int(owner.read_text().partition(":")[0])


def lived(provisioner: Provisioner, image: Image, network: str, supervisor: int) -> Taken:
    """One container's life, until its directory is gone."""
    used, begin = processor_time(supervisor), time.perf_counter()
    box = provisioner.run(image, IDLE, network=network)
    running = time.perf_counter()
    box.destroy()
    end = time.perf_counter()
    directory = provisioner.layout.run_dir(provisioner.identity.run_id) / box.id
    while directory.exists():
        time.sleep(0.002)
    time.sleep(PAUSE)
    return running - begin, end - running, processor_time(supervisor) - used


def processor_time(pid: int) -> float:
    """Seconds that this process, process *pid*, and the children that this has waited for have used so far."""
    own = os.times()
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return own.user + own.system + sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def report(taken: Mapping[str, Sequence[Taken]]) -> None:
    """Of times on a processor the mean, since they are counted in hundredths of a second."""
    print(f"{len(taken['none'])} rounds, in ms {'start':>23}{'destroy':>12}{'on a processor':>18}")
    for name, runs in taken.items():
        print(_row(f"network={name!r}", runs))
    for name in NETWORKS[:-1]:
        pairs = zip(taken[name], taken["none"], strict=True)
        print(_row(f"{name} - none, in pairs", [_difference(one, other) for one, other in pairs]))


def _difference(one: Taken, other: Taken) -> Taken:
    return one[0] - other[0], one[1] - other[1], one[2] - other[2]


def _row(name: str, runs: Sequence[Taken]) -> str:
    starts, ends, used = zip(*runs, strict=True)
    figures = (statistics.median(starts), statistics.median(ends), statistics.mean(used))
    return f"{name:<26}" + "".join(
        f"{each * 1e3:>{width}.2f}" for each, width in zip(figures, (14, 12, 18), strict=True)
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
