"""What running `true` once costs with tools that do less than a container for a test: floors to compare with."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from traces import no_traces

PODMAN, LXC, BWRAP = "podman run --rm", "bare liblxc: lxc-start", "bwrap"

_MADE_OUTSIDE = (Path("/var/lib/cni"), Path("/var/lib/containers"))
"""What podman makes whatever directories it is given."""

LXC_CONFIG = """\
lxc.uts.name = bench
lxc.rootfs.path = dir:{rootfs}
lxc.rootfs.options = ro
lxc.init.cmd = /bin/true
lxc.net.0.type = empty
lxc.cgroup.dir.container = lxbench/payload
lxc.cgroup.dir.monitor = lxbench/monitor
lxc.cgroup.dir.monitor.pivot = lxbench/pivot
"""


@contextlib.contextmanager
def floors(reference: str, rootfs: Path, scratch: Path) -> Iterator[Mapping[str, Callable[[], float]]]:
    """Give what measures each: seconds of the whole command.

    *reference* is the image for podman, *rootfs* a directory with its files for the others.
    """
    with no_traces(_MADE_OUTSIDE, cgroups=("libpod_parent", "lxbench")):
        podman = _podman(reference, scratch)
        lxc, bwrap = _lxc(rootfs, scratch), ("bwrap", "--unshare-all", "--ro-bind", str(rootfs), "/", "true")
        yield {
            PODMAN: lambda: timed(*podman),
            LXC: lambda: timed(*lxc),
            BWRAP: lambda: timed(*bwrap),
        }


def timed(*command: str) -> float:
    begin = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    seconds = time.perf_counter() - begin
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}")
    return seconds


def _podman(reference: str, scratch: Path) -> tuple[str, ...]:
    """A container on podman's default network, whose bridge and rules are in a network namespace that goes with it."""
    directory = scratch / "podman"
    storage = ("--storage-driver", "overlay", "--root", f"{directory}/graph", "--runroot", f"{directory}/run")
    podman = ("podman", *storage, "--cgroup-manager", "cgroupfs", "--events-backend", "none")
    own_places = "mount -t tmpfs tmpfs /run && mkdir -p /var/lib/cni && mount -t tmpfs tmpfs /var/lib/cni"
    own_network = ("unshare", "--net", "--mount", "sh", "-c", f'{own_places} && ip link set lo up && exec "$@"', "sh")
    pull = ("unshare", "--mount", *podman, "pull", "--quiet", "--tls-verify=false", reference)
    subprocess.run(pull, stdout=subprocess.DEVNULL, check=True)
    # Podman's own limits are more than a host may grant.
    limits = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
    return (*own_network, *podman, "run", "--rm", *limits, reference, "true")


def _lxc(rootfs: Path, scratch: Path) -> tuple[str, ...]:
    """A command as a container of LXC's without a network, on the directory itself."""
    directory = scratch / "lxc"
    directory.mkdir()
    config = directory / "config"
    config.write_text(LXC_CONFIG.format(rootfs=rootfs))
    log = ("--logfile", str(directory / "log"))
    return ("lxc-start", "--foreground", "--name", "bench", "-P", str(directory), "--rcfile", str(config), *log)
