"""Running what mends a host: for root, or for an ordinary user that root names."""

from __future__ import annotations

import pwd
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ...container.cgroups import Hierarchies, host_hierarchies
from ...errors import HostNotReadyError, InvalidSettingsError
from ...network.bridge import USER_BRIDGE, USERNET, existing_bridge, make_user_bridge, permitted_bridge_names
from ...supervisor.host import groups_of
from ...supervisor.scope import SWITCHED_ON, manager_controllers
from .cgroup_fix import delegate, move, systemd_commands, systemd_delegates
from .delegation import check_user_ids
from .finding import Finding
from .software import SBIN, check_id_helpers, check_ip, check_user_nic

BRIDGE_CONTAINERS = 256
"""Containers a user may have on the bridge at a time."""

_ALREADY = "already there"

Say = Callable[[str], None]


def fix_for_root(findings: Sequence[Finding], say: Say) -> None:
    """Run the command of every lack; `HostNotReadyError` where one fails."""
    for finding in findings:
        if finding.verdict == "lack" and finding.command:
            _run(finding.command, say)


def fix_for_user(name: str, pid: int | None, say: Say) -> None:
    """Give user *name* what rootless containers need; what is there already stays.

    With *pid* that process is moved into the user's cgroups, where containers started by it can have limits.
    Raises `InvalidSettingsError` for an unknown user, `HostNotReadyError` where a command fails.
    """
    entry = _entry(name)
    if entry.pw_uid == 0:
        raise InvalidSettingsError("root needs none of this", hint="lxcontainer doctor --fix")
    _install(say)
    finding = check_user_ids(entry.pw_uid, entry.pw_gid, name)
    if finding.verdict == "ok":
        say(f"subordinate ids: {_ALREADY} ({finding.found})")
    else:
        _run(finding.command, say)
    for line in _permit(entry):
        say(line)
    hierarchies = host_hierarchies()
    if systemd_delegates(hierarchies):
        _have_systemd_delegate(entry, hierarchies, say)
        return
    for line in _delegate(entry, pid, hierarchies):
        say(line)


def _entry(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise InvalidSettingsError(f"there is no user {name}", hint=f"useradd --create-home {name}") from None


def _install(say: Say) -> None:
    """Programs that rootless containers need beside the binding."""
    for finding in (*check_id_helpers(), check_user_nic(), check_ip()):
        if finding.verdict == "lack" and shutil.which(finding.name, path=SBIN) is None:
            _run(finding.command, say)


def _permit(entry: pwd.struct_passwd, usernet: Path = USERNET) -> Iterator[str]:
    """Let the user on a bridge that exists, and else on one of ours."""
    names = permitted_bridge_names(entry.pw_name, groups_of(entry), usernet)
    bridge = next(filter(None, map(existing_bridge, names)), None)
    if bridge is not None:
        make_user_bridge(bridge.name)  # an older one of ours lacks an address of its own
        yield f"bridge for users: {_ALREADY} ({bridge.name}, {bridge.subnet})"
        return
    if USER_BRIDGE not in names:
        _append(usernet, f"{entry.pw_name} veth {USER_BRIDGE} {BRIDGE_CONTAINERS}")
        yield f"{usernet}: {entry.pw_name} may have {BRIDGE_CONTAINERS} containers on {USER_BRIDGE}"
    bridge = make_user_bridge(USER_BRIDGE)
    yield f"bridge for users: {bridge.name}, {bridge.subnet}, until the next boot; then run this again"


def _append(path: Path, line: str) -> None:
    text = path.read_text() if path.exists() else ""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(("\n" if text and not text.endswith("\n") else "") + line + "\n")


def _have_systemd_delegate(entry: pwd.struct_passwd, hierarchies: Hierarchies, say: Say) -> None:
    if Path(f"/run/user/{entry.pw_uid}/systemd").is_dir() and (
        manager_controllers(entry.pw_uid, hierarchies) >= SWITCHED_ON
    ):
        say(f"cgroups: {_ALREADY} (from systemd)")
        return
    for command in systemd_commands(entry.pw_name, entry.pw_uid):
        _run(command, say)


def _delegate(entry: pwd.struct_passwd, pid: int | None, hierarchies: Hierarchies) -> Iterator[str]:
    directories = list(delegate(entry.pw_name, entry.pw_uid, entry.pw_gid, hierarchies))
    if not directories:
        yield "cgroups: none are writable here: no limits and no freeze()"
        return
    listed = ", ".join(sorted({each.parent.name for each in directories}))
    yield f"cgroups: {directories[0].name} in {listed}, until the next boot; then run this again"
    if pid is None:
        yield f"cgroups: move a shell of {entry.pw_name} there with --pid PID, for limits and freeze()"
        return
    _move(pid, directories)
    yield f"cgroups: process {pid} is there now, and so is what it starts"


def _move(pid: int, directories: list[Path]) -> None:
    try:
        move(pid, directories)
    except OSError as error:
        raise HostNotReadyError(
            f"process {pid} cannot be moved into the user's cgroups: {error.strerror}",
            hint="--pid takes the process id of a shell, as `echo $$` prints it",
        ) from None


def _run(command: str, say: Say) -> None:
    say(f"+ {command}")
    if subprocess.run(["sh", "-c", command], check=False).returncode != 0:
        raise HostNotReadyError(f"this failed: {command}", hint="what it said is above; run again once that is mended")
