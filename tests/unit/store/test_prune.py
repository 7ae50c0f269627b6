from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pytest_lxcontainer.errors import StoreError
from pytest_lxcontainer.image import Digest, Platform, Reference, chain_ids, sha256_of
from pytest_lxcontainer.rootfs.measure import size_on_disk
from pytest_lxcontainer.store.blobs import BlobStore
from pytest_lxcontainer.store.claims import claim_layers
from pytest_lxcontainer.store.images import ImageRecord, ImageStore
from pytest_lxcontainer.store.layers import LayerStore
from pytest_lxcontainer.store.layout import Layout
from pytest_lxcontainer.store.lock import pulling
from pytest_lxcontainer.store.prune import Pruned, Rules, forget, prune
from tests.fakes.images import BuiltImage, image, layer

AMD64 = Platform.parse("linux/amd64")
BASE = layer({"base": "1"})
OLD = image([BASE, layer({"old": "1"})])
NEW = image([BASE, layer({"new": "1"})])
HOUR = 3600.0
LAYER_SIZE = 1 << 20


class OwnTrees:
    """Trees in which every file is this user's."""

    def remove(self, *paths: Path) -> None:
        for path in paths:
            if path.exists():
                shutil.rmtree(path)

    def measure(self, path: Path) -> int:
        fd = os.open(path.parent, os.O_RDONLY)
        try:
            return size_on_disk(path.name, fd)
        finally:
            os.close(fd)


TREES = OwnTrees()


def fill(directory: Path) -> None:
    (directory / "file").write_bytes(os.urandom(LAYER_SIZE))


def pull(layout: Layout, built: BuiltImage, text: str, *, used: float = 0.0) -> list[Path]:
    """Put an image into the store as a pull does *used* seconds ago, and return its layers, base first."""
    blobs = BlobStore(layout)
    for blob in (*built.blobs, built.manifest):
        blobs.keep(sha256_of(blob), len(blob), [blob])
    diff_ids = [Digest.parse(entry) for entry in json.loads(built.config)["rootfs"]["diff_ids"]]
    layers = LayerStore(layout, shutil.rmtree)
    directories = []
    for number, (diff_id, chain_id) in enumerate(zip(diff_ids, chain_ids(diff_ids), strict=True)):

        def filled(directory: Path, shared: bool = number == 0) -> bool:
            """The base is shared, what is above it belongs to its stack."""
            fill(directory)
            return shared

        directories.append(layers.commit(diff_id, chain_id, "map", filled))
    ImageStore(layout).record(Reference.parse(text), AMD64, built.digest)
    then = time.time() - used
    os.utime(layout.image_record(Reference.parse(text), AMD64), (then, then))
    return directories


def untag(layout: Layout, text: str) -> None:
    assert ImageStore(layout).remove(Reference.parse(text), AMD64)


def record_of(layout: Layout, text: str) -> ImageRecord:
    record = ImageStore(layout).find_record(Reference.parse(text), AMD64)
    assert record is not None
    return record


def names_of(pruned: Pruned) -> list[str]:
    return [record.reference.familiar for record in pruned.images]


def in_store(layout: Layout) -> list[str]:
    return sorted(record.reference.familiar for record in ImageStore(layout).list())


def claim(layout: Layout, run_id: str, layers: list[Path]) -> None:
    layout.run_dir(run_id).mkdir(exist_ok=True)
    claim_layers(layout, run_id, layers)


def test_nothing_of_a_recorded_image_is_unused(layout: Layout) -> None:
    pull(layout, OLD, "app:1")
    assert prune(layout, TREES) == Pruned()


def test_prune_drops_what_only_a_removed_image_used(layout: Layout) -> None:
    base, old = pull(layout, OLD, "app:1")
    _, new = pull(layout, NEW, "app:2")
    untag(layout, "app:1")
    prune(layout, TREES)
    blobs = BlobStore(layout)
    assert base.is_dir() and new.is_dir() and not old.exists()
    assert all(blobs.has(sha256_of(blob)) for blob in (*NEW.blobs, NEW.manifest))
    assert not blobs.has(OLD.digest) and not blobs.has(OLD.config_digest)


def test_prune_empties_a_store_without_records_and_tells_what_that_took(layout: Layout) -> None:
    base, old = pull(layout, OLD, "app:1")
    taken = _du(layout.blobs_dir / "sha256") - layout.blobs_dir.joinpath("sha256").stat().st_blocks * 512
    taken += _du(base) + _du(old)
    untag(layout, "app:1")
    pruned = prune(layout, TREES)
    assert pruned.size == taken > 2 * LAYER_SIZE
    assert set(pruned.blobs) == {sha256_of(blob) for blob in (*OLD.blobs, OLD.manifest)}
    assert set(pruned.layers) == {base.name, old.name}
    for directory in (layout.blobs_dir / "sha256", layout.layers_dir, layout.layer_records_dir):
        assert list(directory.iterdir()) == []


def _du(path: Path) -> int:
    done = subprocess.run(["du", "--summarize", "--block-size=1", path], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[0])


def test_a_dry_run_tells_the_same_and_removes_nothing(layout: Layout) -> None:
    pull(layout, OLD, "app:1", used=2 * HOUR)
    left = layout.temporary()
    left.write_bytes(b"left")
    before = sorted(layout.root.rglob("*"))
    told = prune(layout, TREES, Rules(older_than=HOUR), dry_run=True)
    assert [path for path in sorted(layout.root.rglob("*")) if layout.locks_dir not in path.parents] == [
        path for path in before if layout.locks_dir not in path.parents
    ]
    assert told == prune(layout, TREES, Rules(older_than=HOUR))
    assert names_of(told) == ["app:1"] and told.unfinished == (left,) and told.size > 2 * LAYER_SIZE


def test_what_a_run_uses_is_kept_until_the_run_is_gone(layout: Layout) -> None:
    base, old = pull(layout, OLD, "app:1")
    claim(layout, "r1", [base])
    claim(layout, "r1", [old])
    untag(layout, "app:1")
    prune(layout, TREES, Rules(unused=True, older_than=0, max_size=0))
    assert base.is_dir() and old.is_dir()
    shutil.rmtree(layout.run_dir("r1"))
    prune(layout, TREES)
    assert not base.exists() and not old.exists()


def test_a_layer_that_was_pruned_cannot_be_claimed(layout: Layout) -> None:
    layout.run_dir("r1").mkdir()
    with pytest.raises(StoreError, match="pruned"):
        claim_layers(layout, "r1", [layout.layer("gone")])


@pytest.mark.parametrize(
    "rules", [Rules(unused=True), Rules(older_than=HOUR), Rules(max_size=0)], ids=["all", "older than", "max size"]
)
def test_no_rule_forgets_an_image_that_a_run_uses(layout: Layout, rules: Rules) -> None:
    used = pull(layout, OLD, "app:1", used=3 * HOUR)
    pull(layout, NEW, "app:2", used=2 * HOUR)
    claim(layout, "r1", used)
    assert names_of(prune(layout, TREES, rules)) == ["app:2"]
    assert in_store(layout) == ["app:1"]
    assert all(path.is_dir() for path in used) and BlobStore(layout).has(OLD.config_digest)


def test_an_image_is_forgotten_when_it_was_not_used_for_long(layout: Layout) -> None:
    _, old = pull(layout, OLD, "app:1", used=3 * HOUR)
    base, new = pull(layout, NEW, "app:2", used=HOUR)
    assert names_of(prune(layout, TREES, Rules(older_than=2 * HOUR))) == ["app:1"]
    assert base.is_dir() and new.is_dir() and not old.exists()


def test_use_makes_an_image_young_again(layout: Layout) -> None:
    pull(layout, OLD, "app:1", used=3 * HOUR)
    ImageStore(layout).touch(record_of(layout, "app:1"))
    assert prune(layout, TREES, Rules(older_than=2 * HOUR)) == Pruned()


def test_the_least_recently_used_go_until_the_rest_fits(layout: Layout) -> None:
    pull(layout, OLD, "app:1", used=HOUR)
    pull(layout, NEW, "app:2", used=3 * HOUR)
    pull(layout, image([layer({"other": "1"})]), "other:1", used=2 * HOUR)
    # The base stays for app:1; without app:2 and other, two of four layers are left.
    pruned = prune(layout, TREES, Rules(max_size=int(2.5 * LAYER_SIZE)))
    assert names_of(pruned) == ["app:2", "other:1"]
    assert in_store(layout) == ["app:1"]


def test_a_store_that_fits_keeps_its_images(layout: Layout) -> None:
    pull(layout, OLD, "app:1", used=HOUR)
    assert prune(layout, TREES, Rules(max_size=3 * LAYER_SIZE)) == Pruned()


def test_forgetting_an_image_drops_only_what_was_its_own(layout: Layout) -> None:
    base, old = pull(layout, OLD, "app:1")
    _, new = pull(layout, NEW, "app:2")
    _, orphan = pull(layout, image([BASE, layer({"orphan": "1"})]), "orphan")
    untag(layout, "orphan")
    gone = forget(layout, TREES, [record_of(layout, "app:1")])
    assert (names_of(gone), gone.layers) == (["app:1"], (old.name,))
    assert base.is_dir() and new.is_dir() and orphan.is_dir() and not old.exists()


def test_forgetting_an_image_leaves_the_layers_that_a_run_uses(layout: Layout) -> None:
    base, old = pull(layout, OLD, "app:1")
    claim(layout, "r1", [base, old])
    assert forget(layout, TREES, [record_of(layout, "app:1")]).layers == ()
    assert base.is_dir() and old.is_dir() and in_store(layout) == []


@pytest.mark.parametrize("drop", [prune, lambda *args, **kwargs: forget(*args, [], **kwargs)])
def test_nothing_is_dropped_while_a_pull_is_under_way(layout: Layout, drop: object) -> None:
    base, old = pull(layout, OLD, "app:1")
    untag(layout, "app:1")
    with pulling(layout), pytest.raises(StoreError) as caught:
        drop(layout, TREES, patience=0.05)  # type: ignore[operator] # both take these
    assert f"pid {os.getpid()}" in caught.value.details
    assert base.is_dir() and old.is_dir()


def test_pulls_do_not_keep_one_another_waiting(layout: Layout) -> None:
    with pulling(layout), pulling(layout, timeout=0):
        pass


def test_a_prune_waits_for_the_pull_and_then_prunes(layout: Layout) -> None:
    base, _ = pull(layout, OLD, "app:1")
    untag(layout, "app:1")
    result: list[Pruned] = []
    with pulling(layout):
        thread = threading.Thread(target=lambda: result.append(prune(layout, TREES)))
        thread.start()
        time.sleep(0.05)
        assert base.is_dir()
    thread.join()
    assert base.name in result[0].layers and not base.exists()


def test_a_pull_that_was_killed_keeps_nobody_waiting(layout: Layout) -> None:
    program = (
        "import sys, time; from pathlib import Path;"
        "from pytest_lxcontainer.store.layout import Layout; from pytest_lxcontainer.store.lock import pulling;"
        "layout = Layout(Path(sys.argv[1])); pulling(layout).__enter__();"
        "layout.temporary().touch(); layout.unfinished_layer().mkdir(); print('there', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(layout.root)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"there\n"
        process.send_signal(signal.SIGKILL)
    assert len(prune(layout, TREES, patience=0).unfinished) == 2
    assert [*layout.tmp_dir.iterdir(), *layout.layers_dir.iterdir()] == []


def test_two_prunes_at_once_do_not_disturb_each_other(layout: Layout) -> None:
    for number in range(20):
        pull(layout, image([BASE, layer({f"{number}": "1"})]), f"app:{number}")
    program = (
        "import sys; from pathlib import Path; from tests.unit.store.test_prune import *;"
        "print(len(prune(Layout(Path(sys.argv[1])), TREES, Rules(unused=True)).layers))"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", program, str(layout.root)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    dropped = [int(process.communicate()[0]) for process in processes]
    assert sum(dropped) == 21
    assert list(layout.layers_dir.iterdir()) == []


def test_an_image_whose_config_is_damaged_does_not_stop_a_prune(layout: Layout) -> None:
    pull(layout, OLD, "app:1")
    BlobStore(layout).path(OLD.config_digest).write_bytes(b"damaged")
    prune(layout, TREES)
    assert BlobStore(layout).has(OLD.digest)


def test_what_nobody_finishes_any_more_is_dropped(layout: Layout) -> None:
    file, directory, trash = layout.temporary(), layout.unfinished_layer(), layout.trashed()
    file.touch()
    directory.mkdir()
    trash.mkdir()
    assert set(prune(layout, TREES).unfinished) == {file, directory, trash}
    assert not any(path.exists() for path in (file, directory, trash))


def test_a_layer_without_record_is_dropped(layout: Layout) -> None:
    base, _ = pull(layout, OLD, "app:1")
    layout.layer_record(base.name).unlink()
    prune(layout, TREES)
    assert not base.exists()


def test_a_record_without_layer_is_dropped(layout: Layout) -> None:
    base, _ = pull(layout, OLD, "app:1")
    untag(layout, "app:1")
    shutil.rmtree(base)
    prune(layout, TREES)
    assert list(layout.layer_records_dir.iterdir()) == []
