from __future__ import annotations

import json
from pathlib import Path

import pytest
import requests

from pytest_lxcontainer.errors import AuthenticationError, RegistryError
from pytest_lxcontainer.image import Platform, Reference
from pytest_lxcontainer.registry.auth import Authenticator, Challenge, parse_challenges
from pytest_lxcontainer.registry.client import RegistryClient
from pytest_lxcontainer.registry.credentials import Credentials
from pytest_lxcontainer.registry.mirrors import Endpoint
from tests.fakes.images import image, layer
from tests.fakes.registry import FakeRegistry

ALPINE = Reference.parse("alpine")
AMD64 = Platform.parse("linux/amd64")
BUILT = image([layer({"a": "1"}), layer({"b": "2"})])


@pytest.mark.parametrize(
    ("header", "challenges"),
    [
        ("", []),
        ("Basic", [("basic", {})]),
        ('Basic realm="x"', [("basic", {"realm": "x"})]),
        (
            'Bearer realm="https://a/token",service="s",scope="repository:a/b:pull,push"',
            [("bearer", {"realm": "https://a/token", "service": "s", "scope": "repository:a/b:pull,push"})],
        ),
        ('BEARER Realm = "a" , SERVICE=b', [("bearer", {"realm": "a", "service": "b"})]),
        (
            'Negotiate, Bearer realm="a", Basic realm="b, \\"c\\""',
            [("negotiate", {}), ("bearer", {"realm": "a"}), ("basic", {"realm": 'b, "c"'})],
        ),
        (
            'Bearer realm="a",error="insufficient_scope"',
            [("bearer", {"realm": "a", "error": "insufficient_scope"})],
        ),
    ],
)
def test_challenges_are_read_in_all_their_forms(header: str, challenges: list[tuple[str, dict[str, str]]]) -> None:
    assert parse_challenges(header) == tuple(Challenge(*one) for one in challenges)


def log_in(home: Path, host: str, **entry: str) -> None:
    (home / ".docker").mkdir(exist_ok=True)
    (home / ".docker" / "config.json").write_text(json.dumps({"auths": {host: entry}}))


def test_a_token_is_got_once_for_a_repository(registry: FakeRegistry, client: RegistryClient) -> None:
    registry.push(BUILT, "library/alpine", "latest")
    registry.token = "t0ken"
    fetched = client.fetch_manifest(ALPINE, AMD64)
    for part in fetched.manifest.layers:
        with client.open_blob(ALPINE, part) as chunks:
            assert b"".join(chunks)
    assert registry.token_forms == [{"service": ["fake"], "scope": ["repository:library/alpine:pull"]}]


def test_an_access_token_is_a_token(registry: FakeRegistry, client: RegistryClient) -> None:
    registry.push(BUILT, "library/alpine", "latest")
    registry.token, registry.token_answer = "t0ken", {"access_token": "t0ken", "expires_in": 300}
    assert client.resolve(ALPINE) == BUILT.digest


def test_a_token_that_ran_out_is_got_anew(registry: FakeRegistry, client: RegistryClient) -> None:
    registry.push(BUILT, "library/alpine", "latest")
    registry.token = "first"
    client.resolve(ALPINE)
    registry.token = "second"
    assert client.resolve(ALPINE) == BUILT.digest
    assert len(registry.token_forms) == 2


def test_credentials_are_sent_for_a_token(registry: FakeRegistry, client: RegistryClient, home: Path) -> None:
    registry.push(BUILT, "library/alpine", "latest")
    registry.token, registry.basic = "t0ken", ("someone", "pass:word")
    log_in(home, registry.host, username="someone", password="pass:word")
    assert client.resolve(ALPINE) == BUILT.digest


def test_an_identity_token_is_exchanged(registry: FakeRegistry, client: RegistryClient, home: Path) -> None:
    registry.push(BUILT, "library/alpine", "latest")
    registry.token = "t0ken"
    log_in(home, registry.host, identitytoken="1dentity")
    assert client.resolve(ALPINE) == BUILT.digest
    form = registry.token_forms[0]
    assert form["grant_type"] == ["refresh_token"]
    assert form["refresh_token"] == ["1dentity"]


def test_basic_authentication_is_enough(registry: FakeRegistry, client: RegistryClient, home: Path) -> None:
    registry.push(BUILT, "library/alpine", "latest")
    registry.basic = ("someone", "secret")
    log_in(home, registry.host, username="someone", password="secret")
    assert client.fetch_manifest(ALPINE, AMD64).digest == BUILT.digest


def test_wrong_credentials_are_told_without_repeating_them(
    registry: FakeRegistry, client: RegistryClient, home: Path
) -> None:
    registry.push(BUILT, "library/alpine", "latest")
    registry.basic = ("someone", "secret")
    log_in(home, registry.host, username="someone", password="wr0ng")
    with pytest.raises(AuthenticationError) as caught:
        client.fetch_manifest(ALPINE, AMD64)
    assert "docker login" in caught.value.hint
    assert "wr0ng" not in str(caught.value) + repr(caught.value) + caught.value.url


def test_hubs_refusal_is_told_as_unknown_or_private(registry: FakeRegistry, client: RegistryClient) -> None:
    registry.basic = ("someone", "secret")
    with pytest.raises(AuthenticationError, match="has no repository library/alpine, or it is private"):
        client.fetch_manifest(ALPINE, AMD64)


def test_credentials_of_the_mirrored_registry_stay_at_home(
    registry: FakeRegistry, client: RegistryClient, home: Path
) -> None:
    registry.push(BUILT, "library/alpine", "latest")
    registry.token = "t0ken"
    log_in(home, "https://index.docker.io/v1/", username="someone", password="secret")
    client.fetch_manifest(ALPINE, AMD64)
    assert {header for path, header in registry.authorizations if path == "/token"} == {None}


def test_what_netrc_has_is_not_sent(registry: FakeRegistry, client: RegistryClient, home: Path) -> None:
    registry.push(BUILT, "library/alpine", "latest")
    netrc = home / ".netrc"
    address = registry.host.partition(":")[0]
    netrc.write_text(f"machine {address} login someone password secret\n")
    netrc.chmod(0o600)
    client.fetch_manifest(ALPINE, AMD64)
    assert {header for _, header in registry.authorizations} == {None}


@pytest.mark.parametrize("answer", [{"nothing": 1}, {"token": ""}, {"token": "t", "expires_in": "soon"}])
def test_an_answer_that_is_no_token_is_an_error(
    registry: FakeRegistry, client: RegistryClient, answer: dict[str, object]
) -> None:
    registry.token, registry.token_answer = "t0ken", answer
    with pytest.raises(RegistryError, match="something else than a token"):
        client.fetch_manifest(ALPINE, AMD64)


@pytest.mark.parametrize("realm", ["", "ftp://127.0.0.1/token", "file:///etc/passwd"])
def test_tokens_are_got_over_http_only(registry: FakeRegistry, client: RegistryClient, realm: str) -> None:
    registry.token, registry.challenge = "t0ken", f'Bearer realm="{realm}"'
    with pytest.raises(AuthenticationError, match="unsafe place"):
        client.fetch_manifest(ALPINE, AMD64)


def test_a_distant_registry_cannot_send_credentials_over_plain_http() -> None:
    def send(*args: object, **kwargs: object) -> requests.Response:
        raise AssertionError("sent")

    authenticator = Authenticator(send, lambda registry: Credentials("someone", "secret"))
    distant = Endpoint("ghcr.io", "https://ghcr.io", "ghcr.io")
    for realm in ("http://ghcr.io/token", "http://127.0.0.1/token"):
        with pytest.raises(AuthenticationError, match="unsafe place"):
            authenticator.answer(distant, "scope", f'Bearer realm="{realm}"', None)
