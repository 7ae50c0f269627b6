"""Starting a run's supervisor.

Who is to have the run's address gets it before the process is there that will answer at it: several processes that want
one at the same time start one, and what the others ask meanwhile waits for it.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ..container.cgroups import host_hierarchies
from ..errors import HostNotReadyError, SupervisorError
from . import protocol
from .owner import Owner
from .scope import in_a_scope

_BACKLOG = 128
_PACKAGE_PARENT = str(Path(__file__).parents[2])
# Isolated from PYTHON* variables and the current directory; no `site` beyond what finds `lxc`.
_BOOTSTRAP = """
import sys; sys.path.append(sys.argv.pop(1)); import site; site.main()
try:
    import _lxc
except ImportError as error:
    sys.exit(print("without lxc:", error))
from pytest_lxcontainer.supervisor.__main__ import main; sys.exit(main(sys.argv[1:]))
"""
_WITHOUT_LXC = "without lxc: "


class Starting:
    """A supervisor of run *run_id* that has begun to start; it is *owner*'s, and writes to *log_file* what goes wrong.

    Raises `OSError` (EADDRINUSE) where another process has begun to start it, or it is there.
    """

    def __init__(self, run_id: str, runs_dir: Path, owner: Owner, log_file: Path) -> None:
        self._arguments = (run_id, str(runs_dir), str(owner))
        self._log_file = log_file
        self._listener = _listener(run_id)
        self._scope = in_a_scope(run_id, os.geteuid(), host_hierarchies(), _environment())
        self._process = self._begin(self._scope)

    def finish(self) -> None:
        """Wait until it answers; raises what kept it from that."""
        said = self._said()
        if not said and self._scope:
            # Systemd would not: then there are no limits, which what needs them will say.
            self._process = self._begin(())
            said = self._said()
        # From now on the address is the supervisor's alone, and free when that ends.
        self._listener.close()
        if said != "ready":
            raise self._error(said)

    def wait(self, timeout: float) -> None:
        """Wait for its end, at most *timeout* seconds."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout)

    def leave(self) -> None:
        """Let it go on: it belongs to the run, and outlives the process that happened to start it."""
        self._listener.close()
        if self._process.stdout is not None:
            self._process.stdout.close()
        if self._process.poll() is None:
            self._process.returncode = 0  # not an error to warn of

    def _begin(self, scope: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start the process, behind the words of *scope*."""
        listener = self._listener.fileno()
        with self._log_file.open("ab") as log:
            return subprocess.Popen(
                [
                    *scope, sys.executable, "-I", "-S", "-c", _BOOTSTRAP, _PACKAGE_PARENT,
                    str(listener), *self._arguments,
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd="/",
                env=_environment(),
                pass_fds=(listener,),
                start_new_session=True,
            )  # fmt: skip

    def _said(self) -> str:
        """What it says first."""
        assert self._process.stdout is not None  # `_begin` asks for it
        with self._process.stdout as output:
            return output.readline().decode("utf-8", "replace").strip()

    def _error(self, said: str) -> Exception:
        words = last_words(self._log_file)
        self._log_file.unlink(missing_ok=True)
        if said.startswith(_WITHOUT_LXC):
            return HostNotReadyError(
                f"the Python binding of LXC is not installed for {sys.executable}",
                details=said.removeprefix(_WITHOUT_LXC),
                hint="apt-get install lxc lxc-dev gcc python3-dev && pip install lxc",
            )
        if said:
            return protocol.rebuild(json.loads(said))
        return SupervisorError("the supervisor could not be started", details=words, hint="see: lxcontainer doctor")


def begin(run_id: str, runs_dir: Path, owner: Owner, log_file: Path) -> Starting | None:
    """A supervisor that begins to start; ``None`` where there is one, or another process has begun to start it."""
    try:
        return Starting(run_id, runs_dir, owner, log_file)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return None


def last_words(log_file: Path) -> str:
    """The end of what a supervisor wrote to stderr; empty unless something is wrong."""
    try:
        return log_file.read_text(errors="replace")[-2000:]
    except OSError:
        return ""


def _listener(run_id: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(protocol.socket_name(run_id))
    except OSError:
        listener.close()
        raise
    listener.listen(_BACKLOG)
    return listener


def _environment() -> dict[str, str]:
    """A clean environment: a container's init shows it to whoever can look.

    Root's LXC writes id maps itself when it finds no newuidmap in PATH, which is faster and needs no entry in
    /etc/subuid; an ordinary user's needs the program.
    """
    path = "/nonexistent" if os.geteuid() == 0 else os.defpath + ":/usr/sbin:/sbin"
    return {"PATH": path, "LC_ALL": "C.UTF-8", "HOME": str(Path.home())}
