"""Busy links in Redis: a fresh server for every test."""

from __future__ import annotations

import pytest
from pytest_lxcontainer import wait

from shortener import Cache
from shortener.cache import SECONDS_TO_LIVE

pytestmark = pytest.mark.container("redis:7", ready=wait.port(6379))


@pytest.fixture
def cache(container):
    cache = Cache(container.ip)
    yield cache
    cache.close()


def test_a_cached_url_is_found_and_expires_within_the_hour(cache, container):
    cache.put("g8", "https://example.org/")
    assert cache.get("g8") == "https://example.org/"
    left = int(container.check_output("redis-cli ttl url:g8"))
    assert SECONDS_TO_LIVE - 60 < left <= SECONDS_TO_LIVE


def test_every_test_gets_an_empty_cache(cache):
    assert cache.get("g8") is None


def test_hits_are_handed_over_once(cache):
    cache.count_hit("g8")
    cache.count_hit("g8")
    cache.count_hit("g9")
    assert cache.take_hits() == {"g8": 2, "g9": 1}
    assert cache.take_hits() == {}


def test_a_command_starts_in_the_images_working_directory(container):
    assert container.check_output("pwd") == "/data"
