"""Programs and libraries: LXC, its binding, and the helpers that are setuid root."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ...container.seccomp import program
from ...errors import HostNotReadyError
from .finding import Finding, lack, note, ok

OLDEST_LXC = (5, 0)
SBIN = "/usr/sbin:/sbin:/usr/bin:/bin"
USER_NICS = (
    "/usr/libexec/lxc/lxc-user-nic",
    f"/usr/lib/{os.uname().machine}-linux-gnu/lxc/lxc-user-nic",
    "/usr/lib/lxc/lxc-user-nic",
    "/usr/local/libexec/lxc/lxc-user-nic",
)

_BINDING_TIMEOUT = 30.0


def lxc_version(python: str = sys.executable) -> str | None:
    """The version of LXC that *python* has a binding to; ``None`` without one."""
    return _asked_lxc(python, "lxc.version")


def lxc_filters(python: str = sys.executable) -> bool | None:
    """Whether the LXC that *python* has a binding to was linked with libseccomp; ``None`` without one."""
    answer = _asked_lxc(python, "'/libseccomp.' in open('/proc/self/maps').read()")
    return None if answer is None else answer == "True"


def _asked_lxc(python: str, question: str) -> str | None:
    """What *python* finds, in a process of its own; ``None`` if it has no binding."""
    command = [python, "-I", "-c", f"import lxc; print({question})"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_BINDING_TIMEOUT)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def check_lxc(version: str | None, python: str = sys.executable) -> list[Finding]:
    """The binding, and the version of the library behind it."""
    if version is None:
        install = f"apt-get install -y lxc lxc-dev gcc python3-dev && {python} -m pip install lxc"
        return [lack("Python binding of LXC", f"{python} cannot import lxc", install)]
    binding = ok("Python binding of LXC", f"for {python}")
    digits = re.findall(r"\d+", version)
    if tuple(map(int, digits[:2])) < OLDEST_LXC:
        oldest = ".".join(map(str, OLDEST_LXC))
        return [
            binding,
            lack("LXC", f"version {version}; {oldest} is the oldest that serves", "apt-get install -y lxc"),
        ]
    return [binding, ok("LXC", f"version {version}")]


def check_seccomp() -> Finding:
    """libseccomp, which makes the filter of system calls that commands of `exec` get."""
    try:
        program(frozenset())
    except HostNotReadyError as error:
        return lack("libseccomp", error.message, "apt-get install -y libseccomp2")
    return ok("libseccomp", "makes the filter of system calls")


def check_lxc_seccomp(filters: bool | None) -> list[Finding]:
    """Whether LXC puts the same filter on a container's own command; nothing where there is no LXC to be asked."""
    if filters is None:
        return []
    name = "system call filter of LXC"
    if filters:
        return [ok(name, "LXC has libseccomp")]
    found = "LXC was built without libseccomp: a container's own command may make every system call"
    return [note(name, found, "apt-get install -y lxc")]


def check_kernel_seccomp(status: str) -> Finding:
    """Filters of system calls in the kernel; *status* is a process's, of proc_pid_status(5)."""
    if re.search(r"^Seccomp_filters:", status, re.MULTILINE):
        return ok("seccomp", "the kernel filters system calls")
    return lack("seccomp", "the kernel cannot filter system calls (CONFIG_SECCOMP_FILTER)", "apt-get dist-upgrade")


def check_ip(path: str = SBIN) -> Finding:
    """iproute2, which makes bridges."""
    found = shutil.which("ip", path=path)
    return ok("iproute2", found) if found else lack("iproute2", "no program ip", "apt-get install -y iproute2")


def check_id_helpers(path: str = SBIN) -> list[Finding]:
    """newuidmap and newgidmap, by which an ordinary user's containers get their ids."""
    return [check_privileged(name, shutil.which(name, path=path), "uidmap") for name in ("newuidmap", "newgidmap")]


def check_user_nic(candidates: Sequence[str] = USER_NICS) -> Finding:
    """lxc-user-nic, by which an ordinary user's containers get on a bridge."""
    found = next((path for path in candidates if Path(path).exists()), None)
    return check_privileged("lxc-user-nic", found, "lxc")


def check_privileged(name: str, path: str | None, package: str) -> Finding:
    """A program that must act as root when an ordinary user runs it."""
    if path is None:
        return lack(name, "not installed", f"apt-get install -y {package}")
    if not _acts_as_root(path):
        return lack(name, f"{path} is neither setuid root nor has it capabilities", f"chmod u+s {path}")
    return ok(name, path)


def _acts_as_root(path: str) -> bool:
    status = os.stat(path)
    if status.st_uid == 0 and status.st_mode & stat.S_ISUID:
        return True
    try:
        return bool(os.getxattr(path, "security.capability"))
    except OSError:
        return False
