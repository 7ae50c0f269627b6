"""Reads a layer's tar stream: ustar, GNU and pax headers, entry after entry.

`tarfile` takes longer to read the headers of a Debian image than the kernel to write its files, holds an
extension header of any size in memory, and forgives what a layer must not contain.

https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html#tag_20_94_13
https://www.gnu.org/software/tar/manual/html_node/Standard.html
"""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import CorruptImageError, UnsafeLayerError
from .layer_stream import LayerStream
from .pax import PaxRecords, parse_records
from .sparse import Segments, gnu_segments, read_pax_map
from .tar_entry import Entry, Kind

BLOCK = 512
ZERO_BLOCK = bytes(BLOCK)
MAX_EXTENSION = 4 * 1024 * 1024
"""The largest pax header or GNU long name: paths end at 4 KiB, all xattrs of a file at some 64 KiB."""

_KINDS = {kind.value.encode(): kind for kind in Kind} | {
    b"\0": Kind.FILE,
    b"7": Kind.FILE,
    b"D": Kind.DIRECTORY,
}
_GNU_SPARSE = b"S"
_GNU_LONG_NAME = b"L"
_GNU_LONG_LINK = b"K"
_PAX = (b"x", b"X")
_IGNORED = (b"g", b"V", b"M", b"N")
"""Global pax headers (as Docker does), and GNU's volume, continuation and old long name records."""
_CHECKSUM_BLANK = 8 * ord(" ")
_MAX_HEADERS = 1000
"""Extended headers of one entry: writers make three at most, but may repeat a global one."""


def entries(stream: LayerStream) -> Iterator[Entry]:
    """Yield the entries up to the end mark; whoever asks for the next one has read this one's data."""
    while True:
        entry = _next_entry(stream)
        if entry is None:
            return
        yield entry


def padding(size: int) -> int:
    """Return how many bytes fill up the last block of *size* bytes."""
    return -size % BLOCK


def _next_entry(stream: LayerStream) -> Entry | None:
    pax = PaxRecords()
    long_name = long_link = ""
    for _ in range(_MAX_HEADERS):
        header = stream.read(BLOCK)
        if not header or (header == ZERO_BLOCK and _is_end(stream)):
            return None
        _verify_checksum(header)
        flag = header[156:157]
        if flag in _PAX:
            pax = parse_records(_extension(stream, header))
        elif flag == _GNU_LONG_NAME:
            long_name = _text(_extension(stream, header))
        elif flag == _GNU_LONG_LINK:
            long_link = _text(_extension(stream, header))
        elif flag in _IGNORED:
            size = _size(header[124:136])
            stream.skip(size + padding(size))
        else:
            return _entry(stream, header, pax, long_name, long_link)
    raise UnsafeLayerError(f"a layer has more than {_MAX_HEADERS} headers for one entry")


def _is_end(stream: LayerStream) -> bool:
    """Whether the second of the two blocks that end a tar follows; some writers end with one.

    A reader that stops at a lone one shows another tree than one that passes over it.
    """
    following = stream.read(BLOCK)
    if following and following != ZERO_BLOCK:
        raise CorruptImageError("a layer's tar stream goes on after a block of zeros")
    return True


def _verify_checksum(header: bytes) -> None:
    try:
        expected = int(header[148:156].strip(b"\0 ") or b"0", 8)
    except ValueError:
        raise CorruptImageError("a layer is no tar stream: a header's checksum is no number") from None
    found = sum(header) - sum(header[148:156]) + _CHECKSUM_BLANK
    # Some tars of old summed signed bytes.
    if expected not in (found, found - 256 * sum(byte > 127 for byte in header[:148] + header[156:])):
        raise CorruptImageError("a layer is no tar stream: a header's checksum is wrong")


def _size(field: bytes) -> int:
    size = _number(field)
    if size < 0:
        raise CorruptImageError(f"a layer's tar header holds the size {size}")
    return size


def _extension(stream: LayerStream, header: bytes) -> bytes:
    size = _size(header[124:136])
    if size > MAX_EXTENSION:
        raise CorruptImageError(f"an extended header of {size} bytes in a layer's tar stream")
    data = stream.read(size)
    if len(data) != size:
        raise CorruptImageError("a layer's tar stream ends in an extended header")
    stream.skip(padding(size))
    return data


def _entry(stream: LayerStream, header: bytes, pax: PaxRecords, long_name: str, long_link: str) -> Entry:
    # As Go reads it, and so Docker: GNU's long names are stronger than pax paths, a sparse file's own name strongest.
    name = pax.sparse_path or long_name or pax.path or _name(header)
    kind = _kind(header, name)
    size = (pax.size if pax.size is not None else _number(header[124:136])) if kind is Kind.FILE else 0
    segments, real_size = _sparseness(stream, header, pax)
    mtime = pax.mtime if pax.mtime is not None else _number(header[136:148]) * 1_000_000_000
    entry = Entry(
        name=name,
        kind=kind,
        mode=_number(header[100:108]) & 0o7777,
        uid=pax.uid if pax.uid is not None else _number(header[108:116]),
        gid=pax.gid if pax.gid is not None else _number(header[116:124]),
        size=size if real_size is None else real_size,
        mtime=mtime,
        link=long_link or pax.linkpath or _text(header[157:257]),
        device=_device(header, kind, name),
        xattrs=pax.xattrs,
        stored=size,
        sparse=real_size is not None,
        segments=segments,
    )
    if entry.size < 0 or entry.stored < 0 or "\0" in entry.name or "\0" in entry.link:
        raise CorruptImageError(f"a layer's tar header of {name!r} holds nonsense")
    return entry


def _sparseness(stream: LayerStream, header: bytes, pax: PaxRecords) -> tuple[Segments | None, int | None]:
    if header[156:157] == _GNU_SPARSE:
        return gnu_segments(stream, header), _number(header[483:495])
    if pax.sparse is None:
        return None, None
    return pax.sparse.segments, pax.sparse.size


def sparse_segments(stream: LayerStream, entry: Entry) -> tuple[Segments, int]:
    """Return where the data of the sparse *entry* goes, and how many bytes of it are left in the stream."""
    if entry.segments is not None:
        return entry.segments, entry.stored
    return read_pax_map(stream, entry.stored)


def _kind(header: bytes, name: str) -> Kind:
    flag = header[156:157]
    if flag == _GNU_SPARSE:
        return Kind.FILE
    kind = _KINDS.get(flag)
    if kind is None:
        raise CorruptImageError(f"{name!r} in a layer has the unknown tar type {flag!r}")
    # Seventh Edition tar had no type for directories.
    return Kind.DIRECTORY if flag == b"\0" and name.endswith("/") else kind


def _device(header: bytes, kind: Kind, name: str) -> tuple[int, int]:
    if kind not in (Kind.CHARACTER_DEVICE, Kind.BLOCK_DEVICE):
        return (0, 0)
    device = _number(header[329:337]), _number(header[337:345])
    if not (0 <= device[0] < 1 << 12 and 0 <= device[1] < 1 << 20):
        raise CorruptImageError(f"{name!r} in a layer is the impossible device {device[0]}:{device[1]}")
    return device


def _name(header: bytes) -> str:
    name = _text(header[:100])
    # GNU tar keeps other things where ustar keeps the prefix; its magic ends in spaces.
    if header[257:263] == b"ustar\0" and header[345]:
        return f"{_text(header[345:500])}/{name}"
    return name


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def _number(field: bytes) -> int:
    """Read an octal number, or GNU's big-endian one with the top bit set."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big", signed=False) & ((1 << (8 * len(field) - 1)) - 1)
        return value - (1 << (8 * len(field) - 1)) if field[0] & 0x40 else value
    try:
        return int(field.split(b"\0", 1)[0] or b"0", 8)
    except ValueError:
        return _blank_number(field)


def _blank_number(field: bytes) -> int:
    if not field.split(b"\0", 1)[0].strip():
        return 0
    raise CorruptImageError(f"a layer's tar header holds {field!r} instead of a number")
