from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_lxcontainer.registry.client import RegistryClient
from tests.fakes.registry import FakeRegistry

_VARIABLES = (
    *("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "DOCKER_AUTH_CONFIG"),
    *("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    "TESTCONTAINERS_HUB_IMAGE_NAME_PREFIX",
)


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty home, so that nobody's own credentials or proxies are used."""
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    return home


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as registry:
        yield registry


@pytest.fixture
def pauses() -> list[float]:
    """The seconds the client would have paused."""
    return []


@pytest.fixture
def client(registry: FakeRegistry, pauses: list[float]) -> Iterator[RegistryClient]:
    """A client for which the fake registry is Docker Hub, and time does not pass."""
    with RegistryClient({"docker.io": registry.url}, timeout=5, sleep=pauses.append) as client:
        yield client
