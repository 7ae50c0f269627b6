"""Every check in the order of its printing, for whoever runs this process."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

from ...container.cgroups import host_hierarchies
from ...errors import HostNotReadyError
from ...network.bridge import existing_bridge, permitted_bridge_names
from ...network.faults import find_abilities
from ...network.world import obstacles
from ...rootfs.idmap import IdMap
from ...supervisor.host import groups_of, limits_apply_in, user_entry, writable_base
from ...supervisor.scope import manager_answers, manager_controllers
from .cgroup_fix import delegate_command
from .delegation import (
    check_root_cgroups,
    check_root_ids,
    check_systemd_cgroups,
    check_user_bridge,
    check_user_cgroups,
    check_user_ids,
)
from .finding import Finding
from .kernel import check_kernel, check_links, check_overlay, check_user_namespaces
from .network import check_faults, check_user_world, check_world
from .software import (
    check_id_helpers,
    check_ip,
    check_kernel_seccomp,
    check_lxc,
    check_lxc_seccomp,
    check_seccomp,
    check_user_nic,
    lxc_filters,
    lxc_version,
)
from .storage import check_room, check_store, file_system_of, free_bytes


def examine(store: Path) -> Iterator[Finding]:
    """Look at everything a run with *store* needs."""
    uid, is_root = os.geteuid(), os.geteuid() == 0
    entry = user_entry(uid)
    yield from check_lxc(lxc_version())
    yield check_kernel(os.uname().release)
    yield check_user_namespaces(is_root)
    yield from _ids(entry, is_root)
    yield from _store(store)
    yield check_ip()
    yield from _links(entry, is_root)
    yield from check_faults(find_abilities())
    yield _cgroups(uid, entry.pw_name)
    yield check_kernel_seccomp(Path("/proc/self/status").read_text())
    yield check_seccomp()
    yield from check_lxc_seccomp(lxc_filters())


def _ids(entry: pwd.struct_passwd, is_root: bool) -> Iterator[Finding]:
    if is_root:
        yield check_root_ids(IdMap.for_root())
        return
    yield check_user_ids(entry.pw_uid, os.getegid(), entry.pw_name)
    yield from check_id_helpers()


def _store(store: Path) -> Iterator[Finding]:
    try:
        idmap = IdMap.for_host()
    except HostNotReadyError:
        # Said already; without ids, nothing more can be tried.
        return
    file_system = file_system_of(store.resolve(), Path("/proc/self/mountinfo").read_text())
    findings = check_store(store, file_system, idmap.host_uid(0), idmap.host_gid(0))
    yield from findings
    if all(finding.verdict == "ok" for finding in findings):
        yield check_overlay(store, idmap)
    yield check_room(store, free_bytes(store))


def _links(entry: pwd.struct_passwd, is_root: bool) -> Iterator[Finding]:
    if is_root:
        yield check_links()
        yield check_world(obstacles())
        return
    names = permitted_bridge_names(entry.pw_name, groups_of(entry))
    existing = {name: bridge for name in names if (bridge := existing_bridge(name))}
    yield check_user_bridge(entry.pw_name, names, existing)
    yield check_user_nic()
    for bridge in list(existing.values())[:1]:
        yield check_user_world(bridge, obstacles(), entry.pw_name)


def _cgroups(uid: int, name: str) -> Finding:
    hierarchies = host_hierarchies()
    writable = writable_base(uid, hierarchies)
    applies = limits_apply_in(writable, hierarchies)
    if uid == 0:
        return check_root_cgroups(writable, applies)
    if not applies and manager_answers(uid, hierarchies):
        return check_systemd_cgroups(name, manager_controllers(uid, hierarchies))
    return check_user_cgroups(name, writable, applies, delegate_command(name, hierarchies))
