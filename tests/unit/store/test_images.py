from __future__ import annotations

import json
import os
import time
from dataclasses import replace

import pytest

from pytest_lxcontainer.image import Platform, Reference, sha256_of
from pytest_lxcontainer.store.images import ImageStore
from pytest_lxcontainer.store.layout import Layout

ALPINE = Reference.parse("alpine")
REDIS = Reference.parse("redis:7")
AMD64 = Platform.parse("linux/amd64")
ARM64 = Platform.parse("linux/arm64")
ONE, TWO = sha256_of(b"1"), sha256_of(b"2")


@pytest.fixture
def store(layout: Layout) -> ImageStore:
    return ImageStore(layout)


def test_a_reference_is_found_for_the_platform_it_was_pulled_for(store: ImageStore) -> None:
    store.record(ALPINE, AMD64, ONE)
    assert store.find(ALPINE, AMD64) == ONE
    assert store.find(ALPINE, ARM64) is None
    assert store.find(REDIS, AMD64) is None


def test_the_last_pull_counts(store: ImageStore) -> None:
    store.record(ALPINE, AMD64, ONE)
    store.record(ALPINE, AMD64, TWO)
    assert store.find(ALPINE, AMD64) == TWO
    assert len(store.list()) == 1


def test_the_latest_pulled_is_listed_first(store: ImageStore) -> None:
    store.record(ALPINE, AMD64, ONE)
    store.record(REDIS, AMD64, TWO)
    assert [(record.reference, record.digest) for record in store.list()] == [(REDIS, TWO), (ALPINE, ONE)]


def test_what_the_registry_resolves_to_is_remembered(store: ImageStore) -> None:
    store.record(ALPINE, AMD64, ONE, index_digest=TWO)
    store.record(REDIS, AMD64, ONE)
    alpine, redis = store.find_record(ALPINE, AMD64), store.find_record(REDIS, AMD64)
    assert alpine is not None and alpine.resolved == TWO
    assert redis is not None and redis.resolved == ONE


def test_a_removed_record_is_gone(store: ImageStore) -> None:
    store.record(ALPINE, AMD64, ONE)
    assert store.remove(ALPINE, AMD64)
    assert not store.remove(ALPINE, AMD64)
    assert store.find(ALPINE, AMD64) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", json.dumps({"reference": "a b"}), '{"reference": 1}'])
def test_a_record_that_cannot_be_read_counts_as_absent(store: ImageStore, layout: Layout, text: str) -> None:
    store.record(ALPINE, AMD64, ONE)
    layout.image_record(ALPINE, AMD64).write_text(text)
    assert store.find(ALPINE, AMD64) is None
    assert store.list() == []


def test_use_is_remembered_to_the_hour(store: ImageStore, layout: Layout) -> None:
    store.record(ALPINE, AMD64, ONE)
    path = layout.image_record(ALPINE, AMD64)
    for ago, noted in ((1800, False), (7200, True)):
        os.utime(path, (time.time() - ago,) * 2)
        record = store.find_record(ALPINE, AMD64)
        assert record is not None
        store.touch(record)
        again = store.find_record(ALPINE, AMD64)
        assert again is not None and (again.used_at > record.used_at) is noted


def test_an_image_that_was_just_forgotten_may_be_touched(store: ImageStore) -> None:
    store.record(ALPINE, AMD64, ONE)
    record = store.find_record(ALPINE, AMD64)
    assert record is not None
    store.remove(ALPINE, AMD64)
    store.touch(replace(record, used_at=0.0))
    assert store.list() == []
