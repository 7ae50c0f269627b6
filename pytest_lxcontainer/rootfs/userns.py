"""Entering a user namespace whose ids are mapped: one half for the process inside, one for its parent.

https://man7.org/linux/man-pages/man7/user_namespaces.7.html
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ..errors import HostNotReadyError
from .idmap import IdMap, IdRange

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000


def unshare(flags: int) -> None:
    """unshare(2) for this process, which must have one thread only where a user namespace is asked for.

    Python has `os.unshare` from 3.12 on.
    """
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) == 0:
        return
    number = ctypes.get_errno()
    raise HostNotReadyError(
        f"the kernel refuses a new user namespace: {os.strerror(number)}",
        hint="sysctl -w user.max_user_namespaces=65536 kernel.unprivileged_userns_clone=1"
        " (and kernel.apparmor_restrict_unprivileged_userns=0 where there is such a key);"
        " in a chroot there can be none: enter the directory with pivot_root instead, as containers do",
    )


def become_root() -> None:
    """Become the root of the user namespace this process is in, once its ids are mapped."""
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def write_maps(pid: int, idmap: IdMap) -> None:
    """Map the ids of the user namespace that the child *pid* has just made for itself.

    Root writes the maps itself; an ordinary user needs newuidmap and newgidmap, which know /etc/subuid and
    /etc/subgid. Raises `HostNotReadyError`.
    """
    write = _write_as_root if os.geteuid() == 0 else _write_as_user
    write(pid, "uid", idmap.uid_ranges)
    write(pid, "gid", idmap.gid_ranges)


def _write_as_root(pid: int, kind: str, ranges: Sequence[IdRange]) -> None:
    text = "".join(f"{item}\n" for item in ranges)
    try:
        Path(f"/proc/{pid}/{kind}_map").write_text(text, encoding="ascii")
    except OSError as error:
        raise HostNotReadyError(
            f"the kernel refuses the {kind} map of a container: {error.strerror}",
            details=text,
            hint="root must own these ids: inside a container, run with more ids or as an ordinary user",
        ) from error


def _write_as_user(pid: int, kind: str, ranges: Sequence[IdRange]) -> None:
    command = [f"new{kind}map", str(pid), *(word for item in ranges for word in str(item).split())]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise HostNotReadyError(f"{command[0]} is not installed", hint="apt-get install uidmap") from None
    if done.returncode != 0:
        raise HostNotReadyError(
            f"{command[0]} refuses the ids of /etc/sub{kind}",
            details=done.stderr,
            hint=f"/etc/sub{kind} must list these ids for this user, and {command[0]} be setuid root",
        )
