"""Each kind of bad input ends in one error that says what happened and what to do, and the store stays as it was."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pytest_lxcontainer import Provisioner, Settings, errors
from pytest_lxcontainer.image import sha256_of
from pytest_lxcontainer.provision import parse_mirrors

from ..conftest import made_store
from ..fakes.images import BuiltImage, Layer, image, layer
from ..fakes.registry import FakeRegistry
from .conftest import Runner
from .leaks import Leaks


@pytest.fixture
def fresh(own_store: Path, mirror: str, leaks: Leaks) -> Iterator[Provisioner]:
    """A run with an empty store."""
    leaks.watch(own_store)
    with Provisioner(Settings(store=own_store, mirrors=parse_mirrors(mirror), timeout=20)) as provisioner:
        yield provisioner


@pytest.fixture
def boxed(busybox_layer: Layer) -> BuiltImage:
    return image([busybox_layer, layer({"etc/mark": "x"})], Cmd=["sleep", "60"])


def listing(store: Path) -> list[str]:
    """What the store holds of images: records, layers, blobs; without what runs, waits or locks."""
    kept = [path for name in ("images", "l", "layers", "blobs") for path in sorted((store / name).rglob("*"))]
    shallow = [path for path in kept if len(path.relative_to(store).parts) <= 3]
    return [str(path.relative_to(store)) for path in shallow if not path.is_dir() or path.parent.name == "l"]


@contextmanager
def nothing_kept(store: Path, *, but_whole: bool = False) -> Iterator[None]:
    """The store holds the same after as before; whole blobs and layers may be added: another pull goes on from them."""
    before = listing(store)
    yield
    added = set(listing(store)) - set(before)
    if but_whole:
        added -= {name for name in added if name.startswith("blobs/") and is_whole_blob(store / name)}
        added -= {name for name in added if name.startswith("l/") and (store / "layers" / name[2:]).exists()}
        added -= {name for name in added if name.startswith("layers/")}
    assert added == set()
    assert list((store / "tmp").iterdir()) == []


def is_whole_blob(path: Path) -> bool:
    return sha256_of(path.read_bytes()).hex == path.name


@pytest.mark.parametrize(
    ("reference", "kind", "said"),
    [
        ("busybox:no-such-tag", errors.ImageNotFoundError, "busybox:no-such-tag"),
        ("library/no-such-repository", errors.ImageNotFoundError, "no-such-repository"),
        ("busybox@sha256:" + "0" * 64, errors.ImageNotFoundError, "0000"),
        ("Upper/Case", errors.InvalidReferenceError, "Upper/Case"),
        ("busybox:", errors.InvalidReferenceError, "busybox:"),
        ("127.0.0.1:1/box", errors.RegistryUnreachableError, "127.0.0.1:1"),
        ("registry.invalid/box", errors.RegistryUnreachableError, "registry.invalid"),
    ],
)
def test_what_cannot_be_pulled(
    fresh: Provisioner, reference: str, kind: type[errors.LxContainerError], said: str
) -> None:
    with nothing_kept(fresh.settings.store), pytest.raises(kind) as caught:
        fresh.run(reference)
    assert said in caught.value.message
    assert caught.value.hint


def test_a_registry_that_answers_with_errors(fresh: Provisioner, registry: FakeRegistry, boxed: BuiltImage) -> None:
    registry.push(boxed, "box", "1")
    registry.fail(100, status=403)
    with nothing_kept(fresh.settings.store), pytest.raises(errors.RegistryError) as caught:
        fresh.run(f"{registry.host}/box:1")
    assert registry.host in str(caught.value)


def test_an_image_for_another_platform(fresh: Provisioner, registry: FakeRegistry) -> None:
    registry.push(image([layer({"a": "x"})], architecture="s390x", Cmd=["/a"]), "box", "1")
    with (
        nothing_kept(fresh.settings.store, but_whole=True),
        pytest.raises(errors.UnsupportedImageError, match="linux/s390x"),
    ):
        fresh.run(f"{registry.host}/box:1")


def test_a_blob_that_is_not_what_its_digest_says(fresh: Provisioner, registry: FakeRegistry, boxed: BuiltImage) -> None:
    registry.push(boxed, "box", "1")
    descriptor = boxed.layers[0]
    registry.repository("box").blobs[str(descriptor.digest)] = b"x" * len(descriptor.blob)
    with nothing_kept(fresh.settings.store, but_whole=True), pytest.raises(errors.DigestMismatchError) as caught:
        fresh.run(f"{registry.host}/box:1")
    assert caught.value.expected == str(descriptor.digest)
    # What was wrong once is asked for again.
    registry.push(boxed, "box", "1")
    assert fresh.run(f"{registry.host}/box:1").read_text("/etc/mark") == "x"


def test_a_layer_that_is_not_what_its_diff_id_says(
    fresh: Provisioner, registry: FakeRegistry, busybox_layer: Layer
) -> None:
    other = layer({"a": "x"})
    registry.push(image([busybox_layer, Layer(layer({"a": "y"}).blob, other.diff_id, other.media_type)]), "box", "1")
    with nothing_kept(fresh.settings.store, but_whole=True), pytest.raises(errors.DigestMismatchError):
        fresh.pull(f"{registry.host}/box:1")


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[Path]:
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=711", "tmpfs", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)
        path.rmdir()


@pytest.mark.needs_root
@pytest.mark.parametrize("size", ["4m", "90m"], ids=["for a blob", "for a layer"])
def test_a_full_disk(mirror: str, leaks: Leaks, size: str) -> None:
    with small_disk(Path(f"/var/tmp/lxcontainer-test-disk-{os.getpid()}"), size) as disk:
        store = made_store(disk / "store")
        leaks.watch(store)
        with Provisioner(Settings(store=store, mirrors=parse_mirrors(mirror))) as provisioner:
            with nothing_kept(store, but_whole=True), pytest.raises(errors.StoreError) as caught:
                provisioner.run("postgres:15")
            assert "No space left on device" in str(caught.value)
            assert "--lxc-store" in caught.value.hint


def test_an_image_that_says_nothing_about_what_to_run(
    run: Runner, registry: FakeRegistry, busybox_layer: Layer
) -> None:
    registry.push(image([busybox_layer]), "box", "1")
    with pytest.raises(errors.InvalidSettingsError, match="nothing about what to run"):
        run(f"{registry.host}/box:1")
    assert run(f"{registry.host}/box:1", ["sleep", "60"]).running


def test_an_entrypoint_that_is_not_there(run: Runner, registry: FakeRegistry, busybox_layer: Layer) -> None:
    registry.push(image([busybox_layer], Entrypoint=["/opt/no-such-program"]), "box", "1")
    with pytest.raises(errors.StartFailedError, match="/opt/no-such-program") as caught:
        run(f"{registry.host}/box:1")
    assert "entrypoint" in caught.value.hint


def test_an_entrypoint_that_ends_at_once(run: Runner, registry: FakeRegistry, busybox_layer: Layer) -> None:
    registry.push(image([busybox_layer], Entrypoint=["sh", "-c", "echo last words >&2; exit 7"]), "box", "1")
    with pytest.raises((errors.StartFailedError, errors.ContainerDiedError), match="last words") as caught:
        run(f"{registry.host}/box:1", ready=lambda container: False)
    assert isinstance(caught.value, errors.StartFailedError | errors.ContainerDiedError)
    assert caught.value.exit_code == 7
    assert caught.value.log.strip() == "last words"


@pytest.mark.parametrize("code", [0, 3])
def test_a_command_that_ends_at_once_is_no_started_container(run: Runner, code: int) -> None:
    with pytest.raises(errors.StartFailedError, match="last words") as caught:
        run("busybox", ["sh", "-c", f"echo last words; exit {code}"])
    assert caught.value.exit_code == code


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"comand": ["x"]}, "did you mean 'command'?"),
        ({"user": "nosuchuser"}, "nosuchuser"),
        ({"mounts": "/no/such/path:/x"}, "/no/such/path"),
        ({"env": {"A=B": "x"}}, "A=B"),
        ({"timeout": 0}, "timeout=0"),
        ({"network": "host"}, "network='host'"),
        ({"limits": {"memry": 1}}, "memry"),
        ({"limits": {"swap": "1MiB"}}, "memory"),
        ({"limits": {"cpus": "2"}}, "cpus='2'"),
        ({"cwd": "relative\nline"}, "line"),
        ({"name": "___"}, "___"),
        ({"ready": "soon"}, "soon"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_settings_that_cannot_be_used(run: Runner, wrong: dict[str, object], said: str) -> None:
    with pytest.raises(errors.InvalidSettingsError) as caught:
        run(**wrong)
    assert said in str(caught.value)


@pytest.mark.needs_root
def test_a_privileged_container_is_root_on_the_host(run: Runner) -> None:
    container = run(privileged=True)
    status = Path(f"/proc/{container.pid}/status").read_text()
    assert "Uid:\t0\t0\t0\t0" in status
    assert container.check_output(["readlink", "/proc/self/ns/user"]) == os.readlink("/proc/self/ns/user")
    container.write_text("/etc/mark", "x")
    assert container.check_output(["stat", "-c", "%u", "/etc/mark"]) == "0"


@pytest.mark.needs_user
def test_an_ordinary_user_gets_no_privileged_container(run: Runner) -> None:
    with pytest.raises(errors.InvalidSettingsError, match="needs root"):
        run(privileged=True)
