from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_lxcontainer.errors import CorruptImageError, LxContainerError
from pytest_lxcontainer.rootfs.layer_stream import LayerStream
from pytest_lxcontainer.rootfs.tar_entry import Entry
from pytest_lxcontainer.rootfs.tar_reader import entries, padding

from ...fakes.tar_writer import extension, header, pax
from .tars import Layers, file, tar


def read(stream: bytes, chunk: int = 1000) -> list[tuple[Entry, bytes]]:
    chunks: Iterator[bytes] = (stream[start : start + chunk] for start in range(0, len(stream), chunk))
    source = LayerStream(chunks)
    found = []
    for entry in entries(source):
        found.append((entry, b"".join(source.pieces(entry.stored))))
        source.skip(padding(entry.stored))
    return found


names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=300)
members = st.builds(
    lambda name, link, kind, numbers, data: (name, link, kind, numbers, data if kind == b"0" else b""),
    names,
    names,
    st.sampled_from([tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE]),
    st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(-(2**31), 2**33)),
    st.binary(max_size=1500),
)


@given(
    st.lists(members, max_size=4),
    st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
    st.integers(1, 2000),
)
def test_entries_are_what_tarfile_reads(items, form: int, chunk: int) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, link, kind, (uid, gid, mtime), data in items:
            info = tarfile.TarInfo(name)
            info.linkname, info.type, info.size, info.mode = link, kind, len(data), 0o4751
            info.uid, info.gid, info.mtime = uid, gid, mtime
            archive.addfile(info, io.BytesIO(data))
    found = read(buffer.getvalue(), chunk)
    with tarfile.open(fileobj=io.BytesIO(buffer.getvalue())) as archive:
        expected = archive.getmembers()
        assert [entry.name.rstrip("/") for entry, _ in found] == [info.name.rstrip("/") for info in expected]
        for (entry, data), info in zip(found, expected, strict=True):
            assert entry.kind.value.encode() == info.type
            assert (entry.uid, entry.gid, entry.mode) == (info.uid, info.gid, info.mode)
            assert entry.mtime == int(info.mtime) * 1_000_000_000
            assert entry.size == info.size == len(data)
            if info.type in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                assert entry.link == info.linkname
            if info.isreg():
                content = archive.extractfile(info)
                assert content is not None and content.read() == data


@given(st.data())
def test_damaged_stream_is_an_error_of_ours_or_read(data) -> None:
    stream = bytearray(tar(file("a", "x" * 700, uid=2**30, pax_headers={"mtime": "1.5"}), file("b" * 200)))
    for _ in range(data.draw(st.integers(1, 6))):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    with suppress(LxContainerError):
        read(bytes(stream))


@given(st.binary(min_size=1, max_size=200))
def test_pax_header_of_any_bytes_is_an_error_of_ours_or_read(records: bytes) -> None:
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, len(records)
    padded = records + bytes(-len(records) % 512)
    stream = header.tobuf(tarfile.USTAR_FORMAT) + padded + tar(file("a"))
    with suppress(LxContainerError):
        assert len(read(stream)) == 1


def test_huge_extended_header_is_refused() -> None:
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 2**30
    with pytest.raises(CorruptImageError, match="extended header"):
        read(header.tobuf(tarfile.GNU_FORMAT) + bytes(2048))


def test_unknown_type_is_refused() -> None:
    header = tarfile.TarInfo("x")
    header.type = b"Z"
    with pytest.raises(CorruptImageError, match="unknown tar type"):
        read(header.tobuf())


def test_xattrs_of_both_spellings_are_read() -> None:
    headers = {"SCHILY.xattr.user.a": "1", "LIBARCHIVE.xattr.user.b%20c": "Mg"}
    [(entry, _)] = read(tar(file("a", pax_headers=headers)))
    assert dict(entry.xattrs) == {"user.a": b"1", "user.b c": b"2"}


@pytest.mark.needs_root
@pytest.mark.parametrize(
    "options", [["--format=gnu"], *(["--format=pax", f"--sparse-version={n}"] for n in ("0.0", "0.1", "1.0"))]
)
def test_sparse_files_are_as_gnu_tar_packed_them(layers: Layers, tmp_path: Path, options: list[str]) -> None:
    source = tmp_path / "source"
    source.mkdir()
    with (source / "sparse").open("wb") as made:
        for number in range(30):
            made.seek(number * 200_000)
            made.write(b"data%d" % number * 1000)
        made.truncate(7_000_000)
    (source / "zeros").touch()
    os.truncate(source / "zeros", 1_000_000)
    (source / "plain").write_text("plain")
    command = ["tar", "--sparse", *options, "-C", str(source), "-cf", str(tmp_path / "t.tar"), "."]
    subprocess.run(command, check=True)
    layers.add_stream((tmp_path / "t.tar").read_bytes())
    for name in ("sparse", "zeros", "plain"):
        assert (layers.top / name).read_bytes() == (source / name).read_bytes()
    assert (layers.top / "sparse").stat().st_blocks * 512 < 1_000_000


def test_checksum_of_signed_bytes_is_accepted() -> None:
    block = bytearray(file("\u00e9" * 20)[0].tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape"))
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(byte - 256 if byte > 127 else byte for byte in block)
    [(entry, _)] = read(bytes(block) + bytes(1024))
    assert entry.name == "\u00e9" * 20


def test_one_block_of_zeros_is_an_end_too() -> None:
    stream = tar(file("a"))
    assert len(read(stream[:-512])) == 1


def test_gnu_name_is_stronger_than_a_pax_path() -> None:
    """As in Go's reader, and so in Docker."""
    long_name = extension(b"L", b"gnu\0") + extension(b"x", pax([("path", b"pax")])) + header(b"ustar")
    assert [entry.name for entry, _ in read(long_name + bytes(1024))] == ["gnu"]


def test_empty_attribute_is_read() -> None:
    [(entry, _)] = read(tar(file("a", pax_headers={"SCHILY.xattr.user.a": ""})))
    assert entry.xattrs == (("user.a", b""),)
