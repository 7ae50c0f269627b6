"""The system calls that no process of a container may make: seccomp(2).

`denied` is the policy, and the one place where it is stated. `attach.confine` puts it on the calling process as a
`program`: LXC's init, and what brings commands of `exec` in, in the container's user namespace, where these still have
CAP_SYS_ADMIN, and before they become the user of the command. Where LXC itself starts the command, it reads the policy
as text (`profile`).

What is denied follows Docker's default profile (https://docs.docker.com/engine/security/seccomp/): what is not
namespaced, what few programs use and attacks on the kernel like, and what makes namespaces within namespaces.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator, Set
from dataclasses import dataclass
from functools import lru_cache

from ..errors import HostNotReadyError

NEVER = (
    "create_module", "get_kernel_syms", "query_module", "nfsservctl", "uselib", "ustat", "sysfs", "_sysctl",
    "lookup_dcookie", "vm86", "vm86old", "keyctl", "add_key", "request_key", "kexec_load", "kexec_file_load",
    "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register",
)  # fmt: skip
"""Denied whatever the container's capabilities are."""

UNLESS = {
    "sys_module": "init_module finit_module delete_module",
    "dac_read_search": "open_by_handle_at",
    "sys_time": "settimeofday stime clock_settime clock_settime64 clock_adjtime clock_adjtime64",
    "sys_boot": "reboot",
    "sys_pacct": "acct",
    "sys_rawio": "iopl ioperm",
    "bpf": "bpf",
    "perfmon": "perf_event_open",
    "sys_admin": (
        "mount umount umount2 pivot_root move_mount open_tree fsopen fsmount fsconfig fspick mount_setattr unshare "
        "setns swapon swapoff quotactl quotactl_fd fanotify_init"
    ),
}
"""Denied to containers that have not got the capability, which the kernel asks for in *some* namespace."""

CLONE_NEW_FLAGS = (0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000, 0x00020000)
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
AF_VSOCK = 40
_WORD = 0xFFFFFFFF
_S390X_CLONE_ARGUMENT = 1

LIBRARY = "libseccomp.so.2"

_ACT_ALLOW, _ACT_ERRNO = 0x7FFF0000, 0x00050000
_CMP_MASKED_EQ = 7
_OTHER_ARCHITECTURES = {"x86_64": (0x40000003, 0x4000003E), "aarch64": (0x40000028,)}
"""libseccomp's numbers of what a machine's kernel runs beside its own: i386 and x32, arm."""


@dataclass(frozen=True, slots=True)
class Denial:
    """A *call* that fails with *error*; if *mask* is not 0, only where ``argument & mask == value``."""

    call: str
    error: int = errno.EPERM
    argument: int = 0
    mask: int = 0
    value: int = 0


FORCED_UMOUNT = Denial("umount2", errno.EACCES, argument=1, mask=1, value=1)
"""MNT_FORCE, for those who may unmount at all: what ``reject_force_umount`` is in a `profile`."""


def denied(capabilities: Set[str]) -> Iterator[Denial]:
    """What a container whose processes may have *capabilities* (LXC's names) may not call."""
    yield from (Denial(call) for call in NEVER)
    for name, calls in UNLESS.items():
        if name not in capabilities:
            yield from (Denial(call) for call in calls.split())
    # What is typed into a terminal so, is typed by whoever sits at it (CVE-2016-2568 and its kind).
    yield from (Denial("ioctl", argument=1, mask=_WORD, value=number) for number in (TIOCSTI, TIOCLINUX))
    # The one address family that no namespace confines: it reaches the hypervisor.
    yield Denial("socket", mask=_WORD, value=AF_VSOCK)
    if "sys_admin" not in capabilities:
        argument = _S390X_CLONE_ARGUMENT if os.uname().machine == "s390x" else 0
        yield from (Denial("clone", argument=argument, mask=flag, value=flag) for flag in CLONE_NEW_FLAGS)
        # Its flags lie in memory, where no filter can look; the C libraries then use clone.
        yield Denial("clone3", errno.ENOSYS)


def profile(capabilities: Set[str]) -> str:
    """The policy as LXC reads it: lxc.container.conf(5), SECCOMP CONFIGURATION."""
    lines = ["2", "denylist", "reject_force_umount", "[all]"]
    for each in denied(capabilities):
        # LXC takes the mask last, other than seccomp_rule_add(3).
        condition = f" [{each.argument},{each.value},SCMP_CMP_MASKED_EQ,{each.mask}]" if each.mask else ""
        lines.append(f"{each.call} errno {each.error}{condition}")
    return "\n".join(lines) + "\n"


class _Comparison(ctypes.Structure):
    """``struct scmp_arg_cmp`` of seccomp_rule_add(3)."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


@lru_cache(maxsize=16)
def program(capabilities: frozenset[str]) -> bytes:
    """The policy as a BPF program for `attach.confine`; made by libseccomp, which LXC brings along, and kept."""
    library = _libseccomp()
    context = ctypes.c_void_p(library.seccomp_init(_ACT_ALLOW))
    try:
        for architecture in _OTHER_ARCHITECTURES.get(os.uname().machine, ()):
            library.seccomp_arch_add(context, architecture)
        for each in denied(capabilities):
            _add(library, context, each)
        if "sys_admin" in capabilities:
            _add(library, context, FORCED_UMOUNT)
        fd = os.memfd_create("lxcontainer-seccomp")
        try:
            _check(library.seccomp_export_bpf(context, fd), "export")
            return os.pread(fd, os.fstat(fd).st_size, 0)
        finally:
            os.close(fd)
    finally:
        library.seccomp_release(context)


def _add(library: ctypes.CDLL, context: ctypes.c_void_p, denial: Denial) -> None:
    number = library.seccomp_syscall_resolve_name(denial.call.encode())
    if number == -1:
        return  # a call that this libseccomp does not know
    comparison = _Comparison(denial.argument, _CMP_MASKED_EQ, denial.mask, denial.value)
    count = 1 if denial.mask else 0
    action = _ACT_ERRNO | denial.error
    result = library.seccomp_rule_add_array(context, action, number, count, ctypes.byref(comparison))
    # A call that the machine has not got (EDOM) cannot be made either.
    if result != -errno.EDOM:
        _check(result, denial.call)


def _libseccomp() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise HostNotReadyError(f"libseccomp is missing: {error}", hint="apt-get install libseccomp2") from None
    library.seccomp_init.restype = ctypes.c_void_p
    return library


def _check(result: int, what: str) -> None:
    if result < 0:
        raise HostNotReadyError(f"libseccomp refuses the rule for {what}: {os.strerror(-result)}")
