"""Links in PostgreSQL."""

from __future__ import annotations

import psycopg

SCHEMA = """
CREATE TABLE IF NOT EXISTS link (
    id   bigint GENERATED ALWAYS AS IDENTITY (START WITH 1000) PRIMARY KEY,
    url  text NOT NULL UNIQUE,
    hits bigint NOT NULL DEFAULT 0
)
"""

# The update that changes nothing makes RETURNING give the row that was there.
INSERT = """
INSERT INTO link (url) VALUES (%s)
ON CONFLICT (url) DO UPDATE SET url = EXCLUDED.url
RETURNING id
"""


class Storage:
    """The table of links; *dsn* is a libpq connection string."""

    def __init__(self, dsn: str) -> None:
        self._connection = psycopg.connect(dsn, autocommit=True)

    def create_schema(self) -> None:
        """Make the table where it is missing."""
        self._connection.execute(SCHEMA)

    def add(self, url: str) -> int:
        """Store *url* and give its number; the same one for the same url."""
        row = self._connection.execute(INSERT, (url,)).fetchone()
        assert row is not None
        return int(row[0])

    def url(self, number: int) -> str | None:
        """Give the url with that *number*."""
        row = self._connection.execute("SELECT url FROM link WHERE id = %s", (number,)).fetchone()
        return row[0] if row else None

    def count_hits(self, hits: dict[int, int]) -> None:
        """Add *hits* to those of the links with these numbers."""
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.executemany(
                "UPDATE link SET hits = hits + %s WHERE id = %s",
                [(count, number) for number, count in hits.items()],
            )

    def hits(self, number: int) -> int:
        """Tell how often the link with that *number* was followed."""
        row = self._connection.execute("SELECT hits FROM link WHERE id = %s", (number,)).fetchone()
        return int(row[0]) if row else 0

    def all(self) -> list[tuple[int, str]]:
        """Give every link's number and url, oldest first."""
        return self._connection.execute("SELECT id, url FROM link ORDER BY id").fetchall()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
