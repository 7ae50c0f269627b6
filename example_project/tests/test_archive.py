"""Thirty years of links, whole for every test: a PostgreSQL that was filled once, cloned from a snapshot."""

from __future__ import annotations

import psycopg
import pytest


def test_a_link_of_the_archive_keeps_its_number(old_links):
    number = dict(map(reversed, old_links.all()))["https://example.org/2001"]
    assert old_links.add("https://example.org/2001") == number


def test_what_one_test_adds(old_links):
    old_links.add("https://example.org/new")
    assert len(old_links.all()) == 31


def test_the_next_does_not_see(old_links):
    assert len(old_links.all()) == 30


def test_a_database_that_goes_away_is_an_error_at_once(containers, archive):
    server = containers.run(archive, ready=())
    server.kill()
    server.wait("STOPPED")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(f"host={server.ip} user=postgres password=secret connect_timeout=2")
