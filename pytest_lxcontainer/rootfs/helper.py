"""The process in which layers are unpacked: root of the container's own user namespace, nobody on the host.

Everything it needs is imported before it enters the namespace: the interpreter's own files may lie where the
mapped root cannot read them.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import overload

from ..errors import LxContainerError, StoreError
from ..image.digest import Digest
from .changes import Bounds, changes
from .compression import preload
from .diff import differences
from .layer_dirs import make_dirs
from .limits import Limits
from .made import Made
from .measure import size_on_disk
from .messages import Message, describe, receive, send
from .overlay import content_in, status_in
from .pack import pack
from .removal import remove_entry
from .seal import seal
from .unpack import unpack
from .userns import CLONE_NEWUSER, become_root, unshare


def main() -> None:
    """Serve the socket whose number is the first argument; the second, whether to leave the host's ids."""
    sock = socket.socket(fileno=int(sys.argv[1]))
    _preload()
    if sys.argv[2] == "userns":
        try:
            unshare(CLONE_NEWUSER)
        except LxContainerError as error:
            send(sock, describe(error))
            return
        send(sock, {"ready": True})
        if receive(sock)[0] is None:
            return
        become_root()
    os.umask(0)
    os.chdir("/")
    # A thread only now: a process with several may not enter a user namespace.
    threading.Thread(target=_end_with, args=(sock, os.getppid()), daemon=True).start()
    _serve(sock)


def _preload() -> None:
    """Import what is otherwise imported when it is first needed."""
    for name in ("binascii", "ctypes", "hashlib", "traceback", "urllib.parse"):
        importlib.import_module(name)
    preload()


def _end_with(sock: socket.socket, caller: int) -> None:
    """End this process as soon as its caller does, even in the middle of a layer.

    Not by PR_SET_PDEATHSIG: that one strikes when the caller's *thread* ends.
    """
    poll = select.poll()
    poll.register(sock, select.POLLRDHUP)
    poll.register(os.pidfd_open(caller), select.POLLIN)
    poll.poll()
    os._exit(0)


def _serve(sock: socket.socket) -> None:
    while True:
        request, fds = receive(sock)
        if request is None:
            return
        with LowerDirs(sock, request.get("what", "")) as lower:
            try:
                send(sock, _answer(request, fds, lower))
            finally:
                for fd in fds:
                    os.close(fd)


class LowerDirs(Sequence[int]):
    """The lower dirs of a layer, base first: asked for when they are first looked at, since most layers never do.

    Thus a layer can be unpacked before those below it are.
    """

    def __init__(self, sock: socket.socket, what: str) -> None:
        self._sock = sock
        self._what = what
        self._fds: list[int] | None = None

    def __enter__(self) -> LowerDirs:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for fd in self._fds or ():
            os.close(fd)

    def _asked(self) -> list[int]:
        if self._fds is None:
            send(self._sock, {"wanted": "lower_dirs"})
            answer, self._fds = receive(self._sock)
            if answer is None:
                raise StoreError(f"{self._what}: nobody waits for it any more")
        return self._fds

    def __len__(self) -> int:
        return len(self._asked())

    def __iter__(self) -> Iterator[int]:
        return iter(self._asked())

    @overload
    def __getitem__(self, index: int) -> int: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...

    def __getitem__(self, index: int | slice) -> int | Sequence[int]:
        return self._asked()[index]


def _answer(request: Message, fds: Sequence[int], lower: LowerDirs) -> Message:
    try:
        return _HANDLERS[request["do"]](request, fds, lower)
    except LxContainerError as error:
        return describe(error)
    except OSError as error:
        return describe(StoreError(f"{request['what']}: {error.strerror}"))


def _unpack(request: Message, fds: Sequence[int], lower: LowerDirs) -> Message:
    blob_fd, target_fd = fds
    unpacked = unpack(
        blob_fd,
        target_fd,
        diff_id=Digest.parse(request["diff_id"]),
        lower_fds=lower,
        limits=Limits(**request["limits"]),
    )
    return asdict(unpacked)


def _remove(request: Message, fds: Sequence[int], _: LowerDirs) -> Message:
    remove_entry(request["name"], fds[0])
    return {}


def _measure(request: Message, fds: Sequence[int], _: LowerDirs) -> Message:
    return {"size": size_on_disk(request["name"], fds[0])}


def _make_dirs(request: Message, fds: Sequence[int], lower: LowerDirs) -> Message:
    (upper_fd,) = fds
    make_dirs(upper_fd, lower, request["path"])
    return {}


def _seal(request: Message, fds: Sequence[int], lower: LowerDirs) -> Message:
    upper_fd, target_fd = fds
    seal(upper_fd, target_fd, lower, Made.from_dict(request["made"]))
    return {}


def _pack(_: Message, fds: Sequence[int], __: LowerDirs) -> Message:
    source_fd, target_fd = fds
    packed = pack(source_fd, target_fd)
    return {"diff_id": str(packed.diff_id), "size": packed.size}


def _compare(request: Message, fds: Sequence[int], lower: LowerDirs) -> Message:
    """The stacks come as positions among the lower dirs; a list of differences may not fit into a packet."""
    old, new = _stacks(request, lower)
    return _written(differences(old, new, Made.from_dict(request["made"])), fds[0])


def _changes(request: Message, fds: Sequence[int], lower: LowerDirs) -> Message:
    old, new = _stacks(request, lower)
    return _written(changes(old, new, Made.from_dict(request["made"]), Bounds(**request["bounds"])), fds[0])


def _stacks(request: Message, lower: LowerDirs) -> Iterator[list[int]]:
    return ([lower[number] for number in request[stack]] for stack in ("old", "new"))


def _written(found: object, fd: int) -> Message:
    with os.fdopen(os.dup(fd), "wb") as answer:
        answer.write(json.dumps(found).encode("ascii"))
    return {}


def _look_up(request: Message, _: Sequence[int], lower: LowerDirs) -> Message:
    status = status_in(lower, request["path"])
    return {"status": None if status is None else tuple(status)}


def _read(request: Message, fds: Sequence[int], lower: LowerDirs) -> Message:
    content = content_in(lower, request["path"])
    with os.fdopen(os.dup(fds[0]), "wb") as answer:
        answer.write(content or b"")
    return {"is_file": content is not None}


_HANDLERS: dict[str, Callable[[Message, Sequence[int], LowerDirs], Message]] = {
    "unpack": _unpack,
    "remove": _remove,
    "measure": _measure,
    "make_dirs": _make_dirs,
    "seal": _seal,
    "pack": _pack,
    "compare": _compare,
    "changes": _changes,
    "look_up": _look_up,
    "read": _read,
}


if __name__ == "__main__":
    main()
