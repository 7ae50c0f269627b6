"""Virtual environments of the benchmarks, made once and kept in the user's cache directory."""

from __future__ import annotations

import compileall
import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from surroundings import HERE

OURS = ("xdist", "psycopg")
"""What suites of this plugin import beside it, in some of the parts."""


def use_own_if_lacking(modules: Sequence[str]) -> None:
    """Start this program anew in an environment that has *modules* and the plugin, where this one lacks any."""
    if all(importlib.util.find_spec(name) for name in ("pytest_lxcontainer", *modules)):
        return
    python = environment("plugin", "--editable", str(HERE.parent), "pytest-xdist", "psycopg[binary]")
    if Path(sys.prefix) == python.parent.parent:
        raise SystemExit(f"{python} lacks one of {', '.join(modules)}; remove {sys.prefix} and run again")
    os.execv(python, [str(python), *sys.argv])


def compile_package() -> None:
    """Have bytecode of the plugin, as there is of all that pip installs, but for what is editable."""
    compileall.compile_dir(HERE.parent / "pytest_lxcontainer", quiet=1)


def peers_python() -> Path:
    """The interpreter that has the peers, on the pytest of this one."""
    ours = f"pytest=={metadata.version('pytest')}"
    return environment("peers", ours, "pytest-xdist", "psycopg[binary]", "testcontainers", "pytest-docker-tools")


def environment(name: str, *requirements: str) -> Path:
    """The interpreter of an environment with *requirements*, newest when it was made."""
    wanted = "\0".join((sys.base_prefix, *requirements))
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pytest-lxcontainer-benchmarks"
    cache.mkdir(parents=True, exist_ok=True)
    directory = cache / f"{name}-{hashlib.sha256(wanted.encode()).hexdigest()[:8]}"
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (directory / "complete").exists():
            _make(directory, requirements)
    return directory / "bin" / "python"


def _make(directory: Path, requirements: Sequence[str]) -> None:
    print(f"Making {directory}, once ...", file=sys.stderr)
    shutil.rmtree(directory, ignore_errors=True)
    install = (directory / "bin" / "python", "-m", "pip", "install", "--disable-pip-version-check", "--use-pep517")
    for command in ((sys.executable, "-m", "venv", directory), (*install, *requirements)):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(map(str, command))} failed:\n{done.stdout[-2000:]}")
    (directory / "complete").touch()


def version(python: Path, package: str) -> str:
    """What that interpreter has of *package*."""
    code = f"from importlib import metadata; print(metadata.version({package!r}))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
