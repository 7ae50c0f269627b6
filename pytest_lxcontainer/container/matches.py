"""Counting what a regular expression finds in a text that grows."""

from __future__ import annotations

import codecs
import re

KEPT = 1 << 16
"""Characters that are looked at again when more comes: what a match may span."""


class Matches:
    """Counts the matches of *pattern* in what is fed, each once, whatever the pieces it comes in.

    Takes memory and time in proportion to what is new, not to the whole.
    """

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._pattern = pattern
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._lines = ""
        self._rest = ""
        self._from = 0
        self._count = 0

    def feed(self, data: bytes) -> None:
        """Take what follows what was fed before."""
        text = self._rest + self._decoder.decode(data)
        # A line without its end may yet become another match, but for one too long to wait for.
        end = len(text) if len(text) > KEPT else text.rfind("\n") + 1
        self._lines += text[:end]
        self._rest = text[end:]
        for found in self._pattern.finditer(self._lines, self._from):
            self._count += 1
            self._from = max(found.end(), found.start() + 1)
        self._forget()

    def _forget(self) -> None:
        """Keep the last lines only."""
        start = self._lines.rfind("\n", 0, max(0, len(self._lines) - KEPT)) + 1
        if start == 0 and len(self._lines) > 2 * KEPT:
            start = len(self._lines) - KEPT
        self._lines = self._lines[start:]
        self._from = max(0, self._from - start)

    @property
    def count(self) -> int:
        """Matches so far, with those in the line that has no end yet."""
        if not self._rest:
            return self._count
        return self._count + sum(1 for _ in self._pattern.finditer(self._lines + self._rest, self._from))
