from __future__ import annotations

import pytest

from pytest_lxcontainer.errors import RegistryError, RegistryUnreachableError
from pytest_lxcontainer.image import Platform, Reference
from pytest_lxcontainer.registry.client import RegistryClient
from pytest_lxcontainer.registry.transport import MAX_REDIRECTS
from tests.fakes.images import image, layer
from tests.fakes.registry import FakeRegistry

ALPINE = Reference.parse("alpine")
AMD64 = Platform.parse("linux/amd64")
BUILT = image([layer({"a": "1"})])
PATH = "/v2/library/alpine/manifests/latest"


def test_a_redirect_keeps_the_credentials_at_home(registry: FakeRegistry, client: RegistryClient) -> None:
    registry.push(BUILT, "library/alpine", "latest")
    registry.token = "t0ken"
    client.resolve(ALPINE)
    with FakeRegistry() as elsewhere:
        elsewhere.push(BUILT, "library/alpine", "latest")
        registry.answer = (307, b"", {"Location": f"{elsewhere.url}{PATH}"})
        assert client.resolve(ALPINE) == BUILT.digest
        assert elsewhere.authorizations == [(PATH, None)]


def test_credentials_that_left_home_do_not_come_back(registry: FakeRegistry, client: RegistryClient) -> None:
    """What is asked for at home in the end, the host between has chosen."""
    registry.push(BUILT, "library/alpine", "latest")
    registry.token = "t0ken"
    client.resolve(ALPINE)
    with FakeRegistry() as elsewhere:
        elsewhere.answer = (307, b"", {"Location": f"{registry.url}{PATH}"})
        registry.answer = (307, b"", {"Location": f"{elsewhere.url}{PATH}"})
        before = len(registry.authorizations)
        with pytest.raises(RegistryUnreachableError):
            client.resolve(ALPINE)
    headers = [header for _, header in registry.authorizations[before:]]
    assert headers == ["Bearer t0ken"] + [None] * (MAX_REDIRECTS // 2 - 1)


@pytest.mark.parametrize(
    "location",
    [
        "http://storage.example/blob?signature=5ecret",
        "https://169.254.169.254/latest/meta-data",
        "ftp://127.0.0.1/x",
        "file:///etc/passwd",
        "https://user:5ecret@storage.example/",
        "http://[::1",
        "//169.254.169.254/",
    ],
)
def test_a_redirect_to_an_unsafe_place_is_not_followed(
    registry: FakeRegistry, client: RegistryClient, location: str
) -> None:
    registry.answer = (307, b"", {"Location": location})
    with pytest.raises(RegistryError, match="unsafe place") as caught:
        client.resolve(ALPINE)
    assert "5ecret" not in str(caught.value) + caught.value.url


def test_a_redirect_in_circles_ends(registry: FakeRegistry, client: RegistryClient) -> None:
    registry.answer = (302, b"", {"Location": PATH})
    with pytest.raises(RegistryUnreachableError, match="redirects more than 10 times"):
        client.resolve(ALPINE)


def test_a_redirect_with_a_body_without_end_is_not_read(registry: FakeRegistry, client: RegistryClient) -> None:
    registry.push(BUILT, "library/alpine", "latest")
    with FakeRegistry() as elsewhere:
        elsewhere.push(BUILT, "library/alpine", "latest")
        registry.answer = (307, b" ", {"Location": f"{elsewhere.url}{PATH}", "Content-Length": str(2**40)})
        assert client.fetch_manifest(ALPINE, AMD64).digest == BUILT.digest
