"""nginx serves an export of the links."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest
from pytest_lxcontainer import wait

from shortener import Link
from shortener.edge import nginx_config

pytestmark = pytest.mark.container("nginx:1", ready=wait.port(80))

LINKS = [Link("g8", "https://example.org/?a=1&b=$2"), Link("G8", "https://example.org/other")]


class NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: object) -> None:
        return None


@pytest.fixture
def edge(container):
    container.write_text("/etc/nginx/conf.d/default.conf", nginx_config(LINKS))
    container.exec("nginx -t -q", check=True)
    container.restart()
    container.wait_for(wait.http("/health", port=80))
    return container


def test_the_image_serves_its_own_page(container):
    with urllib.request.urlopen(container.url(80)) as page:
        assert b"Welcome to nginx" in page.read()


@pytest.mark.parametrize(
    ("code", "location"),
    [("g8", "https://example.org/?a=1&b=%242"), ("G8", "https://example.org/other")],
)
def test_the_edge_redirects_every_exported_link(edge, code, location):
    with pytest.raises(urllib.error.HTTPError) as answer:
        urllib.request.build_opener(NoRedirects).open(f"{edge.url(80)}/{code}")
    assert answer.value.code == 302
    assert answer.value.headers["Location"] == location


def test_requests_are_seen_in_the_containers_log(edge):
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{edge.url(80)}/nothing")
    edge.wait_for(wait.log(r'"GET /nothing HTTP/1.1" 404'))
