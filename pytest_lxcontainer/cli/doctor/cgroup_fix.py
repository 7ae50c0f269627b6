"""Delegating cgroups to an ordinary user, so that limits and freeze() work for the user's containers.

https://docs.kernel.org/admin-guide/cgroup-v2.html#delegation
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ...container.cgroups import Hierarchies
from ...supervisor.host import writable_base
from .delegation import fix_command

_GIVEN = ("cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "tasks")
_CPUSET = ("cpuset.cpus", "cpuset.mems")

SYSTEMD_SCOPE = "systemd-run --user --scope -p Delegate=yes"


def delegate_command(name: str, hierarchies: Hierarchies) -> str:
    """What gives user *name* cgroups: root's command, or on a host of systemd's and v2 only, the user's own."""
    if systemd_delegates(hierarchies):
        return f"# as {name}, in front of the command: {SYSTEMD_SCOPE}"
    return f"{fix_command(name)} --pid $$"


def systemd_delegates(hierarchies: Hierarchies) -> bool:
    """Whether a user's own systemd gives cgroups away, as it does where v2 is all there is."""
    return not hierarchies.v1 and Path("/run/systemd/system").is_dir()


def delegate(name: str, uid: int, gid: int, hierarchies: Hierarchies) -> Iterator[Path]:
    """Make a directory for user *name* in every hierarchy, yielding each; root's to do, and to do again."""
    for base in dict.fromkeys(writable_base(0, hierarchies).values()):
        directory = base / f"lxcontainer-{name}"
        directory.mkdir(exist_ok=True)
        _fill_cpuset(base, directory)
        for path in (directory, *(directory / each for each in _GIVEN)):
            if path.exists():
                os.chown(path, uid, gid)
        yield directory


def _fill_cpuset(base: Path, directory: Path) -> None:
    """On v1 a group without processors takes no process; those below take theirs from it."""
    for each in _CPUSET:
        if (base / each).exists() and not (directory / each).read_text().strip():
            (directory / each).write_text((base / each).read_text())
    if (directory / _CPUSET[0]).exists() and (directory / "cgroup.clone_children").exists():
        (directory / "cgroup.clone_children").write_text("1")


def move(pid: int, directories: list[Path]) -> None:
    """Put process *pid* into each of *directories*; what it starts from then on is there too."""
    for directory in directories:
        (directory / "cgroup.procs").write_text(str(pid))
