"""Processes that are killed while they pull or prune: the store stays whole, and the next one carries on."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from pytest_lxcontainer.image import Digest, ImageConfig, Manifest, chain_ids, parse_manifest
from pytest_lxcontainer.provision import Provisioner
from pytest_lxcontainer.rootfs.idmap import IdMap
from pytest_lxcontainer.rootfs.sandbox import Sandbox
from pytest_lxcontainer.settings import Settings
from pytest_lxcontainer.store.blobs import BlobStore
from pytest_lxcontainer.store.images import ImageStore
from pytest_lxcontainer.store.layers import LayerName, LayerStore
from pytest_lxcontainer.store.layout import Layout
from pytest_lxcontainer.store.prune import Rules, prune
from pytest_lxcontainer.supervisor.owner import Owner

from ..conftest import made_store, remove_tree
from ..fakes.images import Dir, File, Hardlink, Layer, Opaque, Symlink, Whiteout, image, layer
from ..fakes.registry import FakeRegistry
from . import pulled_often
from .conftest import wait_until
from .leaks import Leaks

KILLS = 100
PRUNES_KILLED = 15

SOME = {f"srv/some/{number}": os.urandom(40_000) for number in range(12)}
LOWER = layer({"srv": Dir(), "srv/some": Dir(), **SOME, "srv/hidden/a": "1", "srv/linked": File("linked", 0o644, 7, 8)})
UPPER = layer(
    {
        "srv/some/3": Whiteout(),
        "srv/hidden": Opaque(),
        "srv/hidden/b": "2",
        "srv/name": Hardlink("srv/linked"),
        "srv/implied/parents/of": Symlink("/etc"),
        **{f"srv/more/{number}": File(os.urandom(40_000), 0o4755, number, number) for number in range(12)},
    }
)


class Chaos:
    """An image of several layers, a store that processes are killed over, and another that nobody disturbs."""

    def __init__(self, registry: FakeRegistry, store: Path, undisturbed: Path, seed: int) -> None:
        self.reference = f"{registry.host}/box:1"
        self.layout = Layout(store)
        self.random = random.Random(seed)
        self.sandbox = Sandbox(IdMap.for_host())
        self.helpers: list[Owner] = []
        self._context = pulled_often.context()
        with Provisioner(Settings(store=undisturbed)) as provisioner:
            layers = provisioner.pull(self.reference).lower_dirs
        # The first process has to wait for the one that all are forked from.
        self.life(pulled_often.prune_all)
        self.expected = {path.name: listing(path) for path in layers}

    def killed(self, work: Callable[..., None], *args: Any, life: float, session: bool) -> bool:
        """Do *work* in a process and kill it after a part of its *life*; whether it had not ended by then."""
        process = self._context.Process(target=work, args=(self.layout.root, *args))
        process.start()
        time.sleep(self.random.uniform(0, life))
        self.helpers += pulled_often.kill(process, session=session)
        assert process.exitcode in (0, -9)
        return process.exitcode == -9

    def life(self, work: Callable[..., None], *args: Any) -> float:
        """How long *work* takes that nobody kills (seconds)."""
        process = self._context.Process(target=work, args=(self.layout.root, *args))
        began = time.monotonic()
        process.start()
        process.join(pulled_often.TIMEOUT)
        assert process.exitcode == 0
        return time.monotonic() - began

    def prune(self) -> None:
        """Forget everything, and with it what the dead left."""
        prune(self.layout, self.sandbox, Rules(unused=True))
        for directory in (self.layout.layers_dir, self.layout.tmp_dir, self.layout.trash_dir, self.layout.images_dir):
            assert list(directory.iterdir()) == []

    def assert_whole(self) -> None:
        """What is in its place is as it should be."""
        blobs = {path.name: path for path in self.layout.blobs_dir.glob("*/*")}
        assert {sha256(path.read_bytes()).hexdigest() for path in blobs.values()} == set(blobs)
        for path in self.layout.layers_dir.glob("[!.]*"):
            assert LayerName.parse(self.layout.layer_record(path.name).read_text()).key == path.name
            assert listing(path) == self.expected[path.name]
        for record in ImageStore(self.layout).list():
            self.assert_there(record.digest)

    def assert_there(self, digest: Digest) -> None:
        """An image that is recorded has all its blobs and layers."""
        blobs, layers = BlobStore(self.layout), LayerStore(self.layout, self.sandbox.remove)
        manifest = parse_manifest(blobs.read(digest))
        assert isinstance(manifest, Manifest)
        assert all(blobs.has(part.digest) for part in manifest.layers)
        diff_ids = ImageConfig.from_json(blobs.read(manifest.config.digest)).diff_ids
        for diff_id, chain_id in zip(diff_ids, chain_ids(diff_ids), strict=True):
            assert layers.find(diff_id, chain_id, self.sandbox.idmap.variant) is not None


def listing(directory: Path) -> dict[str, tuple[Any, ...]]:
    """Every file below *directory*: type, mode, owner, links, and content."""
    found = {}
    for path in sorted(directory.rglob("*")):
        status = path.lstat()
        content = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else status.st_rdev
        fields = (status.st_mode, status.st_uid, status.st_gid, status.st_nlink, content)
        found[str(path.relative_to(directory))] = fields
    return found


@pytest.fixture
def undisturbed(own_store: Path) -> Iterator[Path]:
    """A second store, in which nothing is killed."""
    path = made_store(own_store.with_name(own_store.name + "-undisturbed"))
    yield path
    remove_tree(path)


@pytest.fixture
def chaos(
    registry: FakeRegistry, busybox_layer: Layer, own_store: Path, undisturbed: Path, leaks: Leaks
) -> Iterator[Chaos]:
    leaks.watch(own_store)
    registry.push(image([busybox_layer, LOWER, UPPER], Cmd=["sleep", "60"]), "box", "1")
    registry.seconds_per_chunk = 0.003
    seed = random.randrange(1 << 32)
    print(f"seed: {seed}")
    chaos = Chaos(registry, own_store, undisturbed, seed)
    yield chaos
    chaos.sandbox.close()


@pytest.mark.exhaustive
def test_whoever_is_killed_leaves_a_store_that_the_next_run_uses(chaos: Chaos) -> None:
    life = chaos.life(pulled_often.pull, chaos.reference)
    chaos.prune()
    kills = 0
    while kills < KILLS:
        if chaos.killed(pulled_often.pull, chaos.reference, life=life, session=kills % 3 == 0):
            kills += 1
            chaos.assert_whole()
            if kills % 10 == 0:
                chaos.prune()
        else:
            chaos.assert_whole()
            chaos.prune()

    with Provisioner(Settings(store=chaos.layout.root)) as provisioner:
        container = provisioner.run(chaos.reference)
        assert container.check_output("find /srv -type f | wc -l").strip() == str(11 + 1 + 12 + 2)
        assert container.check_output("stat -c %u:%h /srv/name /srv/linked") == "7:2\n7:2"
    chaos.assert_whole()
    wait_until(lambda: not any(helper.alive for helper in chaos.helpers))
    assert chaos.helpers
    chaos.prune()


@pytest.mark.exhaustive
def test_a_prune_that_is_killed_leaves_whole_images_or_none(chaos: Chaos) -> None:
    chaos.life(pulled_often.pull, chaos.reference)
    life = chaos.life(pulled_often.prune_all)
    kills = 0
    while kills < PRUNES_KILLED:
        if not ImageStore(chaos.layout).list():
            assert chaos.life(pulled_often.pull, chaos.reference)
        kills += chaos.killed(pulled_often.prune_all, life=life, session=False)
        chaos.assert_whole()
    chaos.life(pulled_often.pull, chaos.reference)
    chaos.assert_whole()
    wait_until(lambda: not any(helper.alive for helper in chaos.helpers))
    chaos.prune()
