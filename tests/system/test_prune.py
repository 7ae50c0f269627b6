"""Room in the store, made by the command, beside runs that use some of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_lxcontainer.errors import StoreError
from pytest_lxcontainer.provision import Provisioner
from pytest_lxcontainer.rootfs.idmap import IdMap
from pytest_lxcontainer.rootfs.sandbox import Sandbox
from pytest_lxcontainer.settings import Settings
from pytest_lxcontainer.store.layout import Layout

from ..fakes.images import Dir, File, Layer, image, layer
from ..fakes.registry import FakeRegistry
from .leaks import Leaks, supervisor_of

SIZE = 1 << 20
RECORDS = 1 << 14
"""What image records and directories may take that lose entries, in bytes."""
DAY = 86400


@pytest.fixture
def own(registry: FakeRegistry, busybox_layer: Layer, own_store: Path, leaks: Leaks) -> Settings:
    """A store with nothing in it; two images on one base are to be had."""
    leaks.watch(own_store)
    for name in ("one", "two"):
        # The directory is closed to everybody but its owner, who is not the user that prunes.
        files = {"data": Dir(0o700, 5, 5), "data/noise": File(os.urandom(SIZE), 0o600, 5, 5), "name": name}
        registry.push(image([busybox_layer, layer(files)], Cmd=["sleep", "60"]), name, "1")
    return Settings(store=own_store)


@pytest.fixture
def lxcontainer(own: Settings) -> Callable[..., str]:
    """Runs the command on that store, and returns what it prints."""

    def lxcontainer(*arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "pytest_lxcontainer.cli", *arguments],
            env={**os.environ, "LXCONTAINER_STORE": str(own.store)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    return lxcontainer


def pull(own: Settings, registry: FakeRegistry, name: str) -> list[Path]:
    with Provisioner(own) as provisioner:
        return list(provisioner.pull(f"{registry.host}/{name}:1").lower_dirs)


def test_prune_keeps_what_a_running_container_uses(
    own: Settings, registry: FakeRegistry, lxcontainer: Callable[..., str]
) -> None:
    _, top = pull(own, registry, "two")
    with Provisioner(own) as provisioner:
        container = provisioner.run(f"{registry.host}/one:1")
        assert "two:1" in lxcontainer("prune", "--all")
        assert not top.exists()
        lxcontainer("rmi", f"{registry.host}/one:1")
        lxcontainer("prune", "--all", "--older-than", "0s", "--max-size", "0")
        assert all(path.is_dir() for path in container.image.lower_dirs)
        assert container.check_output("cat /name") == "one"
        assert container.check_output("wc -c < /data/noise").strip() == str(SIZE)
        assert provisioner.run(container.image).check_output("cat /name") == "one"
    lxcontainer("prune")
    assert list(Layout(own.store).layers_dir.iterdir()) == []


def test_rmi_frees_what_only_that_image_had(
    own: Settings, registry: FakeRegistry, lxcontainer: Callable[..., str]
) -> None:
    base, one = pull(own, registry, "one")
    _, two = pull(own, registry, "two")
    printed = lxcontainer("rmi", f"{registry.host}/one:1").splitlines()
    assert printed[0] == f"Untagged: {registry.host}/one:1"
    assert f"Deleted: layer {one.name}" in printed and f"Deleted: layer {base.name}" not in printed
    assert not one.exists() and base.is_dir() and two.is_dir()
    assert [each["repository"] for each in json.loads(lxcontainer("images", "--json"))] == [f"{registry.host}/two"]


def test_rmi_takes_the_id_that_images_prints(
    own: Settings, registry: FakeRegistry, lxcontainer: Callable[..., str]
) -> None:
    pull(own, registry, "one")
    image_id = lxcontainer("images").splitlines()[1].split()[2]
    assert lxcontainer("rmi", image_id).startswith("Untagged: ")
    assert f"No image named '{image_id}'" in lxcontainer("rmi", image_id, code=1)


def test_rmi_of_an_unknown_image_removes_nothing(
    own: Settings, registry: FakeRegistry, lxcontainer: Callable[..., str]
) -> None:
    one = pull(own, registry, "one")
    assert "No image named 'nothing'" in lxcontainer("rmi", f"{registry.host}/one:1", "nothing", code=1)
    assert all(path.is_dir() for path in one)


def test_prune_tells_how_much_it_freed(own: Settings, registry: FakeRegistry, lxcontainer: Callable[..., str]) -> None:
    pull(own, registry, "one")
    assert lxcontainer("prune") == "Total reclaimed space: 0 B\n"
    told = json.loads(lxcontainer("prune", "--all", "--dry-run", "--json"))
    assert told["size"] > 2 * SIZE
    with Sandbox(IdMap.for_host()) as sandbox:
        before = sandbox.measure(own.store)
        assert json.loads(lxcontainer("prune", "--all", "--json")) == told
        assert abs(before - sandbox.measure(own.store) - told["size"]) <= RECORDS


def test_prune_by_age_goes_by_the_last_use(
    own: Settings, registry: FakeRegistry, lxcontainer: Callable[..., str]
) -> None:
    for name in ("one", "two"):
        pull(own, registry, name)
    for record in Layout(own.store).images_dir.iterdir():
        os.utime(record, (time.time() - 8 * DAY,) * 2)
    pull(own, registry, "one")
    printed = lxcontainer("prune", "--older-than", "7d").splitlines()
    assert printed[:2] == ["Deleted:", f"untagged: {registry.host}/two:1"]
    assert [each["repository"] for each in json.loads(lxcontainer("images", "--json"))] == [f"{registry.host}/one"]


def test_prune_by_size_leaves_the_latest_used(
    own: Settings, registry: FakeRegistry, lxcontainer: Callable[..., str]
) -> None:
    for name in ("one", "two"):
        pull(own, registry, name)
    with Sandbox(IdMap.for_host()) as sandbox:
        size = sandbox.measure(own.store)
    assert "untagged" not in lxcontainer("prune", "--max-size", str(size))
    assert f"untagged: {registry.host}/one:1" in lxcontainer("prune", "--max-size", str(size - SIZE))
    assert [each["repository"] for each in json.loads(lxcontainer("images", "--json"))] == [f"{registry.host}/two"]


def test_a_run_that_was_killed_keeps_nothing(
    own: Settings, registry: FakeRegistry, lxcontainer: Callable[..., str]
) -> None:
    program = (
        "import os, sys; from pathlib import Path; from pytest_lxcontainer import Provisioner;"
        "from pytest_lxcontainer.settings import Settings;"
        "provisioner = Provisioner(Settings(store=Path(sys.argv[1])));"
        "print(provisioner.run(sys.argv[2]) and provisioner.identity.run_id, flush=True); sys.stdin.read()"
    )
    arguments = [sys.executable, "-c", program, str(own.store), f"{registry.host}/one:1"]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        run_id = process.stdout.readline().strip()
        os.kill(supervisor_of(run_id), signal.SIGKILL)
        process.kill()
    lxcontainer("prune", "--all")
    layout = Layout(own.store)
    assert [*layout.runs_dir.iterdir(), *layout.layers_dir.iterdir()] == []


def test_an_image_that_was_pruned_before_its_first_container_is_pulled_again(
    own: Settings, registry: FakeRegistry, lxcontainer: Callable[..., str]
) -> None:
    with Provisioner(own) as provisioner:
        image = provisioner.pull(f"{registry.host}/one:1")
        lxcontainer("prune", "--all")
        assert not any(path.exists() for path in image.lower_dirs)
        assert provisioner.run(image).check_output("cat /name") == "one"


@pytest.mark.needs_root
def test_a_store_of_another_user_is_refused(own: Settings, lxcontainer: Callable[..., str]) -> None:
    os.chown(own.store, 12345, -1)
    assert "belongs to user 12345" in lxcontainer("prune", code=1)
    with pytest.raises(StoreError, match="belongs to user 12345"):
        Provisioner(own)


@pytest.mark.needs_user
def test_a_store_of_root_is_refused(own: Settings) -> None:
    with pytest.raises(StoreError, match="belongs to user 0"):
        Provisioner(Settings(store=Path("/usr")))
