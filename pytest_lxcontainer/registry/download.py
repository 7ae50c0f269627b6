"""Downloads: a blob's bytes as a stream that survives interruptions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import requests

from ..errors import CorruptImageError, RegistryError, RegistryUnreachableError
from ..image.manifest import Descriptor
from .failures import CONNECTION_ERRORS, public_url
from .transport import TRIES

CHUNK_SIZE = 256 * 1024
"""Bytes. Smaller ones cost the reader more, larger ones do not fit the processor's cache."""

ENOUGH = 64 * 1024
"""Bytes that make a try a success, though it broke: a server that gives fewer each time is not followed for ever."""

_PAUSE = 0.25  # seconds
_CONTENT_RANGE = re.compile(r"bytes\s+(\d{1,19})-\d{1,19}/(?:\d{1,19}|\*)", re.IGNORECASE)


class Download:
    """Yields the bytes of the blob *descriptor* names, in order and each once.

    *request* asks for the blob with the headers it is given; it raises for an answer that is neither the blob, nor
    a part of it, nor a refusal of the part. Where a connection breaks the rest is asked for, by Range if the server
    knows it.
    """

    def __init__(
        self,
        descriptor: Descriptor,
        request: Callable[[dict[str, str]], requests.Response],
        sleep: Callable[[float], None],
    ) -> None:
        self._descriptor = descriptor
        self._request = request
        self._sleep = sleep
        self._position = 0
        self._skip = 0
        self._response = self._whole()

    def close(self) -> None:
        """Give the connection back, or close it where bytes are left unread."""
        self._response.close()

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes: `CorruptImageError` for too many, `RegistryUnreachableError` for too few.

        After `TRIES` tries in a row that brought less than `ENOUGH`, the last failure is raised.
        """
        vain = 0
        while True:
            start, broke = self._position, False
            try:
                yield from self._rest()
            except CONNECTION_ERRORS:
                broke = True
            if not broke and self._position == self._descriptor.size:
                return
            vain = 0 if self._position - start >= ENOUGH else vain + 1
            if vain == TRIES:
                raise self._incomplete()
            self._sleep(_PAUSE * (vain or 1))
            self._resume()

    def _rest(self) -> Iterator[bytes]:
        # `decode_content`: what is verified is what was sent, even where a server calls the gzip layer an encoding.
        while chunk := self._response.raw.read(CHUNK_SIZE, decode_content=False):
            fresh = chunk[self._skip :] if self._skip else chunk
            self._skip -= len(chunk) - len(fresh)
            self._position += len(fresh)
            if self._position > self._descriptor.size:
                raise CorruptImageError(
                    f"the registry sends more than the {self._descriptor.size} bytes of a blob",
                    details=f"digest: {self._descriptor.digest}",
                )
            if fresh:
                yield fresh

    def _resume(self) -> None:
        self._response.close()
        if self._position:
            self._response = self._request({"Range": f"bytes={self._position}-"})
            said = _CONTENT_RANGE.fullmatch(self._response.headers.get("Content-Range", "").strip())
            if self._response.status_code == 206 and said and int(said[1]) == self._position:
                self._skip = 0
                return
            if self._response.status_code == 200:
                self._skip = self._position
                return
            self._response.close()
        self._response = self._whole()
        self._skip = self._position

    def _whole(self) -> requests.Response:
        response = self._request({})
        if response.status_code != 200:
            response.close()
            raise RegistryError(
                "the registry sends a part of a blob where it was asked for the whole",
                status=response.status_code,
                url=public_url(response.url),
            )
        length = response.headers.get("Content-Length", "")
        if length.isdecimal() and int(length) != self._descriptor.size:
            response.close()
            raise CorruptImageError(
                f"the registry has {int(length)} bytes of a blob, and the manifest says {self._descriptor.size}",
                details=f"digest: {self._descriptor.digest}",
            )
        return response

    def _incomplete(self) -> Exception:
        return RegistryUnreachableError(
            f"the registry sent {self._position} of a blob's {self._descriptor.size} bytes, and {TRIES} tries no more",
            details=f"digest: {self._descriptor.digest}",
            url=public_url(self._response.url),
            hint="try again, or use a mirror with --lxc-mirror",
        )
