"""What the tests share: the registry they pull from, and one store for the whole test run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from pytest_lxcontainer.container.cgroups import host_hierarchies
from pytest_lxcontainer.errors import HostNotReadyError
from pytest_lxcontainer.rootfs.idmap import IdMap
from pytest_lxcontainer.rootfs.sandbox import Sandbox
from pytest_lxcontainer.store.layout import Layout
from pytest_lxcontainer.supervisor.scope import limits_will_apply

from .system.leaks import Leaks

pytest_plugins = "pytester"

TESTS = Path(__file__).parent
STORE = "LXCONTAINER_TEST_STORE"
MIRROR = "LXCONTAINER_MIRROR"
OWN_STORE = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Choose the store before xdist starts its workers, which inherit the choice."""
    config.addinivalue_line("markers", "needs_root: left out for ordinary users, who may not do what it does")
    config.addinivalue_line("markers", "needs_user: left out for root, who may do what it shows to be forbidden")
    config.addinivalue_line("markers", "needs_no_cgroups: left out where this user may make some")
    config.addinivalue_line("markers", "needs_cgroups(version=None): left out where this user may make none (of it)")
    config.addinivalue_line("markers", "needs_xdist: left out where pytest-xdist is not installed")
    config.addinivalue_line("markers", "needs_ids: left out for a user without subordinate ids")
    if not os.environ.get(STORE):
        # Neither pytest's temporary directories nor a home: a container's root must be able to pass.
        path = Path(f"/var/tmp/lxcontainer-tests-{os.getpid()}-{os.urandom(3).hex()}")
        os.environ[STORE] = str(path)
        config.stash[OWN_STORE] = path


def pytest_unconfigure(config: pytest.Config) -> None:
    path = config.stash.get(OWN_STORE, None)
    if path is not None:
        del os.environ[STORE]
        if path.exists():
            remove_tree(path)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    other = "needs_user" if os.geteuid() == 0 else "needs_root"
    version = cgroup_version()
    names = {other} if has_ids() else {other, "needs_ids"}
    if find_spec("xdist") is None:
        names.add("needs_xdist")
    left_out = [
        item for item in items if has_other_cgroups(item, version) or names & {m.name for m in item.iter_markers()}
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    for item in items:
        if TESTS / "system" in item.path.parents or "mirror" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.system)


def cgroup_version() -> int | None:
    """Which cgroups limit the containers of this user, if any do."""
    hierarchies = host_hierarchies()
    applies = limits_will_apply(os.geteuid(), hierarchies)
    return (1 if hierarchies.limits_on_v1 else 2) if applies else None


def has_other_cgroups(item: pytest.Item, version: int | None) -> bool:
    """Whether *item* is for cgroups that this user may not make, or for having none."""
    if item.get_closest_marker("needs_no_cgroups"):
        return version is not None
    marker = item.get_closest_marker("needs_cgroups")
    return marker is not None and (version is None or version != marker.kwargs.get("version", version))


def has_ids() -> bool:
    """Whether this user has ids to give to containers."""
    try:
        IdMap.for_host()
    except HostNotReadyError:
        return False
    return True


@pytest.fixture(scope="session")
def mirror() -> str:
    """``HOST=URL`` of the registry with the images the tests use."""
    text = os.environ.get(MIRROR)
    if not text:
        reason = f"{MIRROR} names no registry; run: scripts/with-registry --local pytest"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return text


@pytest.fixture(scope="session")
def store() -> Path:
    """The store of all tests and workers, so that each image is pulled once; see also `own_store`."""
    return made_store(Path(os.environ[STORE]))


@pytest.fixture
def own_store() -> Iterator[Path]:
    """An empty store for one test."""
    path = made_store(Path(f"/var/tmp/lxcontainer-test-{os.getpid()}-{os.urandom(3).hex()}"))
    yield path
    remove_tree(path)


@pytest.fixture
def leaks(store: Path) -> Iterator[Leaks]:
    """Fails the test if what it started is still there after it."""
    with Leaks(store) as watch:
        watch.snapshot()
        yield watch
        watch.assert_nothing_new()


def made_store(path: Path) -> Path:
    """Make a store that containers can reach their files in."""
    idmap = IdMap.for_host()
    Layout(path).create(None if idmap.is_identity else idmap.host_gid(0))
    return path


def remove_tree(path: Path) -> None:
    """Remove a store, also as a user who does not own the files in it."""
    with Sandbox(IdMap.for_host()) as sandbox:
        sandbox.remove(path)
