"""Named files in a tar, found by one pass over its headers and read from where they are.

`tarfile` would hold an extended header of any size in memory, and reads much that an archive of blobs never has.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ...errors import CorruptImageError, ImageSourceError
from ...image.document import printable
from .compressed import plain
from .files import Piece, reading

_BLOCK = 512
_MAX_EXTENSION = 64 * 1024
_MAX_MEMBERS = 200_000
_MAX_LINKS = 8
_PAX, _LONG_NAME, _LONG_LINK = b"x", b"L", b"K"
_FILES = (b"0", b"\0", b"7")
_HARD_LINK, _SYMLINK = b"1", b"2"
_LINKS = (_HARD_LINK, _SYMLINK)
_WITHOUT_DATA = (*_LINKS, b"3", b"4", b"5", b"6")


@dataclass(frozen=True, slots=True)
class _Member:
    """A file's place in the tar, or (*link*) the name of the member that stands for it."""

    offset: int = 0
    size: int = 0
    link: str = ""


@dataclass(slots=True)
class _Extended:
    """What headers said of the one that follows them."""

    name: str = ""
    link: str = ""
    size: int | None = None


class TarFiles:
    """The files of a tar, which may be compressed as a whole; symbolic and hard links lead to other members."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with reading(path):
            self._fd = plain(path)
        try:
            with reading(path):
                self._members = dict(_members(self._fd, path))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the archive."""
        os.close(self._fd)

    def has(self, name: str) -> bool:
        """Tell whether there is such a file."""
        return self._find(name) is not None

    def target(self, name: str) -> str:
        """Return the name under which the file that *name* leads to is kept."""
        name = _normal(name)
        for _ in range(_MAX_LINKS):
            member = self._members.get(name)
            if member is None or not member.link:
                break
            name = member.link
        return name

    @contextmanager
    def open(self, name: str) -> Iterator[Piece]:
        """Give the bytes of a file."""
        member = self._find(name)
        if member is None:
            raise CorruptImageError(f"{self.path} has no {printable(name)}")
        yield Piece(self._fd, member.offset, member.size, f"{printable(name)} in {self.path}")

    def _find(self, name: str) -> _Member | None:
        member = self._members.get(self.target(name))
        return None if member is None or member.link else member


def _members(fd: int, path: Path) -> Iterator[tuple[str, _Member]]:
    """Yield what the tar's headers tell; a later member of a name replaces an earlier one, as it does when unpacked."""
    position, end = 0, os.fstat(fd).st_size
    extended = _Extended()
    for _ in range(_MAX_MEMBERS):
        header = os.pread(fd, _BLOCK, position)
        if not header.strip(b"\0"):
            return
        _check(header, path, at_start=position == 0)
        flag, size = header[156:157], _number(header[124:136], path)
        position += _BLOCK
        if flag in (_PAX, _LONG_NAME, _LONG_LINK):
            _extend(extended, flag, _extension(fd, position, size, path), path)
        else:
            size = _size(flag, size, extended)
            yield from _member(header, extended, position, size)
            extended = _Extended()
        if size > end - position:
            raise CorruptImageError(f"{path} is cut off", hint="make or copy the archive again")
        position += size + -size % _BLOCK
    raise CorruptImageError(f"{path} has more than {_MAX_MEMBERS} members")


def _size(flag: bytes, size: int, extended: _Extended) -> int:
    if flag in _WITHOUT_DATA:
        return 0
    return size if extended.size is None else extended.size


def _member(header: bytes, extended: _Extended, position: int, size: int) -> Iterator[tuple[str, _Member]]:
    flag = header[156:157]
    name = _normal(extended.name or _name(header))
    if flag in _FILES:
        yield name, _Member(position, size)
    elif flag in _LINKS:
        link = extended.link or _text(header[157:257])
        # A symbolic link begins at its own directory, a hard link at the tar's root.
        yield name, _Member(link=_normal(posixpath.join(posixpath.dirname(name), link) if flag == _SYMLINK else link))


def _check(header: bytes, path: Path, *, at_start: bool) -> None:
    written = header[148:156].strip(b"\0 ")
    actual = sum(header) - sum(header[148:156]) + 8 * ord(" ")
    if len(header) == _BLOCK and written and _octal(written) and int(written, 8) == actual:
        return
    if at_start:
        raise ImageSourceError(
            f"{path} is no tar archive", path=str(path), hint="make it with docker save, podman save or skopeo copy"
        )
    raise CorruptImageError(f"{path} is damaged: a header in it is none", hint="make or copy the archive again")


def _extension(fd: int, position: int, size: int, path: Path) -> bytes:
    if not 0 <= size <= _MAX_EXTENSION:
        raise CorruptImageError(f"{path} has an extended header of {size} bytes")
    return os.pread(fd, size, position)


def _extend(extended: _Extended, flag: bytes, data: bytes, path: Path) -> None:
    if flag == _LONG_NAME:
        extended.name = _text(data)
    elif flag == _LONG_LINK:
        extended.link = _text(data)
    else:
        records = _pax(data, path)
        extended.name = _decoded(records.get(b"path", b"")) or extended.name
        extended.link = _decoded(records.get(b"linkpath", b"")) or extended.link
        if b"size" in records:
            extended.size = _decimal(records[b"size"], path)


def _pax(data: bytes, path: Path) -> dict[bytes, bytes]:
    records = {}
    while data.strip(b"\0"):
        digits, space, _ = data[:20].partition(b" ")
        length = _decimal(digits, path)
        key, equals, value = data[len(digits) + 1 : length - 1].partition(b"=")
        if not space or not equals or not len(digits) + 1 < length <= len(data):
            raise CorruptImageError(f"{path} is damaged: a pax header in it holds nonsense")
        records[key] = value
        data = data[length:]
    return records


def _decimal(text: bytes, path: Path) -> int:
    if not text.isdigit() or len(text) > 19:
        raise CorruptImageError(f"{path} is damaged: a pax header in it holds nonsense")
    return int(text)


def _number(field: bytes, path: Path) -> int:
    """Read an octal number, or GNU's big-endian one with the top bit set."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b"\0 ")
    if digits and not _octal(digits):
        raise CorruptImageError(f"{path} is damaged: a header in it has no size")
    return int(digits or b"0", 8)


def _octal(digits: bytes) -> bool:
    return not digits.strip(b"01234567")


def _name(header: bytes) -> str:
    name = _text(header[:100])
    # GNU tar keeps other things where ustar keeps the prefix; its magic ends in spaces.
    if header[257:263] == b"ustar\0" and header[345]:
        return f"{_text(header[345:500])}/{name}"
    return name


def _text(field: bytes) -> str:
    return _decoded(field.split(b"\0", 1)[0])


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _normal(name: str) -> str:
    """Return *name* as the root of the tar would have it: ``./a`` and ``b/../a`` are ``a``."""
    return posixpath.normpath("/" + name).lstrip("/")
