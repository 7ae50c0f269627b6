"""Really mounting an overlay as the root of a container's user namespace, and using it as a container would.

The only way to know: kernel, file system, user namespace and the directories on the way must all agree.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from ...errors import HostNotReadyError, LxContainerError
from ...rootfs.idmap import IdMap
from ...rootfs.sandbox import Sandbox
from ...rootfs.userns import CLONE_NEWNS, CLONE_NEWUSER, become_root, unshare, write_maps

_PARTS = ("lower", "upper", "work", "merged")
_PACKAGE_PARENT = str(Path(__file__).parents[3])
# Isolated, so that neither PYTHON* variables nor the current directory say what runs.
_BOOTSTRAP = (
    "import sys; sys.path.append(sys.argv.pop(1)); import site; site.main();"
    "from pytest_lxcontainer.cli.doctor.overlay_trial import main; main(sys.argv[1])"
)
_END_TIMEOUT = 10.0


def try_overlay(place: Path, idmap: IdMap) -> None:
    """Mount an overlay of directories made and removed in *place*.

    Raises `HostNotReadyError` where that fails, with what the kernel said.
    """
    with Sandbox(idmap) as sandbox:
        directory = Path(tempfile.mkdtemp(prefix=".lxcontainer-doctor-", dir=place))
        try:
            directory.chmod(0o711)
            for part in _PARTS:
                (directory / part).mkdir(mode=0o755)
                sandbox.adopt(directory / part)
            _check(_run(directory, idmap), place)
        finally:
            # Overlayfs leaves things that only the container's root may remove.
            sandbox.remove(*(directory / part for part in _PARTS))
            directory.rmdir()


def _run(directory: Path, idmap: IdMap) -> str:
    """What the child says went wrong; nothing if all is well."""
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _BOOTSTRAP, _PACKAGE_PARENT, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        text=True,
    )
    assert child.stdin is not None and child.stdout is not None  # asked for above
    try:
        with child.stdin, child.stdout:
            said = child.stdout.readline()
            if said == "ready\n":
                write_maps(child.pid, idmap)
                child.stdin.write("mapped\n")
                child.stdin.flush()
                said = ""
            return said + child.stdout.read()
    finally:
        child.kill()
        child.wait(_END_TIMEOUT)


def _check(said: str, place: Path) -> None:
    if said != "works\n":
        raise HostNotReadyError(
            f"no overlay can be used in {place}:",
            details=said,
            hint="# set LXCONTAINER_STORE (pytest: --lxc-store) to a directory on ext4, xfs, btrfs or tmpfs",
        )


def main(directory: str) -> None:
    """Be the child: enter a user namespace, mount, and use the mount."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        unshare(CLONE_NEWUSER | CLONE_NEWNS)
        print("ready", flush=True)
        sys.stdin.readline()
        become_root()
        _use(libc, directory)
    except LxContainerError as error:
        print(error.message)
    except OSError as error:
        print(error)
    else:
        print("works")


def _use(libc: ctypes.CDLL, directory: str) -> None:
    """Through the mount: hide a file of the lower directory, which makes a device node, and write another."""
    lower, upper, work, merged = (os.path.join(directory, part) for part in _PARTS)  # noqa: PTH118  # as mount(2) has it
    Path(lower, "hidden").touch()
    options = f"lowerdir={lower},upperdir={upper},workdir={work},userxattr"
    if libc.mount(b"overlay", os.fsencode(merged), b"overlay", 0, os.fsencode(options)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mount: {os.strerror(number)}")
    Path(merged, "hidden").unlink()
    Path(merged, "written").write_text("as in a container")
