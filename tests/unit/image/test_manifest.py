from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from pytest_lxcontainer.errors import CorruptImageError, UnsupportedImageError
from pytest_lxcontainer.image import Index, Manifest, Platform, parse_manifest
from pytest_lxcontainer.image.manifest import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    MAX_MANIFEST_SIZE,
    Descriptor,
    available,
    candidates,
    no_platform,
)
from tests.fakes.images import image, index, layer

OCI_MANIFEST, DOCKER_MANIFEST = MANIFEST_TYPES
OCI_INDEX, DOCKER_LIST = INDEX_TYPES
BUILT = image([layer({"a": "1"}), layer({"b": "2"}, compression="")])
LISTED = index(BUILT)


def changed(data: bytes, **changes: Any) -> bytes:
    """Return the document with keys replaced; ``None`` removes one."""
    document = {**json.loads(data), **changes}
    return json.dumps({key: value for key, value in document.items() if value is not None}).encode()


def with_descriptor(**changes: Any) -> bytes:
    entry = {**json.loads(BUILT.manifest)["layers"][0], **changes}
    return changed(BUILT.manifest, layers=[entry])


def test_a_manifest_lists_its_layers_base_first() -> None:
    manifest = parse_manifest(BUILT.manifest, OCI_MANIFEST)
    assert isinstance(manifest, Manifest)
    assert manifest.config.digest == BUILT.config_digest
    assert [part.digest for part in manifest.layers] == [part.digest for part in BUILT.layers]
    assert manifest.size == sum(map(len, BUILT.blobs))


def test_an_index_lists_images_with_their_platforms() -> None:
    found = parse_manifest(LISTED.manifest, OCI_INDEX)
    assert isinstance(found, Index)
    assert [(entry.digest, entry.platform) for entry in found.manifests] == [(BUILT.digest, Platform("linux", "amd64"))]


@pytest.mark.parametrize(
    ("data", "content_type", "kind"),
    [
        (BUILT.manifest, OCI_MANIFEST + "; charset=utf-8", Manifest),
        (BUILT.manifest, OCI_MANIFEST.upper(), Manifest),
        (BUILT.manifest, "application/json", Manifest),
        (BUILT.manifest, None, Manifest),
        (changed(BUILT.manifest, mediaType=None), OCI_MANIFEST, Manifest),
        (changed(BUILT.manifest, mediaType=None), None, Manifest),
        (changed(BUILT.manifest, mediaType=DOCKER_MANIFEST), DOCKER_MANIFEST, Manifest),
        (changed(BUILT.manifest, mediaType=None), DOCKER_MANIFEST, Manifest),
        (changed(LISTED.manifest, mediaType=None), None, Index),
        (changed(LISTED.manifest, mediaType=DOCKER_LIST), DOCKER_LIST, Index),
        (changed(BUILT.manifest, layers=[]), None, Manifest),
    ],
)
def test_both_specifications_forms_are_read(data: bytes, content_type: str | None, kind: type) -> None:
    assert isinstance(parse_manifest(data, content_type), kind)


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (b"", None),
        (b"<html>", None),
        (b"[]", None),
        (b"\xff\xfe", None),
        (b"[" * 100_000, None),
        (b"{" + b" " * MAX_MANIFEST_SIZE + b"}", None),
        (b"{}", None),
        (BUILT.manifest, OCI_INDEX),
        (BUILT.manifest, DOCKER_MANIFEST),
        (LISTED.manifest, OCI_MANIFEST),
        (changed(LISTED.manifest, mediaType=None), OCI_MANIFEST),
        (changed(BUILT.manifest, mediaType=None), OCI_INDEX),
        (changed(BUILT.manifest, manifests=[]), OCI_MANIFEST),
        (changed(BUILT.manifest, fsLayers=[]), OCI_MANIFEST),
        (changed(LISTED.manifest, layers=[]), OCI_INDEX),
        (changed(LISTED.manifest, config={}), OCI_INDEX),
        (changed(BUILT.manifest, schemaVersion=3), None),
        (changed(BUILT.manifest, schemaVersion=None), None),
        (changed(BUILT.manifest, mediaType=7), None),
        (changed(BUILT.manifest, layers=None), None),
        (changed(BUILT.manifest, layers={}), None),
        (changed(BUILT.manifest, layers=["x"]), None),
        (changed(BUILT.manifest, config=None), None),
        (with_descriptor(size=-1), None),
        (with_descriptor(size="1"), None),
        (with_descriptor(size=1.5), None),
        (with_descriptor(size=True), None),
        (with_descriptor(size=None), None),
        (with_descriptor(digest="sha256:../../etc"), None),
        (with_descriptor(digest=None), None),
        (with_descriptor(mediaType=None), None),
        (with_descriptor(platform="linux"), None),
        (with_descriptor(platform={"os": 1}), None),
        (with_descriptor(annotations=[1]), None),
        (with_descriptor(annotations={"a": [1]}), None),
        (with_descriptor(size=2**63), None),
        (with_descriptor(size=10**400), None),
        (with_descriptor(digest="sha1:" + "a" * 40), None),
        (with_descriptor(digest="sha256:" + "A" * 64), None),
        (with_descriptor(digest="sha512:" + "a" * 64), None),
        (with_descriptor(digest=["sha256:" + "a" * 64]), None),
        (with_descriptor(digest="sha256:" + "a" * 62 + "/."), None),
        (with_descriptor(data="%%%"), None),
        (with_descriptor(data="é"), None),
        (with_descriptor(data=7), None),
        (with_descriptor(data=base64.b64encode(b"short").decode()), None),
        (with_descriptor(data=base64.b64encode(b"other").decode(), size=5), None),
        (with_descriptor(urls="https://a.example"), None),
        (with_descriptor(urls=[1]), None),
    ],
)
def test_a_document_that_contradicts_itself_or_the_specification_is_refused(
    data: bytes, content_type: str | None
) -> None:
    with pytest.raises(CorruptImageError):
        parse_manifest(data, content_type)


@pytest.mark.parametrize(
    ("data", "content_type", "said"),
    [
        (b'{"schemaVersion": 1, "fsLayers": []}', None, "schema 1"),
        (b"{}", "application/vnd.docker.distribution.manifest.v1+prettyjws", "schema 1"),
        (
            changed(BUILT.manifest, mediaType="application/vnd.oci.artifact.manifest.v1+json"),
            None,
            "artifact",
        ),
        (
            changed(
                BUILT.manifest,
                artifactType="application/vnd.example",
                config={
                    **json.loads(BUILT.manifest)["config"],
                    "mediaType": "application/vnd.oci.empty.v1+json",
                },
            ),
            None,
            "application/vnd.example",
        ),
        (
            with_descriptor(mediaType="application/vnd.oci.image.layer.v1.tar+gzip+encrypted"),
            None,
            "encrypted",
        ),
        (with_descriptor(mediaType="application/vnd.in-toto+json"), None, "in-toto"),
    ],
)
def test_what_is_no_image_is_refused_by_its_name(data: bytes, content_type: str | None, said: str) -> None:
    with pytest.raises(UnsupportedImageError, match=said):
        parse_manifest(data, content_type)


def test_the_bytes_a_descriptor_holds_are_verified_and_kept() -> None:
    blob = BUILT.layers[0].blob
    manifest = parse_manifest(with_descriptor(data=base64.b64encode(blob).decode(), urls=["https://a.example/x"]))
    assert isinstance(manifest, Manifest)
    assert (manifest.layers[0].data, manifest.layers[0].urls) == (blob, ("https://a.example/x",))
    assert "data" not in repr(manifest.layers[0])


def test_a_sha512_digest_is_one() -> None:
    digest = "sha512:" + "ab" * 64
    manifest = parse_manifest(with_descriptor(digest=digest))
    assert isinstance(manifest, Manifest)
    assert str(manifest.layers[0].digest) == digest


@pytest.mark.parametrize(
    "media_type",
    [
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.docker.image.rootfs.diff.tar",
    ],
)
def test_every_layer_type_there_was_is_read(media_type: str) -> None:
    assert isinstance(parse_manifest(with_descriptor(mediaType=media_type)), Manifest)


def select(found: Index, platform: Platform) -> Descriptor:
    """Return what a client asks for first."""
    for entry in candidates(found, platform):
        return entry
    raise no_platform(platform, available(found))


def parsed_index(*platforms: str | None, attestation: bool = False) -> Index:
    images = []
    for number, text in enumerate(platforms):
        wanted = Platform.parse(text) if text else None
        parts = {"os": wanted.os, "architecture": wanted.architecture, "variant": wanted.variant} if wanted else {}
        images.append(image([layer({str(number): ""})], **parts))
    found = parse_manifest(index(*images, attestation=attestation).manifest)
    assert isinstance(found, Index)
    return found


@pytest.mark.parametrize(
    ("available", "wanted", "position"),
    [
        (["linux/amd64", "linux/arm64"], "linux/arm64", 1),
        (["linux/amd64", "linux/arm64/v8"], "linux/aarch64", 1),
        (["linux/arm/v5", "linux/arm/v6", "linux/arm/v7"], "linux/arm/v7", 2),
        (["linux/arm/v5", "linux/arm/v6"], "linux/armhf", 1),
        (["linux/arm/v5", "linux/arm/v7"], "linux/arm/v6", 0),
        (["linux/amd64/v4", "linux/amd64/v2", "linux/amd64"], "linux/amd64/v3", 1),
        (["linux/amd64/v2", "linux/amd64"], "linux/amd64", 1),
        (["windows/amd64", "linux/amd64", "linux/amd64"], "linux/amd64", 1),
    ],
)
def test_the_best_platform_is_selected(available: list[str], wanted: str, position: int) -> None:
    found = parsed_index(*available)
    assert select(found, Platform.parse(wanted)) == found.manifests[position]


def test_attestations_are_never_selected() -> None:
    found = parsed_index("linux/amd64", attestation=True)
    assert select(found, Platform.parse("linux/amd64")).platform == Platform("linux", "amd64")


def test_a_missing_platform_is_refused_with_those_there_are() -> None:
    found = parsed_index("linux/arm64", "windows/amd64", attestation=True)
    with pytest.raises(UnsupportedImageError, match=r"available: linux/arm64, windows/amd64\n"):
        select(found, Platform.parse("linux/amd64"))


def test_what_is_listed_and_no_image_is_passed_over() -> None:
    listed = json.loads(index(BUILT, BUILT).manifest)
    listed["manifests"][0]["mediaType"] = "application/vnd.example.signature+json"
    found = parse_manifest(json.dumps(listed).encode())
    assert isinstance(found, Index)
    assert select(found, Platform("linux", "amd64")) == found.manifests[1]


def test_a_thousand_platforms_are_not_all_told() -> None:
    listed = json.loads(index(BUILT).manifest)
    entry = listed["manifests"][0]
    listed["manifests"] = [
        {**entry, "platform": {"os": "linux", "architecture": f"\x1b[{number}"}} for number in range(1000)
    ]
    found = parse_manifest(json.dumps(listed).encode())
    assert isinstance(found, Index)
    with pytest.raises(UnsupportedImageError) as caught:
        select(found, Platform("linux", "amd64"))
    assert len(caught.value.details) < 1000
    assert "linux/?[29, …" in caught.value.details


def test_an_entry_without_platform_is_the_last_resort() -> None:
    nested = parse_manifest(index(index(BUILT), BUILT).manifest)
    assert isinstance(nested, Index)
    assert select(nested, Platform.parse("linux/amd64")) == nested.manifests[1]
    assert select(nested, Platform.parse("linux/s390x")) == nested.manifests[0]
