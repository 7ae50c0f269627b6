from __future__ import annotations

import pytest

from pytest_lxcontainer.errors import InvalidSettingsError
from pytest_lxcontainer.registry.mirrors import Endpoint, endpoint, is_loopback, may_lead_to, parse_mirror


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
        ("docker.io=https://mirror.example/a/../b", "path"),
        ("docker.io=https://mirror.example/a//b", "path"),
        ("docker.io=https://mirror.example/a%2fb", "path"),
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


@pytest.mark.parametrize(
    ("url", "repository"),
    [
        ("https://mirror.example", "library/redis"),
        ("https://mirror.example/", "library/redis"),
        ("https://mirror.example/hub", "hub/library/redis"),
        ("https://mirror.example/Some-Team/docker_hub.cache/", "Some-Team/docker_hub.cache/library/redis"),
        ("https://mirror.example/v2/hub", "hub/library/redis"),
        ("https://mirror.example/v2/", "library/redis"),
        ("https://mirror.example/v2x", "v2x/library/redis"),
    ],
)
def test_a_mirrors_path_is_the_start_of_its_repositories(url: str, repository: str) -> None:
    found = endpoint("docker.io", {"docker.io": url})
    assert (found.url, found.account) == ("https://mirror.example", "mirror.example")
    assert found.repository("library/redis") == repository


@pytest.mark.parametrize(
    ("prefix", "url", "account", "repositories"),
    [
        # As testcontainers: what stands before the name, and official images have no library/.
        ("mirror.example/hub/", "https://mirror.example", "mirror.example", ("hub/redis", "hub/bitnami/redis")),
        ("mirror.example/hub", "https://mirror.example", "mirror.example", ("hub/redis", "hub/bitnami/redis")),
        ("mirror.example/", "https://mirror.example", "mirror.example", ("redis", "bitnami/redis")),
        ("mirror.example:8443/a/b/", "https://mirror.example:8443", "mirror.example:8443", ("a/b/redis",)),
        ("localhost:5000/", "http://localhost:5000", "localhost:5000", ("redis", "bitnami/redis")),
        ("myteam/", "https://registry-1.docker.io", "docker.io", ("myteam/redis", "myteam/bitnami/redis")),
        ("docker.io/", "https://registry-1.docker.io", "docker.io", ("library/redis", "bitnami/redis")),
        ("", "https://registry-1.docker.io", "docker.io", ("library/redis", "bitnami/redis")),
        ("  ", "https://registry-1.docker.io", "docker.io", ("library/redis", "bitnami/redis")),
    ],
)
def test_a_prefix_stands_before_the_names_of_hubs_images(
    prefix: str, url: str, account: str, repositories: tuple[str, ...]
) -> None:
    found = endpoint("docker.io", {}, prefix)
    assert (found.registry, found.url, found.account) == ("docker.io", url, account)
    assert tuple(map(found.repository, ("library/redis", "bitnami/redis")))[: len(repositories)] == repositories


def test_a_prefix_is_for_hub_alone_and_a_mirror_wins_over_it() -> None:
    assert endpoint("ghcr.io", {}, "mirror.example/hub/") == endpoint("ghcr.io", {})
    mirrors = {"docker.io": "https://other.example"}
    assert endpoint("docker.io", mirrors, "mirror.example/hub/") == endpoint("docker.io", mirrors)


@pytest.mark.parametrize(
    "prefix",
    ["https://mirror.example/hub/", "mirror.example/../x/", "mirror.example/a//b/", "u:p@mirror.example/", "a b/"],
)
def test_what_is_no_prefix_is_refused(prefix: str) -> None:
    with pytest.raises(InvalidSettingsError, match="TESTCONTAINERS_HUB_IMAGE_NAME_PREFIX"):
        endpoint("docker.io", {}, prefix)


HUB, LOOPBACK, PRIVATE = "https://registry-1.docker.io", "http://127.0.0.1:5000", "https://10.0.0.1:5000"


@pytest.mark.parametrize(
    ("source", "target", "allowed"),
    [
        (HUB, "https://auth.docker.io/token", True),
        (HUB, "https://registry-1.docker.io:8443/x", True),
        (HUB, "https://93.184.216.34/token", True),
        (HUB, "http://auth.docker.io/token", False),
        (HUB, "ftp://auth.docker.io/token", False),
        (HUB, "file:///etc/passwd", False),
        (HUB, "", False),
        (HUB, "auth.docker.io/token", False),
        (HUB, "//auth.docker.io/token", False),
        (HUB, "https:///token", False),
        (HUB, "https://user@auth.docker.io/token", False),
        (HUB, "https://user:password@auth.docker.io/token", False),
        # Addresses that a stranger has no business with, in every form that a resolver takes (ggcr's SSRF cases).
        (HUB, "https://localhost/x", False),
        (HUB, "https://foo.localhost/x", False),
        (HUB, "https://127.0.0.1/x", False),
        (HUB, "https://127.1/x", False),
        (HUB, "https://2130706433/x", False),
        (HUB, "https://0x7f000001/x", False),
        (HUB, "https://0177.0.0.1/x", False),
        (HUB, "https://127.0.0.1./x", False),
        (HUB, "https://0.0.0.0/x", False),
        (HUB, "https://[::1]/x", False),
        (HUB, "https://[::]/x", False),
        (HUB, "https://[::ffff:127.0.0.1]/x", False),
        (HUB, "https://[::ffff:10.0.0.1]/x", False),
        (HUB, "https://[fe80::1%25eth0]/x", False),
        (HUB, "https://[fd00::1]/x", False),
        (HUB, "https://169.254.169.254/latest/meta-data", False),
        (HUB, "https://10.0.0.1/x", False),
        (HUB, "https://192.168.1.1/x", False),
        (HUB, "https://100.64.0.1/x", False),
        # On this machine, and in a private network, neighbours may be named.
        (LOOPBACK, "http://127.0.0.1:5001/token", True),
        (LOOPBACK, "http://127.9.9.9/token", True),
        (LOOPBACK, "http://localhost:5001/token", True),
        (LOOPBACK, "https://localhost:5001/token", True),
        (LOOPBACK, "https://auth.docker.io/token", True),
        (LOOPBACK, "https://10.0.0.1/token", True),
        (LOOPBACK, "http://10.0.0.1/token", False),
        (LOOPBACK, "http://registry.example/token", False),
        (LOOPBACK, "https://169.254.169.254/token", False),
        ("https://127.0.0.1:5000", "http://127.0.0.1:5001/token", False),
        (PRIVATE, "https://10.0.0.1:5001/token", True),
        (PRIVATE, "https://192.168.0.1/token", True),
        (PRIVATE, "https://127.0.0.1/token", False),
        (PRIVATE, "https://169.254.169.254/token", False),
        ("https://169.254.1.1", "https://169.254.1.1:8443/token", True),
    ],
)
def test_a_server_may_lead_to_public_hosts_and_its_neighbours(source: str, target: str, allowed: bool) -> None:
    assert may_lead_to(source, target) is allowed
