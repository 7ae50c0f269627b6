"""A PostgreSQL and its standby: what becomes of links when they lose one another, and when one takes over."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from conftest import ACCEPTS_CLIENTS, UNCONFIRMED, dsn_of, migrated
from pytest_lxcontainer import lxc_template

from shortener import Storage

# A standby that is there before its primary is tries again so often.
FOLLOW = """
primary_conninfo = 'host=primary user=postgres password=secret'
wal_retrieve_retry_interval = '100ms'
"""


def follow(server) -> None:
    data = server.env["PGDATA"]
    server.write_text(f"{data}/standby.signal", "")
    server.write_text(f"{data}/postgresql.auto.conf", FOLLOW)


# The files of a server that was stopped properly are what a standby may begin with. It must not have run since.
standby_of_migrated = lxc_template(migrated, command=["sleep", "infinity"], ready=(), prepare=follow)

# What is committed is on the standby too, and can be read there.
SYNCHRONOUS = ["postgres", "-c", "synchronous_standby_names=*", "-c", "synchronous_commit=remote_apply"]


def query(server, text: str) -> list[tuple]:
    with psycopg.connect(dsn_of(server.ip), autocommit=True) as connection:
        return connection.execute(text).fetchall()


def follows(server) -> bool:
    return query(server, "SELECT status FROM pg_stat_wal_receiver") == [("streaming",)]


def has_a_commit_that_waits(server) -> bool:
    return query(server, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") == [(1,)]


@pytest.fixture
def servers(containers):
    started = containers.run_all(
        {
            "primary": {"image": migrated, "command": SYNCHRONOUS, "ready": ACCEPTS_CLIENTS},
            "standby": {"image": standby_of_migrated, "command": ["postgres"], "ready": follows},
        }
    )
    return started["primary"], started["standby"]


@pytest.fixture
def storage(servers):
    """On whichever of the two can be written to."""
    hosts = ",".join(server.ip for server in servers)
    storage = Storage(f"{dsn_of(hosts)} target_session_attrs=read-write {UNCONFIRMED}")
    yield storage
    storage.close()


@pytest.fixture
def replica(servers):
    """What the standby has."""
    _, standby = servers
    replica = Storage(dsn_of(standby.ip))
    yield replica
    replica.close()


def test_a_link_is_stored_once_the_standby_has_it(storage, servers, replica):
    primary, standby = servers
    with ThreadPoolExecutor() as others:
        with primary.network.partition(standby):
            number = others.submit(storage.add, "https://example.org/")
            primary.wait_for(has_a_commit_that_waits)
            assert not number.done() and replica.all() == []
        assert replica.url(number.result()) == "https://example.org/"


def test_a_link_that_is_being_added_when_the_standby_takes_over_is_stored_there(storage, servers):
    primary, standby = servers
    before = storage.add("https://example.org/before")
    primary.network.down()
    after = add_while_it_takes_over(standby, storage, "https://example.org/after")
    assert storage.all() == [(before, "https://example.org/before"), (after, "https://example.org/after")]


def test_who_has_gone_over_to_the_standby_stays_when_the_primary_comes_back(storage, servers):
    primary, standby = servers
    with primary.network.down():
        add_while_it_takes_over(standby, storage, "https://example.org/after")
    storage.add("https://example.org/later")
    assert query(primary, "SELECT url FROM link") == []


def add_while_it_takes_over(standby, storage: Storage, url: str) -> int:
    with ThreadPoolExecutor() as others:
        number = others.submit(storage.add, url)
        query(standby, "SELECT pg_promote()")
        return number.result()
