"""Each test a fresh, migrated PostgreSQL, with this plugin: a template's clone."""

from __future__ import annotations

import os

import pytest
from migration import accepts, check, migrate

from pytest_lxcontainer import Container, lxc_container, lxc_template


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
database = lxc_container(migrated)


@pytest.mark.parametrize("number", range(int(os.environ["BENCH_TESTS"])))
def test_query(database: Container, number: int) -> None:
    check(url(database))
