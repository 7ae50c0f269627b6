"""The shortener over HTTP: POST a url to ``/`` for a code, GET ``/code`` to be sent on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from shortener.links import Shortener, UnknownCodeError
from shortener.storage import NoDatabaseError

Respond = Callable[[str, list[tuple[str, str]]], Any]


class Application:
    """The WSGI application."""

    def __init__(self, shortener: Shortener) -> None:
        self._shortener = shortener

    def __call__(self, environ: dict[str, Any], respond: Respond) -> Iterable[bytes]:
        """Answer one request."""
        try:
            status, headers, body = self._answer(environ)
        except NoDatabaseError:
            status, headers, body = "503 Service Unavailable", [("Retry-After", "1")], "try again in a moment\n"
        respond(status, [("Content-Type", "text/plain; charset=utf-8"), *headers])
        return [body.encode()]

    def _answer(self, environ: dict[str, Any]) -> tuple[str, list[tuple[str, str]], str]:
        code = environ["PATH_INFO"].strip("/")
        if environ["REQUEST_METHOD"] == "POST" and not code:
            return self._shorten(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])).decode())
        try:
            return "302 Found", [("Location", self._shortener.resolve(code))], ""
        except UnknownCodeError:
            return "404 Not Found", [], f"no such link: {code}\n"

    def _shorten(self, url: str) -> tuple[str, list[tuple[str, str]], str]:
        try:
            link = self._shortener.shorten(url)
        except ValueError as error:
            return "400 Bad Request", [], f"{error}\n"
        return "201 Created", [("Location", f"/{link.code}")], f"{link.code}\n"
