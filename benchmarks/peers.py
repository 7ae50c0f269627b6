#!/usr/bin/env python3
"""Compare what containers cost tests: this plugin beside others, on the same machine and in the same run.

Runs as root. What it needs it installs or starts itself: Debian packages (scripts/host-setup --bench), a registry on
loopback (scripts/with-registry), a Docker daemon with its state in a temporary directory, and virtual environments,
which stay in the user's cache directory. See README.md beside it for what is measured.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from docker_daemon import daemon_pid, docker_daemon
from environments import compile_package, peers_python, use_own_if_lacking, version
from lines import Line, table
from plot import svg
from surroundings import linux, prepare, said, scratch_directory

if TYPE_CHECKING:
    from measures import Peers

NEEDS = {"suite": (), "suite-n2": ("xdist",), "postgres": ("psycopg",), "start": (), "memory": (), "flat": ()}
"""The parts, and what they import beside the plugin."""


def main(argv: Sequence[str]) -> int:
    options = parse(argv)
    prepare(compared=not options.alone)
    use_own_if_lacking([module for part in options.parts for module in NEEDS[part]])
    from measures import FULL, PARTS, QUICK, Bench

    compile_package()
    lines: list[Line] = []
    with scratch_directory() as scratch, peers(options, scratch) as others:
        scale = QUICK if options.quick else FULL
        bench = Bench(options.image, scale.with_rounds(options.rounds), scratch, others)
        try:
            for part in options.parts:
                print(f"measuring: {part} ...", file=sys.stderr)
                lines += PARTS[part](bench)
        finally:
            if lines:
                load = f"{min(bench.loads):.1f} to {max(bench.loads):.1f}"
                report(options, {**machine(others), "load": load}, lines)
    return 0


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few of each, to see that it works")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of suites, and of memory (default: 3)")
    parser.add_argument(
        "--alone", action="store_true", help="this plugin without any peer: needs neither root nor Docker"
    )
    parser.add_argument(
        "--parts", nargs="+", choices=NEEDS, default=list(NEEDS), metavar="PART", help=f"of {', '.join(NEEDS)}"
    )
    parser.add_argument("--image", default="debian:bookworm-slim", help="image of most parts (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every single figure there")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the table there")
    return parser.parse_args(argv)


@contextlib.contextmanager
def peers(options: argparse.Namespace, scratch: Path) -> Iterator[Peers | None]:
    """Start what the peers need, unless the plugin is alone."""
    if options.alone:
        yield None
        return
    from measures import Peers

    python = peers_python()
    directory = scratch / "docker"
    directory.mkdir()
    with docker_daemon(directory) as host:
        yield Peers(python, host, daemon_pid(directory))


def machine(others: Peers | None) -> dict[str, str]:
    """What the figures depend on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    facts = {
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.0f} GiB",
        "Linux": linux(),
        "cgroups": "v2" if Path("/sys/fs/cgroup/cgroup.controllers").exists() else "v1",
        "Python": platform.python_version(),
        "pytest": metadata.version("pytest"),
        "plugin": metadata.version("pytest-lxcontainer"),
        "LXC": said("lxc-start", "--version"),
    }
    if others:
        facts |= {tool: said(tool, "--version") for tool in ("dockerd", "podman", "bwrap")}
        facts |= {package: version(others.python, package) for package in ("testcontainers", "pytest-docker-tools")}
    return facts


def report(options: argparse.Namespace, facts: Mapping[str, str], lines: Sequence[Line]) -> None:
    told = ", ".join(f"{name} {value}" for name, value in facts.items())
    print(f"{told}\nmost of it with {options.image}; ratio: a median by that of the line's reference, whose own is 1")
    if not options.alone:
        print("testcontainers runs without its reaper (TESTCONTAINERS_RYUK_DISABLED=true), which makes it faster")
    print(f"\n{table(lines)}")
    if options.json:
        document = {"image": options.image, "machine": dict(facts), "lines": [line.as_json() for line in lines]}
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    if options.svg:
        options.svg.write_text(svg(lines, told))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
