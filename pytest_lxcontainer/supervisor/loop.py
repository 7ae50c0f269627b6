"""A small event loop: coroutines that wait for file descriptors and deadlines, in one thread.

One thread because the supervisor forks for everything it does; small because each fork copies it, and its
start is part of every run's first container. One primitive, `wait`, is all its coroutines await.

`wait` is poll(2), not epoll(7): a descriptor may be closed while somebody waits for it. epoll knows open files rather
than descriptors, so where a fork has the file open as well it would go on telling of it, under a number that is another
file's by then, and could not be made to stop. poll looks at what a number is each time, and tells of a closed one.

That look takes time for each descriptor. Those that every container has for as long as it runs are attended to instead:
by epoll, whose look costs what has happened, and by whoever closes them saying so before.
"""

from __future__ import annotations

import heapq
import itertools
import os
import select
import selectors
import time
import traceback
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Iterable
from contextlib import suppress
from types import coroutine
from typing import Any

Ready = frozenset[int]


@coroutine
def wait(fds: Iterable[int], timeout: float | None = None) -> Generator[Any, Ready, Ready]:
    """Wait until one of *fds* is readable, at most *timeout* seconds; returns those that are (none: time is up).

    One that is at its end or has been closed counts as readable.
    """
    ready = yield (tuple(fds), timeout)
    return ready


async def until_gone(pid: int, timeout: float | None = None) -> bool:
    """Wait for the end of a process, whoever's child it is, at most *timeout* seconds; tells whether it has come."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(await wait([pidfd], timeout))
    finally:
        os.close(pidfd)


class Loop:
    """Runs coroutines until it is told to stop."""

    def __init__(self) -> None:
        self._selector = selectors.PollSelector()
        self._attended: dict[int, Callable[[], None]] = {}
        self._epoll = select.epoll()
        self._selector.register(self._epoll, selectors.EVENT_READ)
        self._waiters: dict[int, list[_Wait]] = {}
        self._timers: list[tuple[float, int, _Wait]] = []
        self._ready: deque[Callable[[], None]] = deque()
        self._serial = itertools.count()
        self._stopped = False

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin *work* soon; an error it does not handle is printed, and ends only itself."""
        self._ready.append(lambda: self._step(work, None))

    def attend(self, fd: int, tell: Callable[[], None]) -> None:
        """Call *tell* whenever *fd* is readable or at its end, now and then where it is not, until it is ignored.

        Who closes *fd* ignores it before.
        """
        self._epoll.register(fd, select.EPOLLIN)
        self._attended[fd] = tell

    def ignore(self, fd: int) -> None:
        """Attend to *fd* no longer; what nobody attends to is fine."""
        if self._attended.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def stop(self) -> None:
        """Let `run` return."""
        self._stopped = True

    def run(self) -> None:
        """Run until `stop`."""
        while not self._stopped:
            while self._ready:
                self._ready.popleft()()
            if not self._stopped:
                self._poll()

    def _poll(self) -> None:
        fds = [key.fd for key, _ in self._selector.select(self._until_next_timer())]
        # Who waits is looked up before anybody goes on, who may close a descriptor and wait for another of its number.
        woken = [(waiter, frozenset([fd])) for fd in fds for waiter in self._waiters.get(fd, ())]
        for waiter, ready in woken:
            self._resume(waiter, ready)
        if self._epoll.fileno() in fds:
            self._tell()
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            self._resume(heapq.heappop(self._timers)[2], frozenset())

    def _tell(self) -> None:
        for fd, _ in self._epoll.poll(0):
            tell = self._attended.get(fd)  # none, where one that was told before has had it ignored
            try:
                if tell is not None:
                    tell()
            except Exception:
                traceback.print_exc()

    def _until_next_timer(self) -> float | None:
        while self._timers and self._timers[0][2].done:
            heapq.heappop(self._timers)
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None

    def _step(self, work: Coroutine[Any, Any, None], value: Ready | None) -> None:
        try:
            fds, timeout = work.send(value)
        except StopIteration:
            return
        except Exception:
            traceback.print_exc()
            return
        waiter = _Wait(work, fds)
        try:
            self._suspend(waiter, timeout)
        except ValueError:  # no descriptor
            traceback.print_exc()
            self._forget(waiter)
            work.close()

    def _suspend(self, waiter: _Wait, timeout: float | None) -> None:
        for fd in waiter.fds:
            if fd not in self._waiters:
                self._selector.register(fd, selectors.EVENT_READ)
            self._waiters.setdefault(fd, []).append(waiter)
        if timeout is not None:
            heapq.heappush(self._timers, (time.monotonic() + timeout, next(self._serial), waiter))

    def _resume(self, waiter: _Wait, ready: Ready) -> None:
        if not waiter.done:
            self._forget(waiter)
            self._step(waiter.work, ready)

    def _forget(self, waiter: _Wait) -> None:
        waiter.done = True
        for fd in waiter.fds:
            waiters = [other for other in self._waiters.pop(fd, ()) if other is not waiter]
            if waiters:
                self._waiters[fd] = waiters
            else:
                with suppress(KeyError, ValueError):  # where registering it has failed
                    self._selector.unregister(fd)


class _Wait:
    """A coroutine that is suspended until something happens."""

    __slots__ = ("done", "fds", "work")

    def __init__(self, work: Coroutine[Any, Any, None], fds: tuple[int, ...]) -> None:
        self.work = work
        self.fds = tuple(dict.fromkeys(fds))
        self.done = False
