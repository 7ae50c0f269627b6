"""What this host offers to the containers of a run, found out once."""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from ..container.cgroups import Hierarchies, cgroups_of, host_hierarchies
from ..rootfs.idmap import IdMap

SECCOMP_PROFILES = (
    Path("/usr/share/lxc/config/common.seccomp"),
    Path("/usr/local/share/lxc/config/common.seccomp"),
)


@dataclass(frozen=True, slots=True)
class Host:
    """The facts that configurations depend on.

    *cgroup_base* is the directory below which LXC makes a container's cgroups, in every hierarchy where this user may
    (key: v1 controller, ``""`` for the unified one); empty for an ordinary user without delegation.
    """

    uid: int
    user: str
    groups: tuple[str, ...]
    idmap: IdMap
    hierarchies: Hierarchies
    cgroup_base: dict[str, Path]
    seccomp_profile: Path | None
    disks: tuple[str, ...]

    @property
    def is_root(self) -> bool:
        """Whether the run is root's."""
        return self.uid == 0

    @property
    def limits_apply(self) -> bool:
        """Whether cgroups that can limit a container are this user's to make."""
        if self.hierarchies.limits_on_v1:
            return "memory" in self.cgroup_base and "pids" in self.cgroup_base
        return "" in self.cgroup_base


def inspect_host(disk_of: Path) -> Host:
    """Look at the host; *disk_of* is a path on the disk that I/O limits apply to.

    Raises `HostNotReadyError` where the user has no subordinate ids.
    """
    uid = os.geteuid()
    entry = pwd.getpwuid(uid)
    hierarchies = host_hierarchies()
    device = os.stat(disk_of).st_dev
    return Host(
        uid=uid,
        user=entry.pw_name,
        groups=tuple(grp.getgrgid(gid).gr_name for gid in os.getgrouplist(entry.pw_name, entry.pw_gid) if _known(gid)),
        idmap=IdMap.for_host(),
        hierarchies=hierarchies,
        cgroup_base=_writable_base(uid, hierarchies),
        seccomp_profile=next((path for path in SECCOMP_PROFILES if path.exists()), None),
        disks=(f"{os.major(device)}:{os.minor(device)}",) if os.major(device) else (),
    )


def _known(gid: int) -> bool:
    try:
        grp.getgrgid(gid)
    except KeyError:
        return False
    return True


def _writable_base(uid: int, hierarchies: Hierarchies) -> dict[str, Path]:
    """Root's containers go beside init's cgroup, as LXC has it, an ordinary user's below the user's own."""
    base = cgroups_of(1 if uid == 0 else os.getpid(), hierarchies)
    return {name: path for name, path in base.items() if os.access(path, os.W_OK)}
