"""Cgroups for an ordinary user's run on v2: a scope that the user's own systemd gives away, and room in it.

Only where all cgroups are v2: on v1, systemd gives none away. https://systemd.io/CGROUP_DELEGATION/
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from ..container.cgroups import Hierarchies, cgroups_of
from .host import LIMITING, limits_apply_in, words_in, writable_base

LEAF = "init.scope"
"""The cgroup for processes that are in no container: LXC makes cgroups beside one of this name, not in it."""

SWITCHED_ON = {"cpu", "io", "memory", "pids"}
"""The controllers that limits need."""

_PATH = "/usr/bin:/bin"


def manager_directory(uid: int) -> Path:
    """Where user *uid*'s systemd listens, if it runs; su(1) leaves the variable of who called it."""
    usual = Path(f"/run/user/{uid}")
    named = Path(os.environ.get("XDG_RUNTIME_DIR") or usual)
    try:
        return named if named.stat().st_uid == uid else usual
    except OSError:
        return named


def manager_answers(uid: int, hierarchies: Hierarchies) -> bool:
    """Whether there is a systemd that can give cgroups to user *uid*."""
    return not hierarchies.v1 and uid != 0 and (manager_directory(uid) / "systemd" / "private").is_socket()


def manager_controllers(uid: int, hierarchies: Hierarchies) -> set[str]:
    """The controllers that user *uid*'s systemd can give away."""
    service = f"user.slice/user-{uid}.slice/user@{uid}.service"
    return words_in((hierarchies.unified or Path("/nonexistent")) / service / "cgroup.controllers") & SWITCHED_ON


def limits_will_apply(uid: int, hierarchies: Hierarchies) -> bool:
    """Whether a run of user *uid*, who asks, will have cgroups that can limit its containers."""
    if limits_apply_in(writable_base(uid, hierarchies), hierarchies):
        return True
    return manager_answers(uid, hierarchies) and manager_controllers(uid, hierarchies) >= LIMITING


def in_a_scope(run_id: str, uid: int, hierarchies: Hierarchies, environment: Mapping[str, str]) -> tuple[str, ...]:
    """What to put in front of a command that is to have *environment*, for it to run in a scope of its own.

    Nothing for root, where no systemd of the user's answers, and where cgroups were given to the user in another way.
    """
    program = shutil.which("systemd-run", path=_PATH)
    if program is None or not manager_answers(uid, hierarchies):
        return ()
    if limits_apply_in(writable_base(uid, hierarchies), hierarchies):
        return ()
    words = ("--user", "--scope", "--quiet", "--collect", "--property=Delegate=yes", f"--unit=lxt-{run_id}.scope")
    clean = (f"{name}={value}" for name, value in environment.items())
    return (
        "/usr/bin/env", f"XDG_RUNTIME_DIR={manager_directory(uid)}", program, *words,
        "/usr/bin/env", "-i", *clean,
    )  # fmt: skip


def make_room(uid: int, hierarchies: Hierarchies, pids: Collection[int]) -> None:
    """Switch controllers on for cgroups below this process's own, if that is the user's and only *pids* are in it.

    The kernel does so only for a cgroup without processes, so that these move into a leaf.
    https://docs.kernel.org/admin-guide/cgroup-v2.html#no-internal-process-constraint
    """
    own = cgroups_of(os.getpid(), hierarchies).get("")
    if uid == 0 or hierarchies.v1 or own is None or own.name == LEAF:
        return
    with suppress(OSError):
        here, offered = words_in(own / "cgroup.procs"), words_in(own / "cgroup.controllers")
        if here != {str(pid) for pid in pids} or not offered >= LIMITING or not os.access(own, os.W_OK):
            return
        (own / LEAF).mkdir(exist_ok=True)
        for pid in pids:
            (own / LEAF / "cgroup.procs").write_text(str(pid))
        switch_on(own)


def switch_on(cgroup: Path) -> None:
    """Let cgroups below *cgroup* have every controller that it has and limits need."""
    for controller in words_in(cgroup / "cgroup.controllers") & SWITCHED_ON:
        (cgroup / "cgroup.subtree_control").write_text(f"+{controller}")
