"""Records of saved tests: found by their ids, few and young."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from pytest_lxcontainer.errors import ContainerNotFoundError, StoreError
from pytest_lxcontainer.image import Reference
from pytest_lxcontainer.image.manifest import Manifest, parse_manifest
from pytest_lxcontainer.store.blobs import BlobStore
from pytest_lxcontainer.store.layout import Layout
from pytest_lxcontainer.store.lock import pulling
from pytest_lxcontainer.store.prune import Rules, forget_saved, prune
from pytest_lxcontainer.store.saved import KEEP_MOST, MAX_AGE, SavedContainer, SavedStore, SavedTest, saved_name

from .test_prune import NEW, OLD, TREES, in_store, names_of, pull


def saved(saved_id: str, *names: str, age: float = 0.0) -> SavedTest:
    containers = tuple(
        SavedContainer(name, saved_name(saved_id, name), "redis:7", {"hostname": name}, (6379,), "FROZEN")
        for name in names
    )
    return SavedTest(saved_id, f"tests/test_it.py::test_{saved_id}", time.time() - age, containers, "it failed")


def add(layout: Layout, test: SavedTest) -> SavedTest:
    for each in test.containers:
        pull(layout, OLD, str(each.reference))
    SavedStore(layout).add(test)
    return test


def test_what_was_saved_is_listed_the_latest_first(layout: Layout) -> None:
    store = SavedStore(layout)
    tests = [saved("aa", "db", "app", age=60), saved("bb", "db")]
    for test in tests:
        store.add(test)
    assert store.list() == tests[::-1]


def test_it_is_found_by_the_beginning_of_its_id(layout: Layout) -> None:
    store = SavedStore(layout)
    for saved_id in ("abcd1234", "abcd5678"):
        store.add(saved(saved_id, "db"))
    assert store.find("abcd1").id == store.find("abcd1234").id == "abcd1234"
    for text in ("abcd", "ab", "ffff", ""):
        with pytest.raises(ContainerNotFoundError):
            store.find(text)


def test_ids_are_short_and_new(layout: Layout) -> None:
    store = SavedStore(layout)
    ids = {store.new_id() for _ in range(100)}
    assert len(ids) == 100 and all(len(each) == 8 and int(each, 16) >= 0 for each in ids)


def test_a_container_is_found_by_its_name(layout: Layout) -> None:
    test = saved("aa", "db", "app")
    assert test.container("app").reference == Reference.parse("localhost/saved/aa/app:latest")
    with pytest.raises(ContainerNotFoundError, match="it has: db, app"):
        test.container("other")


def test_a_record_that_cannot_be_read_counts_as_absent(layout: Layout) -> None:
    SavedStore(layout).add(saved("aa", "db"))
    layout.saved_record("bb").write_text("{")
    layout.saved_record("cc").write_text('{"test": "x", "saved_at": 1, "reason": "", "containers": [{}]}')
    assert [each.id for each in SavedStore(layout).list()] == ["aa"]


def test_the_oldest_of_many_and_those_of_long_ago_are_expired(layout: Layout) -> None:
    store = SavedStore(layout)
    for number in range(KEEP_MOST + 2):
        store.add(saved(f"{number:02}", "db", age=100 - number))
    store.add(saved("old", "db", age=MAX_AGE + 1))
    assert [each.id for each in store.expired()] == ["01", "00", "old"]
    assert len(store.list()) == KEEP_MOST


@pytest.mark.parametrize("rules", [Rules(unused=True), Rules(older_than=0.0), Rules(max_size=0)])
def test_no_prune_takes_what_a_saved_test_needs(layout: Layout, rules: Rules) -> None:
    test = add(layout, saved("aa", "db"))
    pull(layout, NEW, "app:1")
    pruned = prune(layout, TREES, rules)
    assert names_of(pruned) == ["app:1"]
    assert in_store(layout) == [test.containers[0].reference.familiar]
    manifest = parse_manifest(BlobStore(layout).read(OLD.digest))
    assert isinstance(manifest, Manifest) and all(BlobStore(layout).has(each.digest) for each in manifest.layers)
    assert SavedStore(layout).list() == [test]


def test_any_prune_takes_what_is_expired(layout: Layout) -> None:
    test = add(layout, saved("aa", "db", "app", age=MAX_AGE + 1))
    would = prune(layout, TREES, dry_run=True)
    assert [each.id for each in would.saved] == ["aa"] and layout.saved_record("aa").exists()
    pruned = prune(layout, TREES)
    assert [each.id for each in pruned.saved] == ["aa"]
    assert sorted(names_of(pruned)) == sorted(each.reference.familiar for each in test.containers)
    assert in_store(layout) == [] and not layout.saved_record("aa").exists()
    assert not BlobStore(layout).has(OLD.digest)


def test_forgetting_one_leaves_what_others_need(layout: Layout) -> None:
    first, second = add(layout, saved("aa", "db")), add(layout, saved("bb", "db"))
    pruned = forget_saved(layout, TREES, [first])
    assert pruned.blobs == () and pruned.layers == ()
    assert SavedStore(layout).list() == [second]
    assert forget_saved(layout, TREES, [second]).blobs
    assert in_store(layout) == []


def test_nothing_is_forgotten_while_somebody_pulls(layout: Layout) -> None:
    test = add(layout, saved("aa", "db"))
    with pulling(layout), pytest.raises(StoreError):
        forget_saved(layout, TREES, [test], patience=0)
    assert SavedStore(layout).list() == [test] and in_store(layout)


def test_an_expired_one_that_lost_its_images_goes_too(layout: Layout) -> None:
    SavedStore(layout).add(replace(saved("aa", "db"), saved_at=0.0))
    assert [each.id for each in prune(layout, TREES).saved] == ["aa"]
