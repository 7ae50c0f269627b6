"""Downloads: a blob's bytes as a stream that survives an interruption."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import requests

from ..errors import CorruptImageError, RegistryError, RegistryUnreachableError
from ..image.manifest import Descriptor
from .failures import public_url
from .transport import TRIES

CHUNK_SIZE = 256 * 1024

_PAUSE = 0.25  # seconds


class Download:
    """Yields the bytes of the blob *descriptor* names, in order and each once.

    *request* asks for the blob with the headers it is given; it raises for an answer that is no blob. Where a
    connection breaks the rest is asked for, by Range if the server knows it.
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
        self._response = request({})

    def close(self) -> None:
        """Give the connection back, or close it where bytes are left unread."""
        self._response.close()

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes: `CorruptImageError` for too many, `RegistryUnreachableError` for too few."""
        for tried in range(1, TRIES + 1):
            failure: requests.RequestException | None = None
            try:
                yield from self._rest()
            except requests.RequestException as error:
                failure = error
            if failure is None and self._position == self._descriptor.size:
                return
            if tried == TRIES:
                raise self._incomplete() from failure
            self._sleep(_PAUSE * tried)
            self._resume()

    def _rest(self) -> Iterator[bytes]:
        for chunk in self._response.iter_content(CHUNK_SIZE):
            fresh = chunk[self._skip :]
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
        wanted = {"Range": f"bytes={self._position}-"} if self._position else {}
        self._response = self._request(wanted)
        said = self._response.headers.get("Content-Range", "")
        continues = self._response.status_code == 206 and said.startswith(f"bytes {self._position}-")
        if self._response.status_code == 206 and not continues:
            raise RegistryError(
                "the registry sends another part of a blob than it was asked for",
                status=206,
                url=public_url(self._response.url),
            )
        self._skip = 0 if continues else self._position

    def _incomplete(self) -> Exception:
        return RegistryUnreachableError(
            f"the registry sent {self._position} of a blob's {self._descriptor.size} bytes in {TRIES} tries",
            details=f"digest: {self._descriptor.digest}",
            url=public_url(self._response.url),
            hint="try again, or use a mirror with --lxc-mirror",
        )
