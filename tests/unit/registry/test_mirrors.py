from __future__ import annotations

import pytest

from pytest_lxcontainer.errors import InvalidSettingsError
from pytest_lxcontainer.registry.mirrors import Endpoint, endpoint, is_loopback, parse_mirror


@pytest.mark.parametrize(
    ("text", "mirror"),
    [
        ("docker.io=http://127.0.0.1:5000", ("docker.io", "http://127.0.0.1:5000")),
        ("index.docker.io=https://mirror.example/", ("docker.io", "https://mirror.example")),
        ("ghcr.io = http://localhost:5000/ghcr", ("ghcr.io", "http://localhost:5000/ghcr")),
        ("ghcr.io=http://[::1]:5000", ("ghcr.io", "http://[::1]:5000")),
    ],
)
def test_a_mirror_is_a_host_and_a_url(text: str, mirror: tuple[str, str]) -> None:
    assert parse_mirror(text) == mirror


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("docker.io", "no mirror"),
        ("=http://127.0.0.1", "no mirror"),
        ("docker.io/library=http://127.0.0.1", "no mirror"),
        ("docker.io=127.0.0.1:5000", "no mirror's URL"),
        ("docker.io=ftp://127.0.0.1", "no mirror's URL"),
        ("docker.io=http://", "no mirror's URL"),
        ("docker.io=http://127.0.0.1:port", "no mirror's URL"),
        ("docker.io=http://[::1", "no mirror's URL"),
        ("docker.io=http://mirror.example", "not on this machine"),
        ("docker.io=http://10.0.0.1:5000", "not on this machine"),
        ("docker.io=https://mirror.example?a=b", "query"),
    ],
)
def test_what_is_no_mirror_is_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidSettingsError, match=said):
        parse_mirror(text)


def test_a_password_in_a_mirrors_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(InvalidSettingsError) as caught:
        parse_mirror("docker.io=https://someone:secret@mirror.example")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("registry", "url"),
    [
        ("docker.io", "https://registry-1.docker.io"),
        ("ghcr.io", "https://ghcr.io"),
        ("registry.example:8443", "https://registry.example:8443"),
        ("localhost:5000", "http://localhost:5000"),
        ("127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("[::1]:5000", "http://[::1]:5000"),
    ],
)
def test_without_a_mirror_the_registry_itself_is_asked(registry: str, url: str) -> None:
    assert endpoint(registry, {}) == Endpoint(registry, url, registry)


def test_a_mirror_sees_its_own_credentials_only() -> None:
    found = endpoint("docker.io", {"docker.io": "http://127.0.0.1:5000"})
    assert (found.url, found.account) == ("http://127.0.0.1:5000", "127.0.0.1:5000")


def test_a_mapping_is_checked_like_an_option() -> None:
    with pytest.raises(InvalidSettingsError, match="not on this machine"):
        endpoint("docker.io", {"docker.io": "http://mirror.example"})


@pytest.mark.parametrize("host", ["localhost.example", "10.0.0.1", "example", "", None, "0.0.0.0"])
def test_only_this_machine_is_loopback(host: str | None) -> None:
    assert not is_loopback(host)
