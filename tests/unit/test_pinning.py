"""What a run does with a lock file, between a fake registry and a store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_lxcontainer.errors import ImageNotCachedError, ImageNotFoundError, InvalidSettingsError, LockFileError
from pytest_lxcontainer.image import Digest, Image, Platform
from pytest_lxcontainer.provision import Provisioner, Settings
from tests.fakes.images import BuiltImage, BuiltIndex, image, index, layer
from tests.fakes.registry import FakeRegistry

AMD64, ARM64 = Platform.parse("linux/amd64"), Platform.parse("linux/arm64")
OLD, NEW = image([layer({"old": "old"})]), image([layer({"new": "new"})])


class Runs:
    """Runs one after another, with one store, one registry and one lock file."""

    def __init__(self, store: Path, registry: FakeRegistry, lock: Path) -> None:
        self.store = store
        self.registry = registry
        self.lock = lock

    def push(self, built: BuiltImage | BuiltIndex, tag: str = "1") -> Digest:
        return self.registry.push(built, "box", tag)

    def name(self, tag: str = "1") -> str:
        return f"{self.registry.host}/box:{tag}"

    def pull(self, *tags: str, **settings: Any) -> list[Image]:
        """What one run pulls."""
        with Provisioner(Settings(self.store, platform=settings.pop("platform", AMD64), **settings)) as provisioner:
            return [provisioner.pull(self.name(tag)) for tag in tags or ("1",)]

    def locked(self, *tags: str, **settings: Any) -> list[Image]:
        return self.pull(*tags, lock=self.lock, **settings)

    def updated(self, *tags: str, **settings: Any) -> list[Image]:
        return self.locked(*tags, lock_update=True, **settings)

    @property
    def pins(self) -> list[str]:
        return [line for line in self.lock.read_text().splitlines() if not line.startswith("#")]

    def pinned(self, digest: Digest, tag: str = "1") -> str:
        return f"{self.name(tag)} {digest}"


@pytest.fixture
def runs(own_store: Path, tmp_path: Path) -> Iterator[Runs]:
    with FakeRegistry() as registry:
        yield Runs(own_store, registry, tmp_path / "lxc.lock")


def test_the_first_run_pins_what_its_tags_named(runs: Runs) -> None:
    one, two = runs.push(OLD), runs.push(NEW, "2")
    assert [each.digest for each in runs.locked("2", "1")] == [two, one]
    assert runs.pins == [runs.pinned(one), runs.pinned(two, "2")]


def test_a_locked_run_cannot_drift(runs: Runs) -> None:
    old = runs.push(OLD)
    runs.locked()
    before = runs.lock.read_bytes()
    runs.push(NEW)
    for policy in ("missing", "always"):
        (image,) = runs.locked(pull=policy)
        assert (image.digest, str(image.reference)) == (old, runs.name())
    assert runs.lock.read_bytes() == before
    (image,) = runs.pull(pull="always")
    assert image.digest == NEW.digest


def test_nor_does_it_with_a_store_where_the_tag_has_moved(runs: Runs) -> None:
    old = runs.push(OLD)
    runs.locked()
    runs.push(NEW)
    runs.pull(pull="always")
    assert [each.digest for each in runs.locked()] == [old]


def test_what_is_pinned_and_in_the_store_costs_no_request(runs: Runs) -> None:
    runs.push(index(image([layer({"arm": "arm"})], architecture="arm64"), OLD))
    runs.locked()
    runs.registry.requests.clear()
    for policy in ("missing", "never"):
        runs.locked(pull=policy)
    assert not runs.registry.requests


def test_an_index_is_pinned_as_such_and_serves_every_platform(runs: Runs) -> None:
    arm = image([layer({"arm": "arm"})], architecture="arm64")
    pinned = runs.push(index(arm, OLD))
    runs.locked()
    assert runs.pins == [runs.pinned(pinned)]
    runs.push(NEW)
    assert [each.digest for each in runs.locked(platform=ARM64)] == [arm.digest]


def test_a_tag_that_is_gone_is_used_by_its_digest(runs: Runs) -> None:
    old = runs.push(OLD)
    runs.lock.write_text(runs.pinned(old))
    del runs.registry.repository("box").manifests["1"]
    assert [each.digest for each in runs.locked()] == [old]


def test_a_digest_that_is_gone_is_an_error_that_names_the_lock_file(runs: Runs) -> None:
    runs.lock.write_text(runs.pinned(OLD.digest))
    runs.push(NEW)
    with pytest.raises(ImageNotFoundError) as raised:
        runs.locked()
    assert "no such digest" in raised.value.message
    assert f"the digest is from the lock file {runs.lock}" in raised.value.details
    assert "--lxc-lock-update" in raised.value.hint


def test_a_digest_that_may_not_be_fetched_names_it_too(runs: Runs) -> None:
    runs.lock.write_text(runs.pinned(OLD.digest))
    with pytest.raises(ImageNotCachedError) as raised:
        runs.locked(pull="never")
    assert str(runs.lock) in raised.value.details
    assert "lxcontainer pull" in raised.value.hint


def test_a_tag_that_is_not_pinned_is_refused_without_a_request(runs: Runs) -> None:
    runs.push(OLD)
    runs.lock.write_text(runs.pinned(OLD.digest))
    with pytest.raises(LockFileError, match=r"box:2 is not in the lock file"):
        runs.locked("2")
    assert not runs.registry.requests


def test_an_update_asks_what_tags_name_now_and_pins_that(runs: Runs) -> None:
    runs.push(OLD), runs.push(OLD, "2")
    runs.locked("1", "2")
    new = runs.push(NEW)
    assert [each.digest for each in runs.updated("1")] == [new]
    assert runs.pins == [runs.pinned(new), runs.pinned(OLD.digest, "2")]


def test_an_update_that_may_not_pull_pins_what_the_store_has(runs: Runs) -> None:
    runs.push(OLD)
    runs.pull()
    runs.push(NEW)
    runs.registry.requests.clear()
    runs.updated(pull="never")
    assert (runs.pins, dict(runs.registry.requests)) == ([runs.pinned(OLD.digest)], {})


def test_a_run_that_fails_pins_what_it_has_used(runs: Runs) -> None:
    runs.push(OLD)
    with pytest.raises(ImageNotFoundError):
        runs.locked("1", "2")
    assert runs.pins == [runs.pinned(OLD.digest)]


def test_a_locked_pull_is_remembered_under_its_full_name(runs: Runs) -> None:
    runs.push(OLD)
    runs.lock.write_text(runs.pinned(OLD.digest))
    runs.locked()
    with Provisioner(Settings(runs.store, platform=AMD64)) as provisioner:
        assert [str(record.reference) for record in provisioner.images()] == [f"{runs.name()}@{OLD.digest}"]


def test_the_environment_names_a_lock_file_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {"LXCONTAINER_LOCK": "my.lock", "LXCONTAINER_LOCK_UPDATE": "yes"}
    settings = Settings.from_environment(environ)
    assert (settings.lock, settings.lock_update) == (tmp_path / "my.lock", True)
    assert not Settings.from_environment({**environ, "LXCONTAINER_LOCK_UPDATE": "0"}).lock_update
    with pytest.raises(InvalidSettingsError, match="'perhaps' is neither yes nor no"):
        Settings.from_environment({**environ, "LXCONTAINER_LOCK_UPDATE": "perhaps"})
    with pytest.raises(InvalidSettingsError, match="no lock file to update"):
        Settings.from_environment({"LXCONTAINER_LOCK_UPDATE": "1"})
