"""What root gives an ordinary user: ids, a bridge, cgroups; and what root has without being given it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from pathlib import Path

from ...errors import HostNotReadyError
from ...network.bridge import Bridge
from ...rootfs.idmap import SUBGID, SUBUID, IdMap, command_for_ids
from ...supervisor.host import LIMITING
from ...supervisor.scope import SWITCHED_ON
from .finding import Finding, lack, note, ok

_IDS, _BRIDGE, _CGROUPS = "subordinate ids", "bridge for users", "cgroups"


def check_user_ids(uid: int, gid: int, name: str, *, subuid: Path = SUBUID, subgid: Path = SUBGID) -> Finding:
    """An ordinary user's ids beyond the own one."""
    try:
        idmap = IdMap.for_user(uid, gid, name, subuid=subuid, subgid=subgid)
    except HostNotReadyError as error:
        return lack(_IDS, error.message, command_for_ids(name, subuid=subuid, subgid=subgid))
    return ok(_IDS, f"{idmap.uid_ranges[-1].count} from {idmap.uid_ranges[-1].outside} up")


def check_root_ids(idmap: IdMap) -> Finding:
    """Where root's containers have their ids; root needs no entry for them."""
    return ok(_IDS, f"{idmap.uid_ranges[0].count} from {idmap.uid_ranges[0].outside} up")


def check_user_bridge(name: str, permitted: Sequence[str], existing: Mapping[str, Bridge]) -> Finding:
    """A bridge that lxc-usernet(5) lets user *name* use; *existing* are those of the *permitted* that exist."""
    mend = fix_command(name)
    if not permitted:
        return lack(_BRIDGE, f"/etc/lxc/lxc-usernet has no line for {name}", mend)
    usable = [existing[each] for each in permitted if each in existing]
    if not usable:
        return lack(_BRIDGE, f"{permitted[0]} does not exist or has no IPv4 address", mend)
    return ok(_BRIDGE, f"{usable[0].name}, {usable[0].subnet}")


def check_root_cgroups(writable: Mapping[str, Path], limits_apply: bool) -> Finding:
    """Cgroups as root has them."""
    if not writable:
        return lack(_CGROUPS, "none are writable", "mount -o remount,rw /sys/fs/cgroup")
    if not limits_apply:
        return note(_CGROUPS, f"{_listed(writable)}; limits need the controllers memory and pids")
    return ok(_CGROUPS, _listed(writable))


def check_user_cgroups(name: str, writable: Mapping[str, Path], limits_apply: bool, command: str) -> Finding:
    """Cgroups as they were delegated to user *name*, if they were; *command* would do so."""
    if not writable:
        return note(_CGROUPS, f"not delegated to {name}: limits and freeze() are unavailable", command)
    if not limits_apply:
        return note(_CGROUPS, f"{_listed(writable)}: limits are unavailable", command)
    return ok(_CGROUPS, _listed(writable))


def check_systemd_cgroups(name: str, offered: Set[str]) -> Finding:
    """Cgroups as user *name*'s own systemd gives them to runs, with the controllers *offered*."""
    if not offered >= LIMITING:
        return note(_CGROUPS, f"systemd may not give {name} limits by memory and pids", fix_command(name))
    found = f"from systemd, with {', '.join(sorted(offered))}"
    if lacking := sorted(SWITCHED_ON - offered):
        return note(
            _CGROUPS, f"{found}; without {', '.join(lacking)}, limits by that are unavailable", fix_command(name)
        )
    return ok(_CGROUPS, found)


def fix_command(name: str) -> str:
    """What root runs to set the host up for user *name*."""
    return f"lxcontainer doctor --fix --user {name}"


def _listed(writable: Mapping[str, Path]) -> str:
    return ", ".join(sorted(controller or "unified" for controller in writable))
