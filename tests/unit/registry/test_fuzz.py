"""Whatever a registry sends or a user's files hold, a parser gives a value or an error of ours."""

from __future__ import annotations

import json
import os
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_lxcontainer.errors import InvalidSettingsError, LxContainerError
from pytest_lxcontainer.image import Platform, Reference
from pytest_lxcontainer.registry.auth import parse_challenges
from pytest_lxcontainer.registry.client import RegistryClient
from pytest_lxcontainer.registry.credentials import Credentials, find_credentials
from pytest_lxcontainer.registry.failures import public_url
from pytest_lxcontainer.registry.mirrors import endpoint, may_lead_to, parse_mirror
from pytest_lxcontainer.registry.notices import RateLimit, retry_after, warnings
from tests.fakes.documents import JSON, mutations, nested
from tests.fakes.images import image, layer
from tests.fakes.registry import FakeRegistry

FUZZ = settings(
    max_examples=200,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
CONFIG = json.dumps(
    {
        "auths": {
            "https://index.docker.io/v1/": {"auth": "c29tZW9uZTpzZWNyZXQ="},
            "ghcr.io": {"identitytoken": "t"},
            "ghcr.io/some/where": {"username": "someone", "password": "secret"},
        },
        "credHelpers": {"quay.io": "nothing-there"},
    }
).encode()
PIECES = st.sampled_from(["Bearer ", "Basic", 'realm="', "realm=", '"', ",", "\\", '\\"', " ", "=", "a", "é", "\0"])
HEADERS = st.text() | st.lists(PIECES, max_size=30).map("".join)


@FUZZ
@given(mutations(CONFIG) | JSON.map(lambda value: json.dumps(value).encode()) | st.binary())
def test_a_file_of_credentials_is_read_or_passed_over(home: Path, data: bytes) -> None:
    (home / ".docker").mkdir(exist_ok=True)
    (home / ".docker/config.json").write_bytes(data)
    for registry in ("docker.io", "ghcr.io", "quay.io"):
        found = find_credentials(registry, "some/where/else")
        assert found is None or found.basic.isascii()


@pytest.mark.parametrize("depth", [900, 100_000])
def test_nesting_in_credentials_is_passed_over(home: Path, depth: int) -> None:
    (home / ".docker").mkdir()
    for data in (nested(depth), nested(depth, key="auths"), b'{"auths": {"ghcr.io": {"auth": %s}}}' % nested(depth)):
        (home / ".docker/config.json").write_bytes(data)
        assert find_credentials("ghcr.io") is None


@FUZZ
@given(HEADERS)
def test_any_header_is_some_challenges(header: str) -> None:
    for challenge in parse_challenges(header):
        assert challenge.scheme == challenge.scheme.lower() != ""


def test_a_long_header_of_nothing_is_read_in_no_time() -> None:
    for piece in ('a="', "a=\\", 'a="\\"', " ", "a ", ",", "="):
        parse_challenges(piece * (60_000 // len(piece)))


@FUZZ
@given(HEADERS, st.sampled_from(["Warning", "Retry-After", "ratelimit-limit", "ratelimit-remaining"]))
def test_any_header_is_a_notice_or_none(text: str, name: str) -> None:
    headers = {name: text}
    assert retry_after(headers) is None or retry_after(headers) >= 0
    assert all(warning.isprintable() for warning in warnings(headers))
    assert str(RateLimit.read(headers))


URLS = st.text() | st.lists(
    st.sampled_from(["http", "https", ":", "//", "/", "@", "[", "]", "::1", "127.0.0.1", "a.example", "..", "%", "?"]),
    max_size=8,
).map("".join)


@FUZZ
@given(URLS, URLS)
def test_any_url_leads_somewhere_or_nowhere(source: str, target: str) -> None:
    assert may_lead_to(source, target) in (True, False)
    public_url(target)


@FUZZ
@given(URLS)
def test_any_mirror_is_read_or_refused(text: str) -> None:
    for read in (lambda: parse_mirror(f"docker.io={text}"), lambda: endpoint("docker.io", {}, text)):
        try:
            read()
        except InvalidSettingsError as error:
            str(error).encode()


class TestAHostileRegistry:
    """Whose every answer is drawn: the client gives a manifest or an error of ours."""

    @settings(FUZZ, max_examples=60)
    @given(body=st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()), data=st.data())
    def test_any_answer_is_one_or_an_error(self, body: bytes, data: st.DataObject) -> None:
        headers = st.dictionaries(
            st.sampled_from(["Docker-Content-Digest", "Content-Type", "Location", "Retry-After", "WWW-Authenticate"]),
            st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30) | URLS.filter(_is_header),
            max_size=3,
        )
        status = data.draw(st.sampled_from([200, 200, 206, 301, 307, 401, 403, 404, 416, 429, 500]))
        with FakeRegistry() as registry, mock.patch.dict(os.environ, no_proxy="*"):
            registry.answer = (status, body, data.draw(headers))
            with RegistryClient({"docker.io": registry.url}, timeout=2, sleep=lambda seconds: None) as client:
                self.use(client)

    @pytest.mark.parametrize(
        "answer", [b"", b"[", nested(900), nested(100_000), b'{"token": "a b"}', b'{"token": "\\u00e9\\n"}',
                   b'{"token": 7}', b'{"token": "t", "expires_in": %s}' % (b"9" * 400), b'{"token": {"a": 1}}'],
    )  # fmt: skip
    def test_any_token_is_one_or_an_error(self, answer: bytes) -> None:
        with FakeRegistry() as registry:
            registry.push(image([layer({"a": ""})]), "library/alpine", "latest")
            registry.token, registry.token_body = "t", answer
            client = RegistryClient({"docker.io": registry.url}, timeout=2, sleep=lambda seconds: None)
            with client, pytest.raises(LxContainerError, match="something else than a token"):
                client.resolve(Reference.parse("alpine"))

    def use(self, client: RegistryClient) -> None:
        reference = Reference.parse("alpine")
        for use in (client.resolve, lambda reference: client.fetch_manifest(reference, Platform("linux", "amd64"))):
            try:
                use(reference)
            except LxContainerError as error:
                str(error).encode()


def _is_header(text: str) -> bool:
    return text.isascii() and text.isprintable()


def test_credentials_can_always_be_sent() -> None:
    assert Credentials("é", "ü").basic.isascii()
