"""A program that only waits, run in place of a command that has ended: so there is a container to walk into.

It needs nothing of the image's: an ELF file (elf(5)) of one segment that calls pause(2), or ppoll(2), for ever.
"""

from __future__ import annotations

import os
import struct
from dataclasses import replace
from pathlib import Path

from .container import Container
from .spec import ContainerSpec

PLACE = "/dev/.lxcontainer-wait"
"""Where it is mounted: a container's /dev is in memory, so nothing stays in its files."""

_EM_X86_64, _EM_AARCH64 = 62, 183
_X86_64 = bytes.fromhex("b822000000 0f05 ebf7")
"""``again: mov eax, SYS_pause; syscall; jmp again``"""
_AARCH64 = struct.pack(
    "<8I", 0xD2800000, 0xD2800001, 0xD2800002, 0xD2800003, 0xD2800928, 0xD4000001, 0xD2800000, 0x17FFFFFD
)
"""``mov x0..x3, #0; again: mov x8, #SYS_ppoll; svc #0; mov x0, #0; b again``"""
_PROGRAMS = {"x86_64": (_EM_X86_64, _X86_64), "aarch64": (_EM_AARCH64, _AARCH64)}
_PAGE = 0x10000
_ADDRESS = 0x400000
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")


class StandIn(Container):
    """One whose command has been replaced by a program that only waits."""

    is_stand_in = True


def write_program(path: Path) -> bool:
    """Make the program at *path*, unless it is there; false on a machine that it does not know."""
    known = _PROGRAMS.get(os.uname().machine)
    if known is None:
        return False
    if not path.exists():
        path.write_bytes(_elf(*known))
        path.chmod(0o755)
    return True


def waiting(spec: ContainerSpec, program: Path) -> ContainerSpec:
    """*spec* with *program*, or where there can be none the image's ``sleep``, in place of its command."""
    has_program = write_program(program)
    mounts = (*spec.mounts, (str(program), PLACE, True)) if has_program else spec.mounts
    command = (PLACE,) if has_program else ("sleep", "infinity")
    return replace(spec, command=command, mounts=mounts, init=True, systemd=False)


def _elf(machine: int, code: bytes) -> bytes:
    start = _HEADER.size + _SEGMENT.size
    size = start + len(code)
    identity = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header = _HEADER.pack(
        identity, 2, machine, 1, _ADDRESS + start, _HEADER.size, 0, 0, _HEADER.size, _SEGMENT.size, 1, 0, 0, 0
    )
    # PT_LOAD, readable and executable, as it is in the file.
    segment = _SEGMENT.pack(1, 5, 0, _ADDRESS, _ADDRESS, size, size, _PAGE)
    return header + segment + code
