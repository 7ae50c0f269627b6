"""What this host offers to the containers of a run, found out once."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..container.cgroups import Hierarchies, cgroups_of, host_hierarchies
from ..errors import HostNotReadyError
from ..rootfs.idmap import IdMap
from .own_cgroups import CONTROLLERS as OWN_CONTROLLERS

LIMITING = {"memory", "pids"}
"""Controllers without which there are no limits worth the name."""


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
    disks: tuple[str, ...]
    apparmor: bool

    @property
    def is_root(self) -> bool:
        """Whether the run is root's."""
        return self.uid == 0

    @property
    def makes_cgroups(self) -> bool:
        """Whether containers' cgroups can be made in LXC's place; see `own_cgroups`."""
        return self.is_root and self.hierarchies.limits_on_v1 and self.cgroup_base.keys() >= set(OWN_CONTROLLERS)

    @property
    def limits_apply(self) -> bool:
        """Whether cgroups that can limit a container are this user's to make."""
        return limits_apply_in(self.cgroup_base, self.hierarchies)

    @property
    def controllers(self) -> set[str]:
        """What can be limited here, as `controllers_in` has it."""
        return controllers_in(self.cgroup_base, self.hierarchies)


def inspect_host(disk_of: Path) -> Host:
    """Look at the host; *disk_of* is a path on the disk that I/O limits apply to.

    Raises `HostNotReadyError` where the user has no subordinate ids.
    """
    uid = os.geteuid()
    entry = user_entry(uid)
    hierarchies = host_hierarchies()
    return Host(
        uid=uid,
        user=entry.pw_name,
        groups=groups_of(entry),
        idmap=IdMap.for_host(),
        hierarchies=hierarchies,
        cgroup_base=writable_base(uid, hierarchies),
        disks=disks_below(os.stat(disk_of).st_dev),
        apparmor=has_apparmor(),
    )


def disks_below(device: int, blocks: Path = Path("/sys/dev/block")) -> tuple[str, ...]:
    """The whole disk, as ``major:minor``, that a file system's *device* is on: the kernel limits no partitions.

    None where it is on no disk of its own, as tmpfs, overlayfs and Btrfs are not.
    """
    if not os.major(device):
        return ()
    number = f"{os.major(device)}:{os.minor(device)}"
    if (blocks / number / "partition").exists():
        number = ((blocks / number).resolve().parent / "dev").read_text().strip()
    return (number,)


def has_apparmor(switch: Path = Path("/sys/module/apparmor/parameters/enabled")) -> bool:
    """Whether the kernel confines processes by AppArmor, which LXC then has its containers take part in."""
    try:
        return switch.read_text().strip() == "Y"
    except OSError:
        return False


def user_entry(uid: int) -> pwd.struct_passwd:
    """The user's line of passwd(5); `HostNotReadyError` without one, since LXC goes by names."""
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        raise HostNotReadyError(
            f"user id {uid} has no name on this host", hint=f"as root: useradd --uid {uid} --create-home NAME"
        ) from None


def groups_of(entry: pwd.struct_passwd) -> tuple[str, ...]:
    """Names of the groups that a user is in."""
    return tuple(grp.getgrgid(gid).gr_name for gid in os.getgrouplist(entry.pw_name, entry.pw_gid) if _known(gid))


def _known(gid: int) -> bool:
    try:
        grp.getgrgid(gid)
    except KeyError:
        return False
    return True


def writable_base(uid: int, hierarchies: Hierarchies) -> dict[str, Path]:
    """Root's containers go beside init's cgroup, as LXC has it, an ordinary user's below the user's own."""
    base = cgroups_of(1 if uid == 0 else os.getpid(), hierarchies)
    # Where systemd keeps itself, and LXC does not look.
    base = {name: path.parent if path.name == "init.scope" else path for name, path in base.items()}
    return {name: path for name, path in base.items() if os.access(path, os.W_OK)}


def limits_apply_in(base: Mapping[str, Path], hierarchies: Hierarchies) -> bool:
    """Whether cgroups made below *base* (as `writable_base` gives it) can limit a container."""
    return controllers_in(base, hierarchies) >= LIMITING


def controllers_in(base: Mapping[str, Path], hierarchies: Hierarchies) -> set[str]:
    """The controllers, by their names on v2, that cgroups made below *base* (as `writable_base` gives it) can have.

    On v2 they must be switched on there, which only its root allows while it holds processes itself:
    https://docs.kernel.org/admin-guide/cgroup-v2.html#no-internal-process-constraint
    """
    if hierarchies.limits_on_v1:
        return {"io" if name == "blkio" else name for name in base if name}
    unified = base.get("")
    if unified is None:
        return set()
    is_root = not (unified / "cgroup.type").exists()
    return words_in(unified / ("cgroup.controllers" if is_root else "cgroup.subtree_control"))


def words_in(path: Path) -> set[str]:
    """The words of a cgroup's file; none where there is no such file."""
    try:
        return set(path.read_text().split())
    except OSError:
        return set()
