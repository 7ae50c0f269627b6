"""What a link shortener does, whatever it is asked through."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from shortener.cache import Cache, NoCacheError
from shortener.storage import Storage

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


class UnknownCodeError(LookupError):
    """No link has this code."""


@dataclass(frozen=True)
class Link:
    """A short *code* and the *url* it stands for."""

    code: str
    url: str


def encode(number: int) -> str:
    """Write *number* in base 62."""
    code = ""
    while number:
        number, digit = divmod(number, len(DIGITS))
        code = DIGITS[digit] + code
    return code or DIGITS[0]


def decode(code: str) -> int:
    """Read a number in base 62; raises `UnknownCodeError` where *code* is none."""
    number = 0
    for character in code:
        digit = DIGITS.find(character)
        if digit < 0:
            raise UnknownCodeError(code)
        number = number * len(DIGITS) + digit
    return number


class Shortener:
    """Shortens and resolves links: the database holds them, the cache spares it."""

    def __init__(self, storage: Storage, cache: Cache) -> None:
        self._storage = storage
        self._cache = cache

    def shorten(self, url: str) -> Link:
        """Give *url* a code; raises `ValueError` unless it is an absolute HTTP url."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError(f"not an http url: {url}")
        return Link(encode(self._storage.add(url)), url)

    def resolve(self, code: str) -> str:
        """Give the url behind *code* and count the hit, without the cache if need be; raises `UnknownCodeError`."""
        try:
            url = self._cache.get(code) or self._look_up(code)
            self._cache.count_hit(code)
        except NoCacheError:
            url = self._stored(code)
            self._storage.count_hits({decode(code): 1})
        return url

    def hits(self, code: str) -> int:
        """Tell how often *code* was resolved."""
        pending = {decode(code): count for code, count in self._cache.take_hits().items()}
        self._storage.count_hits(pending)
        return self._storage.hits(decode(code))

    def links(self) -> list[Link]:
        """Give all links, oldest first."""
        return [Link(encode(number), url) for number, url in self._storage.all()]

    def _look_up(self, code: str) -> str:
        url = self._stored(code)
        self._cache.put(code, url)
        return url

    def _stored(self, code: str) -> str:
        url = self._storage.url(decode(code))
        if url is None:
            raise UnknownCodeError(code)
        return url
