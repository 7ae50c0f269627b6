from __future__ import annotations

import json
import logging
import traceback
from pathlib import Path

import pytest

from pytest_lxcontainer.errors import AuthenticationError, LxContainerError, RegistryError
from pytest_lxcontainer.image import Platform, Reference
from pytest_lxcontainer.registry.auth import Challenge, parse_challenges, token_request
from pytest_lxcontainer.registry.client import RegistryClient
from pytest_lxcontainer.registry.credentials import Credentials
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
        # Two headers, which HTTP libraries join; ggcr's and containerd's tables have the others like it.
        ('Basic realm="x", Bearer realm="a"', [("basic", {"realm": "x"}), ("bearer", {"realm": "a"})]),
        ('Bearer realm="a, b=c",scope="s,t"', [("bearer", {"realm": "a, b=c", "scope": "s,t"})]),
        ('bearer realm="a", bearer realm="b"', [("bearer", {"realm": "a"}), ("bearer", {"realm": "b"})]),
        ("Bearer", [("bearer", {})]),
        ('Bearer realm=""', [("bearer", {"realm": ""})]),
        ('realm="a"', []),
        ('Bearer realm="unclosed', [("bearer", {"realm": ""}), ("unclosed", {})]),
        (",, ,Basic , ,", [("basic", {})]),
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


def test_each_repository_has_a_token_of_its_own(registry: FakeRegistry, client: RegistryClient) -> None:
    for name in ("library/alpine", "library/busybox"):
        registry.push(BUILT, name, "latest")
    registry.token = "t0ken"
    for _ in range(2):
        for reference in (ALPINE, Reference.parse("busybox")):
            client.resolve(reference)
    scopes = [form["scope"] for form in registry.token_forms]
    assert scopes == [["repository:library/alpine:pull"], ["repository:library/busybox:pull"]]


def test_a_token_is_not_used_after_its_time(registry: FakeRegistry, client: RegistryClient) -> None:
    registry.push(BUILT, "library/alpine", "latest")
    registry.token, registry.token_answer = "t0ken", {"token": "t0ken", "expires_in": -1}
    client.resolve(ALPINE)
    client.resolve(ALPINE)
    assert len(registry.token_forms) == 2


@pytest.mark.parametrize("lifetime", ["300", 1e400, None, 0])
def test_a_tokens_lifetime_is_read_in_all_its_forms(
    registry: FakeRegistry, client: RegistryClient, lifetime: object
) -> None:
    registry.push(BUILT, "library/alpine", "latest")
    registry.token, registry.token_answer = "t0ken", {"token": "t0ken", "expires_in": lifetime}
    client.resolve(ALPINE)
    client.resolve(ALPINE)
    assert len(registry.token_forms) == 1


def test_several_scopes_are_asked_for_one_by_one(registry: FakeRegistry, client: RegistryClient) -> None:
    registry.push(BUILT, "library/alpine", "latest")
    registry.token = "t0ken"
    registry.challenge = f'Bearer realm="{registry.url}/token",scope="repository:a:pull  repository:b:pull,push"'
    client.resolve(ALPINE)
    assert registry.token_forms == [{"scope": ["repository:a:pull", "repository:b:pull,push"]}]


@pytest.mark.parametrize(
    "challenge",
    [
        'Negotiate, BEARER Realm="{url}/token" , SERVICE=fake',
        'Basic realm="x, Bearer y", Bearer realm="{url}/token"',
        'Bearer realm="{url}/token", Basic realm="x"',
        'Bearer error="invalid_token",realm="{url}/token"',
    ],
)
def test_the_challenge_that_can_be_answered_is(registry: FakeRegistry, client: RegistryClient, challenge: str) -> None:
    registry.push(BUILT, "library/alpine", "latest")
    registry.token, registry.challenge = "t0ken", challenge.format(url=registry.url)
    assert client.resolve(ALPINE) == BUILT.digest


def test_a_refusal_for_want_of_scope_is_answered_with_another_token(
    registry: FakeRegistry, client: RegistryClient
) -> None:
    challenge = f'Bearer realm="{registry.url}/token",scope="repository:more:pull",error="insufficient_scope"'
    registry.push(BUILT, "library/alpine", "latest")
    registry.token = "t0ken"
    registry.fail(1, status=403, WWW_Authenticate=challenge)
    assert client.resolve(ALPINE) == BUILT.digest
    assert registry.token_forms == [{"scope": ["repository:more:pull"]}]


def test_a_login_that_does_not_reach_is_told(registry: FakeRegistry, client: RegistryClient) -> None:
    challenge = f'Bearer realm="{registry.url}/token",error="insufficient_scope"'
    registry.token = "t0ken"
    registry.fail(9, status=403, WWW_Authenticate=challenge)
    with pytest.raises(AuthenticationError, match="does not allow this"):
        client.fetch_manifest(ALPINE, AMD64)
    assert len(registry.token_forms) <= 2


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
    assert registry.token_forms[0]["account"] == ["someone"]


@pytest.mark.parametrize("status", [404, 405])
def test_a_token_server_that_wants_the_password_in_a_form_gets_it(
    registry: FakeRegistry, client: RegistryClient, home: Path, status: int
) -> None:
    registry.push(BUILT, "library/alpine", "latest")
    registry.token, registry.token_status = "t0ken", status
    log_in(home, registry.host, username="someone", password="pass:word")
    assert client.resolve(ALPINE) == BUILT.digest
    form = registry.token_forms[1]
    assert (form["grant_type"], form["username"], form["password"]) == (["password"], ["someone"], ["pass:word"])
    assert (form["service"], form["scope"]) == (["fake"], ["repository:library/alpine:pull"])


def test_a_token_server_that_does_not_is_not_asked_twice(registry: FakeRegistry, client: RegistryClient) -> None:
    registry.token, registry.token_status = "t0ken", 404
    with pytest.raises(RegistryError, match="gives no token"):
        client.resolve(ALPINE)
    assert registry.count("POST", "token") == 0


def test_a_token_server_in_trouble_is_asked_again(
    registry: FakeRegistry, client: RegistryClient, pauses: list[float]
) -> None:
    registry.token, registry.token_status = "t0ken", 503
    with pytest.raises(RegistryError, match="gives no token"):
        client.resolve(ALPINE)
    assert registry.count("GET", "token") == 3


def test_the_token_that_a_login_holds_is_used_as_it_is(
    registry: FakeRegistry, client: RegistryClient, home: Path
) -> None:
    registry.push(BUILT, "library/alpine", "latest")
    registry.token = "t0ken"
    log_in(home, registry.host, registrytoken="t0ken")
    assert client.resolve(ALPINE) == BUILT.digest
    assert registry.token_forms == []


def test_a_login_for_a_part_of_the_registry_is_used_there(
    registry: FakeRegistry, client: RegistryClient, home: Path
) -> None:
    registry.push(BUILT, "library/alpine", "latest")
    registry.basic = ("someone", "secret")
    log_in(home, f"{registry.host}/library", username="someone", password="secret")
    assert client.resolve(ALPINE) == BUILT.digest


def test_an_identity_token_is_exchanged(registry: FakeRegistry, client: RegistryClient, home: Path) -> None:
    registry.push(BUILT, "library/alpine", "latest")
    registry.token = "t0ken"
    log_in(home, registry.host, identitytoken="1dentity")
    assert client.resolve(ALPINE) == BUILT.digest
    form = registry.token_forms[0]
    assert form["grant_type"] == ["refresh_token"]
    assert form["refresh_token"] == ["1dentity"]
    assert form["client_id"] == ["pytest-lxcontainer"]


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


@pytest.mark.parametrize(
    "realm",
    ["https://169.254.169.254/t", "http://auth.example/t", "https://user:pa55@auth.example/t", "//x", "http://[::1/"],
)
def test_a_realm_that_is_unsafe_gets_nothing(registry: FakeRegistry, client: RegistryClient, realm: str) -> None:
    registry.token, registry.challenge = "t0ken", f'Bearer realm="{realm}"'
    with pytest.raises(AuthenticationError, match="unsafe place") as caught:
        client.fetch_manifest(ALPINE, AMD64)
    assert "pa55" not in str(caught.value) + caught.value.url


def test_a_token_servers_redirect_is_not_followed(registry: FakeRegistry, client: RegistryClient, home: Path) -> None:
    """ggcr's TestTokenServerRedirectSSRF."""
    log_in(home, registry.host, username="someone", password="secret")
    with FakeRegistry() as other:
        registry.token, registry.token_status = "t0ken", 307
        registry.token_headers = {"Location": f"{other.url}/token"}
        with pytest.raises(RegistryError, match="it redirects, which is not followed"):
            client.fetch_manifest(ALPINE, AMD64)
        assert not other.requests


def test_a_host_that_the_registry_redirects_to_may_not_ask_for_its_credentials(
    registry: FakeRegistry, client: RegistryClient, home: Path
) -> None:
    """ggcr's TestBearerTokenNotLeakedOnCrossHostChallenge."""
    log_in(home, registry.host, username="someone", password="secret")
    with FakeRegistry() as other:
        other.token = "t0ken"
        registry.answer = (307, b"", {"Location": f"{other.url}/v2/library/alpine/manifests/latest"})
        with pytest.raises(AuthenticationError):
            client.fetch_manifest(ALPINE, AMD64)
        assert other.token_forms == registry.token_forms == []
        assert {header for _, header in other.authorizations} == {None}


PASSWORD, IDENTITY, TOKEN = "pa55word", "1dentity", "t0ken"


@pytest.mark.parametrize("entry", [{"username": "someone", "password": PASSWORD}, {"identitytoken": IDENTITY}])
@pytest.mark.parametrize("trouble", ["refused", "no token", "broken off", "not there", "redirected", "wrong answer"])
def test_no_secret_is_in_an_error_a_log_or_a_traceback_with_variables(
    registry: FakeRegistry,
    client: RegistryClient,
    home: Path,
    caplog: pytest.LogCaptureFixture,
    entry: dict[str, str],
    trouble: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    registry.push(BUILT, "library/alpine", "latest")
    log_in(home, registry.host, **entry)
    registry.token = TOKEN
    if trouble == "refused":
        registry.token_answer = {"token": TOKEN + "-expired"}
    elif trouble == "no token":
        registry.token_answer = {"token": TOKEN + "\n"}
    elif trouble == "broken off":
        client.resolve(ALPINE)
        registry.fail(9, status=0)
    elif trouble == "not there":
        registry.repositories.clear()
    elif trouble == "redirected":
        client.resolve(ALPINE)
        registry.answer = (307, b"", {"Location": "http://elsewhere.example/x?signature=5ignature"})
    else:
        client.resolve(ALPINE)
        registry.answer = (200, b"{}", {})
    with pytest.raises(LxContainerError) as caught:
        client.fetch_manifest(ALPINE, AMD64)
    ours = caught.value.__traceback__.tb_next if caught.value.__traceback__ else None
    shown = "".join(traceback.TracebackException(type(caught.value), caught.value, ours, capture_locals=True).format())
    assert "client.py" in shown
    basic = Credentials("someone", PASSWORD).basic.removeprefix("Basic ")
    for secret in (PASSWORD, IDENTITY, TOKEN, "5ignature", basic):
        assert secret not in str(caught.value) + repr(caught.value) + repr(vars(caught.value))
        assert secret not in caplog.text
        assert secret not in shown


def test_a_request_for_a_token_hides_what_is_secret() -> None:
    for credentials in (Credentials("someone", PASSWORD), Credentials("", identity_token=IDENTITY)):
        request = token_request("https://auth.example", "s", "scope", credentials)
        assert {PASSWORD, IDENTITY, credentials.basic} & set(repr(request).split("'")) == set()
