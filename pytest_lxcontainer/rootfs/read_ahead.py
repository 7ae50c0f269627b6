"""Decompresses and hashes a layer beside the work of writing its files."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from types import TracebackType

DEPTH = 4
"""Chunks that may be ready before anybody asked for them."""


class ReadAhead(Iterator[bytes]):
    """The same *chunks*, produced by a thread: zlib and hashlib leave the interpreter to others meanwhile.

    A context manager, at whose end the thread has ended too.
    """

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._ready: queue.Queue[bytes | BaseException] = queue.Queue(DEPTH)
        self._wanted = True
        self._thread = threading.Thread(target=self._produce, name="lxcontainer-read-ahead", daemon=True)

    def __enter__(self) -> ReadAhead:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wanted = False
        while self._thread.is_alive():
            # The thread may be waiting for room for one more chunk.
            self._discard()
            self._thread.join(0.001)

    def _discard(self) -> None:
        try:
            while True:
                self._ready.get_nowait()
        except queue.Empty:
            return

    def __next__(self) -> bytes:
        item = self._ready.get()
        if isinstance(item, BaseException):
            # Whoever asks again gets the same answer.
            self._ready.put(item)
            raise item
        return item

    def _produce(self) -> None:
        try:
            for chunk in self._chunks:
                self._ready.put(chunk)
                if not self._wanted:
                    return
        except BaseException as error:
            self._ready.put(error)
        else:
            self._ready.put(StopIteration())
