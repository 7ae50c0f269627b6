from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_lxcontainer.errors import InvalidSettingsError, StoreError
from pytest_lxcontainer.image import Platform, Reference, sha256_of
from pytest_lxcontainer.store.layout import Layout, default_root


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_only_what_containers_pass_through_is_open_to_others(layout: Layout) -> None:
    assert mode(layout.root) == 0o700
    for path in (layout.layers_dir, layout.runs_dir, layout.tmp_dir, layout.trash_dir):
        assert mode(path) == 0o711
    for path in (layout.blobs_dir, layout.images_dir, layout.locks_dir, layout.layer_records_dir):
        assert mode(path) == 0o700


def test_the_containers_group_may_pass_the_root(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "store")
    layout.create(owner_gid=os.getegid())
    assert mode(layout.root) == 0o710
    assert layout.root.stat().st_gid == os.getegid()


def test_everyone_may_pass_where_the_group_may_not_be_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "chown", refuse)
    layout = Layout(tmp_path / "store")
    layout.create(owner_gid=100_000)
    assert mode(layout.root) == 0o711


def test_creating_a_store_twice_changes_nothing(layout: Layout) -> None:
    layout.blob(sha256_of(b"")).parent.mkdir()
    layout.create()
    assert layout.blob(sha256_of(b"")).parent.is_dir()


@pytest.mark.parametrize("version", ["2", "99", "x", ""])
def test_a_store_of_another_version_is_refused(layout: Layout, version: str) -> None:
    (layout.root / "version").write_text(version)
    with pytest.raises(StoreError, match="version"):
        layout.create()


@pytest.mark.parametrize("name", ["a:b", "a,b", "a b", "a\nb", "a\\b", "a\tb"])
def test_a_path_that_overlayfs_or_lxc_would_split_is_refused(name: str) -> None:
    with pytest.raises(InvalidSettingsError, match="cannot be in"):
        Layout(Path("/var") / name)


def test_a_relative_path_is_refused() -> None:
    with pytest.raises(InvalidSettingsError, match="absolute"):
        Layout(Path("store"))


def test_a_store_that_cannot_be_made_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot create the store"):
        Layout(tmp_path / "file" / "store").create()


def test_each_reference_and_platform_has_its_own_record(layout: Layout) -> None:
    paths = {
        layout.image_record(Reference.parse(text), Platform.parse(platform))
        for text in ("alpine", "alpine:3", "ghcr.io/alpine")
        for platform in ("linux/amd64", "linux/arm64")
    }
    assert len(paths) == 6
    assert {path.parent for path in paths} == {layout.images_dir}


def test_an_unfinished_layer_is_beside_the_finished_one(layout: Layout) -> None:
    assert layout.unfinished_layer().parent == layout.layer("key").parent


def test_the_default_is_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_root() == tmp_path / "pytest-lxcontainer"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert default_root() == Path("/home/someone/.cache/pytest-lxcontainer")


def test_the_default_for_root_is_the_systems_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_root() == Path("/var/cache/pytest-lxcontainer")


def test_a_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    other = Path("/proc/1") if os.geteuid() else tmp_path
    if not os.geteuid():
        os.chown(tmp_path, 12345, -1)
    with pytest.raises(StoreError, match="belongs to user") as caught:
        Layout(other).create()
    assert "--lxc-store" in caught.value.hint


def test_what_a_killed_process_left_half_made_is_finished(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "store")
    layout.layers_dir.mkdir(mode=0o700, parents=True)
    layout.create()
    assert layout.layers_dir.stat().st_mode & 0o777 == 0o711
