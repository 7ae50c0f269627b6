"""Links in PostgreSQL."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from shortener.retry import patiently

SCHEMA = """
CREATE TABLE IF NOT EXISTS link (
    id   bigint GENERATED ALWAYS AS IDENTITY (START WITH 1000) PRIMARY KEY,
    url  text NOT NULL UNIQUE,
    hits bigint NOT NULL DEFAULT 0
)
"""

# The update that changes nothing makes RETURNING give the row that was there. It also makes trying again harmless.
INSERT = """
INSERT INTO link (url) VALUES (%s)
ON CONFLICT (url) DO UPDATE SET url = EXCLUDED.url
RETURNING id
"""


class NoDatabaseError(Exception):
    """No server has done what was asked, for as long as one could wait."""


class Storage:
    """The table of links, on the server of *dsn*, a libpq connection string.

    It may name several hosts, and which of them will do (``target_session_attrs``). What fails because a server or the
    way to it does is tried again, on whichever answers, for *patience* seconds; then it raises `NoDatabaseError`.
    """

    def __init__(self, dsn: str, patience: float = 5.0) -> None:
        self._dsn = dsn
        self._patience = patience
        self._hosts = str(conninfo_to_dict(dsn).get("host", "")).split(",")
        self._connection = self._connect()

    def create_schema(self) -> None:
        """Make the table where it is missing."""
        self._execute(SCHEMA)

    def add(self, url: str) -> int:
        """Store *url* and give its number; the same one for the same url."""
        row = self._execute(INSERT, url).fetchone()
        assert row is not None
        return int(row[0])

    def url(self, number: int) -> str | None:
        """Give the url with that *number*."""
        row = self._execute("SELECT url FROM link WHERE id = %s", number).fetchone()
        return row[0] if row else None

    def count_hits(self, hits: dict[int, int]) -> None:
        """Add *hits* to those of the links with these numbers, all or none.

        Where the connection breaks just then, they may be counted twice.
        """
        numbers, counts = list(hits), list(hits.values())
        self._execute(
            "UPDATE link SET hits = hits + new.count"
            " FROM unnest(%s::bigint[], %s::bigint[]) AS new (id, count) WHERE link.id = new.id",
            numbers,
            counts,
        )

    def hits(self, number: int) -> int:
        """Tell how often the link with that *number* was followed."""
        row = self._execute("SELECT hits FROM link WHERE id = %s", number).fetchone()
        return int(row[0]) if row else 0

    def all(self) -> list[tuple[int, str]]:
        """Give every link's number and url, oldest first."""
        return self._execute("SELECT id, url FROM link ORDER BY id").fetchall()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _execute(self, statement: str, *values: Any) -> psycopg.Cursor[Any]:
        def execute() -> psycopg.Cursor[Any]:
            try:
                if self._connection.closed:
                    self._connection = self._connect()
                return self._connection.execute(statement, values)
            except psycopg.OperationalError as error:
                self._leave()
                raise NoDatabaseError(str(error)) from error

        return patiently(execute, NoDatabaseError, self._patience)

    def _connect(self) -> psycopg.Connection[Any]:
        connection = psycopg.connect(self._dsn, host=",".join(self._hosts), autocommit=True)
        self._host = connection.info.host
        return connection

    def _leave(self) -> None:
        """Close the connection; its server is the last to be asked next time."""
        self._connection.close()
        self._hosts.sort(key=self._host.__eq__)
