"""What an idle container holds in memory beyond its own processes, here and in Docker."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from memory import family, held

from pytest_lxcontainer import Provisioner, Settings

IDLE = ("sleep", "infinity")
FRESH, USED = "plugin, before its first command", "plugin"
UNPUBLISHED, PUBLISHED = "Docker, no port published", "Docker"


def plugin(settings: Settings, image: str, count: int) -> dict[str, float]:
    """Bytes for each of *count* containers: as started, and once a command has run in them."""
    with Provisioner(settings) as provisioner:
        # What all of them share is there when the first one has been used.
        provisioner.run(image, IDLE).exec(["true"], check=True)
        before = _beyond_containers(os.getpid())
        boxes = [provisioner.run(image, IDLE) for _ in range(count)]
        started = _beyond_containers(os.getpid())
        for box in boxes:
            box.exec(["true"], check=True)
        used = _beyond_containers(os.getpid())
    return {USED: (used - before) / count, FRESH: (started - before) / count}


def docker(host: str, daemon: int, reference: str, count: int) -> dict[str, float]:
    """Bytes for each of *count* containers of the *daemon*: with a port published to the host, and without."""
    with _docker_containers(host, reference, 1):
        return {
            PUBLISHED: _docker_growth(host, daemon, reference, count, "--publish", "80"),
            UNPUBLISHED: _docker_growth(host, daemon, reference, count),
        }


def _docker_growth(host: str, daemon: int, reference: str, count: int, *options: str) -> float:
    before = _beyond_containers(daemon)
    with _docker_containers(host, reference, count, *options) as names:
        for name in names:
            subprocess.run(["docker", "--host", host, "exec", name, "true"], check=True)
        return (_beyond_containers(daemon) - before) / count


@contextlib.contextmanager
def _docker_containers(host: str, reference: str, count: int, *options: str) -> Iterator[list[str]]:
    docker = ("docker", "--host", host)
    start = (*docker, "run", "--detach", *options, reference, *IDLE)
    names: list[str] = []
    try:
        for _ in range(count):
            names.append(subprocess.run(start, capture_output=True, text=True, check=True).stdout.strip())
        yield names
    finally:
        subprocess.run([*docker, "rm", "--force", *names], stdout=subprocess.DEVNULL, check=True)


def _beyond_containers(root: int) -> int:
    """Bytes that *root*, unless it is this process, and its descendants hold outside containers."""
    depth = _pid_depth(root)
    return sum(held(pid) for pid in family(root) if pid != os.getpid() and _pid_depth(pid) == depth)


def _pid_depth(pid: int) -> int:
    """How many namespaces know process *pid* by a number: more inside a container; 0 if it has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("NSpid:"):
                return len(line.split()) - 1
    return 0
