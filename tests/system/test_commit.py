"""Images made of containers, as those who pulled them have theirs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_lxcontainer import Container, Image, Provisioner, Settings, Template, wait
from pytest_lxcontainer.errors import (
    ImageNotCachedError,
    InvalidReferenceError,
    InvalidSettingsError,
    RegistryUnreachableError,
)
from pytest_lxcontainer.image import Digest
from pytest_lxcontainer.rootfs.idmap import IdMap
from pytest_lxcontainer.rootfs.sandbox import Sandbox
from pytest_lxcontainer.store.blobs import BlobStore
from pytest_lxcontainer.store.prune import Rules, forget, prune

from .conftest import BUSYBOX, Runner

NAME = "localhost/committed:1"


@pytest.fixture
def commit(provisioner: Provisioner) -> Iterator[Callable[..., Image]]:
    """`Provisioner.commit` under one name, whose image goes after the test."""

    def commit(source: Container | Image, **settings: Any) -> Image:
        return provisioner.commit(source, NAME, **settings)

    yield commit
    records = [each for each in provisioner.images() if str(each.reference) == NAME]
    forget(provisioner.layout, provisioner._sandboxes.sandbox(), records)


def document(provisioner: Provisioner, image: Image) -> Any:
    """The config document of *image*."""
    return json.loads(provisioner.layout.blob(image.config_digest).read_bytes())


def other_run(settings: Settings, **changes: Any) -> Provisioner:
    """A run that knows only what the store does."""
    values = {name: getattr(settings, name) for name in ("store", "mirrors")}
    return Provisioner(Settings(**values, **changes))


def test_a_container_of_it_has_what_was_written(run: Runner, commit: Callable[..., Image]) -> None:
    box = run(BUSYBOX, "sleep 900")
    box.exec("mkdir -p /srv/site; echo kept > /srv/site/page; ln -s page /srv/site/link; rm /bin/awk", check=True)
    image = commit(box)
    again = run(image, "sleep 900")
    assert again.read_text("/srv/site/link") == "kept\n"
    assert not again.exists("/bin/awk")
    assert again.diff() == []
    assert box.running and not image.snapshot


def test_what_lxc_made_is_no_part_of_it(box: Container, commit: Callable[..., Image], run: Runner) -> None:
    image = commit(box)
    names = [path.name for path in image.lower_dirs[-1].iterdir()]
    assert names == []
    assert run(image).running


@pytest.mark.parametrize("pull", ["missing", "never", "always"])
def test_another_run_finds_it_by_its_name(
    box: Container, commit: Callable[..., Image], settings: Settings, pull: str
) -> None:
    box.write_text("/note", "kept")
    image = commit(box)
    with other_run(settings, pull=pull) as later:
        assert later.pull(NAME).digest == image.digest
        with later.run(NAME, "sleep 900") as container:
            assert container.read_text("/note") == "kept"


def test_layers_that_went_are_unpacked_again_from_its_blobs(
    box: Container, commit: Callable[..., Image], provisioner: Provisioner, settings: Settings
) -> None:
    box.exec("echo kept > /note; chown 7:8 /note; rm /bin/awk", check=True)
    image = commit(box)
    provisioner._sandboxes.discard(image.lower_dirs[-1])
    with other_run(settings) as later, later.run(NAME, "sleep 900") as container:
        assert container.check_output("stat -c %u:%g /note") == "7:8"
        assert not container.exists("/bin/awk")


def test_the_layers_below_are_the_blobs_of_its_image(
    box: Container, commit: Callable[..., Image], provisioner: Provisioner
) -> None:
    image = commit(box)
    base, made = (json.loads(provisioner.layout.blob(each.digest).read_bytes()) for each in (box.image, image))
    assert [each["digest"] for each in made["layers"][:-1]] == [each["digest"] for each in base["layers"]]
    assert image.config.diff_ids[:-1] == box.image.config.diff_ids
    assert made["layers"][-1]["digest"] == str(image.config.diff_ids[-1])
    assert image.lower_dirs[:-1] == box.image.lower_dirs


def test_it_is_what_the_container_was_asked_to_be(
    run: Runner, commit: Callable[..., Image], provisioner: Provisioner
) -> None:
    box = run(
        BUSYBOX,
        ["sh", "-c", "echo $GREETING; exec sleep 900"],
        env={"GREETING": "hello"},
        user="nobody",
        cwd="/var",
        labels={"owner": "tests"},
        ports=(8080,),
    )
    image = commit(box, author="A. Tester", message="after the failure")
    config = document(provisioner, image)
    assert config["config"]["Cmd"] == ["sh", "-c", "echo $GREETING; exec sleep 900"]
    assert "GREETING=hello" in config["config"]["Env"]
    assert not any(entry.startswith(("HOME=", "HOSTNAME=")) for entry in config["config"]["Env"])
    assert (config["config"]["User"], config["config"]["WorkingDir"]) == ("nobody", "/var")
    assert config["config"]["ExposedPorts"] == {"8080/tcp": {}}
    assert config["config"]["Labels"]["owner"] == "tests"
    assert (config["author"], config["history"][-1]["comment"]) == ("A. Tester", "after the failure")
    assert sum(not each.get("empty_layer") for each in config["history"]) == len(image.lower_dirs)
    again = run(image, ready=())
    assert again.command == box.command
    again.wait_for(lambda container: "hello" in container.logs())
    assert again.check_output("id -un; pwd") == "nobody\n/var"


def test_changes_are_made_after_all(box: Container, commit: Callable[..., Image]) -> None:
    image = commit(box, changes=['ENTRYPOINT ["echo"]', 'CMD ["a", "b"]', "ENV A=1 B='2 3'", "EXPOSE 53/udp 80"])
    assert (image.config.entrypoint, image.config.cmd) == (("echo",), ("a", "b"))
    assert {"A=1", "B=2 3"} <= set(image.config.env)
    assert image.config.exposed_ports == (80,)


def test_the_name_is_the_later_ones(box: Container, commit: Callable[..., Image], provisioner: Provisioner) -> None:
    box.write_text("/note", "first")
    first = commit(box)
    box.write_text("/note", "second")
    second = commit(box)
    assert first.digest != second.digest == provisioner.pull(NAME).digest


def test_a_snapshot_becomes_an_image(
    box: Container, commit: Callable[..., Image], run: Runner, provisioner: Provisioner, settings: Settings
) -> None:
    box.write_text("/note", "one")
    image = commit(box.snapshot())
    assert (len(image.lower_dirs), image.snapshot) == (len(box.image.lower_dirs) + 1, "")
    clone = run(box.snapshots[0])
    clone.write_text("/more", "two")
    image = commit(clone)
    assert len(image.lower_dirs) == len(box.image.lower_dirs) + 2
    with other_run(settings) as later, later.run(NAME, "sleep 900") as container:
        assert (container.read_text("/note"), container.read_text("/more")) == ("one", "two")


def test_a_template_becomes_an_image_of_its_own(
    commit: Callable[..., Image], run: Runner, provisioner: Provisioner
) -> None:
    def prepare(container: Container) -> None:
        container.write_text("/prepared", "yes")

    template = Template(BUSYBOX, prepare, settings={"command": "sleep 900"})
    image = commit(provisioner.template(template))
    # Without the template, whose layer it does not share.
    assert run(image, "sleep 900").read_text("/prepared") == "yes"
    assert image.lower_dirs[-1] != provisioner.template(template).lower_dirs[-1]


def test_an_image_that_was_forgotten_meanwhile_is_packed_from_its_layers(
    box: Container, commit: Callable[..., Image], provisioner: Provisioner, settings: Settings
) -> None:
    box.write_text("/note", "kept")
    blobs = BlobStore(provisioner.layout)
    base = json.loads(blobs.read(box.image.digest))
    lost = [Digest.parse(each["digest"]) for each in (base["config"], *base["layers"])] + [box.image.digest]
    kept = {digest: blobs.path(digest).read_bytes() for digest in lost}
    for digest in lost:
        blobs.remove(digest)
    try:
        commit(box)
        with other_run(settings) as later, later.run(NAME) as container:
            assert container.read_text("/note") == "kept"
            assert container.command == box.command
            assert container.check_output("busybox echo whole") == "whole"
    finally:
        for digest, data in kept.items():
            blobs.keep(digest, len(data), [data])


@pytest.mark.needs_root
def test_a_privileged_container_becomes_an_image_for_both_kinds(run: Runner, commit: Callable[..., Image]) -> None:
    box = run(privileged=True)
    box.exec("echo kept > /note; chown 7:8 /note", check=True)
    image = commit(box)
    for privileged in (True, False):
        again = run(image, "sleep 900", privileged=privileged)
        assert again.check_output("cat /note; stat -c %u:%g /note") == "kept\n7:8"


def test_capabilities_and_links_are_kept(box: Container, commit: Callable[..., Image], run: Runner) -> None:
    box.exec("cp /bin/busybox /tool; ln /tool /again; mkfifo /pipe; chmod 4755 /tool", check=True)
    again = run(commit(box), "sleep 900")
    assert again.check_output("stat -c '%h %a' /again") == "2 4755"
    assert again.check_output("test -p /pipe && echo pipe") == "pipe"


def test_a_container_that_has_ended_is_committed_too(run: Runner, commit: Callable[..., Image]) -> None:
    box = run(BUSYBOX, "echo done > /result", ready=wait.exit())
    assert run(commit(box), "sleep 900").read_text("/result") == "done\n"


def test_prune_leaves_it_and_takes_it_when_it_is_forgotten(
    box: Container, commit: Callable[..., Image], provisioner: Provisioner
) -> None:
    image = commit(box)
    sandbox = provisioner._sandboxes.sandbox()
    assert not prune(provisioner.layout, sandbox).images
    assert BlobStore(provisioner.layout).has(image.digest)
    records = [each for each in provisioner.images() if str(each.reference) == NAME]
    assert [each.local for each in records] == [True]
    gone = forget(provisioner.layout, sandbox, records)
    assert image.digest in gone.blobs and not image.lower_dirs[-1].exists()
    assert box.image.lower_dirs[0].exists()


def test_a_forgotten_one_is_asked_of_the_registry_again(
    box: Container, commit: Callable[..., Image], provisioner: Provisioner, settings: Settings
) -> None:
    commit(box)
    forget(
        provisioner.layout,
        provisioner._sandboxes.sandbox(),
        [each for each in provisioner.images() if str(each.reference) == NAME],
    )
    with other_run(settings) as later, pytest.raises(RegistryUnreachableError):
        later.pull(NAME)


def test_one_that_lost_a_part_says_so(
    box: Container, commit: Callable[..., Image], provisioner: Provisioner, settings: Settings
) -> None:
    image = commit(box)
    BlobStore(provisioner.layout).remove(image.config_digest)
    with other_run(settings) as later, pytest.raises(ImageNotCachedError, match="was made here"):
        later.pull(NAME)


def test_a_lock_file_pins_no_image_that_was_made_here(
    box: Container, commit: Callable[..., Image], settings: Settings, tmp_path: Path
) -> None:
    image = commit(box)
    lock = tmp_path / "lxc.lock"
    with other_run(settings, lock=lock) as first:
        first.pull(NAME)
        first.pull(BUSYBOX)
    assert "busybox" in lock.read_text() and "committed" not in lock.read_text()
    with other_run(settings, lock=lock) as locked:
        assert locked.pull(NAME).digest == image.digest


@pytest.mark.parametrize("name", ["oci:/tmp/x", "box@sha256:" + "a" * 64, "UPPER"])
def test_a_name_that_no_image_can_have_is_refused(box: Container, provisioner: Provisioner, name: str) -> None:
    with pytest.raises(InvalidReferenceError):
        provisioner.commit(box, name)


@pytest.mark.parametrize("change", ["RUN true", "CMD", "EXPOSE http", "ENV A='b", "LABEL a"])
def test_a_change_that_is_none_is_refused_and_makes_nothing(
    box: Container, provisioner: Provisioner, change: str
) -> None:
    before = len(provisioner.images())
    with pytest.raises(InvalidSettingsError):
        provisioner.commit(box, NAME, changes=[change])
    assert len(provisioner.images()) == before
    assert not list(provisioner.layout.layers_dir.glob(".*")) and not os.listdir(provisioner.layout.tmp_dir)


def test_prune_all_forgets_it_as_every_other(own_store: Path, settings: Settings) -> None:
    own = Provisioner(Settings(store=own_store, mirrors=settings.mirrors))
    with own, own.run(BUSYBOX, "sleep 900") as container:
        own.commit(container, NAME)
    with Sandbox(IdMap.for_host()) as sandbox:
        names = {each.reference.familiar for each in prune(own.layout, sandbox, Rules(unused=True)).images}
    assert names == {NAME, BUSYBOX}
