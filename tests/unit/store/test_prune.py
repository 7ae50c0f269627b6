from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_lxcontainer.errors import StoreError
from pytest_lxcontainer.image import Digest, Platform, Reference, chain_ids, sha256_of
from pytest_lxcontainer.store.blobs import BlobStore
from pytest_lxcontainer.store.images import ImageStore
from pytest_lxcontainer.store.layers import LayerStore
from pytest_lxcontainer.store.layout import Layout
from pytest_lxcontainer.store.prune import claim_layers, prune, unreferenced
from tests.fakes.images import BuiltImage, image, layer

AMD64 = Platform.parse("linux/amd64")
BASE = layer({"base": "1"})
OLD = image([BASE, layer({"old": "1"})])
NEW = image([BASE, layer({"new": "1"})])


def pull(layout: Layout, built: BuiltImage, text: str) -> list[Path]:
    """Put an image into the store as a pull does, and return its layers, base first."""
    blobs = BlobStore(layout)
    for blob in (*built.blobs, built.manifest):
        blobs.keep(sha256_of(blob), len(blob), [blob])
    diff_ids = [Digest.parse(entry) for entry in json.loads(built.config)["rootfs"]["diff_ids"]]
    layers = LayerStore(layout, shutil.rmtree)
    # The base is shared, what is above it belongs to its stack.
    base, top = zip(diff_ids, chain_ids(diff_ids), strict=True)
    directories = [
        layers.commit(*base, "map", lambda directory: True),
        layers.commit(*top, "map", lambda directory: False),
    ]
    ImageStore(layout).record(Reference.parse(text), AMD64, built.digest)
    return directories


def prune_now(layout: Layout) -> None:
    prune(layout, shutil.rmtree, min_age=0)


def test_nothing_of_a_recorded_image_is_unreferenced(layout: Layout) -> None:
    pull(layout, OLD, "app:1")
    unused = unreferenced(layout, min_age=0)
    assert (unused.blobs, unused.layers, unused.unfinished, unused.blob_bytes) == ((), (), (), 0)


def test_prune_drops_what_only_a_removed_image_used(layout: Layout) -> None:
    base, old = pull(layout, OLD, "app:1")
    _, new = pull(layout, NEW, "app:2")
    ImageStore(layout).remove(Reference.parse("app:1"), AMD64)
    prune_now(layout)
    blobs = BlobStore(layout)
    assert base.is_dir() and new.is_dir() and not old.exists()
    assert all(blobs.has(sha256_of(blob)) for blob in (*NEW.blobs, NEW.manifest))
    assert not blobs.has(OLD.digest) and not blobs.has(OLD.config_digest)


def test_prune_empties_a_store_without_records(layout: Layout) -> None:
    pull(layout, OLD, "app:1")
    ImageStore(layout).remove(Reference.parse("app:1"), AMD64)
    unused = prune(layout, shutil.rmtree, min_age=0)
    assert unused.blob_bytes == sum(map(len, (*OLD.blobs, OLD.manifest)))
    for directory in (layout.blobs_dir / "sha256", layout.layers_dir, layout.layer_records_dir):
        assert list(directory.iterdir()) == []


def test_what_a_run_uses_is_kept_until_the_run_is_gone(layout: Layout) -> None:
    base, old = pull(layout, OLD, "app:1")
    layout.run_dir("r1").mkdir()
    claim_layers(layout, "r1", [base])
    claim_layers(layout, "r1", [old])
    ImageStore(layout).remove(Reference.parse("app:1"), AMD64)
    prune_now(layout)
    assert base.is_dir() and old.is_dir()
    shutil.rmtree(layout.run_dir("r1"))
    prune_now(layout)
    assert not base.exists() and not old.exists()


def test_a_layer_that_was_pruned_cannot_be_claimed(layout: Layout) -> None:
    layout.run_dir("r1").mkdir()
    with pytest.raises(StoreError, match="pruned"):
        claim_layers(layout, "r1", [layout.layer("gone")])


def test_what_a_pull_has_just_fetched_is_kept(layout: Layout) -> None:
    directories = pull(layout, OLD, "app:1")
    ImageStore(layout).remove(Reference.parse("app:1"), AMD64)
    unused = prune(layout, shutil.rmtree)
    assert (unused.blobs, unused.layers) == ((), ())
    assert all(directory.is_dir() for directory in directories)


def test_an_image_whose_config_is_damaged_does_not_stop_a_prune(layout: Layout) -> None:
    pull(layout, OLD, "app:1")
    BlobStore(layout).path(OLD.config_digest).write_bytes(b"damaged")
    prune_now(layout)
    assert BlobStore(layout).has(OLD.digest)


def test_what_a_dead_process_left_unfinished_is_dropped(layout: Layout) -> None:
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    ).stdout.strip()
    left = [layout.tmp_dir / f"{dead}-x", layout.layers_dir / f".{dead}-y", layout.trash_dir / f"{dead}-z"]
    left[0].touch()
    left[1].mkdir()
    left[2].mkdir()
    living = layout.temporary()
    living.touch()
    prune_now(layout)
    assert not any(path.exists() for path in left)
    assert living.exists()


def test_a_layer_without_record_is_dropped(layout: Layout) -> None:
    base, _ = pull(layout, OLD, "app:1")
    layout.layer_record(base.name).unlink()
    prune_now(layout)
    assert not base.exists()
