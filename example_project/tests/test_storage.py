"""Links in PostgreSQL: one server for the module, an empty table for every test."""

from __future__ import annotations

import psycopg
import pytest

from shortener import Storage


def test_a_stored_link_is_found_by_its_number(storage):
    number = storage.add("https://example.org/")
    assert storage.url(number) == "https://example.org/"


def test_the_same_url_keeps_its_number(storage):
    first = storage.add("https://example.org/")
    assert storage.add("https://example.org/other") != first
    assert storage.add("https://example.org/") == first


def test_hits_add_up(storage):
    number = storage.add("https://example.org/")
    storage.count_hits({number: 2})
    storage.count_hits({number: 3})
    assert storage.hits(number) == 5


def test_links_survive_a_restart_of_the_server(storage, postgres, dsn):
    number = storage.add("https://example.org/")
    postgres.restart()
    again = Storage(dsn)
    assert again.url(number) == "https://example.org/"
    again.close()


def test_a_wrong_password_is_refused(dsn):
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        Storage(dsn.replace("secret", "guess"))
