"""Notices: what registries say beside their answers, of limits and with warnings.

https://docs.docker.com/docker-hub/usage/pulls/ and, for ``Warning``,
https://github.com/opencontainers/distribution-spec/blob/main/spec.md#warnings.
"""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..image.document import printable

MAX_WARNING = 4096  # characters, for all of an answer's together, by the specification
_AMOUNT = re.compile(r"\s*(\d{1,12})\s*(?:[;,].*)?", re.DOTALL)
_WINDOW = re.compile(r";\s*w\s*=\s*(\d{1,12})", re.IGNORECASE)
_WARNING = re.compile(r'299\s+-\s+"((?:[^"\\]|\\.)*)"')
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True, slots=True)
class RateLimit:
    """How many pulls a registry allows in each *window* (seconds), and how many of them *remaining*.

    *source* is whom it counts: an address or an account's id. ``None`` and ``""`` are what it did not say.
    """

    limit: int | None = None
    remaining: int | None = None
    window: int | None = None
    source: str = ""

    @classmethod
    def read(cls, headers: Mapping[str, str]) -> RateLimit | None:
        """Read ``ratelimit-limit: 100;w=21600`` and what belongs to it, ``None`` where there is nothing of it."""
        limit, remaining = headers.get("ratelimit-limit", ""), headers.get("ratelimit-remaining", "")
        window = _WINDOW.search(limit) or _WINDOW.search(remaining)
        found = cls(
            _amount(limit),
            _amount(remaining),
            int(window[1]) if window else None,
            printable(headers.get("docker-ratelimit-source", "")),
        )
        return None if found.limit is None and found.remaining is None else found

    @property
    def is_low(self) -> bool:
        """Whether a tenth or less is left."""
        return self.remaining is not None and self.remaining * 10 <= (self.limit or 0)

    def __str__(self) -> str:
        left = "an unknown number" if self.remaining is None else str(self.remaining)
        of = "" if self.limit is None else f" of {self.limit}"
        every = f" per {duration(self.window)}" if self.window else ""
        return f"{left}{of} pulls{every} left" + (f" for {self.source}" if self.source else "")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds a server asks to wait, or ``None`` (RFC 9110, section 10.2.3)."""
    for name in ("Retry-After", "ratelimit-reset"):
        if re.fullmatch(r"[0-9]{1,9}", text := headers.get(name, "").strip()):
            return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(headers.get("Retry-After", "")).timestamp() - time.time())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def warnings(headers: Mapping[str, str]) -> Iterator[str]:
    """Yield the texts of an answer's ``Warning`` headers, those of code 299 alone."""
    for match in _WARNING.finditer(headers.get("Warning", "")[:MAX_WARNING]):
        yield printable(re.sub(r"\\(.)", r"\1", match[1]), MAX_WARNING)


def duration(seconds: float) -> str:
    """Return *seconds* in words for people: ``6 h``, ``5 h 59 min``, ``2 s``."""
    left, parts = max(0, round(seconds)), []
    for unit, name in _UNITS:
        count, left = divmod(left, unit)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts[:2]) or "0 s"


def _amount(text: str) -> int | None:
    match = _AMOUNT.fullmatch(text)
    return int(match[1]) if match else None
