from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

import pytest

from pytest_lxcontainer.errors import StoreError
from pytest_lxcontainer.image import chain_ids, sha256_of
from pytest_lxcontainer.store.layers import LayerName, LayerStore
from pytest_lxcontainer.store.layout import Layout

BASE, TOP = sha256_of(b"base"), sha256_of(b"top")
_, CHAIN = chain_ids([BASE, TOP])


@pytest.fixture
def store(layout: Layout) -> LayerStore:
    return LayerStore(layout, shutil.rmtree, timeout=10)


def alone(directory: Path) -> bool:
    (directory / "file").write_text("content")
    return True


def on_stack(directory: Path) -> bool:
    return not alone(directory)


def assert_nothing_left(layout: Layout) -> None:
    assert list(layout.layers_dir.iterdir()) == []
    assert list(layout.tmp_dir.iterdir()) == []


def test_a_committed_layer_is_found(store: LayerStore) -> None:
    assert store.find(TOP, CHAIN, "map") is None
    path = store.commit(TOP, CHAIN, "map", alone)
    assert store.find(TOP, CHAIN, "map") == path
    assert (path / "file").read_text() == "content"


def test_a_self_contained_layer_is_shared_by_every_stack(store: LayerStore) -> None:
    path = store.commit(TOP, CHAIN, "map", alone)
    assert store.find(TOP, sha256_of(b"another stack"), "map") == path


def test_a_layer_that_depends_on_those_below_is_for_its_stack_only(store: LayerStore) -> None:
    path = store.commit(TOP, CHAIN, "map", on_stack)
    assert store.find(TOP, CHAIN, "map") == path
    assert store.find(TOP, sha256_of(b"another stack"), "map") is None


def test_each_id_mapping_has_its_own_layers(store: LayerStore) -> None:
    mapped = store.commit(TOP, CHAIN, "map", alone)
    plain = store.commit(TOP, CHAIN, "plain", alone)
    assert mapped != plain


def test_a_layers_directory_name_is_short(store: LayerStore) -> None:
    name = store.commit(TOP, CHAIN, "map", alone).name
    assert len(name) == 12
    assert name.isalnum() and name == name.lower()


def test_a_layer_is_filled_once(store: LayerStore) -> None:
    filled = []

    def fill(directory: Path) -> bool:
        filled.append(directory)
        time.sleep(0.05)
        return alone(directory)

    threads = [threading.Thread(target=store.commit, args=(TOP, CHAIN, "map", fill)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(filled) == 1


def test_a_layer_is_not_found_before_it_is_complete(store: LayerStore) -> None:
    found = []

    def fill(directory: Path) -> bool:
        found.append(store.find(TOP, CHAIN, "map"))
        return alone(directory)

    store.commit(TOP, CHAIN, "map", fill)
    assert found == [None]


def test_a_failed_fill_leaves_nothing(store: LayerStore, layout: Layout) -> None:
    def fill(directory: Path) -> bool:
        alone(directory)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.commit(TOP, CHAIN, "map", fill)
    assert_nothing_left(layout)
    assert store.commit(TOP, CHAIN, "map", alone).is_dir()


def test_a_removed_layer_is_gone(store: LayerStore, layout: Layout) -> None:
    path = store.commit(TOP, CHAIN, "map", alone)
    store.remove(path.name)
    assert store.find(TOP, CHAIN, "map") is None
    assert_nothing_left(layout)


def test_waiting_for_another_that_fills_ends(layout: Layout) -> None:
    hurried = LayerStore(layout, shutil.rmtree, timeout=0.05)

    def fill(directory: Path) -> bool:
        with pytest.raises(StoreError, match="waited"):
            hurried.commit(TOP, CHAIN, "map", alone)
        return True

    assert hurried.commit(TOP, CHAIN, "map", fill).is_dir()


def test_a_layers_name_survives_its_record() -> None:
    name = LayerName(TOP, True, "u100000 g100000")
    assert LayerName.parse(f"{name}\n") == name
