from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import sys
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_lxcontainer.errors import (
    CorruptImageError,
    DigestMismatchError,
    ImageNotFoundError,
    InvalidSettingsError,
    RateLimitedError,
    RegistryError,
    RegistryUnreachableError,
    UnsupportedImageError,
)
from pytest_lxcontainer.image import Descriptor, Digest, Platform, Reference, sha256_of
from pytest_lxcontainer.image.manifest import MAX_MANIFEST_SIZE
from pytest_lxcontainer.registry.client import RegistryClient
from pytest_lxcontainer.registry.notices import RateLimit
from tests.fakes.images import BuiltIndex, image, index, layer, layer_of_tar, push
from tests.fakes.registry import FakeRegistry

ALPINE = Reference.parse("alpine")
AMD64 = Platform.parse("linux/amd64")
ARM64 = Platform.parse("linux/arm64")
BIG = layer_of_tar(bytes(range(256)) * 4096, compression="")
BUILT = image([layer({"a": "1"}), BIG])
OTHER = image([layer({"a": "arm"})], architecture="arm64")
LISTED = index(BUILT, OTHER, attestation=True)
BIG_BLOB = Descriptor(BIG.media_type, BIG.digest, len(BIG.blob))


def read(client: RegistryClient, blob: Descriptor = BIG_BLOB) -> bytes:
    with client.open_blob(ALPINE, blob) as chunks:
        return b"".join(chunks)


@pytest.fixture
def hub(registry: FakeRegistry) -> FakeRegistry:
    registry.push(LISTED, "library/alpine", "latest")
    registry.push(BUILT, "library/alpine", "plain")
    return registry


def test_a_manifest_comes_with_its_digest_and_bytes(hub: FakeRegistry, client: RegistryClient) -> None:
    fetched = client.fetch_manifest(Reference.parse("alpine:plain"), AMD64)
    assert (fetched.digest, fetched.data, fetched.index_digest) == (BUILT.digest, BUILT.manifest, None)
    assert fetched.manifest.config.digest == BUILT.config_digest


def test_an_index_leads_to_the_platforms_manifest(hub: FakeRegistry, client: RegistryClient) -> None:
    for platform, built in ((AMD64, BUILT), (ARM64, OTHER)):
        fetched = client.fetch_manifest(ALPINE, platform)
        assert (fetched.digest, fetched.index_digest) == (built.digest, LISTED.digest)


def test_an_index_in_an_index_is_followed(registry: FakeRegistry, client: RegistryClient) -> None:
    outer = index(index(BUILT))
    registry.push(outer, "library/alpine", "latest")
    fetched = client.fetch_manifest(ALPINE, AMD64)
    assert (fetched.digest, fetched.index_digest) == (BUILT.digest, outer.digest)


def test_indexes_without_end_are_refused(registry: FakeRegistry, client: RegistryClient) -> None:
    nested: BuiltIndex = index(BUILT)
    for _ in range(5):
        nested = index(nested)
    registry.push(nested, "library/alpine", "latest")
    with pytest.raises(CorruptImageError, match="deep"):
        client.fetch_manifest(ALPINE, AMD64)


def test_the_index_that_has_the_platform_is_found_among_several(registry: FakeRegistry, client: RegistryClient) -> None:
    outer = index(index(image([], architecture="s390x")), index(OTHER), index(BUILT))
    registry.push(outer, "library/alpine", "latest")
    assert client.fetch_manifest(ALPINE, AMD64).digest == BUILT.digest
    with pytest.raises(UnsupportedImageError, match="available: linux/s390x, linux/arm64, linux/amd64\n"):
        client.fetch_manifest(ALPINE, Platform.parse("linux/riscv64"))


def test_an_index_of_countless_indexes_is_refused(registry: FakeRegistry, client: RegistryClient) -> None:
    countless = index(*(index(image([], architecture="arm", Labels={"n": str(n)})) for n in range(40)))
    registry.push(countless, "library/alpine", "latest")
    with pytest.raises(CorruptImageError, match="more than 32"):
        client.fetch_manifest(ALPINE, AMD64)
    assert registry.count("GET", "manifests") <= 33


def test_an_index_that_is_listed_as_a_manifest_is_refused(registry: FakeRegistry, client: RegistryClient) -> None:
    """CVE-2021-41190: the same bytes under two types."""
    listed = json.loads(index(LISTED).manifest)
    listed["manifests"][0].update(mediaType=BUILT.media_type, platform={"os": "linux", "architecture": "amd64"})
    registry.push(BuiltIndex(json.dumps(listed).encode(), (LISTED,)), "library/alpine", "latest")
    with pytest.raises(CorruptImageError, match="not of the type its index says"):
        client.fetch_manifest(ALPINE, AMD64)


def test_a_manifest_that_the_index_holds_is_not_asked_for(registry: FakeRegistry, client: RegistryClient) -> None:
    listed = json.loads(index(BUILT).manifest)
    listed["manifests"][0]["data"] = b64encode(BUILT.manifest).decode()
    registry.push(BuiltIndex(json.dumps(listed).encode(), ()), "library/alpine", "latest")
    fetched = client.fetch_manifest(ALPINE, AMD64)
    assert (fetched.digest, fetched.data) == (BUILT.digest, BUILT.manifest)
    assert registry.count("GET", "manifests") == 1


def test_a_digest_of_another_algorithm_is_refused_or_verified(hub: FakeRegistry, client: RegistryClient) -> None:
    digest = "sha512:" + hashlib.sha512(BUILT.manifest).hexdigest()
    manifests = hub.repository("library/alpine").manifests
    manifests[digest] = manifests["plain"]
    pinned = ALPINE.with_digest(Digest.parse(digest))
    assert client.fetch_manifest(pinned, AMD64).digest == pinned.digest
    manifests[digest] = manifests["latest"]
    with pytest.raises(DigestMismatchError):
        client.fetch_manifest(pinned, AMD64)


@pytest.mark.parametrize("said", ["md5:" + "a" * 32, "sha256:../../../etc/passwd", "sha256:" + "G" * 64, "\x7f"])
def test_a_digest_that_is_a_path_or_garbage_is_refused(hub: FakeRegistry, client: RegistryClient, said: str) -> None:
    """CVE-2024-3727."""
    hub.content_digest = said
    for look in (client.resolve, lambda reference: client.fetch_manifest(reference, AMD64)):
        with pytest.raises(CorruptImageError, match="is no digest"):
            look(ALPINE)


def test_a_manifest_without_end_is_refused(registry: FakeRegistry, client: RegistryClient) -> None:
    registry.answer = (200, b" " * (MAX_MANIFEST_SIZE + 1), {})
    with pytest.raises(CorruptImageError, match="more than"):
        client.fetch_manifest(ALPINE, AMD64)


def test_limits_are_kept_as_they_were_last_said(hub: FakeRegistry, client: RegistryClient) -> None:
    assert client.rate_limit is None
    hub.headers = {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "76;w=21600"}
    client.resolve(ALPINE)
    assert client.rate_limit == RateLimit(100, 76, 21600)
    hub.headers = {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "75;w=21600"}
    client.fetch_manifest(ALPINE, AMD64)
    hub.headers = {}
    read(client)
    client.resolve(ALPINE)
    assert client.rate_limit == RateLimit(100, 75, 21600)


def test_a_limit_is_told_with_all_that_is_known(hub: FakeRegistry, client: RegistryClient) -> None:
    headers = {"ratelimit_limit": "100;w=21600", "ratelimit_remaining": "0;w=21600"}
    hub.fail(100, status=429, docker_ratelimit_source="203.0.113.7", **headers)
    with pytest.raises(RateLimitedError, match=r"docker\.io allows no more pulls; they return within 6 h") as caught:
        client.fetch_manifest(ALPINE, AMD64)
    assert caught.value.details.startswith("0 of 100 pulls per 6 h left for 203.0.113.7")
    assert "docker login" in caught.value.hint and "--lxc-mirror docker.io=URL" in caught.value.hint


def test_warnings_are_kept_once_each(hub: FakeRegistry, client: RegistryClient) -> None:
    hub.headers = {"Warning": '299 - "this image is old, and \\"ends\\" soon", 299 - "second", 199 - "other"'}
    client.fetch_manifest(ALPINE, AMD64)
    read(client)
    assert client.warnings == ['this image is old, and "ends" soon', "second"]


def test_a_mirrors_path_goes_before_the_repository(registry: FakeRegistry) -> None:
    registry.push(BUILT, "hub/cache/library/alpine", "latest")
    registry.token = "t0ken"
    for path in ("hub/cache", "v2/hub/cache/"):
        with RegistryClient({"docker.io": f"{registry.url}/{path}"}) as client:
            assert client.fetch_manifest(ALPINE, AMD64).digest == BUILT.digest
            assert read(client) == BIG.blob
    assert registry.token_forms[0]["scope"] == ["repository:hub/cache/library/alpine:pull"]


def test_testcontainers_prefix_stands_before_the_names_of_hubs_images(
    registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.push(BUILT, "hub/alpine", "latest")
    registry.push(OTHER, "hub/bitnami/redis", "latest")
    monkeypatch.setenv("TESTCONTAINERS_HUB_IMAGE_NAME_PREFIX", f"{registry.host}/hub/")
    with RegistryClient() as client:
        assert client.resolve(ALPINE) == BUILT.digest
        assert client.resolve(Reference.parse("bitnami/redis")) == OTHER.digest
    with FakeRegistry() as mirror, RegistryClient({"docker.io": mirror.url}) as client:
        mirror.push(OTHER, "library/alpine", "latest")
        assert client.resolve(ALPINE) == OTHER.digest


def test_a_platform_that_is_not_there_is_refused(hub: FakeRegistry, client: RegistryClient) -> None:
    with pytest.raises(UnsupportedImageError, match="linux/amd64, linux/arm64"):
        client.fetch_manifest(ALPINE, Platform.parse("linux/s390x"))


def test_a_digest_is_asked_for_by_itself(hub: FakeRegistry, client: RegistryClient) -> None:
    pinned = Reference.parse("alpine:moved-away").with_digest(BUILT.digest)
    assert client.fetch_manifest(pinned, AMD64).digest == BUILT.digest


def test_other_bytes_than_the_digests_are_refused(hub: FakeRegistry, client: RegistryClient) -> None:
    kept = hub.repository("library/alpine").manifests
    kept[str(BUILT.digest)] = kept[str(OTHER.digest)]
    hub.content_digest = str(BUILT.digest)
    with pytest.raises(DigestMismatchError):
        client.fetch_manifest(ALPINE.with_digest(BUILT.digest), AMD64)


def test_other_bytes_than_the_header_says_are_refused(hub: FakeRegistry, client: RegistryClient) -> None:
    hub.content_digest = str(sha256_of(b"other"))
    with pytest.raises(DigestMismatchError) as caught:
        client.fetch_manifest(ALPINE, AMD64)
    assert caught.value.actual == str(LISTED.digest)


def test_a_content_type_that_contradicts_the_manifest_is_refused(hub: FakeRegistry, client: RegistryClient) -> None:
    hub.content_type = "application/vnd.oci.image.manifest.v1+json"
    with pytest.raises(CorruptImageError, match="not of the type"):
        client.fetch_manifest(ALPINE, AMD64)


def test_resolving_reads_no_manifest(hub: FakeRegistry, client: RegistryClient) -> None:
    assert client.resolve(ALPINE) == LISTED.digest
    assert hub.count("HEAD", "manifests") == 1
    assert hub.count("GET", "manifests") == 0


def test_one_connection_is_enough_for_a_pull(hub: FakeRegistry, client: RegistryClient) -> None:
    hub.head_status = 405
    client.resolve(ALPINE)
    hub.head_status = 200
    client.resolve(ALPINE)
    client.fetch_manifest(ALPINE, AMD64)
    assert read(client) == BIG.blob
    with pytest.raises(ImageNotFoundError):
        client.resolve(Reference.parse("alpine:3"))
    assert hub.connections == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 501])
def test_where_head_is_refused_the_manifest_is_read(hub: FakeRegistry, client: RegistryClient, status: int) -> None:
    hub.head_status = status
    assert client.resolve(ALPINE) == LISTED.digest


def test_a_limit_is_told_without_asking_further(hub: FakeRegistry, client: RegistryClient) -> None:
    hub.head_status, hub.headers = 429, {"Retry-After": "7200", "ratelimit-limit": "100;w=21600"}
    with pytest.raises(RateLimitedError, match="no more pulls for 2 h"):
        client.resolve(ALPINE)
    assert hub.count("GET", "manifests") == 0


def test_resolving_without_the_header_reads_the_manifest(hub: FakeRegistry, client: RegistryClient) -> None:
    hub.content_digest = ""
    assert client.resolve(ALPINE) == LISTED.digest


def test_resolving_a_digest_asks_nobody(registry: FakeRegistry, client: RegistryClient) -> None:
    assert client.resolve(ALPINE.with_digest(BUILT.digest)) == BUILT.digest
    assert not registry.requests


def test_an_unknown_tag_is_told_with_the_tags_there_are(hub: FakeRegistry, client: RegistryClient) -> None:
    for look in (client.resolve, lambda reference: client.fetch_manifest(reference, AMD64)):
        with pytest.raises(ImageNotFoundError, match="no such tag: alpine:3") as caught:
            look(Reference.parse("alpine:3"))
        assert caught.value.details == "tags are: latest, plain"
        assert caught.value.status == 404


def test_an_unknown_repository_is_told(hub: FakeRegistry, client: RegistryClient) -> None:
    with pytest.raises(ImageNotFoundError, match="has no repository library/alpnie"):
        client.fetch_manifest(Reference.parse("alpnie"), AMD64)


def test_a_registry_named_by_a_reference_is_asked_itself(registry: FakeRegistry) -> None:
    registry.push(BUILT, "app", "1")
    with RegistryClient() as client:
        assert client.resolve(Reference.parse(f"{registry.host}/app:1")) == BUILT.digest


def test_a_mirror_under_another_name_of_hub_is_hubs(hub: FakeRegistry) -> None:
    with RegistryClient({"index.docker.io": hub.url}) as client:
        assert client.resolve(ALPINE) == LISTED.digest


def test_plain_http_to_another_machine_is_refused() -> None:
    with (
        RegistryClient({"docker.io": "http://mirror.example"}) as client,
        pytest.raises(InvalidSettingsError),
    ):
        client.resolve(ALPINE)


def test_a_blob_is_streamed(hub: FakeRegistry, client: RegistryClient) -> None:
    with client.open_blob(ALPINE, BIG_BLOB) as chunks:
        sizes = [len(chunk) for chunk in chunks]
    assert sum(sizes) == len(BIG.blob)
    assert max(sizes) <= 256 * 1024


def test_blobs_are_fetched_in_parallel(hub: FakeRegistry, client: RegistryClient) -> None:
    hub.token = "t0ken"
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: read(client), range(6)))
    assert found == [BIG.blob] * 6
    assert len(hub.token_forms) == 1


def test_a_manifest_of_another_size_than_the_index_says_is_refused(
    registry: FakeRegistry, client: RegistryClient
) -> None:
    listed = json.loads(index(BUILT).manifest)
    listed["manifests"][0]["size"] += 1
    registry.push(BuiltIndex(json.dumps(listed).encode(), (BUILT,)), "library/alpine", "latest")
    with pytest.raises(CorruptImageError, match="the index says"):
        client.fetch_manifest(ALPINE, AMD64)


def test_an_unknown_blob_is_told(hub: FakeRegistry, client: RegistryClient) -> None:
    with pytest.raises(ImageNotFoundError, match="does not give the blob"):
        read(client, Descriptor("x", sha256_of(b"unknown"), 7))


def test_a_redirected_blob_is_fetched_without_the_credentials(hub: FakeRegistry, client: RegistryClient) -> None:
    hub.token = "t0ken"
    with FakeRegistry() as storage:
        storage.push(BUILT, "library/alpine", "plain")
        hub.redirect_blobs_to = storage.url
        assert read(client) == BIG.blob
        assert [header for _, header in storage.authorizations] == [None]


def test_a_storage_that_wants_credentials_gets_none(hub: FakeRegistry, client: RegistryClient) -> None:
    with FakeRegistry() as storage:
        storage.token = "t0ken"
        hub.redirect_blobs_to = storage.url
        with pytest.raises(RegistryError):
            read(client)
        assert storage.token_forms == []


@pytest.mark.parametrize("honour_range", [True, False])
def test_a_broken_download_is_resumed(hub: FakeRegistry, client: RegistryClient, honour_range: bool) -> None:
    hub.truncate_blobs, hub.honour_range = 2, honour_range
    assert read(client) == BIG.blob


def test_a_download_that_always_breaks_ends(hub: FakeRegistry, client: RegistryClient) -> None:
    hub.truncate_blobs = 100
    with pytest.raises(RegistryUnreachableError, match=r"of a blob's 1048576 bytes, and 3 tries no more"):
        read(client)


@pytest.mark.parametrize("status", [500, 502, 503, 429, 0])
def test_what_may_pass_is_tried_again(hub: FakeRegistry, client: RegistryClient, status: int) -> None:
    hub.fail(2, status=status)
    assert client.fetch_manifest(ALPINE, AMD64).digest == BUILT.digest


@pytest.mark.parametrize("status", [500, 0])
def test_what_does_not_pass_is_an_error_after_three_tries(
    hub: FakeRegistry, client: RegistryClient, status: int
) -> None:
    hub.fail(100, status=status)
    with pytest.raises(RegistryError):
        client.fetch_manifest(ALPINE, AMD64)
    assert hub.count("GET", "manifests") == 3


def test_a_short_retry_after_is_waited_for(hub: FakeRegistry, client: RegistryClient, pauses: list[float]) -> None:
    hub.fail(1, status=429, Retry_After="2")
    assert client.resolve(ALPINE) == LISTED.digest
    assert pauses == [2.0]


def test_pauses_grow(hub: FakeRegistry, client: RegistryClient, pauses: list[float]) -> None:
    hub.fail(2, status=500)
    client.resolve(ALPINE)
    assert pauses == [0.25, 0.75]


def test_a_long_retry_after_is_told_at_once(hub: FakeRegistry, client: RegistryClient) -> None:
    hub.fail(100, status=429, Retry_After="3600", ratelimit_remaining="0;w=21600")
    with pytest.raises(RateLimitedError, match="no more pulls for 1 h") as caught:
        client.fetch_manifest(ALPINE, AMD64)
    assert caught.value.retry_after == 3600
    assert "0 pulls per 6 h left" in caught.value.details
    assert hub.count("GET", "manifests") == 1


def test_a_registry_that_is_down_is_told_with_the_mirror_option() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    with RegistryClient({"docker.io": url}) as client, pytest.raises(RegistryUnreachableError) as caught:
        client.resolve(ALPINE)
    assert "nobody listens" in caught.value.message
    assert f"--lxc-mirror docker.io={url}" in caught.value.hint


def test_an_unknown_host_is_told() -> None:
    with RegistryClient() as client, pytest.raises(RegistryUnreachableError, match="no host"):
        client.resolve(Reference.parse("registry.invalid/app"))


def test_a_registry_that_never_answers_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        reference = Reference.parse(f"127.0.0.1:{silent.getsockname()[1]}/app")
        with RegistryClient(timeout=0.1) as client, pytest.raises(RegistryUnreachableError, match="in time"):
            client.resolve(reference)


def test_this_machine_is_reached_without_the_proxy(
    hub: FakeRegistry, client: RegistryClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "example.com")
    assert client.resolve(ALPINE) == LISTED.digest


def test_an_image_pushed_over_http_can_be_fetched(registry: FakeRegistry) -> None:
    push(LISTED, registry.url, "library/alpine", "latest")
    with RegistryClient({"docker.io": registry.url}) as client:
        assert client.fetch_manifest(ALPINE, ARM64).digest == OTHER.digest
        assert read(client) == BIG.blob


def test_the_room_can_be_imported_without_requests() -> None:
    program = "import sys, pytest_lxcontainer.registry; sys.exit('requests' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_digest_that_is_none_is_refused(hub: FakeRegistry, client: RegistryClient) -> None:
    hub.content_digest = "sha256:nonsense"
    with pytest.raises(CorruptImageError, match="is no digest"):
        client.resolve(ALPINE)
    assert isinstance(LISTED.digest, Digest)
