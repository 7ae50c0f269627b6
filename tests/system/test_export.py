"""Images in files, as skopeo, umoci, Docker and this package read them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_lxcontainer import Container, Image, Provisioner, Settings
from pytest_lxcontainer.errors import ExportError, InvalidReferenceError
from pytest_lxcontainer.store.blobs import BlobStore
from pytest_lxcontainer.store.prune import forget

from ..fakes.images import BuiltImage, Layer, image, push
from ..fakes.registry import FakeRegistry
from .conftest import BUSYBOX, Runner
from .differential import umoci_unpack
from .docker import Docker, docker_daemon

NAME = "localhost/exported:1"
FORMS = ["oci:{}/layout:one", "oci-archive:{}/layout.tar:one", "docker-archive:{}/app.tar:exported:one"]


@pytest.fixture
def committed(run: Runner, provisioner: Provisioner) -> Iterator[Image]:
    """An image with a layer on top of busybox: files of several owners, a link, and one file less."""
    box = run(BUSYBOX, ["sleep", "900"], env={"GREETING": "hello"}, user="nobody", cwd="/srv")
    box.exec("mkdir -p /srv; echo kept > /srv/note; chown 7:8 /srv/note; ln -s note /srv/link", user="0", check=True)
    box.exec("rm /bin/awk; mkdir /opt; chmod 1777 /opt", user="0", check=True)
    yield provisioner.commit(box, NAME, changes=['CMD ["cat", "/srv/note"]'])
    records = [each for each in provisioner.images() if str(each.reference) == NAME]
    forget(provisioner.layout, provisioner._sandboxes.sandbox(), records)


def in_dockers_form(built: BuiltImage) -> BuiltImage:
    """The image with the manifest that Docker pushes."""
    manifest = json.loads(built.manifest)
    manifest["mediaType"] = "application/vnd.docker.distribution.manifest.v2+json"
    manifest["config"]["mediaType"] = "application/vnd.docker.container.image.v1+json"
    for each in manifest["layers"]:
        each["mediaType"] = "application/vnd.docker.image.rootfs.diff.tar.gzip"
    return BuiltImage(json.dumps(manifest).encode(), built.config, built.layers, manifest["mediaType"])


def skopeo(*arguments: str) -> str:
    return subprocess.run(["skopeo", *arguments], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("form", FORMS)
def test_skopeo_reads_and_copies_it(committed: Image, provisioner: Provisioner, where: Path, form: str) -> None:
    destination = form.format(where)
    provisioner.export(committed, destination)
    seen = json.loads(skopeo("inspect", "--config", destination))
    assert seen["config"]["Env"][-1] == "GREETING=hello"
    assert [str(each) for each in committed.config.diff_ids] == seen["rootfs"]["diff_ids"]
    skopeo("copy", destination, f"oci:{where}/copy:copied")
    again = provisioner.pull(f"oci:{where}/copy:copied")
    assert again.config.diff_ids == committed.config.diff_ids
    assert again.lower_dirs == committed.lower_dirs


@pytest.mark.needs_root
def test_umoci_unpacks_it(committed: Image, provisioner: Provisioner, where: Path) -> None:
    provisioner.export(NAME, f"oci:{where}/layout:one")
    assert umoci_unpack(where / "layout", "one", where / "tree") == ""
    note = where / "tree" / "srv" / "note"
    assert (note.read_text(), note.stat().st_uid, note.stat().st_gid) == ("kept\n", 7, 8)
    assert os.readlink(where / "tree" / "srv" / "link") == "note"
    assert not (where / "tree" / "bin" / "awk").exists()
    assert (where / "tree" / "opt").stat().st_mode & 0o7777 == 0o1777


@pytest.mark.parametrize("form", FORMS)
def test_a_container_of_the_files_has_what_was_written(
    committed: Image, provisioner: Provisioner, run: Runner, where: Path, form: str
) -> None:
    (named,) = provisioner.export(NAME, form.format(where))
    box = run(str(named), "sleep 900")
    assert box.read_text("/srv/link") == "kept\n" and not box.exists("/bin/awk")
    assert box.check_output("echo $GREETING; id -un; pwd") == "hello\nnobody\n/srv"


def test_a_layout_keeps_the_images_digests(committed: Image, provisioner: Provisioner, where: Path) -> None:
    (named,) = provisioner.export(committed, f"oci:{where}/layout")
    assert str(named) == f"oci:{where}/layout:1"
    assert provisioner.pull(named).digest == committed.digest


def test_a_pulled_image_is_exported_under_its_own_name(provisioner: Provisioner, where: Path) -> None:
    assert provisioner.export(BUSYBOX, f"docker-archive:{where}/app.tar")[0].tag == "busybox:latest"
    assert provisioner.export(BUSYBOX, f"oci:{where}/layout")[0].tag == "latest"
    names = json.loads(skopeo("list-tags", f"docker-archive:{where}/app.tar"))["Tags"]
    assert names == ["docker.io/library/busybox:latest"] or names == ["busybox:latest"]


def test_a_snapshot_is_exported_with_its_layer(box: Container, provisioner: Provisioner, where: Path) -> None:
    box.write_text("/note", "kept")
    (named,) = provisioner.export(box.snapshot(), f"oci-archive:{where}/app.tar")
    with Provisioner(provisioner.settings) as later, later.run(named, "sleep 900") as again:
        assert again.read_text("/note") == "kept"


def test_an_image_of_dockers_becomes_one_of_the_ocis_in_a_layout(
    registry: FakeRegistry, busybox_layer: Layer, provisioner: Provisioner, where: Path
) -> None:
    push(in_dockers_form(image([busybox_layer])), registry.url, "app", "1")
    pulled = provisioner.pull(f"{registry.host}/app:1")
    (named,) = provisioner.export(pulled, f"oci:{where}/layout:one")
    manifest = json.loads(skopeo("inspect", "--raw", str(named)))
    assert manifest["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    assert all(each["mediaType"].startswith("application/vnd.oci.") for each in manifest["layers"])
    assert provisioner.pull(named).config_digest == pulled.config_digest


def test_a_failure_leaves_nothing(committed: Image, provisioner: Provisioner, where: Path) -> None:
    blobs = BlobStore(provisioner.layout)
    path = blobs.path(committed.config.diff_ids[-1])
    data = path.read_bytes()
    path.write_bytes(data[:-1] + b"!")
    try:
        for form in FORMS:
            with pytest.raises(Exception, match="not what its digest says"):
                provisioner.export(committed, form.format(where))
    finally:
        path.write_bytes(data)
    assert os.listdir(where) == []


@pytest.mark.parametrize("destination", ["app.tar", "busybox:1", "dir:/tmp/x", "docker-archive:x.tar:UPPER"])
def test_what_is_no_destination_is_refused(provisioner: Provisioner, destination: str) -> None:
    with pytest.raises(InvalidReferenceError):
        provisioner.export(BUSYBOX, destination)


def test_a_path_without_a_directory_is_an_error_that_names_it(provisioner: Provisioner, where: Path) -> None:
    with pytest.raises(ExportError, match="there is no directory"):
        provisioner.export(BUSYBOX, f"oci-archive:{where}/no/app.tar")


@pytest.fixture(scope="module")
def docker() -> Iterator[Docker]:
    with docker_daemon() as docker:
        yield docker


@pytest.mark.needs_root
@pytest.mark.exhaustive
class TestDocker:
    def test_it_loads_and_runs(self, docker: Docker, committed: Image, provisioner: Provisioner, where: Path) -> None:
        provisioner.export(NAME, f"docker-archive:{where}/app.tar")
        assert docker("load", "--input", where / "app.tar") == f"Loaded image: {NAME}"
        assert docker("run", "--rm", "--network=none", NAME) == "kept"
        script = "stat -c %u:%g /srv/link/; stat -Lc %u:%g /srv/link; echo $GREETING; id -un; pwd; ls /bin/awk"
        told = docker("run", "--rm", "--network=none", NAME, "sh", "-c", script + " 2>&1 || true")
        assert "7:8\nhello\nnobody\n/srv" in told and "No such file" in told
        assert docker("image", "inspect", "--format", "{{.Id}}", NAME) == str(committed.config_digest)

    def test_it_takes_the_name_it_is_given(self, docker: Docker, provisioner: Provisioner, where: Path) -> None:
        provisioner.export(BUSYBOX, f"docker-archive:{where}/app.tar:other/name:3")
        assert docker("load", "--input", where / "app.tar") == "Loaded image: other/name:3"
        assert docker("run", "--rm", "--network=none", "other/name:3", "echo", "runs") == "runs"

    def test_what_it_saves_is_read_here(
        self, docker: Docker, committed: Image, provisioner: Provisioner, run: Callable[..., Any], where: Path
    ) -> None:
        provisioner.export(NAME, f"docker-archive:{where}/app.tar")
        docker("load", "--input", where / "app.tar")
        docker("save", "--output", where / "saved.tar", NAME)
        again = provisioner.pull(f"docker-archive:{where}/saved.tar")
        assert again.config_digest == committed.config_digest
        assert again.lower_dirs == committed.lower_dirs


def test_a_settings_store_of_another_user_is_not_needed(settings: Settings, where: Path) -> None:
    """Exporting takes no supervisor."""
    with Provisioner(settings) as provisioner:
        provisioner.export(BUSYBOX, f"oci:{where}/layout")
        assert not provisioner._begun
