from __future__ import annotations

import bz2
import gzip
import lzma
import os
import random
import sys
import zlib
from pathlib import Path

import pytest

from pytest_lxcontainer.errors import CorruptImageError, UnsafeLayerError, UnsupportedImageError
from pytest_lxcontainer.rootfs.compression import CHUNK_SIZE, uncompressed
from pytest_lxcontainer.rootfs.limits import Limits

DATA = random.Random(1).randbytes(300_000) + b"text " * 800_000


@pytest.fixture(params=["ISA-L", "zlib"], autouse=True)
def inflater(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test runs with the inflaters there are: the fast one, and the one that every Python has."""
    if request.param == "zlib":
        monkeypatch.setitem(sys.modules, "isal", None)
    else:
        import isal  # noqa: F401 - its absence, where it is required, must not pass for success


@pytest.fixture
def read(tmp_path: Path):
    def reader(blob: bytes, limits: Limits | None = None) -> bytes:
        (tmp_path / "blob").write_bytes(blob)
        fd = os.open(tmp_path / "blob", os.O_RDONLY)
        try:
            chunks = list(uncompressed(fd, limits))
        finally:
            os.close(fd)
        assert all(0 < len(chunk) <= CHUNK_SIZE for chunk in chunks)
        return b"".join(chunks)

    return reader


@pytest.mark.parametrize("data", [b"", b"x", DATA])
def test_plain_bytes_are_themselves(read, data: bytes) -> None:
    assert read(data) == data


@pytest.mark.parametrize("data", [b"", b"x", DATA, bytes(5_000_000)])
def test_gzip_is_decompressed(read, data: bytes) -> None:
    assert read(gzip.compress(data)) == data


def test_members_of_gzip_follow_one_another(read) -> None:
    assert read(gzip.compress(DATA) + gzip.compress(b"") + gzip.compress(b"end")) == DATA + b"end"


def test_zeros_after_gzip_are_padding(read) -> None:
    assert read(gzip.compress(DATA) + bytes(200_000)) == DATA


@pytest.mark.parametrize("rest", [b"rubbish", bytes(10) + b"x", bytes(300_000) + b"x"])
def test_other_bytes_after_gzip_are_refused(read, rest: bytes) -> None:
    with pytest.raises(CorruptImageError):
        read(gzip.compress(DATA) + rest)


@pytest.mark.parametrize("keep", [2, 15, 1000, -1, -8])
def test_truncated_gzip_is_refused(read, keep: int) -> None:
    with pytest.raises(CorruptImageError):
        read(gzip.compress(DATA)[:keep])


@pytest.mark.parametrize(
    ("flags", "fields"),
    [
        (8, b"a name\0"),
        (16, b"a comment\0"),
        (4, (70_000 % 65536).to_bytes(2, "little") + bytes(70_000 % 65536)),
        (2, b""),
        (4 | 8 | 16, b"\4\0abcdname\0comment\0"),
    ],
    ids=["name", "comment", "long extra field", "checksum of the header", "all"],
)
def test_optional_fields_of_gzip_are_passed_over(read, flags: int, fields: bytes) -> None:
    """RFC 1952, section 2.3: pigz and others write them."""
    plain = gzip.compress(DATA, mtime=0)
    header = plain[:3] + bytes([flags]) + plain[4:10] + fields
    if flags & 2:
        header += (zlib.crc32(header) & 0xFFFF).to_bytes(2, "little")
    assert read(header + plain[10:]) == DATA


def test_damaged_gzip_is_refused(read) -> None:
    blob = bytearray(gzip.compress(DATA))
    blob[-6] ^= 1
    with pytest.raises(CorruptImageError, match="decompressed"):
        read(bytes(blob))


@pytest.mark.parametrize("compress", [bz2.compress, lzma.compress])
def test_other_compressions_are_named(read, compress) -> None:
    with pytest.raises(UnsupportedImageError, match=r"bzip2|xz"):
        read(compress(b"x"))


def test_zstd_without_its_library_names_it(read, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("compression", "backports"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UnsupportedImageError, match=r"pip install backports\.zstd"):
        read(b"\x28\xb5\x2f\xfd" + bytes(20))


def test_zstd_frames_are_decompressed(read) -> None:
    try:
        from compression import zstd
    except ImportError:
        from backports import zstd
    skippable = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"skip"
    blob = skippable + zstd.compress(DATA) + zstd.compress(b"end") + skippable
    assert read(blob) == DATA + b"end"
    with pytest.raises(CorruptImageError):
        read(zstd.compress(DATA)[:-5])


def test_bomb_is_stopped_at_the_ratio(read) -> None:
    blob = gzip.compress(bytes(10_000_000))
    limits = Limits(ratio=100, ratio_from=1_000_000)
    with pytest.raises(UnsafeLayerError, match="grows beyond"):
        read(blob, limits)


def test_small_layer_may_compress_well(read) -> None:
    assert len(read(gzip.compress(bytes(3_000_000)))) == 3_000_000
