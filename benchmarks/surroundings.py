"""What every benchmark that compares with others needs: root, their packages, the registry, and a place to work in."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
SCRIPTS = HERE.parent / "scripts"


def prepare() -> None:
    """Install what is missing, and start this program anew under the registry where it does not run yet."""
    if os.geteuid() != 0:
        raise SystemExit(f"{Path(sys.argv[0]).stem}: run as root: it starts a Docker daemon")
    subprocess.run([SCRIPTS / "host-setup", "--bench"], check=True)
    if "LXCONTAINER_MIRROR" not in os.environ:
        registry = str(SCRIPTS / "with-registry")
        os.execv(registry, [registry, "--local", sys.executable, *sys.argv])


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
