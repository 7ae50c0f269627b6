from __future__ import annotations

import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pytest_lxcontainer.errors import CorruptImageError, DigestMismatchError, StoreError
from pytest_lxcontainer.image import sha256_of
from pytest_lxcontainer.store.blobs import BlobStore
from pytest_lxcontainer.store.layout import Layout

DATA = b"some bytes"
DIGEST = sha256_of(DATA)


@pytest.fixture
def store(layout: Layout) -> BlobStore:
    return BlobStore(layout)


def assert_nothing_left(layout: Layout) -> None:
    assert not BlobStore(layout).has(DIGEST)
    assert list(layout.tmp_dir.iterdir()) == []


def test_a_kept_blob_is_read_back(store: BlobStore, layout: Layout) -> None:
    assert not store.has(DIGEST)
    path = store.keep(DIGEST, len(DATA), [DATA[:4], b"", DATA[4:]])
    assert store.has(DIGEST)
    assert path == store.path(DIGEST)
    assert store.read(DIGEST) == DATA
    assert list(layout.tmp_dir.iterdir()) == []


def test_a_blob_that_is_kept_is_not_fetched_again(store: BlobStore) -> None:
    store.keep(DIGEST, len(DATA), [DATA])

    def never() -> Iterator[bytes]:
        raise AssertionError("fetched")
        yield b""

    assert store.keep(DIGEST, len(DATA), never()) == store.path(DIGEST)


def test_other_bytes_than_the_digests_are_not_kept(store: BlobStore, layout: Layout) -> None:
    with pytest.raises(DigestMismatchError) as caught:
        store.keep(DIGEST, len(DATA), [DATA[::-1]])
    assert caught.value.expected == str(DIGEST)
    assert caught.value.actual == str(sha256_of(DATA[::-1]))
    assert_nothing_left(layout)


@pytest.mark.parametrize("size", [0, len(DATA) - 1, len(DATA) + 1])
def test_another_size_than_the_descriptors_is_not_kept(store: BlobStore, layout: Layout, size: int) -> None:
    with pytest.raises(CorruptImageError, match=f"should have {size} bytes"):
        store.keep(DIGEST, size, [DATA])
    assert_nothing_left(layout)


def test_an_endless_stream_is_cut_off(store: BlobStore, layout: Layout) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield DATA

    with pytest.raises(CorruptImageError, match="more"):
        store.keep(DIGEST, len(DATA), endless())
    assert_nothing_left(layout)


def test_a_stream_that_breaks_leaves_nothing(store: BlobStore, layout: Layout) -> None:
    def breaking() -> Iterator[bytes]:
        yield DATA[:3]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.keep(DIGEST, len(DATA), breaking())
    assert_nothing_left(layout)


def test_an_error_of_the_source_is_not_taken_for_the_disks(store: BlobStore) -> None:
    def breaking() -> Iterator[bytes]:
        raise ConnectionResetError
        yield b""

    with pytest.raises(ConnectionResetError):
        store.keep(DIGEST, len(DATA), breaking())


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """A file of this process takes *size* bytes: of a write that exceeds them a part is written, and told of."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("room", [0, 1, len(DATA) - 1])
def test_a_blob_that_does_not_fit_is_not_kept(store: BlobStore, layout: Layout, room: int) -> None:
    with file_size_limit(room), pytest.raises(StoreError, match="cannot keep a blob"):
        store.keep(DIGEST, len(DATA), [DATA])
    assert_nothing_left(layout)
    assert not store.has(DIGEST)


def test_a_damaged_blob_is_dropped_when_it_is_read(store: BlobStore) -> None:
    store.keep(DIGEST, len(DATA), [DATA]).write_bytes(b"damaged")
    with pytest.raises(DigestMismatchError, match="damaged"):
        store.read(DIGEST)
    assert not store.has(DIGEST)


def test_a_blob_that_is_not_kept_cannot_be_read(store: BlobStore) -> None:
    with pytest.raises(StoreError, match="no blob"):
        store.read(DIGEST)


def test_of_several_that_want_a_blob_one_fetches_it(store: BlobStore) -> None:
    fetched = []

    def chunks() -> Iterator[bytes]:
        fetched.append(1)
        yield DATA

    def want() -> None:
        with store.locked(DIGEST):
            store.keep(DIGEST, len(DATA), chunks())

    threads = [threading.Thread(target=want) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fetched == [1]
