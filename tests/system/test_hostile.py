"""Hostile layers through a real `Sandbox`: each is refused by name or does no harm, and nothing outside changes."""

from __future__ import annotations

import gzip
import importlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_lxcontainer.errors import (
    CorruptImageError,
    LxContainerError,
    UnsafeLayerError,
    UnsupportedImageError,
)
from pytest_lxcontainer.image.digest import sha256_of
from pytest_lxcontainer.rootfs.idmap import IdMap
from pytest_lxcontainer.rootfs.limits import Limits
from pytest_lxcontainer.rootfs.sandbox import Sandbox

from ..fakes.hostile import ESCAPES, LIES, OUT, Hostile
from ..fakes.tar_writer import DIRECTORY, FILE, Item, entry, header, tar
from ..unit.rootfs.tars import tree

REFUSALS = (CorruptImageError, UnsafeLayerError, UnsupportedImageError)
CASES = ESCAPES | LIES


@pytest.fixture(scope="module")
def userns() -> Iterator[Sandbox]:
    with Sandbox(IdMap.for_host()) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def host() -> Iterator[Sandbox]:
    with Sandbox(IdMap.identity()) as sandbox:
        yield sandbox


@pytest.fixture
def place(userns: Sandbox) -> Iterator[Path]:
    """A directory with a canary beside the layers: ``outside``, as inviting as can be."""
    path = Path(f"/var/tmp/lxcontainer-test-{os.getpid()}-{os.urandom(3).hex()}")
    (path / "outside" / "sub").mkdir(parents=True)
    (path / "outside" / "victim").write_text("untouched")
    for inviting in ("outside", "outside/sub", "outside/victim"):
        os.chmod(path / inviting, 0o777)
    (path / "layers").mkdir()
    os.chmod(path, 0o755)
    yield path
    userns.remove(path)


def unpack(sandbox: Sandbox, stream: bytes, place: Path, *, limits: Limits | None = None, blob: bytes = b"") -> Path:
    """Unpack *stream* over the layers that are there already, and return where it lies."""
    layers = sorted((place / "layers").iterdir(), key=lambda path: int(path.name))
    target = place / "layers" / str(len(layers))
    target.mkdir()
    (place / "blob").write_bytes(blob or stream)
    sandbox.unpack(place / "blob", target, diff_id=sha256_of(stream), lower_dirs=tuple(layers), limits=limits)
    return target


def everything(place: Path) -> list[tuple[str, os.stat_result, bytes]]:
    """All that is outside the layers, with all that stat tells, times of access excepted."""
    found = [place / "outside", *sorted((place / "outside").rglob("*"))]
    names = sorted(path.name for path in place.iterdir())
    assert names in (["layers", "outside"], ["blob", "layers", "outside"])
    return [(str(path), _without_atime(path), path.read_bytes() if path.is_file() else b"") for path in found]


def _without_atime(path: Path) -> os.stat_result:
    fields = list(path.lstat())
    fields[7] = 0
    return os.stat_result(fields)


def expected_tree(case: Hostile, outside: str) -> dict[str, str]:
    """The tree of *case* with the parents that a path through `OUT` has."""
    expected: dict[str, str] = {}
    for path, what in (case.tree or {}).items():
        parts = path.replace(OUT, outside).strip("/").split("/")
        if path.startswith(OUT):
            expected |= {"/".join(parts[:end]): "dir" for end in range(1, len(parts))}
        expected["/".join(parts)] = what.replace(OUT, outside)
    return expected


def check(case: Hostile, sandbox: Sandbox, place: Path) -> None:
    before = everything(place)
    *lower, top = case.streams(str(place / "outside"))
    for stream in lower:
        unpack(sandbox, stream, place)
    if case.refused:
        with pytest.raises(REFUSALS) as caught:
            unpack(sandbox, top, place)
        assert case.refused in str(caught.value)
    else:
        assert tree(unpack(sandbox, top, place)) == expected_tree(case, str(place / "outside"))
    assert everything(place) == before


@pytest.mark.parametrize("name", CASES)
def test_hostile_layer_is_refused_or_contained(name: str, place: Path, userns: Sandbox) -> None:
    check(CASES[name], userns, place)


@pytest.mark.needs_root
@pytest.mark.parametrize("name", CASES)
def test_hostile_layer_is_refused_or_contained_with_the_rights_of_root(name: str, place: Path, host: Sandbox) -> None:
    check(CASES[name], host, place)


# Layers that are too much


def zstd(data: bytes) -> bytes:
    # No part of the standard library before Python 3.14.
    return bytes(importlib.import_module("backports.zstd").compress(data))


ZEROS = bytes(64 * 1024 * 1024)
BOMB = header(b"bomb", size=len(ZEROS)) + ZEROS
SMALL = Limits(entries=1000, size=32 * 1024 * 1024, ratio=100, ratio_from=1024 * 1024)


@pytest.mark.parametrize(
    "blob",
    [
        pytest.param(gzip.compress(BOMB), id="gzip"),
        pytest.param(zstd(BOMB), id="zstd"),
        pytest.param(gzip.compress(BOMB[:512]) + gzip.compress(ZEROS) * 50, id="gzip in many members"),
        pytest.param(zstd(BOMB[:512]) + zstd(ZEROS) * 50, id="zstd in many frames"),
        pytest.param(gzip.compress(b"") * 100_000 + gzip.compress(BOMB), id="gzip after empty members"),
        pytest.param(gzip.compress(tar([]) + ZEROS), id="after the end mark"),
        pytest.param(gzip.compress(header(b"g", flag=b"g", size=len(ZEROS)) + ZEROS), id="in what is skipped"),
    ],
)
def test_decompression_bomb_is_refused(blob: bytes, place: Path, userns: Sandbox) -> None:
    before = everything(place)
    with pytest.raises(UnsafeLayerError, match="bytes"):
        unpack(userns, b"whatever it is", place, limits=SMALL, blob=blob)
    written = sum(path.stat().st_blocks * 512 for path in (place / "layers").rglob("*"))
    assert written < 2 * SMALL.size
    assert everything(place) == before


def test_compressed_layer_in_a_compressed_layer_stays_a_file(place: Path, userns: Sandbox) -> None:
    inner = gzip.compress(gzip.compress(bytes(10**6)))
    assert (unpack(userns, tar([Item(FILE, "x.gz", data=inner)]), place) / "x.gz").read_bytes() == inner


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([header(b"f%d" % number) for number in range(1001)], id="files"),
        pytest.param([header(b"same")] * 1001, id="of one name"),
        pytest.param([header(b".wh.%d" % number) for number in range(1001)], id="whiteouts"),
        pytest.param([header(b"./", flag=b"5")] * 1001, id="roots"),
    ],
)
def test_too_many_entries_are_refused(parts: list[bytes], place: Path, userns: Sandbox) -> None:
    with pytest.raises(UnsafeLayerError, match="1000 entries"):
        unpack(userns, b"".join(parts) + bytes(1024), place, limits=SMALL)


def test_holes_count_as_what_they_unpack_to(place: Path, userns: Sandbox) -> None:
    holes = Item(FILE, "x", sparse="0.1", segments=((0, b"x"),), size=SMALL.size - 1)
    unpack(userns, tar([holes]), place, limits=SMALL)
    with pytest.raises(UnsafeLayerError, match="bytes, up to 'y'"):
        unpack(userns, tar([holes, Item(FILE, "y", data=b"yy")]), place, limits=SMALL)


def test_holes_of_a_lower_file_stay_holes_where_it_is_linked_to(place: Path, userns: Sandbox) -> None:
    size = 20 * 1024 * 1024
    unpack(userns, tar([Item(FILE, "x", sparse="0.1", segments=((0, b"a"), (size - 1, b"z")), size=size)]), place)
    top = unpack(userns, tar([Item("1", "y", link="x")]), place)
    status = (top / "y").stat()
    assert (status.st_size, status.st_blocks * 512 < 1024 * 1024) == (size, True)
    content = (top / "y").read_bytes()
    assert content[:1] + content[-1:] == b"az" and content.count(0) == size - 2


def test_a_file_has_as_many_attributes_as_its_file_system_takes_or_is_refused(place: Path, userns: Sandbox) -> None:
    many = Item(FILE, "x", xattrs={f"user.a{number}": b"1" for number in range(20_000)})
    with pytest.raises(LxContainerError, match="'x'"):
        unpack(userns, tar([many]), place)


def test_helper_needs_little_memory_whatever_the_layer_says(place: Path) -> None:
    """The largest extended headers, sparse maps and directories that are let pass, in 300 MB of address space more."""
    deep = "/".join("d" * 2000)
    stream = b"".join(
        [
            *(entry(Item(FILE, f"x{number}", xattrs={"comment": b"c" * 3_000_000})) for number in range(20)),
            *(entry(Item(DIRECTORY, f"{deep[:-4]}{number}")) for number in range(50)),
        ]
    )
    with Sandbox(IdMap.for_host()) as sandbox:
        sandbox.start()
        limit = 600 * 1024 * 1024
        resource.prlimit(sandbox.helper_pid, resource.RLIMIT_AS, (limit, limit))
        with pytest.raises((*REFUSALS,)):
            unpack(sandbox, stream + header(b"x", size=-1), place)
