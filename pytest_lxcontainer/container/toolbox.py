"""A shell and programs of the host's, in a directory to be mounted in containers that have no shell.

A static busybox runs anywhere. Without one the host's bash does, and what goes with it, by way of the host's loader and
libraries, which are in the directory too: ld.so(8), ``--library-path``.
"""

from __future__ import annotations

import re
import shlex
import shutil
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ..errors import HostNotReadyError

PLACE = "/dev/.lxcontainer"
"""Where it is mounted: a container's /dev is in memory, so nothing stays in its files."""

BIN = f"{PLACE}/bin"

_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
_BESIDE_BASH = (
    "cat", "chmod", "chown", "cp", "cut", "date", "df", "du", "env", "find", "grep", "head", "id", "ip", "less", "ln",
    "ls", "mkdir", "mv", "od", "ps", "readlink", "rm", "rmdir", "sed", "sleep", "sort", "ss", "stat", "stty", "tail",
    "touch", "tr", "tty", "uname", "uniq", "wc", "which",
)  # fmt: skip
_PT_INTERP = 3


@dataclass(frozen=True, slots=True)
class Tools:
    """The *directory* on the host, and the words of an interactive shell in it, mounted at `PLACE`."""

    directory: str
    shell: tuple[str, ...]


def fill(directory: Path, path: str = _PATH) -> Tools:
    """Make *directory*, of programs that *path* finds; `HostNotReadyError` where the host has no shell to lend."""
    # An ordinary user's containers reach it as others do.
    for each in (directory, directory / "bin", directory / "lib"):
        each.mkdir(mode=0o755)
        each.chmod(0o755)
    busybox, bash = shutil.which("busybox", path=path), shutil.which("bash", path=path)
    if busybox is not None and loader_of(Path(busybox)) is None:
        _fill_with_busybox(directory, busybox)
        return Tools(str(directory), (f"{BIN}/sh",))
    if bash is not None:
        return Tools(str(directory), _fill_with_bash(directory, bash, path))
    raise HostNotReadyError("the host has no shell to lend to a container", hint="apt-get install busybox-static")


def _fill_with_busybox(directory: Path, busybox: str) -> None:
    _copy(busybox, directory / "bin" / "busybox")
    for applet in _output([busybox, "--list"]).split():
        link = directory / "bin" / applet
        if not link.exists():
            link.symlink_to("busybox")


def _fill_with_bash(directory: Path, bash: str, path: str) -> tuple[str, ...]:
    found = {name: where for name in _BESIDE_BASH if (where := shutil.which(name, path=path))}
    lines = [f"PATH=$PATH:{BIN}"]
    by_loader = _take_along(directory, bash)
    for name, where in found.items():
        if words := _take_along(directory, where):
            lines.append(f'{name}() {{ {shlex.join(words)} "$@"; }}')
    settings = directory / "bashrc"
    settings.write_text("\n".join([*lines, "PS1='\\u@\\h:\\w\\$ '", ""]))
    settings.chmod(0o644)
    return (*by_loader, "--rcfile", f"{PLACE}/{settings.name}", "-i")


def _take_along(directory: Path, program: str) -> tuple[str, ...]:
    """Copy *program* and all that it is linked to; returns the words that run it, none for a script."""
    where = Path(program).resolve()
    target = directory / "bin" / Path(program).name
    loader = loader_of(where)
    if loader is None:
        return ()
    _copy(where, target)
    libraries = re.findall(r"=> (/\S+)", _output([loader, "--list", str(where)]))
    for library in (loader, *libraries):
        copy = directory / "lib" / Path(library).name
        if not copy.exists():
            _copy(library, copy)
    return (f"{PLACE}/lib/{Path(loader).name}", "--library-path", f"{PLACE}/lib", f"{BIN}/{target.name}")


def loader_of(program: Path) -> str | None:
    """The loader that an ELF file of this machine's names (PT_INTERP of elf(5)); ``None`` for a static one, or none."""
    data = program.read_bytes()
    if data[:4] != b"\x7fELF":
        return None
    order = "<" if sys.byteorder == "little" else ">"
    is_64_bit = data[4] == 2
    at, size, count = (32, 54, 56) if is_64_bit else (28, 42, 44)
    (begin,) = struct.unpack_from(f"{order}{'Q' if is_64_bit else 'I'}", data, at)
    (step,), (number,) = (struct.unpack_from(f"{order}H", data, each) for each in (size, count))
    for header in range(begin, begin + step * number, step):
        kind = struct.unpack_from(f"{order}I", data, header)[0]
        if kind == _PT_INTERP:
            # Offset and size in the file.
            format_, first, second = ("Q", 8, 32) if is_64_bit else ("I", 4, 16)
            (offset,), (length,) = (struct.unpack_from(order + format_, data, header + e) for e in (first, second))
            return data[offset : offset + length].rstrip(b"\0").decode()
    return None


def _copy(source: str | Path, target: Path) -> None:
    shutil.copyfile(source, target)
    target.chmod(0o755)


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False, env={}).stdout
