"""Images into files: what is written is read again as it was, replaces what was there, or leaves it as it is."""

from __future__ import annotations

import gzip
import json
import os
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pytest_lxcontainer.errors import CorruptImageError, DigestMismatchError, ExportError, InvalidReferenceError
from pytest_lxcontainer.image import ArchiveReference, Descriptor, Digest, Platform, parse_manifest, sha256_of
from pytest_lxcontainer.image.tar_header import TarHeader
from pytest_lxcontainer.registry.archives.outgoing import Outgoing, OutgoingLayer, TarWriter
from pytest_lxcontainer.registry.archives.source import ArchiveSource
from pytest_lxcontainer.registry.archives.writing import write
from pytest_lxcontainer.rootfs.compression import uncompressed
from tests.fakes.archives import oci_layout
from tests.fakes.images import BuiltImage, image, layer

AMD64 = Platform.parse("linux/amd64")
BASE = layer({"etc/hostname": "box\n"}, compression="gzip")
TOP = layer({"srv/app": "x" * 5000}, compression="")
APP = image([BASE, TOP, BASE], Cmd=["/app"])
OTHER = image([TOP], Cmd=["/other"])
PLAIN = gzip.decompress(BASE.blob)

ARCHIVES = ["oci-archive", "docker-archive"]
KINDS = ["oci", *ARCHIVES]


@pytest.fixture
def where(tmp_path: Path) -> Path:
    """An empty directory."""
    path = tmp_path / "where"
    path.mkdir()
    return path


class Kept:
    """The blobs of *images*; of those in *damaged* another byte."""

    def __init__(self, *images: BuiltImage) -> None:
        self.data = {sha256_of(data): data for built in images for data in built.blobs}

    def damage(self, digest: Digest) -> None:
        self.data[digest] = self.data[digest][:-1] + b"!"

    @contextmanager
    def open(self, layer: OutgoingLayer) -> Iterator[Iterator[bytes]]:
        data = self.data[layer.descriptor.digest]
        yield iter([data[start : start + 1000] for start in range(0, len(data), 1000)])

    @contextmanager
    def open_plain(self, layer: OutgoingLayer) -> Iterator[Iterator[bytes]]:
        fd = os.memfd_create("blob")
        os.write(fd, self.data[layer.descriptor.digest])
        os.lseek(fd, 0, os.SEEK_SET)
        try:
            yield uncompressed(fd)
        finally:
            os.close(fd)


def going(built: BuiltImage, name: str | None) -> Outgoing:
    manifest: Any = parse_manifest(built.manifest)
    diff_ids = [Digest.parse(each) for each in json.loads(built.config)["rootfs"]["diff_ids"]]
    layers = tuple(map(OutgoingLayer, manifest.layers, diff_ids))
    return Outgoing(built.manifest, built.config, layers, AMD64, name)


def to(kind: str, path: Path, tag: str | None = None) -> ArchiveReference:
    return ArchiveReference(kind, path, tag)


def read(name: ArchiveReference) -> tuple[bytes, list[bytes]]:
    """The config and the layers' blobs of the image in files."""
    source = ArchiveSource()
    try:
        manifest = source.fetch_manifest(name, AMD64).manifest
        return blob(source, name, manifest.config), [blob(source, name, each) for each in manifest.layers]
    finally:
        source.close()


def blob(source: ArchiveSource, name: ArchiveReference, descriptor: Descriptor) -> bytes:
    with source.open_blob(name, descriptor) as chunks:
        data = b"".join(chunks)
    assert sha256_of(data) == descriptor.digest and len(data) == descriptor.size
    return data


def below(path: Path) -> list[str]:
    return sorted(str(each.relative_to(path)) for each in path.rglob("*"))


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_is_read_as_it_was_written(where: Path, kind: str) -> None:
    write(to(kind, where / "app"), [going(APP, "app:1")], Kept(APP))
    for tag in (None, "app:1"):
        config, layers = read(to(kind, where / "app", tag))
        assert config == APP.config
        plain = kind == "docker-archive"
        assert layers == ([PLAIN, TOP.blob, PLAIN] if plain else [BASE.blob, TOP.blob, BASE.blob])
    assert os.listdir(where) == ["app"]


@pytest.mark.parametrize("kind", KINDS)
def test_several_images_share_their_layers(where: Path, kind: str) -> None:
    path = where / "both"
    write(to(kind, path), [going(APP, "app:1"), going(OTHER, "other:1")], Kept(APP, OTHER))
    assert read(to(kind, path, "other:1"))[0] == OTHER.config
    assert read(to(kind, path, "app:1"))[0] == APP.config
    if kind != "oci":
        with tarfile.open(path) as tar:
            assert len(tar.getnames()) == len(set(tar.getnames()))


@pytest.mark.parametrize("kind", ARCHIVES)
def test_the_same_image_makes_the_same_bytes(where: Path, kind: str) -> None:
    for name in ("a", "b"):
        write(to(kind, where / name), [going(APP, "app:1")], Kept(APP))
    assert (where / "a").read_bytes() == (where / "b").read_bytes()


@pytest.mark.parametrize("kind", ARCHIVES)
def test_a_file_is_replaced(where: Path, kind: str) -> None:
    path = where / "app.tar"
    write(to(kind, path), [going(OTHER, "app:1")], Kept(OTHER))
    write(to(kind, path), [going(APP, "app:1")], Kept(APP))
    assert read(to(kind, path, "app:1"))[0] == APP.config


@pytest.mark.parametrize("kind", KINDS)
def test_a_failure_leaves_what_was_there(where: Path, kind: str) -> None:
    path = where / "out"
    blobs = Kept(APP, OTHER)
    blobs.damage(sha256_of(BASE.blob))
    with pytest.raises(CorruptImageError):
        write(to(kind, path), [going(APP, "app:1")], blobs)
    assert os.listdir(where) == []
    write(to(kind, path), [going(OTHER, "other:1")], blobs)
    before = below(where)
    with pytest.raises(CorruptImageError):
        write(to(kind, path), [going(APP, "app:1")], blobs)
    assert below(where) == before
    assert read(to(kind, path))[0] == OTHER.config


def test_a_layout_is_added_to_and_a_tag_moves(where: Path) -> None:
    path = oci_layout(where / "layout", {"old": OTHER, "moved": OTHER})
    write(to("oci", path), [going(APP, "moved")], Kept(APP))
    assert read(to("oci", path, "old"))[0] == OTHER.config
    assert read(to("oci", path, "moved"))[0] == APP.config
    index = json.loads((path / "index.json").read_bytes())
    assert len(index["manifests"]) == 2


def test_an_empty_directory_becomes_a_layout(where: Path) -> None:
    write(to("oci", where), [going(APP, "1")], Kept(APP))
    assert json.loads((where / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    assert read(to("oci", where))[0] == APP.config


def test_several_writers_of_one_layout_wait_for_one_another(where: Path) -> None:
    write_one: Callable[[int], None] = lambda number: write(  # noqa: E731 - a thread's work
        to("oci", where / "layout"), [going(APP, f"t{number}")], Kept(APP)
    )
    threads = [threading.Thread(target=write_one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(8):
        assert read(to("oci", where / "layout", f"t{number}"))[0] == APP.config


def test_a_blob_of_another_size_in_a_layout_is_written_anew(where: Path) -> None:
    path = oci_layout(where / "layout", {"old": OTHER})
    (path / "blobs" / "sha256" / sha256_of(TOP.blob).hex).write_bytes(b"cut off")
    write(to("oci", path), [going(APP, "app")], Kept(APP))
    assert read(to("oci", path, "app"))[1][1] == TOP.blob


@pytest.mark.parametrize(
    ("kind", "name"),
    [("oci", "file"), ("oci", "full"), ("docker-archive", "full"), ("oci-archive", "no/file"), ("oci", "no/dir")],
)
def test_what_cannot_be_written_there_is_an_error_that_names_it(where: Path, kind: str, name: str) -> None:
    (where / "file").write_text("mine")
    (where / "full").mkdir()
    (where / "full" / "mine").write_text("mine")
    before = below(where)
    with pytest.raises(ExportError) as raised:
        write(to(kind, where / name), [going(APP, "1")], Kept(APP))
    assert raised.value.path == str(where / name)
    assert below(where) == before


def test_a_damaged_layout_is_left_alone(where: Path) -> None:
    path = oci_layout(where / "layout", {"old": OTHER})
    (path / "index.json").write_text("{")
    with pytest.raises(ExportError, match="damaged"):
        write(to("oci", path), [going(APP, "1")], Kept(APP))
    assert (path / "index.json").read_text() == "{"


def test_a_directory_is_only_read(where: Path) -> None:
    with pytest.raises(InvalidReferenceError, match="no image can be written"):
        write(to("dir", where), [going(APP, None)], Kept(APP))


def test_a_layer_that_is_another_uncompressed_is_refused(where: Path) -> None:
    wrong = OutgoingLayer(going(APP, None).layers[0].descriptor, sha256_of(b"other"))
    outgoing = Outgoing(APP.manifest, APP.config, (wrong,), AMD64, None)
    with pytest.raises(DigestMismatchError):
        write(to("docker-archive", where / "a.tar"), [outgoing], Kept(APP))
    assert os.listdir(where) == []


def test_files_of_a_tar_may_be_of_any_size() -> None:
    huge = 9 * 1024**3 + 5
    header = TarHeader("layer.tar", size=huge).with_room()
    assert len(header) == len(TarHeader("layer.tar").with_room())
    assert tarfile.TarInfo.frombuf(header[1024:], "utf-8", "strict").name == "layer.tar"
    fd = os.memfd_create("tar")
    writer = TarWriter(fd)
    writer.add("a", b"1")
    writer.add_chunks("b", iter([b"22", b"333"]))
    writer.finish()
    os.lseek(fd, 0, os.SEEK_SET)
    with os.fdopen(fd, "rb") as file, tarfile.open(fileobj=file) as tar:
        assert [(member.name, member.size) for member in tar] == [("a", 1), ("b", 5)]
