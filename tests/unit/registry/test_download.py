from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from pytest_lxcontainer.errors import (
    CorruptImageError,
    ImageNotFoundError,
    LxContainerError,
    RegistryError,
    RegistryUnreachableError,
)
from pytest_lxcontainer.image import Descriptor, Reference, sha256_of
from pytest_lxcontainer.registry.client import RegistryClient
from tests.fakes.images import image, layer_of_tar
from tests.fakes.registry import FakeRegistry

ALPINE = Reference.parse("alpine")
BLOB = bytes(range(256)) * 4096
BIG = layer_of_tar(BLOB, compression="")
BIG_BLOB = Descriptor(BIG.media_type, BIG.digest, len(BLOB))
PATH = f"/v2/library/alpine/blobs/{BIG.digest}"


@pytest.fixture
def hub(registry: FakeRegistry) -> FakeRegistry:
    registry.push(image([BIG]), "library/alpine", "latest")
    return registry


@pytest.fixture
def elsewhere() -> Iterator[FakeRegistry]:
    """Another server that has the blob, under the same path."""
    with FakeRegistry() as other:
        other.push(image([BIG]), "library/alpine", "latest")
        yield other


def read(client: RegistryClient, blob: Descriptor = BIG_BLOB) -> bytes:
    with client.open_blob(ALPINE, blob) as chunks:
        return b"".join(chunks)


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("honour_range", [False, True])
@pytest.mark.parametrize("content_range", [None, "416", "bytes 7-1048575/1048576", "bytes */*", "nonsense", ""])
def test_a_broken_download_comes_out_whole_whatever_the_server_makes_of_ranges(
    hub: FakeRegistry, client: RegistryClient, honour_range: bool, content_range: str | None, chunked: bool
) -> None:
    hub.truncate_blobs, hub.chunked = 1, chunked
    hub.honour_range, hub.content_range = honour_range, content_range
    assert read(client) == BLOB


def test_only_what_is_missing_is_asked_for(hub: FakeRegistry, client: RegistryClient) -> None:
    hub.truncate_blobs = 1
    assert read(client) == BLOB
    assert hub.requests["GET", PATH] == 2
    assert hub.bytes_sent == len(BLOB)


def test_tries_that_bring_something_are_not_counted(
    hub: FakeRegistry, client: RegistryClient, pauses: list[float]
) -> None:
    hub.truncate_blobs = 4  # the last break is after 15/16, of which each brought at least 64 KiB
    assert read(client) == BLOB
    assert hub.requests["GET", PATH] == 5
    assert pauses == [0.25] * 4


def test_tries_that_bring_next_to_nothing_are_counted(
    hub: FakeRegistry, client: RegistryClient, pauses: list[float]
) -> None:
    hub.truncate_blobs = 100
    with pytest.raises(RegistryUnreachableError, match="and 3 tries no more"):
        read(client)
    assert pauses[-2:] == [0.25, 0.5]


def test_a_download_that_stalls_is_taken_up_again(hub: FakeRegistry) -> None:
    hub.stall_blobs = 1
    with RegistryClient({"docker.io": hub.url}, timeout=0.2, sleep=lambda seconds: None) as client:
        assert read(client) == BLOB
    assert hub.requests["GET", PATH] == 2


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_in_trouble_is_asked_again_in_the_midst(
    hub: FakeRegistry, client: RegistryClient, pauses: list[float], status: int
) -> None:
    hub.truncate_blobs = 1
    with client.open_blob(ALPINE, BIG_BLOB) as chunks:
        first = next(chunks)
        hub.fail(1, status=status, Retry_After="3")
        assert first + b"".join(chunks) == BLOB
    assert 3.0 in pauses


def test_a_blob_that_vanishes_in_the_midst_is_told(hub: FakeRegistry, client: RegistryClient) -> None:
    hub.truncate_blobs = 1
    with client.open_blob(ALPINE, BIG_BLOB) as chunks:
        next(chunks)
        hub.repository("library/alpine").blobs.clear()
        with pytest.raises(ImageNotFoundError):
            list(chunks)


@pytest.mark.parametrize("size", [0, 1, len(BLOB) - 1, len(BLOB) + 1, 2**62])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_blob_of_another_size_than_the_manifest_says_is_refused(
    hub: FakeRegistry, client: RegistryClient, size: int, chunked: bool
) -> None:
    hub.chunked = chunked
    with pytest.raises(CorruptImageError if size < len(BLOB) or not chunked else RegistryUnreachableError):
        read(client, replace(BIG_BLOB, size=size))


def test_a_part_where_the_whole_was_asked_for_is_refused(hub: FakeRegistry, client: RegistryClient) -> None:
    hub.answer = (206, BLOB, {"Content-Range": f"bytes 0-{len(BLOB) - 1}/{len(BLOB)}"})
    with pytest.raises(RegistryError, match="a part of a blob where it was asked for the whole"):
        read(client)


def test_a_layer_that_a_server_calls_encoded_comes_as_it_is(hub: FakeRegistry, client: RegistryClient) -> None:
    hub.headers = {"Content-Encoding": "gzip"}
    assert read(client) == BLOB


def test_a_blob_that_the_manifest_holds_is_not_asked_for(registry: FakeRegistry, client: RegistryClient) -> None:
    held = Descriptor("application/vnd.oci.image.config.v1+json", sha256_of(b"{}"), 2, data=b"{}")
    assert read(client, held) == b"{}"
    assert not registry.requests


def test_a_foreign_layer_is_got_from_the_registry_where_it_has_it(
    hub: FakeRegistry, client: RegistryClient, elsewhere: FakeRegistry
) -> None:
    assert read(client, replace(BIG_BLOB, urls=(elsewhere.url + PATH,))) == BLOB
    assert not elsewhere.requests


@pytest.mark.parametrize("truncated", [0, 1])
def test_a_foreign_layer_is_got_from_its_url_without_credentials(
    hub: FakeRegistry, client: RegistryClient, elsewhere: FakeRegistry, truncated: int
) -> None:
    """CVE-2020-15157."""
    hub.repository("library/alpine").blobs.clear()
    hub.token, elsewhere.truncate_blobs = "t0ken", truncated
    urls = ("https://169.254.169.254/x", elsewhere.url + "/nothing-there", elsewhere.url + PATH)
    assert read(client, replace(BIG_BLOB, urls=urls)) == BLOB
    assert {header for _, header in elsewhere.authorizations} == {None}


@pytest.mark.parametrize("challenge", ['Basic realm="x"', 'Bearer realm="{url}/token"'])
def test_a_foreign_place_may_not_ask_for_credentials(
    hub: FakeRegistry, client: RegistryClient, elsewhere: FakeRegistry, challenge: str
) -> None:
    hub.repository("library/alpine").blobs.clear()
    elsewhere.token, elsewhere.challenge = "t0ken", challenge.format(url=elsewhere.url)
    with pytest.raises(ImageNotFoundError, match="nor a place its manifest names") as caught:
        read(client, replace(BIG_BLOB, urls=(elsewhere.url + PATH,)))
    assert "HTTP 401" in caught.value.details
    assert elsewhere.token_forms == []


@pytest.mark.parametrize("url", ["http://a.example/x", "ftp://a.example/x", "file:///etc/passwd", "https://[::1", ""])
def test_a_foreign_place_that_is_unsafe_is_not_asked(hub: FakeRegistry, client: RegistryClient, url: str) -> None:
    hub.repository("library/alpine").blobs.clear()
    with pytest.raises(LxContainerError, match="unsafe place"):
        read(client, replace(BIG_BLOB, urls=(url,)))
