from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from pytest_lxcontainer.image import sha256_of
from pytest_lxcontainer.store.blobs import BlobStore
from pytest_lxcontainer.store.layers import LayerStore
from pytest_lxcontainer.store.layout import Layout
from pytest_lxcontainer.store.power import is_due, mark, mend, settle, was_interrupted

DATA = b"some bytes"
DIGEST = sha256_of(DATA)


@pytest.fixture
def blobs(layout: Layout) -> BlobStore:
    return BlobStore(layout)


@pytest.fixture
def layers(layout: Layout) -> LayerStore:
    return LayerStore(layout, lambda path: path.rmdir())


def marks(layout: Layout) -> list[Path]:
    return list(layout.marks_dir.iterdir())


def power_cut(layout: Layout) -> Path:
    """Make this boot's mark that of an earlier one."""
    (path,) = marks(layout)
    return path.rename(path.with_name(path.name.partition("-")[0] + "-earlier"))


def test_one_mark_serves_all_pulls_of_a_boot(layout: Layout) -> None:
    mark(layout)
    mark(layout)
    assert len(marks(layout)) == 1
    assert not was_interrupted(layout)


def test_a_mark_stays_while_the_kernel_may_not_have_written_all(layout: Layout) -> None:
    mark(layout)
    assert not is_due(layout)


def test_an_old_mark_goes_with_the_next_occasion(layout: Layout) -> None:
    mark(layout)
    (path,) = marks(layout)
    os.utime(path, (time.time() - 61, time.time() - 61))
    assert is_due(layout)
    mark(layout)
    assert not is_due(layout)
    assert path.stat().st_mtime < time.time() - 60
    settle(layout)
    assert marks(layout) == []
    assert not is_due(layout)


def test_after_a_power_cut_blobs_are_verified(layout: Layout, blobs: BlobStore, layers: LayerStore) -> None:
    mark(layout)
    blobs.keep(DIGEST, len(DATA), [DATA])
    other = sha256_of(b"other")
    blobs.keep(other, 5, [b"other"])
    blobs.path(other).write_bytes(b"")
    power_cut(layout)
    assert was_interrupted(layout)
    mend(layout, blobs, layers)
    assert (blobs.has(DIGEST), blobs.has(other)) == (True, False)
    assert marks(layout) == []


def test_after_a_power_cut_young_layers_are_dropped(layout: Layout, blobs: BlobStore, layers: LayerStore) -> None:
    old = layers.commit(sha256_of(b"old"), sha256_of(b"old"), "v", lambda path: True)
    lost = layers.commit(sha256_of(b"lost"), sha256_of(b"lost"), "v", lambda path: True)
    hour_ago = time.time() - 3600
    os.utime(layout.layer_record(old.name), (hour_ago, hour_ago))
    layout.layer_record(lost.name).unlink()
    mark(layout)
    young = layers.commit(sha256_of(b"young"), sha256_of(b"young"), "v", lambda path: True)
    power_cut(layout)
    mend(layout, blobs, layers)
    assert [path.exists() for path in (old, lost, young)] == [True, False, False]
    assert [path.name for path in layout.layers_dir.iterdir()] == [old.name]


def test_another_machines_mark_says_nothing_about_this_one(
    layout: Layout, blobs: BlobStore, layers: LayerStore
) -> None:
    mark(layout)
    blobs.keep(DIGEST, len(DATA), [DATA])
    (path,) = marks(layout)
    foreign = path.rename(path.with_name("0123456789ab-0123456789ab"))
    assert not was_interrupted(layout)
    mend(layout, blobs, layers)
    assert blobs.has(DIGEST)
    assert marks(layout) == [foreign]
