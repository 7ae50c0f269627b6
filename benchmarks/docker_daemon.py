"""A Docker daemon of the benchmark's own, that leaves nothing behind."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from memory import running_with
from traces import no_traces

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
    with no_traces(_MADE_OUTSIDE, cgroups=("docker",)), _bridge(), (directory / "log").open("wb") as log:
        daemon = subprocess.Popen(_command(directory), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            _await_socket(daemon, directory)
            yield f"unix://{directory / 'sock'}"
        finally:
            # setpriv and unshare hand no signal on; their death is the daemon's and its containers'.
            daemon.kill()
            daemon.wait()


def daemon_pid(directory: Path) -> int:
    """The process of the daemon that runs with *directory*; containerd, shims and proxies are its descendants."""
    (pid,) = (pid for pid in running_with(directory) if Path(f"/proc/{pid}/comm").read_text() == "dockerd\n")
    return pid


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
