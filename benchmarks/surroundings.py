"""What every benchmark that compares with others needs: root, their packages, the registry, and a place to work in."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
SCRIPTS = HERE.parent / "scripts"


def prepare(*, compared: bool = True) -> None:
    """Install what is missing, and start this program anew under the registry where it does not run yet.

    What is *compared* with other tools needs these, and a Docker daemon.
    """
    if compared and os.geteuid() != 0:
        raise SystemExit(f"{Path(sys.argv[0]).stem}: run as root: it starts a Docker daemon")
    subprocess.run([SCRIPTS / "host-setup", *(["--bench"] if compared else [])], check=True)
    if "LXCONTAINER_MIRROR" not in os.environ:
        registry = str(SCRIPTS / "with-registry")
        os.execv(registry, [registry, "--local", sys.executable, *sys.argv])
    # What is to be removed at the end is, however it comes.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))


@contextlib.contextmanager
def scratch_directory() -> Iterator[Path]:
    """A directory for everything, whose parents the containers' users can search: their root is not the host's."""
    with tempfile.TemporaryDirectory(prefix="lxbench-", dir="/var/tmp", ignore_cleanup_errors=True) as scratch:
        Path(scratch).chmod(0o755)
        yield Path(scratch)


def registry_address() -> str:
    """``HOST:PORT`` of the registry on loopback that stands in for Docker Hub."""
    mirrors = dict(entry.split("=", 1) for entry in os.environ["LXCONTAINER_MIRROR"].split())
    return mirrors["docker.io"].removeprefix("http://").rstrip("/")


def docker_reference(image: str) -> str:
    """The name under which Docker finds on the loopback registry what the plugin asks a mirror for."""
    return f"{registry_address()}/{image if '/' in image else 'library/' + image}"


def unpacked(image: str, scratch: Path) -> Path:
    """The lowest layer of *image* as a directory, for what runs a command in one."""
    from pytest_lxcontainer import Provisioner, Settings

    settings = Settings(store=scratch / "floor", mirrors=Settings.from_environment().mirrors)
    with Provisioner(settings) as provisioner:
        return provisioner.pull(image).lower_dirs[0]


def said(*command: str) -> str:
    """The version in what *command* prints."""
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return re.findall(r"\d+(?:\.\d+)+", output)[0]


def linux() -> str:
    """The kernel's version, without what its maker appends."""
    return re.match(r"[\d.]*\d", platform.release())[0]  # type: ignore[index]  # a release begins with a number
