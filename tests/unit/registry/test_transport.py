from __future__ import annotations

import pytest
import requests

from pytest_lxcontainer.errors import RegistryError
from pytest_lxcontainer.registry.transport import _Session


def redirected(old: str, new: str) -> str | None:
    """Return the Authorization header that a redirect from *old* to *new* keeps."""
    response = requests.Response()
    response.request = requests.Request("GET", old).prepare()
    request = requests.Request("GET", new, headers={"Authorization": "Bearer t0ken"}).prepare()
    _Session("agent").rebuild_auth(request, response)
    return request.headers.get("Authorization")


def test_only_the_same_origin_keeps_the_credentials() -> None:
    assert redirected("https://a.example/x", "https://a.example/y") == "Bearer t0ken"
    for new in ("https://b.example/x", "https://a.example:8443/x", "https://a.example.evil/x"):
        assert redirected("https://a.example/x", new) is None


def test_a_redirect_to_plain_http_is_not_followed() -> None:
    with pytest.raises(RegistryError, match=r"a\.example redirects to plain HTTP"):
        redirected("https://a.example/x", "http://a.example/x?signature=secret")
