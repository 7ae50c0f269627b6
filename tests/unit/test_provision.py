"""From a reference to a container, between a fake registry and a fake backend; store and unpacking are real."""

from __future__ import annotations

import hashlib
import shutil
import signal
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pytest_lxcontainer import wait
from pytest_lxcontainer.container.container import Container
from pytest_lxcontainer.container.resolve import DEFAULT_PATH
from pytest_lxcontainer.container.spec import ContainerSpec
from pytest_lxcontainer.errors import (
    CorruptImageError,
    DigestMismatchError,
    ImageNotCachedError,
    ImageNotFoundError,
    InvalidReferenceError,
    InvalidSettingsError,
    StoreError,
    UnsupportedImageError,
    WaitTimeoutError,
)
from pytest_lxcontainer.image.digest import sha256_of
from pytest_lxcontainer.image.platform import Platform
from pytest_lxcontainer.provision import Provisioner, RunIdentity, Settings
from pytest_lxcontainer.rootfs.overlay import read_file
from tests.conftest import made_store, remove_tree
from tests.fakes.backend import FakeBackend
from tests.fakes.images import BuiltImage, Dir, Layer, image, index, layer
from tests.fakes.registry import FakeRegistry

AMD64 = Platform.parse("linux/amd64")
PASSWD = "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\nbare:x:7:7:::\n"
GROUP = "root:x:0:\napp:x:1000:\nvideo:x:44:app,root\nlogs:x:50:app\n"
BASE = layer({"etc": Dir(), "etc/passwd": PASSWD, "etc/group": GROUP, "srv": Dir(), "tmp": Dir(0o1777)})
SLEEP = ("sleep", "1000")


pytestmark = pytest.mark.needs_ids


class World:
    """A registry, a store and a backend, and runs that use them one after another."""

    def __init__(self, store: Path, registry: FakeRegistry) -> None:
        self.store = store
        self.registry = registry
        self._open: list[Any] = []
        self._count = 0
        self.backend: FakeBackend

    def push(self, built: BuiltImage, name: str = "box") -> None:
        self.registry.push(built, f"library/{name}", "latest")

    def push_anew(self, built: BuiltImage | None) -> str:
        """Push under a name that the store has never heard of; returns it."""
        self._count += 1
        self.registry.push(built or image([BASE], Cmd=list(SLEEP)), f"t{self._count}/box", "latest")
        return f"t{self._count}/box"

    def run(self, pull: str = "missing") -> Provisioner:
        """A new test run, which knows only what the store does."""
        identity = RunIdentity(f"test{uuid.uuid4().hex[:8]}", RunIdentity.of_this_process().owner)
        directory = self.store / "runs" / identity.run_id
        directory.mkdir()  # as a supervisor does
        self.backend = FakeBackend(directory)
        settings = Settings(self.store, {"docker.io": self.registry.url}, pull=pull, platform=AMD64, timeout=20)
        provisioner = Provisioner(settings, identity=identity, backend=self.backend)
        self._open += [self.backend, provisioner]
        return provisioner

    def clone(self, command: Any = None, *, built: BuiltImage | None = None, **settings: Any) -> Container:
        return self.run().clone(self.push_anew(built), command, **settings)

    def spec(self, command: Any = None, *, built: BuiltImage | None = None, **settings: Any) -> ContainerSpec:
        """What a backend is asked to make."""
        self.clone(command, built=built, **settings)
        return self.backend.specs[-1]

    def listing(self) -> dict[str, str]:
        """Every file and directory of the store but locks, marks and runs, with what is in it."""
        found = {}
        for path in sorted(self.store.rglob("*")):
            name = str(path.relative_to(self.store))
            if not name.startswith(("locks/", "marks/", "runs/")):
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        return found

    def unverified(self, before: dict[str, str]) -> list[str]:
        """What a failed pull left beside blobs that are what their names say: those spare the next one a transfer."""
        new = {name: content for name, content in self.listing().items() if before.get(name) != content}
        return [name for name, content in new.items() if name not in ("blobs/sha256", f"blobs/sha256/{content}")]

    def close(self) -> None:
        for each in self._open:
            each.__exit__(None, None, None)


@pytest.fixture(scope="module", autouse=True)
def _nobodys_credentials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "DOCKER_AUTH_CONFIG"):
            patch.delenv(name, raising=False)
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield


@contextmanager
def a_world() -> Iterator[World]:
    store = made_store(Path(f"/var/tmp/lxcontainer-test-{uuid.uuid4().hex[:8]}"))
    try:
        with FakeRegistry() as registry:
            world = World(store, registry)
            yield world
            world.close()
    finally:
        remove_tree(store)


@pytest.fixture
def world() -> Iterator[World]:
    """With an empty store."""
    with a_world() as world:
        yield world


@pytest.fixture(scope="module")
def used() -> Iterator[World]:
    """With a store and a registry of many tests, which spares them to unpack the same layer each."""
    with a_world() as world:
        yield world


class TestPull:
    def test_it_gives_the_image_with_its_layers_base_first(self, world: World) -> None:
        built = image([BASE, layer({"srv/top": "top"})], Cmd=["run"])
        world.push(built)
        pulled = world.run().pull("box")
        assert (pulled.digest, pulled.config_digest) == (built.digest, built.config_digest)
        assert pulled.config.cmd == ("run",)
        assert pulled.size == sum(len(blob) for blob in built.blobs)
        assert [read_file([path], "srv/top") for path in pulled.lower_dirs] == [None, b"top"]

    def test_second_pull_fetches_nothing(self, world: World) -> None:
        world.push(image([BASE]))
        first = world.run().pull("box")
        world.registry.requests.clear()
        assert world.run().pull("box:latest") == first
        assert not world.registry.requests

    def test_shared_layers_are_fetched_and_unpacked_once(self, world: World) -> None:
        one, two = layer({"one": "1"}), layer({"two": "2"})
        world.push(image([BASE, one]), "one")
        world.push(second := image([BASE, two]), "two")
        first = world.run().pull("one")
        world.registry.requests.clear()
        then = world.run().pull("two")
        fetched = {path.rpartition("/")[2] for _, path in world.registry.requests if "/blobs/" in path}
        assert fetched == {str(second.config_digest), str(two.digest)}
        assert then.lower_dirs[0] == first.lower_dirs[0]

    def test_an_index_leads_to_the_platforms_manifest(self, world: World) -> None:
        ours, other = image([BASE]), image([BASE], architecture="s390x")
        world.registry.push(index(other, ours, attestation=True), "library/box", "latest")
        assert world.run().pull("box").digest == ours.digest

    def test_another_platform_is_refused_and_not_recorded(self, world: World) -> None:
        world.push(image([BASE], architecture="s390x"))
        before = world.listing()
        with pytest.raises(UnsupportedImageError, match="s390x"):
            world.run().pull("box")
        assert world.unverified(before) == []

    def test_what_the_registry_lacks_is_an_error_that_leaves_nothing(self, world: World) -> None:
        before = world.listing()
        with pytest.raises(ImageNotFoundError, match="box"):
            world.run().pull("box")
        assert world.listing() == before

    def test_nonsense_is_refused_without_a_request(self, world: World) -> None:
        with pytest.raises(InvalidReferenceError):
            world.run().pull("UPPER/Case")
        assert not world.registry.requests

    def test_images_lists_what_was_pulled_latest_first(self, world: World) -> None:
        for name in ("one", "two"):
            world.push(image([BASE], Labels={"name": name}), name)
            world.run().pull(name)
        assert [record.reference.familiar for record in world.run().images()] == ["two:latest", "one:latest"]


class TestPolicy:
    def test_never_asks_nobody_for_what_is_not_there(self, world: World) -> None:
        world.push(image([BASE]))
        with pytest.raises(ImageNotCachedError, match="box:latest") as caught:
            world.run("never").pull("box")
        assert "lxcontainer pull box:latest" in caught.value.hint
        assert not world.registry.requests

    def test_never_takes_what_is_there_without_a_request(self, world: World) -> None:
        world.push(image([BASE]))
        first = world.run().pull("box")
        world.registry.requests.clear()
        assert world.run("never").pull("box") == first
        assert not world.registry.requests

    def test_missing_keeps_an_image_whose_tag_has_moved(self, world: World) -> None:
        world.push(old := image([BASE]))
        world.run().pull("box")
        world.push(image([BASE], Cmd=["new"]))
        assert world.run().pull("box").digest == old.digest

    def test_always_fetches_an_image_whose_tag_has_moved(self, world: World) -> None:
        world.push(image([BASE]))
        world.run().pull("box")
        world.push(new := image([BASE], Cmd=["new"]))
        assert world.run("always").pull("box").digest == new.digest

    @pytest.mark.parametrize("by_index", [False, True])
    def test_always_fetches_no_blob_while_the_tag_stays(self, world: World, by_index: bool) -> None:
        built = image([BASE])
        world.registry.push(index(built) if by_index else built, "library/box", "latest")
        first = world.run().pull("box")
        world.registry.requests.clear()
        assert world.run("always").pull("box") == first
        assert world.registry.count("HEAD", "manifests") + world.registry.count("GET", "manifests") > 0
        assert world.registry.count("GET", "blobs") == 0

    def test_always_asks_once_a_run(self, world: World) -> None:
        world.push(image([BASE]))
        run = world.run("always")
        run.pull("box")
        world.registry.requests.clear()
        run.pull("docker.io/library/box")
        assert not world.registry.requests

    def test_an_unknown_policy_is_named(self) -> None:
        with pytest.raises(InvalidSettingsError, match="sometimes"):
            Settings(pull="sometimes")


def flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


class TestCorruption:
    """Bytes that are not what they should be: one error, nothing of them kept, and no image recorded."""

    @pytest.mark.parametrize("part", ["config", "base", "top"])
    def test_a_blob_with_other_bytes(self, world: World, part: str) -> None:
        top = layer({"top": "t" * 1000})
        built = image([BASE, top])
        world.push(built)
        digest = str({"config": built.config_digest, "base": BASE.digest, "top": top.digest}[part])
        blobs = world.registry.repository("library/box").blobs
        good, before = blobs[digest], world.listing()
        blobs[digest] = flipped(good)
        with pytest.raises(DigestMismatchError) as caught:
            world.run().pull("box")
        assert caught.value.expected == digest
        # A good layer beside the bad one stays, for the next pull.
        assert {name.split("/")[0] for name in world.unverified(before)} <= (
            set() if part == "config" else {"l", "layers"}
        )
        assert world.run().images() == []
        blobs[digest] = good
        assert world.run().pull("box").digest == built.digest

    def test_a_manifest_with_other_bytes(self, world: World) -> None:
        built = image([BASE])
        world.push(built)
        manifests = world.registry.repository("library/box").manifests
        manifests[str(built.digest)] = (built.media_type, built.manifest.replace(b"2", b"3", 1))
        before = world.listing()
        with pytest.raises(DigestMismatchError):
            world.run().pull(f"box@{built.digest}")
        assert world.listing() == before

    @pytest.mark.parametrize("manifest", [b"", b"{", b"[]", b'{"schemaVersion": 2}', b"<html>"])
    def test_a_manifest_that_is_none(self, world: World, manifest: bytes) -> None:
        built = image([BASE])
        world.push(BuiltImage(manifest, built.config, built.layers))
        before = world.listing()
        with pytest.raises((CorruptImageError, UnsupportedImageError)):
            world.run().pull("box")
        assert world.listing() == before

    @pytest.mark.parametrize("config", [b"", b"{", b"[]", b'{"config": 1}'])
    def test_a_config_that_is_none(self, world: World, config: bytes) -> None:
        built = image([BASE])
        manifest = built.manifest.replace(str(built.config_digest).encode(), str(sha256_of(config)).encode())
        manifest = manifest.replace(b'"size": %d' % len(built.config), b'"size": %d' % len(config), 1)
        world.push(BuiltImage(manifest, config, built.layers))
        before = world.listing()
        with pytest.raises(CorruptImageError):
            world.run().pull("box")
        assert world.unverified(before) == []
        assert world.run().images() == []

    def test_a_config_that_names_fewer_layers_than_the_manifest(self, world: World) -> None:
        built, other = image([BASE, layer({"a": ""})]), image([BASE])
        manifest = built.manifest.replace(str(built.config_digest).encode(), str(other.config_digest).encode())
        manifest = manifest.replace(b'"size": %d' % len(built.config), b'"size": %d' % len(other.config), 1)
        world.push(BuiltImage(manifest, other.config, built.layers))
        before = world.listing()
        with pytest.raises(CorruptImageError, match="layers"):
            world.run().pull("box")
        assert world.unverified(before) == []

    def test_a_layer_that_is_not_what_the_config_says(self, world: World) -> None:
        world.push(image([Layer(BASE.blob, sha256_of(b"another tar"), BASE.media_type)]))
        before = world.listing()
        with pytest.raises(CorruptImageError):
            world.run().pull("box")
        assert world.unverified(before) == []
        assert world.run().images() == []

    @pytest.mark.parametrize("policy", ["missing", "always", "never"])
    @pytest.mark.parametrize("by_index", [False, True])
    def test_an_image_by_digest_that_the_store_has_costs_no_request(
        self, world: World, policy: str, by_index: bool
    ) -> None:
        built = image([BASE])
        digest = world.registry.push(index(built), "library/box", "latest")
        first = world.run().pull("box")
        world.registry.requests.clear()
        pinned = world.run(policy).pull(f"other@{digest if by_index else built.digest}")
        assert pinned.lower_dirs == first.lower_dirs
        assert not world.registry.requests

    def test_a_run_pulls_on_after_a_pull_that_failed(self, world: World) -> None:
        large = layer({f"file{number}": b"x" * 100_000 for number in range(100)})
        lie = layer({"a": "x"})
        wrong = image([large, Layer(layer({"a": "y"}).blob, lie.diff_id, lie.media_type)])
        run = world.run()
        for number in range(5):
            world.push(wrong, f"wrong{number}")
            with pytest.raises(DigestMismatchError):
                run.pull(f"wrong{number}")
        world.push(image([large, lie]), "right")
        assert read_file(run.pull("right").lower_dirs, "a") == b"x"
        assert not [path for path in (world.store / "l").iterdir() if path.name.startswith(".")]

    @pytest.mark.parametrize("what", ["manifest", "config", "layer"])
    def test_a_damaged_store_is_mended_by_the_next_pull(self, world: World, what: str) -> None:
        built = image([BASE])
        world.push(built)
        first = world.run().pull("box")
        if what == "layer":
            shutil.rmtree(first.lower_dirs[0])
        else:
            digest = built.digest if what == "manifest" else built.config_digest
            blob = world.store / "blobs" / "sha256" / digest.hex
            blob.write_bytes(flipped(blob.read_bytes()))
        assert world.run().pull("box") == first
        assert read_file(first.lower_dirs, "etc/passwd") == PASSWD.encode()

    def test_a_layer_that_is_gone_is_unpacked_again_when_nobody_may_be_asked(self, world: World) -> None:
        world.push(image([BASE]))
        first = world.run().pull("box")
        shutil.rmtree(first.lower_dirs[0])
        world.registry.requests.clear()
        assert world.run("never").pull("box") == first
        assert read_file(first.lower_dirs, "etc/passwd") == PASSWD.encode()
        assert not world.registry.requests

    @pytest.mark.parametrize("damaged", ["layer", "blob"])
    def test_what_a_power_cut_damaged_is_mended(self, world: World, damaged: str) -> None:
        world.push(image([BASE]))
        first = world.run().pull("box")
        (mark,) = (world.store / "marks").iterdir()
        machine, _, _ = mark.name.partition("-")
        mark.rename(mark.with_name(f"{machine}-earlierboot"))
        if damaged == "layer":
            (first.lower_dirs[0] / "etc/passwd").write_text("")
        else:
            (world.store / "blobs" / "sha256" / BASE.digest.hex).write_bytes(b"")
        world.registry.requests.clear()
        assert world.run().pull("box") == first
        assert read_file(first.lower_dirs, "etc/passwd") == PASSWD.encode()
        assert bool(world.registry.requests) is (damaged == "blob")
        assert [path.name for path in (world.store / "marks").iterdir()] == [mark.name]

    def test_a_damaged_store_is_not_used_when_nobody_may_be_asked(self, world: World) -> None:
        world.push(image([BASE]))
        shutil.rmtree(world.run().pull("box").lower_dirs[0])
        (world.store / "blobs" / "sha256" / BASE.digest.hex).unlink()
        with pytest.raises(ImageNotCachedError):
            world.run("never").pull("box")


class TestCommand:
    """Docker's rules: https://docs.docker.com/reference/dockerfile/#understand-how-cmd-and-entrypoint-interact"""

    @pytest.mark.parametrize(
        ("entrypoint", "cmd", "settings", "command"),
        [
            ([], ["a", "b"], {}, ("a", "b")),
            (["e"], ["a"], {}, ("e", "a")),
            (["e"], [], {}, ("e",)),
            (["e"], ["a"], {"command": ["x", "y"]}, ("e", "x", "y")),
            (["e"], ["a"], {"command": []}, ("e",)),
            ([], ["a"], {"command": "x | y"}, ("/bin/sh", "-c", "x | y")),
            (["e"], ["a"], {"entrypoint": ["f"]}, ("f",)),
            (["e"], ["a"], {"entrypoint": "f 'g h'"}, ("f", "g h")),
            (["e"], ["a"], {"entrypoint": ["f"], "command": ["x"]}, ("f", "x")),
            (["e"], ["a"], {"entrypoint": [], "command": ["x"]}, ("x",)),
            ([], ["a"], {"command": ["n", 1]}, ("n", "1")),
        ],
    )
    def test_entrypoint_and_command(
        self,
        used: World,
        entrypoint: list[str],
        cmd: list[str],
        settings: dict[str, Any],
        command: tuple[str, ...],
    ) -> None:
        built = image([BASE], Entrypoint=entrypoint, Cmd=cmd)
        assert used.spec(built=built, **settings).command == command

    def test_a_shell_command_goes_through_the_images_shell(self, used: World) -> None:
        built = image([BASE], Shell=["/bin/bash", "-ec"])
        assert used.spec("x", built=built).command == ("/bin/bash", "-ec", "x")

    @pytest.mark.parametrize("settings", [{}, {"entrypoint": []}])
    def test_nothing_to_run_is_an_error_before_anything_is_made(self, used: World, settings: dict[str, Any]) -> None:
        with pytest.raises(InvalidSettingsError, match="what to run"):
            used.clone(built=image([BASE]), **settings)
        assert used.backend.specs == []


class TestSurroundings:
    def test_what_every_process_may_expect_is_in_its_environment(self, used: World) -> None:
        spec = used.spec(user="app", name="web")
        assert dict(spec.env) == {"PATH": DEFAULT_PATH, "HOME": "/home/app", "HOSTNAME": "web"}

    def test_settings_win_over_the_image_and_the_image_over_the_rest(self, used: World) -> None:
        built = image([BASE], Cmd=["x"], Env=["PATH=/image", "A=image", "B=a=b", "EMPTY=", "ODD"])
        spec = used.spec(built=built, env={"A": "test", "C": 1})
        expected = {"PATH": "/image", "A": "test", "B": "a=b", "EMPTY": "", "C": "1"}
        assert {key: value for key, value in spec.env if key not in ("HOME", "HOSTNAME")} == expected

    @pytest.mark.parametrize(
        ("images", "wanted", "ids"),
        [
            ("", None, (0, 0, (44,))),
            ("app", None, (1000, 1000, (44, 50))),
            ("app", "root", (0, 0, (44,))),
            ("", "1000", (1000, 1000, (44, 50))),
            ("", "app:logs", (1000, 50, ())),
            ("", "4711", (4711, 0, ())),
            ("", "4711:4712", (4711, 4712, ())),
        ],
    )
    def test_user(self, used: World, images: str, wanted: str | None, ids: tuple[int, int, tuple[int, ...]]) -> None:
        spec = used.spec(built=image([BASE], Cmd=["x"], User=images), user=wanted)
        assert (spec.uid, spec.gid, tuple(sorted(set(spec.groups) - {spec.gid}))) == ids

    def test_an_unknown_user_is_an_error_before_anything_is_made(self, used: World) -> None:
        with pytest.raises(InvalidSettingsError, match="nobody-there"):
            used.clone(user="nobody-there")
        assert used.backend.specs == []

    @pytest.mark.parametrize(
        ("images", "wanted", "cwd"),
        [("", None, "/"), ("/srv", None, "/srv"), ("srv", None, "/srv"), ("/srv", "/tmp", "/tmp")],
    )
    def test_working_directory(self, used: World, images: str, wanted: str | None, cwd: str) -> None:
        assert used.spec(built=image([BASE], Cmd=["x"], WorkingDir=images), cwd=wanted).cwd == cwd

    @pytest.mark.parametrize(
        ("text", "number"),
        [
            ("", signal.SIGTERM),
            ("SIGINT", signal.SIGINT),
            ("quit", signal.SIGQUIT),
            ("9", signal.SIGKILL),
            ("SIGRTMIN+3", signal.SIGRTMIN + 3),
            ("37", 37),
        ],
    )
    def test_stop_signal(self, used: World, text: str, number: int) -> None:
        assert used.spec(built=image([BASE], Cmd=["x"], StopSignal=text)).stop_signal == number

    @pytest.mark.parametrize("text", ["SIGNAL", "0", "65", "SIGRTMIN+", "-1"])
    def test_an_unknown_stop_signal_is_named(self, used: World, text: str) -> None:
        with pytest.raises(InvalidSettingsError, match="stop signal"):
            used.clone(built=image([BASE], Cmd=["x"], StopSignal=text))

    @pytest.mark.parametrize(
        ("settings", "hostname", "aliases"),
        [
            ({}, "box", ()),
            ({"name": "db"}, "db", ()),
            ({"name": "my_db.test"}, "my-db-test", ("my_db.test",)),
            ({"name": "db", "hostname": "other"}, "other", ("db",)),
            ({"name": "db", "aliases": ["primary"]}, "db", ("primary",)),
            ({"name": "a" * 80}, "a" * 63, ("a" * 80,)),
        ],
    )
    def test_host_name_and_aliases(
        self, used: World, settings: dict[str, Any], hostname: str, aliases: tuple[str, ...]
    ) -> None:
        spec = used.spec(**settings)
        assert (spec.hostname, spec.aliases) == (hostname, aliases)

    def test_a_name_without_a_letter_is_refused(self, used: World) -> None:
        with pytest.raises(InvalidSettingsError, match="host name"):
            used.clone(name="___")

    def test_containers_of_one_group_share_it_and_others_do_not(self, used: World) -> None:
        reference, run = used.push_anew(None), used.run()
        for group in ("g", "g", None, None):
            run.clone(reference, group=group)
        groups = [spec.group for spec in used.backend.specs]
        assert groups[:2] == [("g",), ("g",)]
        assert len(set(groups)) == 3

    def test_labels_of_the_image_and_of_the_test_are_both_told(self, used: World) -> None:
        made = used.clone(built=image([BASE], Cmd=["x"], Labels={"a": "image", "b": "image"}), labels={"a": "test"})
        assert made.labels == {"a": "test", "b": "image"}

    def test_ports_are_the_images_and_the_tests(self, used: World) -> None:
        built = image([BASE], Cmd=["x"], ExposedPorts={"80/tcp": {}, "53/udp": {}, "22": {}})
        assert used.clone(built=built, ports=[8080, 80]).ports == (22, 80, 8080)

    def test_an_unknown_setting_is_refused_before_a_request(self, used: World) -> None:
        with pytest.raises(InvalidSettingsError, match="comand") as caught:
            used.run().clone("never-heard-of", comand=["x"])
        assert "command" in caught.value.hint
        assert not any("never-heard-of" in path for _, path in used.registry.requests)

    @pytest.mark.needs_root
    def test_privileged_layers_are_unpacked_apart(self, used: World) -> None:
        run = used.run()
        plain = run.pull(used.push_anew(None))
        run.clone(plain, privileged=True)
        privileged = used.backend.specs[-1].lower_dirs
        assert set(privileged).isdisjoint(map(str, plain.lower_dirs))
        assert Path(privileged[0], "etc/passwd").stat().st_uid == 0

    def test_the_layers_of_a_run_are_claimed_once(self, used: World) -> None:
        reference, run = used.push_anew(None), used.run()
        made = [run.clone(reference) for _ in range(3)]
        claims = used.store / "runs" / run.identity.run_id / "layers"
        assert claims.read_text().split() == [path.name for path in made[0].image.lower_dirs]


PORTS: dict[str, Any] = {"ExposedPorts": {"6379/tcp": {}, "443/tcp": {}}}
SICK: dict[str, Any] = {"Healthcheck": {"Test": ["CMD-SHELL", "exit 9"]}}


class TestReady:
    """What a start waits for: the test's conditions, else the image's health check, else its first port."""

    @pytest.mark.parametrize(
        ("config", "settings", "awaited"),
        [
            (PORTS, {}, "port 443 to accept connections"),
            (SICK, {}, "the image's HEALTHCHECK to succeed"),
            ({**PORTS, **SICK}, {}, "the image's HEALTHCHECK to succeed"),
            ({**PORTS, **SICK}, {"ready": wait.log("up")}, "'up' in the log"),
            (PORTS, {"ready": [wait.file("/nope"), wait.log("up")]}, "file /nope"),
            ({"Healthcheck": {"Test": ["NONE"]}, **PORTS}, {}, "port 443 to accept connections"),
        ],
    )
    def test_awaited(self, used: World, config: dict[str, Any], settings: dict[str, Any], awaited: str) -> None:
        made = used.clone(built=image([BASE], Cmd=list(SLEEP), **config), timeout=0.1, **settings)
        with pytest.raises(WaitTimeoutError) as caught:
            made.start()
        assert caught.value.awaited == awaited

    @pytest.mark.parametrize(
        ("config", "settings"),
        [
            ({}, {}),
            (PORTS, {"network": "none"}),
            ({**PORTS, **SICK}, {"ready": []}),
            ({}, {"ports": [80]}),
            ({"Healthcheck": {"Test": ["CMD", "test", "-d", "."]}}, {}),
            ({"Healthcheck": {"Test": ["NONE"]}}, {}),
        ],
    )
    def test_nothing_holds_it_up(self, used: World, config: dict[str, Any], settings: dict[str, Any]) -> None:
        made = used.clone(built=image([BASE], Cmd=list(SLEEP), **config), **settings)
        assert made.start().state == "RUNNING"

    def test_run_destroys_what_does_not_get_ready(self, used: World) -> None:
        reference = used.push_anew(image([BASE], Cmd=list(SLEEP), **SICK))
        with pytest.raises(WaitTimeoutError):
            used.run().run(reference, timeout=0.1)
        assert used.backend.names() == {}

    def test_a_container_whose_working_directory_cannot_be_made_is_destroyed(self, used: World) -> None:
        built = image([BASE], Cmd=["x"], WorkingDir="/not/there")
        with pytest.raises(StoreError, match="upper"):  # a directory that this backend does not make
            used.clone(built=built)
        assert used.backend.names() == {}
