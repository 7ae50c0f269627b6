"""Which capabilities a container's processes may have at most: capabilities(7)."""

from __future__ import annotations

from ..errors import InvalidSettingsError
from .spec import ContainerSpec

_NAMES = (
    "chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap",
    "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner",
    "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice",
    "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap",
    "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf",
    "checkpoint_restore",
)  # fmt: skip
NUMBERS = {name: number for number, name in enumerate(_NAMES)}
"""Every capability's number, by LXC's name for it."""

ORDINARY = frozenset((
    "chown", "dac_override", "fsetid", "fowner", "mknod", "net_raw", "setgid", "setuid", "setfcap", "setpcap",
    "net_bind_service", "sys_chroot", "kill", "audit_write",
))  # fmt: skip
"""What Docker leaves a container: https://docs.docker.com/engine/security/#linux-kernel-capabilities."""

HARMFUL = frozenset((
    "mac_admin", "mac_override", "sys_module", "sys_rawio", "sys_time", "syslog", "wake_alarm",
))  # fmt: skip
"""Never needed by a service under test, and harmful without a user namespace around them."""

_SYSTEM_INITS = ("/sbin/init", "/usr/sbin/init", "/usr/local/sbin/init")


def is_system(spec: ContainerSpec) -> bool:
    """Whether the container boots a whole system, whose init mounts its file systems and so needs more."""
    return spec.systemd or (not spec.init and spec.command[:1] != () and spec.command[0] in _SYSTEM_INITS)


def kept_capabilities(spec: ContainerSpec) -> frozenset[str]:
    """The capabilities, by LXC's names, that processes of the container may have."""
    added = {capability(name) for name in spec.cap_add}
    if "all" in added:
        return frozenset(NUMBERS)
    basis = NUMBERS.keys() - HARMFUL if spec.privileged or is_system(spec) else ORDINARY
    return frozenset(basis | added)


def dropped_capabilities(spec: ContainerSpec) -> tuple[str, ...]:
    """The capabilities that no process of the container may have."""
    return tuple(sorted(NUMBERS.keys() - kept_capabilities(spec)))


def capability(text: str) -> str:
    """LXC's name of the capability written ``SYS_TIME``, ``sys_time`` or ``CAP_SYS_TIME``; ``all`` is one too."""
    name = text.lower().removeprefix("cap_")
    if name != "all" and name not in NUMBERS:
        raise InvalidSettingsError(
            f"cap_add: there is no capability {text!r}", hint="write one of capabilities(7), such as NET_ADMIN, or ALL"
        )
    return name
