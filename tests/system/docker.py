"""A Docker of a test's own: its daemon, its files and its socket, beside whatever Docker the host has."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

START_TIMEOUT = 60.0
_DEBIANS_CLIENT = "/usr/bin/docker"


class Docker:
    """The command, which speaks to the daemon at *socket*."""

    def __init__(self, socket: Path) -> None:
        self._command = [_DEBIANS_CLIENT, "--host", f"unix://{socket}"]

    def __call__(self, *arguments: str | Path, check: bool = True) -> str:
        """What the command prints."""
        done = subprocess.run(
            [*self._command, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False
        )
        assert not check or done.returncode == 0, done.stderr
        return (done.stdout + (done.stderr if done.returncode else "")).strip()


@contextlib.contextmanager
def docker_daemon() -> Iterator[Docker]:
    """Start a daemon that keeps away from the host's network, and end it."""
    if shutil.which("dockerd") is None:
        pytest.fail("dockerd is not installed; run: scripts/host-setup")
    where = Path(f"/var/tmp/lxcontainer-docker-{os.getpid()}")
    where.mkdir(mode=0o700)
    socket = where / "socket"
    command = [
        *("dockerd", "--host", f"unix://{socket}", "--data-root", where / "data", "--exec-root", where / "exec"),
        *("--pidfile", where / "pid", "--bridge=none", "--iptables=false", "--ip-forward=false", "--ip-masq=false"),
    ]
    try:
        with (where / "log").open("wb") as log:
            daemon = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            docker = Docker(socket)
            _wait(docker, daemon, where / "log")
            yield docker
        finally:
            daemon.terminate()
            daemon.wait(30)
    finally:
        shutil.rmtree(where)


def _wait(docker: Docker, daemon: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while "Server Version" not in docker("info", check=False):
        assert daemon.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.1)
