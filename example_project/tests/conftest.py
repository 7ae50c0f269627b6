from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_lxcontainer import lxc_container, lxc_template, wait

from shortener import Cache, Shortener, Storage
from shortener.storage import SCHEMA

# A database that lives for one test need not survive a power failure.
PASSWORD = {"POSTGRES_PASSWORD": "secret", "POSTGRES_INITDB_ARGS": "--no-sync"}

# PostgreSQL opens its port a moment before it lets anyone in. Over TCP, since while the image sets its database up, a
# server answers on the socket only.
ACCEPTS_CLIENTS = wait.exec(["pg_isready", "--quiet", "--host", "127.0.0.1"])

# How long what was sent may stay unconfirmed, in milliseconds; the kernel takes 400 more before it counts them.
UNCONFIRMED = "tcp_user_timeout=100"


def migrate(db) -> None:
    """The table is there, and standbys are let in."""
    db.exec(["psql", "-U", "postgres", "-c", SCHEMA], check=True)
    db.exec('echo "host replication all all scram-sha-256" >> $PGDATA/pg_hba.conf', check=True)


# Prepared at the first run, and then there for every test in the time that a start takes.
migrated = lxc_template("postgres:15", env=PASSWORD, ready=ACCEPTS_CLIENTS, prepare=migrate)

# One server for a module's tests: starting it takes longer than emptying a table.
postgres = lxc_container("postgres:15", scope="module", env=PASSWORD, ready=ACCEPTS_CLIENTS)


def dsn_of(host: str) -> str:
    return f"host={host} user=postgres password=secret dbname=postgres connect_timeout=5"


@pytest.fixture
def dsn(postgres) -> str:
    """Of the module's PostgreSQL, emptied."""
    postgres.exec(["psql", "-U", "postgres", "-c", "DROP TABLE IF EXISTS link"], check=True)
    return dsn_of(postgres.ip)


@pytest.fixture
def storage(dsn) -> Iterator[Storage]:
    storage = Storage(dsn)
    storage.create_schema()
    yield storage
    storage.close()


@pytest.fixture(scope="module")
def archive(postgres):
    """A PostgreSQL with links of long ago, as an image: filled once, cloned for every test that wants it.

    The module's server has been stopped for it.
    """
    storage = Storage(dsn_of(postgres.ip))
    storage.create_schema()
    for year in range(1991, 2021):
        storage.add(f"https://example.org/{year}")
    storage.close()
    postgres.stop(timeout=10)
    return postgres.snapshot("archive")


@pytest.fixture
def old_links(containers, archive) -> Iterator[Storage]:
    """The archive's links, in a database of the test's own."""
    storage = Storage(dsn_of(containers.run(archive, env=PASSWORD, ready=ACCEPTS_CLIENTS).ip))
    yield storage
    storage.close()


@pytest.fixture
def services(containers):
    """A PostgreSQL and a Redis of the test's own, that know each other as ``db`` and ``cache``."""
    db = containers.run("postgres:15", name="db", env=PASSWORD, ready=ACCEPTS_CLIENTS)
    cache = containers.run("redis:7", name="cache", ready=wait.port(6379))
    return db, cache


@pytest.fixture
def shortener(services) -> Iterator[Shortener]:
    db, cache_server = services
    storage, cache = Storage(dsn_of(db.ip)), Cache(cache_server.ip)
    storage.create_schema()
    yield Shortener(storage, cache)
    cache.close()
    storage.close()
