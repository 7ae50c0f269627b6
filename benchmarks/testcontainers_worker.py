"""Measures one container's life with testcontainers, for each line it reads.

Runs in a virtual environment of its own; lifecycle.py starts it. Needs DOCKER_HOST.
"""

from __future__ import annotations

import json
import os
import socket
import time

import docker
from testcontainers.core.container import DockerContainer


def main() -> None:
    image = os.environ["BENCH_IMAGE"]
    docker.from_env().images.pull(image)
    with socket.socket(fileno=int(os.environ["BENCH_FD"])) as connection, connection.makefile("rw") as stream:
        while stream.readline():
            stream.write(json.dumps(cycle(image)) + "\n")
            stream.flush()


def cycle(image: str) -> dict[str, float]:
    requested = time.perf_counter()
    container = DockerContainer(image, command=["sleep", "infinity"])
    container.start()
    usable = time.perf_counter()
    exit_code, _ = container.exec(["true"])
    executed = time.perf_counter()
    assert exit_code == 0
    container.stop()
    gone = time.perf_counter()
    return {"start": usable - requested, "exec": executed - usable, "teardown": gone - executed}


if __name__ == "__main__":
    main()
