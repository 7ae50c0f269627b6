"""Images in files: each form gives the image that was put into it, and no broken or hostile one gives anything else."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_lxcontainer.errors import (
    CorruptImageError,
    DigestMismatchError,
    ImageSourceError,
    LxContainerError,
    UnsupportedImageError,
)
from pytest_lxcontainer.image import ArchiveReference, Digest, ImageConfig, Platform, sha256_of
from pytest_lxcontainer.registry.archives.source import ArchiveSource
from pytest_lxcontainer.store.blobs import BlobStore
from pytest_lxcontainer.store.layout import Layout
from tests.fakes.archives import (
    docker_archive,
    documents,
    oci_layout,
    skopeo_directory,
    tar_of,
    tarred,
    write_blob,
    write_index,
)
from tests.fakes.images import OCI_MANIFEST, BuiltImage, descriptor, image, index, layer

AMD64, ARM64 = Platform.parse("linux/amd64"), Platform.parse("linux/arm64")
BASE = layer({"etc/hostname": "box\n"}, compression="")
TOP = layer({"srv/app": "x" * 5000}, compression="")
APP = image([BASE, TOP, BASE], Cmd=["/app"])
GZIPPED = image([layer({"etc/hostname": "box\n"}), layer({"srv/app": "x"})], Cmd=["/app"])
OTHER = image([TOP], Cmd=["/other"])


class Pulled:
    """What a source gave, kept in a store that verified it."""

    def __init__(self, name: ArchiveReference, platform: Platform, store: Layout) -> None:
        store.create()
        source, blobs = ArchiveSource(), BlobStore(store)
        try:
            fetched = source.fetch_manifest(name, platform)
            self.digest, self.state = fetched.digest, fetched.index_digest
            blobs.keep(fetched.digest, len(fetched.data), [fetched.data])
            for each in (fetched.manifest.config, *fetched.manifest.layers):
                with source.open_blob(name, each) as chunks:
                    blobs.keep(each.digest, each.size, chunks)
            config = ImageConfig.from_json(blobs.read(fetched.manifest.config.digest))
            self.config_digest, self.cmd = fetched.manifest.config.digest, config.cmd
            self.layers = [blobs.read(each.digest) for each in fetched.manifest.layers]
            self.diff_ids = config.diff_ids
        finally:
            source.close()


Pull = Callable[..., Pulled]


@pytest.fixture
def pull(tmp_path: Path) -> Pull:
    def pull(transport: str, path: Path, tag: str | None = None, platform: Platform = AMD64) -> Pulled:
        return Pulled(ArchiveReference(transport, path, tag), platform, Layout(tmp_path / "store"))

    return pull


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    before = sorted(os.listdir("/proc/self/fd"))
    yield
    assert sorted(os.listdir("/proc/self/fd")) == before


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    """Whatever a test reads, and however that ends, is closed."""
    with no_descriptor_left():
        yield


def layout_of(built: BuiltImage, path: Path) -> tuple[str, Path]:
    return "oci", oci_layout(path, {"1": built})


def archive_of(built: BuiltImage, path: Path) -> tuple[str, Path]:
    return "oci-archive", tarred(oci_layout(path, {"1": built}), path.with_suffix(".tar"))


def new_docker(built: BuiltImage, path: Path) -> tuple[str, Path]:
    return "docker-archive", docker_archive(path, {"app:1": built})


def old_docker(built: BuiltImage, path: Path) -> tuple[str, Path]:
    return "docker-archive", docker_archive(path, {"app:1": built}, "old")


def oldest_docker(built: BuiltImage, path: Path) -> tuple[str, Path]:
    return "docker-archive", docker_archive(path, {"app:1": built}, "oldest")


def directory_of(built: BuiltImage, path: Path) -> tuple[str, Path]:
    return "dir", skopeo_directory(path, built)


FORMS = [layout_of, archive_of, new_docker, old_docker, oldest_docker, directory_of]


@pytest.mark.parametrize("write", FORMS)
def test_every_form_gives_the_layers_and_the_command(pull: Pull, tmp_path: Path, write: Any) -> None:
    pulled = pull(*write(APP, tmp_path / "app"))
    assert pulled.layers == [each.blob for each in APP.layers]
    assert pulled.diff_ids == tuple(each.diff_id for each in APP.layers)
    assert pulled.cmd == ("/app",)
    if write is not oldest_docker:  # it has no config to have a digest
        assert pulled.config_digest == APP.config_digest


@pytest.mark.parametrize("write", [layout_of, archive_of, new_docker, old_docker, directory_of])
def test_compressed_layers_stay_as_they_are(pull: Pull, tmp_path: Path, write: Any) -> None:
    pulled = pull(*write(GZIPPED, tmp_path / "app"))
    assert pulled.layers == [each.blob for each in GZIPPED.layers]
    assert pulled.diff_ids == tuple(each.diff_id for each in GZIPPED.layers)


@pytest.mark.parametrize("write", [layout_of, archive_of, directory_of])
def test_a_manifest_keeps_its_digest(pull: Pull, tmp_path: Path, write: Any) -> None:
    assert pull(*write(APP, tmp_path / "app")).digest == APP.digest


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("write", [archive_of, new_docker])
def test_an_archive_may_be_compressed_as_a_whole(pull: Pull, tmp_path: Path, write: Any, compress: Any) -> None:
    transport, path = write(APP, tmp_path / "app")
    path.write_bytes(compress(path.read_bytes()))
    assert pull(transport, path).layers == [each.blob for each in APP.layers]


def test_member_names_may_begin_with_a_dot(pull: Pull, tmp_path: Path) -> None:
    path = tarred(oci_layout(tmp_path / "app", {"1": APP}), tmp_path / "app.tar", prefix="./")
    assert pull("oci-archive", path).digest == APP.digest


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_long_member_names_in_every_tar_format(pull: Pull, tmp_path: Path, form: int) -> None:
    long_name = "/".join(["d" * 60, "e" * 60, "layer.tar"])
    listed = [{"Config": "config.json", "RepoTags": None, "Layers": [long_name]}]
    members = {"manifest.json": json.dumps(listed).encode(), "config.json": OTHER.config, long_name: TOP.blob}
    with tarfile.open(tmp_path / "app.tar", "w", format=form) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    assert pull("docker-archive", tmp_path / "app.tar").layers == [TOP.blob]


def test_a_later_member_replaces_an_earlier_one(pull: Pull, tmp_path: Path) -> None:
    newer = json.dumps(listed()).encode()
    path = hostile_docker(tmp_path / "app.tar", listed(Layers=["absent"]), ("manifest.json", newer))
    assert pull("docker-archive", path).cmd == ("/other",)


# which of several


def test_the_platform_is_chosen_from_an_index(pull: Pull, tmp_path: Path) -> None:
    arm = image([BASE], architecture="arm64", Cmd=["/arm"])
    built = index(arm, APP, attestation=True)
    where = oci_layout(tmp_path / "app", {"1": built})
    assert pull("oci", where).digest == APP.digest
    assert pull("oci", where, "1", ARM64).cmd == ("/arm",)
    with pytest.raises(UnsupportedImageError, match=r"(?s)linux/s390x.*linux/arm64, linux/amd64"):
        pull("oci", where, None, Platform.parse("linux/s390x"))


def test_an_index_in_an_index_is_followed(pull: Pull, tmp_path: Path) -> None:
    assert pull("oci", oci_layout(tmp_path / "app", {"1": index(index(APP))})).digest == APP.digest


def test_the_config_tells_the_platform_where_the_index_does_not(pull: Pull, tmp_path: Path) -> None:
    arm = image([BASE], architecture="arm64", Cmd=["/arm"])
    where = oci_layout(tmp_path / "app", {None: arm})
    for data in documents(APP):
        write_blob(where, data)
    write_index(where, [descriptor(each.manifest, OCI_MANIFEST) for each in (arm, APP)])
    assert pull("oci", where).cmd == ("/app",)
    assert pull("oci", where, None, ARM64).cmd == ("/arm",)
    with pytest.raises(UnsupportedImageError, match=r"(?s)linux/s390x.*linux/arm64, linux/amd64"):
        pull("oci", where, None, Platform.parse("linux/s390x"))


@pytest.mark.parametrize(
    "write", [lambda where, images: where, lambda where, images: tarred(where, where.with_suffix(".tar"))]
)
def test_a_tag_chooses_among_several(pull: Pull, tmp_path: Path, write: Any) -> None:
    images = {"one": APP, "two": OTHER}
    path = write(oci_layout(tmp_path / "app", images), images)
    transport = "oci" if path.is_dir() else "oci-archive"
    assert pull(transport, path, "two").cmd == ("/other",)
    with pytest.raises(ImageSourceError, match=r"(?s)several images.*one, two.*:one"):
        pull(transport, path)
    with pytest.raises(ImageSourceError, match=r"(?s)no image three.*one, two"):
        pull(transport, path, "three")


def test_the_full_name_that_containerd_writes_chooses_too(pull: Pull, tmp_path: Path) -> None:
    where = oci_layout(tmp_path / "app", {"1": APP})
    names = {"org.opencontainers.image.ref.name": "1", "io.containerd.image.name": "docker.io/library/app:1"}
    write_index(where, [{**descriptor(APP.manifest, OCI_MANIFEST), "annotations": names}])
    assert pull("oci", where, "docker.io/library/app:1").digest == APP.digest
    assert pull("oci", where, "1").digest == APP.digest


def test_one_image_of_several_names_needs_no_choice(pull: Pull, tmp_path: Path) -> None:
    assert pull("oci", oci_layout(tmp_path / "app", {"1": APP, "latest": APP})).digest == APP.digest


def test_an_empty_layout_says_so(pull: Pull, tmp_path: Path) -> None:
    with pytest.raises(ImageSourceError, match="holds no image"):
        pull("oci", oci_layout(tmp_path / "app", {}))


@pytest.mark.parametrize("form", ["new", "old", "oldest"])
def test_a_name_chooses_among_several_of_docker(pull: Pull, tmp_path: Path, form: str) -> None:
    path = docker_archive(tmp_path / "app.tar", {"app:1": APP, "docker.io/owner/other:latest": OTHER}, form)
    for tag in ("owner/other", "owner/other:latest", "docker.io/owner/other", "@1"):
        assert pull("docker-archive", path, tag).cmd == ("/other",)
    with pytest.raises(ImageSourceError, match=r"(?s)several images.*app:1, docker.io/owner/other:latest.*:app:1"):
        pull("docker-archive", path)
    for tag in ("app:2", "@2"):
        with pytest.raises(ImageSourceError, match=rf"(?s)no image {tag}.*app:1"):
            pull("docker-archive", path, tag)


def test_images_without_a_name_are_numbered(pull: Pull, tmp_path: Path) -> None:
    path = docker_archive(tmp_path / "app.tar", {"": APP, "other:1": OTHER})
    assert pull("docker-archive", path, "@0").cmd == ("/app",)
    with pytest.raises(ImageSourceError, match="@0, other:1"):
        pull("docker-archive", path)


# whether it was changed


def settled(path: Path) -> Path:
    """Let the moment pass in which a file may be written twice at one time."""
    time.sleep(0.06)
    return path


@pytest.mark.parametrize("write", FORMS)
def test_files_that_stay_resolve_to_the_same(tmp_path: Path, write: Any) -> None:
    transport, path = write(APP, tmp_path / "app")
    name = ArchiveReference(transport, settled(path))
    assert ArchiveSource().resolve(name) == ArchiveSource().resolve(name)


@pytest.mark.parametrize("write", FORMS)
def test_files_written_anew_resolve_to_something_else(pull: Pull, tmp_path: Path, write: Any) -> None:
    transport, path = write(APP, tmp_path / "app")
    state = pull(transport, settled(path)).state
    assert state == ArchiveSource().resolve(ArchiveReference(transport, path))
    path.rename(tmp_path / "before")
    write(OTHER, path.with_suffix("") if transport == "oci-archive" else path)
    assert ArchiveSource().resolve(ArchiveReference(transport, settled(path))) != state


def test_what_was_written_a_moment_ago_is_not_trusted_to_stay(tmp_path: Path) -> None:
    """The kernel's clock for files has ticks: a second change within one would go unnoticed."""
    path = docker_archive(tmp_path / "app.tar", {"app:1": APP})
    later = time.time_ns() + 3_600_000_000_000
    os.utime(path, ns=(later, later))
    name = ArchiveReference("docker-archive", path)
    assert ArchiveSource().resolve(name) != ArchiveSource().resolve(name)


# what it is not


@pytest.mark.parametrize(
    ("write", "said", "hint"),
    [
        (new_docker, "oci", "oci-archive: or docker-archive:"),
        (new_docker, "dir", "oci-archive: or docker-archive:"),
        (old_docker, "oci-archive", "docker-archive:"),
        (oldest_docker, "oci-archive", "docker-archive:"),
        (archive_of, "docker-archive", "oci-archive:"),
        (layout_of, "oci-archive", "oci:"),
        (layout_of, "docker-archive", "oci:"),
        (layout_of, "dir", "oci:"),
        (directory_of, "oci", "dir:"),
        (directory_of, "oci-archive", "dir:"),
    ],
)
def test_the_wrong_kind_is_told_with_the_right_one(
    pull: Pull, tmp_path: Path, write: Any, said: str, hint: str
) -> None:
    _, path = write(APP, tmp_path / "app")
    with pytest.raises(ImageSourceError) as caught:
        pull(said, path)
    assert f"use {hint}" in caught.value.hint and caught.value.path == str(path)


@pytest.mark.parametrize("transport", ["oci", "oci-archive", "docker-archive", "dir"])
def test_what_is_not_there_is_told(pull: Pull, tmp_path: Path, transport: str) -> None:
    with pytest.raises(ImageSourceError, match="nothing does not exist") as caught:
        pull(transport, tmp_path / "nothing")
    assert caught.value.hint


@pytest.mark.parametrize("data", [b"", b"PK\3\4" + bytes(600), b"x" * 100, bytes(10240)])
def test_a_file_that_is_no_archive_is_told(pull: Pull, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "app.tar"
    path.write_bytes(data)
    for transport in ("oci-archive", "docker-archive"):
        with pytest.raises(ImageSourceError, match=r"no tar archive|no OCI layout|no archive of docker save"):
            pull(transport, path)


@pytest.mark.parametrize("transport", ["oci-archive", "docker-archive"])
def test_a_fifo_is_not_waited_for(pull: Pull, tmp_path: Path, transport: str) -> None:
    os.mkfifo(tmp_path / "app.tar")
    with pytest.raises(ImageSourceError, match="no file"):
        pull(transport, tmp_path / "app.tar")


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_a_damaged_compressed_archive_is_told(pull: Pull, tmp_path: Path, compress: Any) -> None:
    transport, path = new_docker(APP, tmp_path / "app")
    data = compress(path.read_bytes())
    for broken in (data[: len(data) // 2], data[:20] + b"\xff" * 40 + data[60:]):
        path.write_bytes(broken)
        with pytest.raises(CorruptImageError, match="damaged"):
            pull(transport, path)


def test_no_room_to_decompress_names_the_way_out(pull: Pull, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    transport, path = new_docker(APP, tmp_path / "app")
    path.write_bytes(gzip.compress(path.read_bytes()))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "absent"))
    with pytest.raises(ImageSourceError, match="TMPDIR"):
        pull(transport, path)


# hostile and broken


def hostile_layout(where: Path, change: Callable[[Path, dict[str, Any]], object]) -> Path:
    """A layout of APP after *change*, which gets its directory and its manifest's descriptor."""
    oci_layout(where, {"1": APP})
    entry = json.loads((where / "index.json").read_text())["manifests"][0]
    change(where, entry)
    write_index(where, [entry])
    return where


def blob(where: Path, digest: Digest) -> Path:
    return where / "blobs" / digest.algorithm / digest.hex


def replace_by_link(path: Path) -> None:
    secret = path.parent / "elsewhere"
    path.rename(secret)
    path.symlink_to(secret)


def move_blobs_away(where: Path, _entry: object) -> None:
    (where / "blobs").rename(where.with_name("outside"))
    (where / "blobs").symlink_to(where.with_name("outside"))


def make_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


HOSTILE_LAYOUTS = {
    # CVE-2024-3727: digests that become paths.
    "a digest that climbs": lambda where, entry: entry.update(digest="sha256:../../../../etc/passwd"),
    "a digest with a slash": lambda where, entry: entry.update(digest="sha256:" + "a" * 62 + "/a"),
    "an algorithm that climbs": lambda where, entry: entry.update(digest="../blobs:" + "a" * 64),
    "a digest of nothing": lambda where, entry: entry.update(digest=""),
    "an absent blob": lambda where, entry: blob(where, APP.config_digest).unlink(),
    "a manifest that is a link": lambda where, entry: replace_by_link(blob(where, APP.digest)),
    "a layer that is a link": lambda where, entry: replace_by_link(blob(where, TOP.digest)),
    "blobs elsewhere": move_blobs_away,
    "a layer that is a fifo": lambda where, entry: make_fifo(blob(where, TOP.digest)),
    "a config that is a directory": lambda where, entry: [
        blob(where, APP.config_digest).unlink(),
        blob(where, APP.config_digest).mkdir(),
    ],
    "a manifest of another size": lambda where, entry: entry.update(size=entry["size"] + 1),
    "a manifest that was changed": lambda where, entry: blob(where, APP.digest).write_bytes(
        APP.manifest.replace(b"sha256", b"sha257", 1)
    ),
    "a config that was changed": lambda where, entry: blob(where, APP.config_digest).write_bytes(
        APP.config.replace(b"/app", b"/App")
    ),
    "a layer that was changed": lambda where, entry: blob(where, TOP.digest).write_bytes(b"y" * len(TOP.blob)),
    "a layer that is too short": lambda where, entry: blob(where, TOP.digest).write_bytes(TOP.blob[:-512]),
    "a layer that is too long": lambda where, entry: blob(where, TOP.digest).write_bytes(TOP.blob + bytes(512)),
    "an image that is called an index": lambda where, entry: entry.update(
        mediaType="application/vnd.oci.image.index.v1+json"
    ),
    "a negative size": lambda where, entry: entry.update(size=-1),
    "data that are another's": lambda where, entry: entry.update(data="e30="),
}


@pytest.mark.parametrize("case", HOSTILE_LAYOUTS)
def test_a_hostile_layout_gives_an_error_and_nothing_else(pull: Pull, tmp_path: Path, case: str) -> None:
    with pytest.raises(CorruptImageError):
        pull("oci", hostile_layout(tmp_path / "app", HOSTILE_LAYOUTS[case]))


# In a tar, a link inside the layout leads to another member, as it should.
@pytest.mark.parametrize("case", [case for case in HOSTILE_LAYOUTS if not case.endswith("that is a link")])
def test_a_hostile_layout_in_an_archive_does_the_same(pull: Pull, tmp_path: Path, case: str) -> None:
    where = hostile_layout(tmp_path / "app", HOSTILE_LAYOUTS[case])
    with pytest.raises(CorruptImageError):
        pull("oci-archive", tarred(where, tmp_path / "app.tar"))


def test_an_index_that_lists_indexes_without_end_is_refused(pull: Pull, tmp_path: Path) -> None:
    deep = index(APP)
    for _ in range(6):
        deep = index(deep)
    with pytest.raises(CorruptImageError, match="deep"):
        pull("oci", oci_layout(tmp_path / "deep", {"1": deep}))


def test_an_index_of_very_many_images_is_refused(pull: Pull, tmp_path: Path) -> None:
    arm = image([BASE], architecture="arm64")
    where = oci_layout(tmp_path / "app", {None: arm})
    write_index(where, [descriptor(arm.manifest, OCI_MANIFEST)] * 5000)
    with pytest.raises(CorruptImageError, match="1000 documents"):
        pull("oci", where)


@pytest.mark.parametrize("version", ["2.0.0", "", 1, None])
def test_a_layout_of_another_version_is_refused(pull: Pull, tmp_path: Path, version: Any) -> None:
    where = oci_layout(tmp_path / "app", {"1": APP})
    (where / "oci-layout").write_text(json.dumps({"imageLayoutVersion": version}))
    with pytest.raises(UnsupportedImageError, match="version"):
        pull("oci", where)


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, '{"schemaVersion": 2}', APP.manifest.decode()])
def test_an_index_that_is_none_is_refused(pull: Pull, tmp_path: Path, text: str) -> None:
    where = oci_layout(tmp_path / "app", {"1": APP})
    (where / "index.json").write_text(text)
    with pytest.raises(CorruptImageError):
        pull("oci", where)


def hostile_docker(where: Path, manifest: Any, *members: tuple[str, bytes | str]) -> Path:
    text = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
    where.write_bytes(tar_of([("manifest.json", text), ("config.json", OTHER.config), ("layer", TOP.blob), *members]))
    return where


def listed(**fields: Any) -> list[dict[str, Any]]:
    return [{"Config": "config.json", "RepoTags": None, "Layers": ["layer"], **fields}]


HOSTILE_ARCHIVES: dict[str, tuple[Any, tuple[tuple[str, bytes | str], ...]]] = {
    "a layer that climbs": (listed(Layers=["../../../../etc/passwd"]), ()),
    "a layer at an absolute path": (listed(Layers=["/etc/passwd"]), ()),
    "a config that climbs": (listed(Config="../../../../etc/passwd"), ()),
    "a link out of the archive": (listed(Layers=["x"]), (("x", "/etc/passwd"),)),
    "a link that climbs": (listed(Layers=["a/x"]), (("a/x", "../../../etc/passwd"),)),
    "a link to itself": (listed(Layers=["x"]), (("x", "x"),)),
    "links in a circle": (listed(Layers=["x"]), (("x", "y"), ("y", "x"))),
    "a long chain of links": (listed(Layers=["l0"]), tuple((f"l{n}", f"l{n + 1}") for n in range(40))),
    "a config that is a link out": (listed(Config="x"), (("x", "/etc/passwd"),)),
    "another layer": (listed(Layers=["other"]), (("other", BASE.blob),)),
    "too few layers": (listed(Layers=[]), ()),
    "too many layers": (listed(Layers=["layer", "layer"]), ()),
    "another config than its name says": (listed(Config="c" * 64 + ".json"), (("c" * 64 + ".json", OTHER.config),)),
    "a config that is none": (listed(Config="layer"), ()),
    "layers that are text": (listed(Layers="layer"), ()),
    "layers that are numbers": (listed(Layers=[1]), ()),
    "tags that are a number": (listed(RepoTags=1), ()),
    "no config": ([{"Layers": []}], ()),
    "an object": ({}, ()),
    "a list of nothing": ([None], ()),
    "no JSON": (b"{", ()),
    "JSON without end": (b"[" * 100_000, ()),
}


@pytest.mark.parametrize("case", HOSTILE_ARCHIVES)
def test_a_hostile_docker_archive_gives_an_error_and_nothing_else(pull: Pull, tmp_path: Path, case: str) -> None:
    manifest, members = HOSTILE_ARCHIVES[case]
    with pytest.raises(CorruptImageError):
        pull("docker-archive", hostile_docker(tmp_path / "app.tar", manifest, *members))


def test_the_archive_those_are_made_from_is_whole(pull: Pull, tmp_path: Path) -> None:
    assert pull("docker-archive", hostile_docker(tmp_path / "app.tar", listed())).cmd == ("/other",)


def test_a_changed_config_is_told_by_its_name(pull: Pull, tmp_path: Path) -> None:
    name = f"{OTHER.config_digest.hex}.json"
    members = (name, OTHER.config.replace(b"/other", b"/Other"))
    with pytest.raises(DigestMismatchError, match="not what its digest says"):
        pull("docker-archive", hostile_docker(tmp_path / "app.tar", listed(Config=name), members))


@pytest.mark.parametrize(
    "documents",
    [
        {"repositories": {"app": {"1": "a"}}, "a/json": {"parent": "a"}, "a/layer.tar": {}},
        {"repositories": {"app": {"1": "a"}}, "a/json": {"parent": 1}, "a/layer.tar": {}},
        {"repositories": {"app": {"1": "a"}}, "a/json": {}},
        {"repositories": {"app": {"1": "../x"}}, "a/json": {}},
        {"repositories": {"app": 1}},
        {"repositories": {"app": {"1": "a"}}, "a/json": {"os": 1, "config": []}, "a/layer.tar": {}},
    ],
)
def test_a_broken_archive_of_the_oldest_form_is_refused(pull: Pull, tmp_path: Path, documents: dict[str, Any]) -> None:
    path = tmp_path / "app.tar"
    path.write_bytes(tar_of([(name, json.dumps(content).encode()) for name, content in documents.items()]))
    with pytest.raises((CorruptImageError, ImageSourceError)):
        pull("docker-archive", path)


def test_an_extended_header_of_any_size_is_not_read(pull: Pull, tmp_path: Path) -> None:
    info = tarfile.TarInfo("PaxHeaders/x")
    info.type, info.size = b"x", 1 << 30
    path = tmp_path / "app.tar"
    path.write_bytes(info.tobuf(tarfile.USTAR_FORMAT))
    os.truncate(path, 2 << 30)  # sparse
    with pytest.raises(CorruptImageError, match="extended header"):
        pull("docker-archive", path)


@pytest.mark.parametrize(
    "records", [b"5 a=b\n", b"x", b"-1 a=b\n", b"0 a=b\n", b"99999999999999999999 a=b\n", b"6 abc\n"]
)
def test_a_pax_header_of_nonsense_is_refused(pull: Pull, tmp_path: Path, records: bytes) -> None:
    info = tarfile.TarInfo("PaxHeaders/x")
    info.type, info.size = b"x", len(records)
    path = tmp_path / "app.tar"
    path.write_bytes(
        info.tobuf(tarfile.USTAR_FORMAT) + records.ljust(512, b"\0") + new_docker(APP, path)[1].read_bytes()
    )
    with pytest.raises(CorruptImageError, match="nonsense"):
        pull("docker-archive", path)


def test_a_truncated_archive_is_never_taken_for_a_whole_one(pull: Pull, tmp_path: Path) -> None:
    whole = new_docker(APP, tmp_path / "whole")[1].read_bytes()
    end = len(whole.rstrip(b"\0"))
    path = tmp_path / "app.tar"
    for size in range(0, end - 600, 400):
        path.write_bytes(whole[:size])
        with pytest.raises((CorruptImageError, ImageSourceError)):
            pull("docker-archive", path)


Change = tuple[int, int]


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    form=st.sampled_from(["new", "old", "oldest", "oci"]),
    changes=st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), min_size=1, max_size=8),
    cut=st.integers(0, 2**20),
)
def test_whatever_an_archive_holds_it_gives_an_image_or_an_error(
    tmp_path: Path, form: str, changes: list[Change], cut: int
) -> None:
    """Mutated where it matters: in headers and documents, which are next to the blocks' beginnings."""
    path = tmp_path / f"{form}.tar"
    if form == "oci":
        tarred(oci_layout(tmp_path / "oci", {"1": OTHER}), path)
    else:
        docker_archive(path, {"other:1": OTHER}, form)
    data = bytearray(path.read_bytes())
    for position, value in changes:
        block, offset = divmod(position, 512)
        data[block * 512 % len(data) + offset] = value
    if cut % 3 == 0:
        del data[cut % len(data) :]
    path.write_bytes(_checksums(data) if cut % 2 else data)
    before = set(os.listdir(tmp_path))
    transport = "oci-archive" if form == "oci" else "docker-archive"
    with no_descriptor_left():
        try:
            pulled = Pulled(ArchiveReference(transport, path), AMD64, Layout(tmp_path / "store"))
        except LxContainerError:
            pass
        else:
            assert [sha256_of(each) for each in pulled.layers] == list(pulled.diff_ids)
    assert set(os.listdir(tmp_path)) - before <= {"store"}


def _checksums(data: bytearray) -> bytearray:
    """Mend the checksums of what may be headers, so that what is in them is looked at."""
    for start in range(0, len(data) - 511, 512):
        if data[start + 257 : start + 262] == b"ustar":
            data[start + 148 : start + 156] = b" " * 8
            data[start + 148 : start + 156] = b"%06o\0 " % sum(data[start : start + 512])
    return data
