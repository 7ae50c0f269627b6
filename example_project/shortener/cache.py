"""Busy links, and hits not yet counted in the database, in Redis."""

from __future__ import annotations

import redis

SECONDS_TO_LIVE = 3600


class Cache:
    """What the database would be asked for too often."""

    def __init__(self, host: str, port: int = 6379) -> None:
        self._redis = redis.Redis(host, port, decode_responses=True)

    def get(self, code: str) -> str | None:
        """Give the url kept for *code*."""
        return self._redis.get(f"url:{code}")

    def put(self, code: str, url: str) -> None:
        """Keep *url* for an hour."""
        self._redis.set(f"url:{code}", url, ex=SECONDS_TO_LIVE)

    def count_hit(self, code: str) -> None:
        """Count one hit."""
        self._redis.hincrby("hits", code)

    def take_hits(self) -> dict[str, int]:
        """Give the hits counted since the last call, and forget them."""
        taken, _ = self._redis.pipeline(transaction=True).hgetall("hits").delete("hits").execute()
        return {code: int(count) for code, count in taken.items()}

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()
