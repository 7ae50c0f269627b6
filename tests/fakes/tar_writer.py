"""Tar streams written field by field: every format a layer may be in, and headers that no tar would write.

`tarfile` writes neither sparse files nor numbers that lie.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain

BLOCK = 512
END = bytes(2 * BLOCK)

FILE, HARD_LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO = "0123456"
SECOND = 1_000_000_000
LONG_LINK = b"././@LongLink"

Segments = tuple[tuple[int, bytes], ...]


@dataclass(frozen=True)
class Item:
    """One entry. *form* is "pax", "gnu" or "ustar"; *sparse* "gnu", "0.0", "0.1", "1.0" or none of them.

    *mtime* is in nanoseconds; a sparse file has *segments* (offset, data) instead of data, and *size*.
    """

    kind: str
    name: str
    link: str = ""
    data: bytes = b""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: int = 1_000_000_000 * SECOND
    device: tuple[int, int] = (0, 0)
    xattrs: Mapping[str, bytes] = field(default_factory=dict)
    form: str = "pax"
    sparse: str = ""
    segments: Segments = ()
    size: int = 0


def tar(items: Iterable[Item]) -> bytes:
    return b"".join(map(entry, items)) + END


def entry(item: Item) -> bytes:
    """The headers of *item* and its data."""
    name, link = encode(item.name), encode(item.link)
    records: list[tuple[str, bytes]] = [(f"SCHILY.xattr.{key}", value) for key, value in item.xattrs.items()]
    flag, data, name, extra, sparse_records = _sparse(item, name)
    records += sparse_records
    before = b""
    if item.form == "gnu":
        if len(name) > 100:
            before += extension(b"L", name + b"\0")
        if len(link) > 100:
            before += extension(b"K", link + b"\0")
        if item.mtime % SECOND:
            records.append(("mtime", seconds(item.mtime)))
    else:
        records += _beyond_ustar(item, name, link)
    prefix = b""
    if item.form == "ustar" and len(name) > 100 and b"/" in name[:155]:
        prefix, _, name = name.partition(b"/")
    if records:
        before = extension(b"x", pax(records)) + before
    head = header(
        name,
        flag=flag,
        size=len(data),
        mode=item.mode,
        uid=item.uid,
        gid=item.gid,
        mtime=item.mtime // SECOND,
        link=link,
        device=item.device,
        magic=b"ustar  \0" if item.form == "gnu" or flag == b"S" else b"ustar\x0000",
        tail=extra or prefix,
    )
    return before + head + _sparse_blocks(item) + data + bytes(-len(data) % BLOCK)


def header(
    name: bytes,
    *,
    flag: bytes = b"0",
    size: int = 0,
    mode: int = 0o644,
    uid: int = 0,
    gid: int = 0,
    mtime: int = 0,
    link: bytes = b"",
    device: tuple[int, int] = (0, 0),
    magic: bytes = b"ustar\x0000",
    tail: bytes = b"",
) -> bytes:
    fields = (
        name[:100].ljust(100, b"\0")
        + number(mode, 8)
        + number(uid, 8)
        + number(gid, 8)
        + number(size, 12)
        + number(mtime, 12)
        + b" " * 8
        + flag
        + link[:100].ljust(100, b"\0")
        + magic
        + bytes(64)
        + number(device[0], 8)
        + number(device[1], 8)
        + tail
    )
    return checked(fields.ljust(BLOCK, b"\0"))


def checked(head: bytes) -> bytes:
    """*head* with the checksum that fits it."""
    blank = head[:148] + b" " * 8 + head[156:]
    return head[:148] + b"%06o\0 " % sum(blank) + head[156:]


def number(value: int, width: int) -> bytes:
    """Octal where it fits, else GNU's binary."""
    if 0 <= value < 8 ** (width - 1):
        return b"%0*o\0" % (width - 1, value)
    bits = 8 * width
    return (value % (1 << bits) | 1 << (bits - 1)).to_bytes(width, "big")


def extension(flag: bytes, data: bytes) -> bytes:
    name = LONG_LINK if flag in (b"L", b"K") else b"PaxHeaders/x"
    magic = b"ustar  \0" if flag in (b"L", b"K") else b"ustar\x0000"
    return header(name, flag=flag, size=len(data), magic=magic) + data + bytes(-len(data) % BLOCK)


def pax(records: Iterable[tuple[str, bytes]]) -> bytes:
    return b"".join(pax_record(encode(key), value) for key, value in records)


def pax_record(key: bytes, value: bytes) -> bytes:
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest)
    while len(b"%d" % length) + len(rest) != length:
        length = len(b"%d" % length) + len(rest)
    return b"%d" % length + rest


def seconds(nanoseconds: int) -> bytes:
    sign = b"-" if nanoseconds < 0 else b""
    whole, fraction = divmod(abs(nanoseconds), SECOND)
    return sign + b"%d" % whole + (b".%09d" % fraction if fraction else b"")


def encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _beyond_ustar(item: Item, name: bytes, link: bytes) -> list[tuple[str, bytes]]:
    records = []
    fits_prefix = item.form == "ustar" and b"/" in name[:155] and len(name.partition(b"/")[2]) <= 100
    if (len(name) > 100 and not fits_prefix) or (item.form == "pax" and not name.isascii()):
        records.append(("path", name))
    if len(link) > 100 or (item.form == "pax" and not link.isascii()):
        records.append(("linkpath", link))
    records += [(key, b"%d" % value) for key, value in (("uid", item.uid), ("gid", item.gid)) if value >= 8**7]
    if item.mtime % SECOND or not 0 <= item.mtime < 8**11 * SECOND:
        records.append(("mtime", seconds(item.mtime)))
    return records


def _sparse(item: Item, name: bytes) -> tuple[bytes, bytes, bytes, bytes, list[tuple[str, bytes]]]:
    """Flag, data, name, what follows the device numbers, and pax records of *item*, sparse or not."""
    if not item.sparse:
        return item.kind.encode(), item.data, name, b"", []
    data = b"".join(piece for _, piece in item.segments)
    numbers = [(offset, len(piece)) for offset, piece in item.segments]
    if item.sparse == "gnu":
        tail = bytes(41) + _map(numbers[:4], 4) + bytes([len(numbers) > 4]) + number(item.size, 12)
        return b"S", data, name, tail, []
    size, real = ("GNU.sparse.size", b"%d" % item.size), ("GNU.sparse.realsize", b"%d" % item.size)
    listed = [(b"%d" % offset, b"%d" % length) for offset, length in numbers]
    called = ("GNU.sparse.name", name)
    if item.sparse == "0.0":
        pairs = [(("GNU.sparse.offset", offset), ("GNU.sparse.numbytes", length)) for offset, length in listed]
        return b"0", data, name, b"", [size, ("GNU.sparse.numblocks", b"%d" % len(numbers)), *chain(*pairs)]
    if item.sparse == "0.1":
        joined = ("GNU.sparse.map", b",".join(chain(*listed)))
        return (
            b"0",
            data,
            b"GNUSparseFile.0/x",
            b"",
            [called, size, ("GNU.sparse.numblocks", b"%d" % len(numbers)), joined],
        )
    lines = b"".join(b"%s\n" % word for word in [b"%d" % len(numbers), *chain(*listed)])
    version = [("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0")]
    return b"0", lines + bytes(-len(lines) % BLOCK) + data, b"GNUSparseFile.0/x", b"", [*version, called, real]


def _sparse_blocks(item: Item) -> bytes:
    """The blocks of a GNU map that the header has no place for."""
    if item.sparse != "gnu":
        return b""
    rest = [(offset, len(piece)) for offset, piece in item.segments[4:]]
    blocks = [rest[start : start + 21] for start in range(0, len(rest), 21)]
    return b"".join((_map(block, 21) + bytes([block is not blocks[-1]])).ljust(BLOCK, b"\0") for block in blocks)


def _map(numbers: list[tuple[int, int]], room: int) -> bytes:
    return b"".join(number(offset, 12) + number(length, 12) for offset, length in numbers).ljust(24 * room, b"\0")
