"""Busy links, and hits not yet counted in the database, in Redis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

SECONDS_TO_LIVE = 3600

# A broken connection is made anew; an answer that is late is not waited for again.
RETRY = Retry(ExponentialBackoff(cap=0.1, base=0.01), retries=3, supported_errors=(redis.ConnectionError,))


class NoCacheError(Exception):
    """The cache has not answered in time."""


class Cache:
    """What the database would be asked for too often.

    All raises `NoCacheError` when there is no answer within *timeout* seconds.
    """

    def __init__(self, host: str, port: int = 6379, timeout: float = 1.0) -> None:
        self._redis = redis.Redis(
            host, port, decode_responses=True, socket_timeout=timeout, socket_connect_timeout=timeout, retry=RETRY
        )

    def get(self, code: str) -> str | None:
        """Give the url kept for *code*."""
        with _asking():
            return self._redis.get(f"url:{code}")

    def put(self, code: str, url: str) -> None:
        """Keep *url* for an hour."""
        with _asking():
            self._redis.set(f"url:{code}", url, ex=SECONDS_TO_LIVE)

    def count_hit(self, code: str) -> None:
        """Count one hit."""
        with _asking():
            self._redis.hincrby("hits", code)

    def take_hits(self) -> dict[str, int]:
        """Give the hits counted since the last call, and forget them."""
        with _asking():
            taken, _ = self._redis.pipeline(transaction=True).hgetall("hits").delete("hits").execute()
        return {code: int(count) for code, count in taken.items()}

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()


@contextmanager
def _asking() -> Iterator[None]:
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise NoCacheError(str(error)) from error
