"""Damaged and shuffled layers through the real `unpack`: they are unpacked, or refused by an error of this package.

Nothing beside the layer's directory changes, whatever the bytes; and it takes a bounded time, since pytest-timeout and
hypothesis would say otherwise.
"""

from __future__ import annotations

import gzip
import importlib
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_lxcontainer.errors import LxContainerError
from pytest_lxcontainer.image.digest import sha256_of
from pytest_lxcontainer.rootfs.compression import uncompressed
from pytest_lxcontainer.rootfs.limits import Limits
from pytest_lxcontainer.rootfs.unpack import unpack

from ..fakes.hostile import ESCAPES, LIES
from ..fakes.stacks import stacks, streams
from ..fakes.tar_writer import checked

LIMITS = Limits(entries=10_000, size=8 * 1024 * 1024, ratio_from=16 * 1024 * 1024)
SECONDS = 10
fuzzed = settings(
    max_examples=300, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)

BLOCK = 512
# What a mutation may put in the place of some bytes: numbers at the edges of their fields, names that climb.
TOKENS = [
    b"\xff" * 12,
    b"\x80" + b"\xff" * 11,
    b"\x80" + bytes(11),
    b"77777777777\0",
    b"-0000000001\0",
    b"../../../../../x\0",
    b"/\0",
    b".\0",
    b".wh..wh..opq\0",
    b".wh.x\0",
    b"ustar\x0000",
    b"ustar  \0",
    *(bytes([flag]) for flag in b"01234567xgLKSDVMNX"),
    b"\0",
]
OFFSETS = [0, 100, 108, 116, 124, 136, 148, 156, 157, 257, 329, 337, 345, 386, 482, 483]


@st.composite
def damaged(draw: Any) -> list[bytes]:
    """A stack's layers, the topmost of them damaged; half of the damaged headers have a fitting checksum."""
    *lower, top = streams(draw(stacks()))
    blocks = [top[start : start + BLOCK] for start in range(0, len(top), BLOCK)]
    for _ in range(draw(st.integers(1, 5))):
        _MUTATIONS[draw(st.sampled_from(sorted(_MUTATIONS)))](draw, blocks)
    data = b"".join(blocks)
    return [*lower, data[: draw(st.integers(0, len(data)))] if draw(st.integers(0, 4)) == 0 else data]


def _flip(draw: Any, blocks: list[bytes]) -> None:
    at = draw(st.integers(0, len(blocks) - 1))
    block = bytearray(blocks[at].ljust(BLOCK, b"\0"))
    block[draw(st.integers(0, BLOCK - 1))] ^= 1 << draw(st.integers(0, 7))
    blocks[at] = _repaired(draw, bytes(block))


def _overwrite(draw: Any, blocks: list[bytes]) -> None:
    at = draw(st.integers(0, len(blocks) - 1))
    token, offset = draw(st.sampled_from(TOKENS)), draw(st.sampled_from(OFFSETS))
    block = blocks[at].ljust(BLOCK, b"\0")
    blocks[at] = _repaired(draw, (block[:offset] + token + block[offset + len(token) :])[:BLOCK])


def _repaired(draw: Any, block: bytes) -> bytes:
    return checked(block) if draw(st.booleans()) else block


def _repeat(draw: Any, blocks: list[bytes]) -> None:
    blocks.insert(draw(st.integers(0, len(blocks))), draw(st.sampled_from(blocks)))


def _drop(draw: Any, blocks: list[bytes]) -> None:
    if len(blocks) > 1:
        del blocks[draw(st.integers(0, len(blocks) - 1))]


def _shuffle(draw: Any, blocks: list[bytes]) -> None:
    blocks[:] = draw(st.permutations(blocks[:30])) + blocks[30:]


def _splice(draw: Any, blocks: list[bytes]) -> None:
    hostile = draw(st.sampled_from(SPLICES))
    blocks[draw(st.integers(0, len(blocks))) : 0] = [hostile[at : at + BLOCK] for at in range(0, len(hostile), BLOCK)]


_MUTATIONS = {
    "drop": _drop,
    "flip": _flip,
    "overwrite": _overwrite,
    "repeat": _repeat,
    "shuffle": _shuffle,
    "splice": _splice,
}
SPLICES = [
    stream
    for case in (ESCAPES | LIES).values()
    for stream in case.streams("/nowhere/at/all")
    if len(stream) < 64 * BLOCK
]


@contextmanager
def bounded() -> Iterator[None]:
    """Fails what takes longer than any layer of some kilobytes may."""

    def fail(_number: int, _frame: FrameType | None) -> None:
        raise AssertionError(f"not done after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def survives(layers: list[bytes]) -> bool:
    """Unpack *layers*, check that nothing else has changed, and tell whether all were accepted."""
    place = Path(tempfile.mkdtemp(prefix="lxcontainer-test-", dir="/var/tmp"))
    fds: list[int] = []
    try:
        (place / "outside").mkdir()
        (place / "outside" / "victim").write_text("untouched")
        before = _outside(place)
        with bounded(), suppress(LxContainerError):
            for number, stream in enumerate(layers):
                _unpack(place, number, stream, fds)
            return True
        return False
    finally:
        for fd in fds:
            os.close(fd)
        assert _outside(place) == before
        shutil.rmtree(place)


def _unpack(place: Path, number: int, stream: bytes, fds: list[int]) -> None:
    target = place / f"layer{number}"
    target.mkdir()
    (place / "blob").write_bytes(stream)
    fds.append(os.open(target, os.O_RDONLY | os.O_DIRECTORY))
    with (place / "blob").open("rb") as blob:
        unpack(blob.fileno(), fds[-1], diff_id=sha256_of(stream), lower_fds=fds[:-1], limits=LIMITS)


def _outside(place: Path) -> list[object]:
    paths = [place / "outside", place / "outside" / "victim"]
    names = {path.name for path in place.iterdir() if not path.name.startswith("layer")} | {"blob"}
    status = [path.lstat() for path in paths]
    kept = [(one.st_mode, one.st_uid, one.st_nlink, one.st_size, one.st_mtime_ns, one.st_ctime_ns) for one in status]
    return [names, kept, paths[1].read_text(), os.listdir(paths[0])]


# Files of any owner are made in this very process.
@pytest.mark.exhaustive
@pytest.mark.needs_root
def test_damaged_layer_is_unpacked_or_refused() -> None:
    outcomes = {True: 0, False: 0}

    @fuzzed
    @given(damaged())
    def fuzz(layers: list[bytes]) -> None:
        outcomes[survives(layers)] += 1

    fuzz()
    # Else the damage is all of one kind.
    assert min(outcomes.values()) > 20


def _zstd(data: bytes) -> bytes:
    # No part of the standard library before Python 3.14.
    return bytes(importlib.import_module("backports.zstd").compress(data))


COMPRESSED = [
    gzip.compress(bytes(3000), mtime=0),
    _zstd(bytes(3000)),
    b"\x1f\x8b",
    b"\x28\xb5\x2f\xfd",
    b"\x50\x2a\x4d\x18",
]


@pytest.mark.exhaustive
@fuzzed
@given(
    st.sampled_from(COMPRESSED),
    st.binary(max_size=300),
    st.integers(0, 4000),
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=5),
)
def test_damaged_compression_is_read_or_refused(
    start: bytes, garbage: bytes, keep: int, changes: list[tuple[int, int]]
) -> None:
    blob = bytearray(start[:keep] + garbage)
    for offset, value in changes:
        if offset < len(blob):
            blob[offset] = value
    fd = os.memfd_create("blob")
    try:
        os.write(fd, blob)
        os.lseek(fd, 0, os.SEEK_SET)
        with bounded(), suppress(LxContainerError):
            assert sum(map(len, uncompressed(fd, LIMITS))) <= LIMITS.ratio_from
    finally:
        os.close(fd)
