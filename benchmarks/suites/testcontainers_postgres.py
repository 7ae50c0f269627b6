"""Each test a fresh, migrated PostgreSQL, with testcontainers: started and migrated for the test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from migration import check, migrate
from testcontainers.community.postgres import PostgresContainer


@pytest.fixture
def url() -> Iterator[str]:
    with PostgresContainer(os.environ["BENCH_IMAGE"], driver=None) as database:
        url = database.get_connection_url()
        migrate(url)
        yield url


@pytest.mark.parametrize("number", range(int(os.environ["BENCH_TESTS"])))
def test_query(url: str, number: int) -> None:
    check(url)
