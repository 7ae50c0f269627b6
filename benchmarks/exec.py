#!/usr/bin/env python3
"""Measure what a command in a running container costs: `true`, from a small process and from one that holds 1 GB.

Runs as root or as an ordinary user, with the plugin installed for this interpreter; with --docker, as root, beside
`docker exec` on a daemon of its own (scripts/host-setup --bench). See README.md beside it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from docker_daemon import docker_daemon
from surroundings import docker_reference

from pytest_lxcontainer import Provisioner, Settings

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
GIB = 1 << 30
PAGE = 4096


def main(argv: Sequence[str]) -> int:
    options = parse(argv)
    if "LXCONTAINER_MIRROR" not in os.environ:
        registry = str(SCRIPTS / "with-registry")
        os.execv(registry, [registry, "--local", sys.executable, *sys.argv])
    print(f"{options.image}, exec of true: {options.rounds} rounds, in ms")
    print(f"\n{'':<26}{'median':>9}{'fastest':>9}{'9 in 10':>9}")
    with tempfile.TemporaryDirectory(prefix="lxbench-", dir="/var/tmp", ignore_cleanup_errors=True) as scratch:
        Path(scratch).chmod(0o755)  # the containers' root must be able to pass
        with container(options.image, Path(scratch)) as run:
            report("plugin", measured(run, options))
            ballast = bytearray(GIB)
            ballast[::PAGE] = b"x" * (GIB // PAGE)
            report("plugin, holding 1 GB", measured(run, options))
        if options.docker:
            with docker(options.image, Path(scratch)) as run:
                report("docker exec", measured(run, options))
    return 0


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=300, metavar="N", help="measured rounds (default: 300)")
    parser.add_argument("--warmup", type=int, default=20, metavar="N", help="rounds before them (default: 20)")
    parser.add_argument("--image", default="busybox:latest", help="image of all (default: %(default)s)")
    parser.add_argument("--docker", action="store_true", help="docker exec too")
    return parser.parse_args(argv)


@contextlib.contextmanager
def container(image: str, scratch: Path) -> Iterator[Callable[[], object]]:
    """Give what runs `true` in one of the plugin's containers."""
    settings = Settings(store=scratch / "store", mirrors=Settings.from_environment().mirrors)
    with Provisioner(settings) as provisioner:
        box = provisioner.run(image, ["sleep", "infinity"])
        yield lambda: box.exec(["true"], check=True)


@contextlib.contextmanager
def docker(image: str, scratch: Path) -> Iterator[Callable[[], object]]:
    """Give what runs `true` in one of Docker's containers, through its command line."""
    directory = scratch / "docker"
    directory.mkdir()
    with docker_daemon(directory) as host:
        command = ["docker", "--host", host]
        start = [*command, "run", "--detach", docker_reference(image), "sleep", "infinity"]
        name = subprocess.run(start, check=True, capture_output=True, text=True).stdout.strip()
        yield lambda: subprocess.run([*command, "exec", name, "true"], check=True, capture_output=True)


def measured(run: Callable[[], object], options: argparse.Namespace) -> list[float]:
    """Seconds of each round, in ascending order."""
    seconds = []
    for number in range(options.warmup + options.rounds):
        begin = time.perf_counter()
        run()
        if number >= options.warmup:
            seconds.append(time.perf_counter() - begin)
    return sorted(seconds)


def report(name: str, seconds: Sequence[float]) -> None:
    figures = (statistics.median(seconds), seconds[0], seconds[len(seconds) * 9 // 10])
    print(f"{name:<26}" + "".join(f"{figure * 1e3:>9.2f}" for figure in figures))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
