"""The whole application on a PostgreSQL and a Redis of the test's own."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

from shortener import UnknownCodeError
from shortener.web import Application


class QuietHandler(WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


class NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: object) -> None:
        return None


@pytest.fixture
def site(shortener):
    with make_server("127.0.0.1", 0, Application(shortener), handler_class=QuietHandler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_resolved_link_is_answered_from_the_cache_while_the_database_is_down(shortener, services):
    db, _ = services
    link = shortener.shorten("https://example.org/a/long/path")
    assert shortener.resolve(link.code) == link.url
    db.stop()
    assert shortener.resolve(link.code) == link.url


def test_hits_reach_the_database(shortener, services):
    db, _ = services
    link = shortener.shorten("https://example.org/")
    for _ in range(3):
        shortener.resolve(link.code)
    assert shortener.hits(link.code) == 3
    stored = db.check_output(["psql", "-U", "postgres", "-tA", "-c", "SELECT url, hits FROM link"])
    assert stored == "https://example.org/|3"


def test_the_services_know_each_other_by_name(services):
    db, cache = services
    assert db.check_output("getent hosts cache").split()[0] == cache.ip
    assert cache.check_output("getent hosts db").split()[0] == db.ip


def test_an_unknown_code_is_refused(shortener):
    with pytest.raises(UnknownCodeError):
        shortener.resolve("nothing")


def test_the_site_shortens_and_redirects(site):
    code = urllib.request.urlopen(f"{site}/", data=b"https://example.org/").read().decode().strip()
    with pytest.raises(urllib.error.HTTPError) as answer:
        urllib.request.build_opener(NoRedirects).open(f"{site}/{code}")
    assert answer.value.code == 302
    assert answer.value.headers["Location"] == "https://example.org/"
