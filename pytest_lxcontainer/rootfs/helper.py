"""The process in which layers are unpacked: root of the container's own user namespace, nobody on the host.

Everything it needs is imported before it enters the namespace: the interpreter's own files may lie where the
mapped root cannot read them.
"""

from __future__ import annotations

import importlib
import os
import select
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict

from ..errors import LxContainerError, StoreError
from ..image.digest import Digest
from .compression import preload_zstd
from .layer_dirs import make_dirs
from .limits import Limits
from .messages import Message, describe, receive, send
from .removal import remove_entry
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
    preload_zstd()


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
        try:
            send(sock, _answer(request, fds))
        finally:
            for fd in fds:
                os.close(fd)


def _answer(request: Message, fds: Sequence[int]) -> Message:
    try:
        return _HANDLERS[request["do"]](request, fds)
    except LxContainerError as error:
        return describe(error)
    except OSError as error:
        return describe(StoreError(f"{request['what']}: {error.strerror}"))


def _unpack(request: Message, fds: Sequence[int]) -> Message:
    blob_fd, target_fd, *lower_fds = fds
    unpacked = unpack(
        blob_fd,
        target_fd,
        diff_id=Digest.parse(request["diff_id"]),
        lower_fds=lower_fds,
        limits=Limits(**request["limits"]),
    )
    if request["sync"]:
        _sync_file_system(target_fd)
    return asdict(unpacked)


def _sync_file_system(fd: int) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syncfs(fd) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _remove(request: Message, fds: Sequence[int]) -> Message:
    remove_entry(request["name"], fds[0])
    return {}


def _make_dirs(request: Message, fds: Sequence[int]) -> Message:
    upper_fd, *lower_fds = fds
    make_dirs(upper_fd, lower_fds, request["path"])
    return {}


_HANDLERS: dict[str, Callable[[Message, Sequence[int]], Message]] = {
    "unpack": _unpack,
    "remove": _remove,
    "make_dirs": _make_dirs,
}


if __name__ == "__main__":
    main()
