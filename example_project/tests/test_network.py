"""How the application bears a network that breaks, stalls, or is slow."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from wsgiref.util import setup_testing_defaults

import pytest
from conftest import UNCONFIRMED, dsn_of, migrated
from pytest_lxcontainer import lxc_container, wait

from shortener import Cache, Shortener, Storage
from shortener.web import Application

db = lxc_container(migrated, name="db")
cache_server = lxc_container("redis:7", name="cache", ready=wait.port(6379))


@pytest.fixture
def storage(db):
    storage = Storage(f"{dsn_of(db.ip)} {UNCONFIRMED}")
    yield storage
    storage.close()


@pytest.fixture
def cache(cache_server):
    cache = Cache(cache_server.ip, timeout=0.2)
    yield cache
    cache.close()


@pytest.fixture
def shortener(storage, cache) -> Shortener:
    return Shortener(storage, cache)


def test_a_statement_whose_connection_is_reset_is_tried_again(storage, db):
    number = storage.add("https://example.org/")
    db.network.reset()
    assert storage.url(number) == "https://example.org/"


def test_no_link_is_lost_or_doubled_while_connections_break_again_and_again(storage, db):
    def break_connections() -> None:
        for _ in range(5):
            db.network.reset()

    urls = []
    with ThreadPoolExecutor() as others:
        breaking = others.submit(break_connections)
        while not breaking.done():
            urls.append(f"https://example.org/{len(urls)}")
            storage.add(urls[-1])
    assert [url for _, url in storage.all()] == urls


def test_a_cache_whose_connection_is_reset_is_asked_again(cache, cache_server):
    cache.put("g8", "https://example.org/")
    cache_server.network.reset()
    assert cache.get("g8") == "https://example.org/"


def test_a_slow_cache_is_not_waited_for(shortener, cache_server):
    link = shortener.shorten("https://example.org/")
    shortener.resolve(link.code)
    with cache_server.network.delay("10s"):
        begin = time.monotonic()
        assert shortener.resolve(link.code) == link.url
        assert time.monotonic() - begin < 5
    assert shortener.hits(link.code) == 2


def test_while_no_database_answers_the_site_says_so_and_serves_what_is_cached(db, cache):
    storage = Storage(f"{dsn_of(db.ip)} {UNCONFIRMED}", patience=0.2)
    shortener = Shortener(storage, cache)
    site = Application(shortener)
    cached, other = shortener.shorten("https://example.org/"), shortener.shorten("https://example.org/other")
    shortener.resolve(cached.code)
    db.network.down()
    assert status(site, f"/{cached.code}") == "302 Found"
    assert status(site, f"/{other.code}") == "503 Service Unavailable"


def status(site: Application, path: str) -> str:
    environ = {"PATH_INFO": path}
    setup_testing_defaults(environ)
    answers = []
    site(environ, lambda status, headers: answers.append(status))
    return answers[0]
