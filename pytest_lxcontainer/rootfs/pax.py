"""The records of a pax extended header that matter to a layer.

https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html#tag_20_94_13_03
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import CorruptImageError
from .sparse import Segments, pairs

_SCHILY = "SCHILY.xattr."
_LIBARCHIVE = "LIBARCHIVE.xattr."
_GNU_SPARSE = "GNU.sparse."


@dataclass(frozen=True, slots=True)
class PaxSparse:
    """A sparse file's real *size* and *segments*; ``None``: the map leads the data (version 1.0)."""

    size: int
    segments: Segments | None


@dataclass(frozen=True, slots=True)
class PaxRecords:
    """What a pax header overrides; what it does not mention is ``None`` or empty."""

    path: str = ""
    sparse_path: str = ""
    linkpath: str = ""
    size: int | None = None
    uid: int | None = None
    gid: int | None = None
    mtime: int | None = None
    xattrs: tuple[tuple[str, bytes], ...] = ()
    sparse: PaxSparse | None = None


def parse_records(data: bytes) -> PaxRecords:
    """Read the ``length key=value`` records in *data*, or raise `CorruptImageError`."""
    try:
        return _records(_split(data))
    except (ValueError, LookupError) as error:
        raise CorruptImageError(f"a pax header in a layer holds nonsense: {error}") from error


def _split(data: bytes) -> list[tuple[str, bytes]]:
    records = []
    position = 0
    while position < len(data) and data[position] != 0:
        space = data.index(b" ", position, position + 20)
        end = position + int(data[position:space])
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if end > len(data) or end <= space + 1 or not equals or data[end - 1] != ord("\n"):
            raise ValueError(f"a record of {end - position} bytes")
        records.append((_text(key), value))
        position = end
    return records


def _records(records: list[tuple[str, bytes]]) -> PaxRecords:
    # A later record of the same name wins; an empty value takes an earlier one back.
    last = {key: value for key, value in records if value or "xattr." in key}
    sparse = _sparse(last, records)
    return PaxRecords(
        path=_text(last.get("path", b"")),
        sparse_path=_text(last.get(_GNU_SPARSE + "name", b"")),
        linkpath=_text(last.get("linkpath", b"")),
        size=_integer(last, "size"),
        uid=_integer(last, "uid"),
        gid=_integer(last, "gid"),
        mtime=_nanoseconds(last["mtime"]) if "mtime" in last else None,
        xattrs=_xattrs(last),
        sparse=sparse,
    )


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _integer(records: dict[str, bytes], key: str) -> int | None:
    return int(records[key]) if key in records else None


def _nanoseconds(text: bytes) -> int:
    seconds, _, fraction = text.partition(b".")
    nanoseconds = int(fraction[:9].ljust(9, b"0")) if fraction else 0
    sign = -1 if seconds.startswith(b"-") else 1
    return int(seconds) * 1_000_000_000 + sign * nanoseconds


def _xattrs(records: dict[str, bytes]) -> tuple[tuple[str, bytes], ...]:
    xattrs = {key[len(_LIBARCHIVE) :]: value for key, value in records.items() if key.startswith(_LIBARCHIVE)}
    if xattrs:
        xattrs = _libarchive(xattrs)
    for key, value in records.items():
        if key.startswith(_SCHILY):
            xattrs[key[len(_SCHILY) :]] = value
    return tuple(xattrs.items())


def _libarchive(xattrs: dict[str, bytes]) -> dict[str, bytes]:
    # Here, since next to no layer is written by bsdtar.
    from binascii import a2b_base64
    from urllib.parse import unquote

    return {unquote(key): a2b_base64(value + b"=" * (-len(value) % 4)) for key, value in xattrs.items()}


def _sparse(last: dict[str, bytes], records: list[tuple[str, bytes]]) -> PaxSparse | None:
    if last.get(_GNU_SPARSE + "major") == b"1":
        return PaxSparse(int(last[_GNU_SPARSE + "realsize"]), None)
    if _GNU_SPARSE + "size" not in last:
        return None
    size = int(last[_GNU_SPARSE + "size"])
    if _GNU_SPARSE + "map" in last:
        numbers = [int(number) for number in last[_GNU_SPARSE + "map"].split(b",")]
    else:
        wanted = (_GNU_SPARSE + "offset", _GNU_SPARSE + "numbytes")
        numbers = [int(value) for key, value in records if key in wanted]
    return PaxSparse(size, pairs(numbers))
