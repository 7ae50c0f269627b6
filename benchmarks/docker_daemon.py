"""A Docker daemon of the benchmark's own, that leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

START_TIMEOUT = 30.0
BRIDGE = "lxbench0"
BRIDGE_ADDRESS = "172.31.255.1/24"

_MADE_OUTSIDE = (Path("/etc/docker/key.json"), Path("/etc/docker"), Path("/run/docker"), Path("/opt/containerd"))
"""What dockerd and containerd make whatever directories they are given."""


@contextlib.contextmanager
def docker_daemon(directory: Path) -> Iterator[str]:
    """Run dockerd with all its state below *directory*; gives the value for DOCKER_HOST.

    Containers are on a bridge of their own. Without iptables they reach no further than this host, which keeps the
    host's firewall as it is and spares Docker some work.
    """
    with _no_traces(), _bridge(), (directory / "log").open("wb") as log:
        daemon = subprocess.Popen(_command(directory), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            _await_socket(daemon, directory)
            yield f"unix://{directory / 'sock'}"
        finally:
            # setpriv and unshare hand no signal on; their death is the daemon's and its containers'.
            daemon.kill()
            daemon.wait()


def _command(directory: Path) -> list[str]:
    """In namespaces of its own: its mounts, containerd and the containers end with it, and it with us."""
    return [
        *("setpriv", "--pdeathsig", "KILL"),
        *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
        *("dockerd", "--host", f"unix://{directory / 'sock'}", "--pidfile", str(directory / "pid")),
        *("--data-root", str(directory / "data"), "--exec-root", str(directory / "exec")),
        *("--bridge", BRIDGE, "--iptables=false", "--ip6tables=false"),
    ]


def _await_socket(daemon: subprocess.Popen[bytes], directory: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and daemon.poll() is None:
        with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
            probe.connect(str(directory / "sock"))
            return
        time.sleep(0.05)
    raise SystemExit(f"dockerd did not start:\n{(directory / 'log').read_text()[-2000:]}")


@contextlib.contextmanager
def _bridge() -> Iterator[None]:
    commands = (
        f"link add name {BRIDGE} type bridge",
        f"address add {BRIDGE_ADDRESS} dev {BRIDGE}",
        f"link set dev {BRIDGE} up",
    )
    subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), text=True, check=True)
    try:
        yield
    finally:
        subprocess.run(["ip", "link", "delete", "dev", BRIDGE], check=True)


@contextlib.contextmanager
def _no_traces() -> Iterator[None]:
    fresh = [path for path in _MADE_OUTSIDE if not path.exists()]
    cgroups = {path for path in Path("/sys/fs/cgroup").glob("*/docker")}
    try:
        yield
    finally:
        for path in fresh:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        for path in set(Path("/sys/fs/cgroup").glob("*/docker")) - cgroups:
            _remove_cgroup(path)


def _remove_cgroup(path: Path) -> None:
    for directory, _, _ in os.walk(path, topdown=False):
        # The kernel needs a moment to let go of processes that were killed.
        for _ in range(100):
            with contextlib.suppress(OSError):
                Path(directory).rmdir()
                break
            time.sleep(0.02)
