"""Each test a fresh, migrated PostgreSQL, with this plugin: a template's clone."""

from __future__ import annotations

import os

import pytest
from migration import accepts, check, migrate

from pytest_lxcontainer import Container, lxc_container, lxc_template, wait


def url(database: Container) -> str:
    return f"postgresql://postgres:secret@{database.ip}/postgres"


def ready(database: Container) -> bool:
    return accepts(url(database))


def prepare(database: Container) -> None:
    migrate(url(database))


migrated = lxc_template(
    os.environ["BENCH_IMAGE"],
    env={"POSTGRES_PASSWORD": "secret"},
    ready=ready,
    prepare=prepare,
)
# The first start has another server before the one that is to be used; a clone's log tells as well as a session would.
database = lxc_container(migrated, ready=wait.log("database system is ready to accept connections"))


@pytest.mark.parametrize("number", range(int(os.environ["BENCH_TESTS"])))
def test_query(database: Container, number: int) -> None:
    check(url(database))
