"""Delegating cgroups to an ordinary user, so that limits and freeze() work for the user's containers.

https://docs.kernel.org/admin-guide/cgroup-v2.html#delegation
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ...container.cgroups import Hierarchies
from ...supervisor.host import writable_base
from ...supervisor.scope import LEAF, SWITCHED_ON, switch_on
from .delegation import fix_command

_GIVEN = ("cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "tasks")
_CPUSET = ("cpuset.cpus", "cpuset.mems")

MANAGER_SETTINGS = Path("/etc/systemd/system/user@.service.d/lxcontainer.conf")
"""What a user's systemd has to give away: some controllers only, unless told (systemd.resource-control(5))."""


def delegate_command(name: str, hierarchies: Hierarchies) -> str:
    """What root runs to give user *name* cgroups: where systemd does not, for a shell of the user's."""
    return fix_command(name) if systemd_delegates(hierarchies) else f"{fix_command(name)} --pid $$"


def systemd_delegates(hierarchies: Hierarchies) -> bool:
    """Whether a user's own systemd gives cgroups away, as it does where v2 is all there is."""
    return not hierarchies.v1 and Path("/run/systemd/system").is_dir()


def systemd_commands(name: str, uid: int, settings: Path = MANAGER_SETTINGS) -> Iterator[str]:
    """What has the systemd of user *name* run without a login, and give all controllers away that limits need."""
    content = f"[Service]\\nDelegate={' '.join(sorted(SWITCHED_ON))}\\n"
    yield f"mkdir -p {settings.parent} && printf '{content}' > {settings}"
    yield "systemctl daemon-reload"
    yield f"loginctl enable-linger {name}"
    yield f"systemctl start user@{uid}.service"
    # One that ran already has not noticed.
    yield f"runuser -u {name} -- env XDG_RUNTIME_DIR=/run/user/{uid} systemctl --user daemon-reexec"


def delegate(name: str, uid: int, gid: int, hierarchies: Hierarchies) -> Iterator[Path]:
    """Make a directory for user *name* in every hierarchy, yielding each; root's to do, and to do again."""
    for base in dict.fromkeys(writable_base(0, hierarchies).values()):
        directory = base / f"lxcontainer-{name}"
        directory.mkdir(exist_ok=True)
        _fill_cpuset(base, directory)
        _give(directory, uid, gid)
        if not hierarchies.v1:
            for each in (base, directory):
                switch_on(each)
            (directory / LEAF).mkdir(exist_ok=True)
            _give(directory / LEAF, uid, gid)
        yield directory


def _give(directory: Path, uid: int, gid: int) -> None:
    for path in (directory, *(directory / each for each in _GIVEN)):
        if path.exists():
            os.chown(path, uid, gid)


def _fill_cpuset(base: Path, directory: Path) -> None:
    """On v1 a group without processors takes no process; those below take theirs from it."""
    for each in _CPUSET:
        if (base / each).exists() and (directory / each).exists() and not (directory / each).read_text().strip():
            (directory / each).write_text((base / each).read_text())
    if (directory / _CPUSET[0]).exists() and (directory / "cgroup.clone_children").exists():
        (directory / "cgroup.clone_children").write_text("1")


def move(pid: int, directories: list[Path]) -> None:
    """Put process *pid* into each of *directories*; what it starts from then on is there too."""
    for directory in directories:
        leaf = directory / LEAF
        ((leaf if leaf.is_dir() else directory) / "cgroup.procs").write_text(str(pid))
