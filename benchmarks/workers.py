"""What is compared: each a process, or a command, that goes through one container's life when asked."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO

Cycle = dict[str, float]
"""Seconds by stage: start (request to usable), exec, teardown."""

STAGES = ("start", "exec", "teardown")
HERE = Path(__file__).resolve().parent


@contextlib.contextmanager
def worker(name: str, command: list[str], env: Mapping[str, str], directory: Path) -> Iterator[Callable[[], Cycle]]:
    """Start a process that answers each line on the socket BENCH_FD with a `Cycle`; gives what asks for one."""
    ours, theirs = socket.socketpair()
    log = directory / f"{name}.log"
    with ours, log.open("wb") as output:
        with theirs:
            process = subprocess.Popen(
                command,
                env={**os.environ, **env, "BENCH_FD": str(theirs.fileno())},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=directory,
            )
        try:
            with ours.makefile("rw") as stream:
                yield lambda: _ask(stream, log)
        finally:
            ours.shutdown(socket.SHUT_RDWR)
            process.wait()


def _ask(stream: IO[str], log: Path) -> Cycle:
    stream.write("go\n")
    stream.flush()
    answer = stream.readline()
    if not answer:
        raise SystemExit(f"{log.stem} ended early:\n{log.read_text()[-3000:]}")
    cycle: Cycle = json.loads(answer)
    return cycle


def plugin_command(directory: Path) -> list[str]:
    """A pytest at its defaults, with the plugin."""
    config = directory / "pytest.ini"
    config.write_text("[pytest]\n")
    arguments = ["-c", str(config), "--rootdir", str(directory), "-p", "no:cacheprovider"]
    store = ["--lxc-store", str(directory / "store")]
    return [sys.executable, "-m", "pytest", *arguments, *store, str(HERE / "plugin_worker.py")]


def testcontainers_python(directory: Path) -> Path:
    """A fresh virtual environment with testcontainers; returns its interpreter."""
    environment = directory / "testcontainers"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "testcontainers"]
    subprocess.run(install, check=True)
    return python


def bwrap_cycle(rootfs: Path) -> Cycle:
    """One `bwrap --unshare-all` of `true`: making and leaving namespaces around a directory, and nothing else."""
    command = ["bwrap", "--unshare-all", "--ro-bind", str(rootfs), "/", "true"]
    begin = time.perf_counter()
    subprocess.run(command, check=True)
    return {"start": time.perf_counter() - begin, "exec": 0.0, "teardown": 0.0}
