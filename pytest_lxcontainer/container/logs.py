"""What a container's command writes, read afterwards or as it comes."""

from __future__ import annotations

import time
from collections.abc import Iterator

from ..errors import WaitTimeoutError
from .backend import LOG_KEPT, LogHandle
from .part import Part

_TAIL = 1 << 16
"""Bytes at the end of a log that its last lines are looked for in."""


class Logs(Part):
    """The log: stdout and stderr of the command in the order written, over all its starts."""

    def logs(self, since: float | None = None) -> str:
        """What its command wrote to stdout and stderr, in the order written; *since* is in seconds since the epoch."""
        return self.log_bytes(since).decode("utf-8", "replace")

    def log_bytes(self, since: float | None = None) -> bytes:
        """The same as it was written."""
        return self._backend.logs(self.id, since or 0.0)

    def log_end(self) -> bytes:
        """The last `LOG_KEPT` bytes of it, also when it is destroyed."""
        if self.remains is not None:
            return self.remains.log
        return self._backend.logs(self.id, last=LOG_KEPT)

    def log_tail(self, lines: int = 20) -> str:
        """The last *lines* of the log."""
        end = self._backend.logs(self.id, last=_TAIL)
        return "\n".join(end.decode("utf-8", "replace").splitlines()[-lines:])

    def follow_logs(self, since: float | None = None, timeout: float | None = None) -> Iterator[str]:
        """Yield each line of the log, without its end, as soon as it is written, until the container ends.

        Begins with what has been written *since* then (seconds since the epoch, default: with all), and yields what is
        left of a line without an end at last. Raises `WaitTimeoutError` when *timeout* seconds have passed before the
        container's end. Leaving the loop early is fine.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        following = self._backend.follow(self.id, since or 0.0)
        try:
            rest = b""
            goes_on = True
            while (data := following.read()) or goes_on:
                if data:
                    *lines, rest = (rest + data).split(b"\n")
                    yield from (line.decode("utf-8", "replace") for line in lines)
                else:
                    goes_on = following.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
                if goes_on and deadline is not None and time.monotonic() >= deadline:
                    raise self._still_running(timeout or 0.0, rest)
            if rest:
                yield rest.decode("utf-8", "replace")
        finally:
            following.close()

    def follow_bytes(self, since: float | None = None) -> Iterator[bytes]:
        """The log as it was written, in pieces as they come, until the container ends."""
        following = self._backend.follow(self.id, since or 0.0)
        try:
            goes_on = True
            while (data := following.read()) or goes_on:
                if data:
                    yield data
                else:
                    goes_on = following.wait()
        finally:
            following.close()

    def _follow_this_start(self) -> LogHandle:
        """The log from the last start on, for conditions to look at."""
        return self._backend.follow(self.id, this_start=True)

    def _still_running(self, timeout: float, rest: bytes) -> WaitTimeoutError:
        return WaitTimeoutError(
            f"container {self.name} had not ended after {timeout:.3g} s of following its log",
            awaited="its end",
            timeout=timeout,
            last_seen=rest.decode("utf-8", "replace"),
            container=self.name,
            details=f"its last log lines:\n{self.log_tail()}",
            hint="leave the loop at the line you look for, or give it more time with timeout=…",
        )
