"""What the kernel is and allows: its age, user namespaces, overlays in them, bridges and veths."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ...errors import LxContainerError
from ...rootfs.idmap import IdMap
from .finding import Finding, lack, ok
from .overlay_trial import try_overlay

OLDEST_KERNEL = (5, 11)

_SYSCTLS = Path("/proc/sys")
_USERNS = "user namespaces"
_LINK_TRIAL = " && ".join(
    (
        "ip link add name lxt0 type bridge",
        "ip link add name lxt1 type veth peer name lxt2",
        "ip link set lxt1 master lxt0",
    )
)


def check_kernel(release: str) -> Finding:
    """Its age: overlays in user namespaces came with 5.11."""
    if tuple(map(int, re.findall(r"\d+", release)[:2])) < OLDEST_KERNEL:
        oldest = ".".join(map(str, OLDEST_KERNEL))
        return lack("kernel", f"{release}; {oldest} is the oldest that serves", "apt-get dist-upgrade")
    return ok("kernel", release)


def check_user_namespaces(is_root: bool, sysctls: Path = _SYSCTLS) -> Finding:
    """The switches that forbid user namespaces to everybody, or to ordinary users."""
    forbidding = [("user.max_user_namespaces", "0", "65536")]
    if not is_root:
        forbidding += [
            ("kernel.unprivileged_userns_clone", "0", "1"),
            ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
        ]
    wrong = [(key, good) for key, bad, good in forbidding if _sysctl(sysctls, key) == bad]
    if wrong:
        command = "sysctl -w " + " ".join(f"{key}={good}" for key, good in wrong)
        return lack(_USERNS, f"forbidden by {' and '.join(key for key, _ in wrong)}", command)
    most = _sysctl(sysctls, "user.max_user_namespaces")
    return ok(_USERNS, f"allowed, {most} at most" if most else "allowed")


def check_overlay(store: Path, idmap: IdMap) -> Finding:
    """Mount one as a container's would be, where the store is or will be, and write through it."""
    place = next(path for path in (store, *store.parents) if path.is_dir() and os.access(path, os.W_OK | os.X_OK))
    try:
        try_overlay(place, idmap)
    except LxContainerError as error:
        found = " ".join(f"{error.message} {error.details}".split())
        return lack("overlay in a user namespace", found, error.hint)
    return ok("overlay in a user namespace", f"works in {place}")


def check_links(command: Sequence[str] = ("unshare", "--net", "sh", "-c", _LINK_TRIAL)) -> Finding:
    """Make a bridge and a veth where nobody sees them: in a network namespace that ends with the command (root's)."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return lack("bridge and veth", f"{command[0]}: {error.strerror}", "apt-get install -y util-linux iproute2")
    if done.returncode != 0:
        return lack("bridge and veth", " ".join(done.stderr.split()), "modprobe -a bridge veth")
    return ok("bridge and veth", "can be made")


def _sysctl(sysctls: Path, key: str) -> str | None:
    try:
        return (sysctls / key.replace(".", "/")).read_text().strip()
    except OSError:
        return None
