"""The `lxcontainer` command as a person has it: a process of its own, on a store of the test's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from pytest_lxcontainer.store.layout import Layout
from pytest_lxcontainer.supervisor.keep_client import list_runs

FOREVER = ("sleep", "1000")
"""The words of a command that lasts as long as a test."""

_WORDS = (sys.executable, "-m", "pytest_lxcontainer.cli")


class Command:
    """Runs ``lxcontainer`` on *store*; calling it gives what it prints, where it ends with *code*."""

    def __init__(self, store: Path, mirror: str) -> None:
        self.store = store
        self.environment = {
            **os.environ,
            "LXCONTAINER_STORE": str(store),
            "LXCONTAINER_MIRROR": mirror,
            "COLUMNS": "120",
        }
        self.environment.pop("LXCONTAINER_PULL", None)

    def __call__(self, *words: str, code: int = 0, input: str | None = None) -> str:
        done = self.run(*words, input=input)
        assert done.returncode == code, (words, done.stdout, done.stderr)
        return done.stdout

    def fails(self, *words: str, code: int = 1) -> str:
        """What it says on stderr, having printed nothing else."""
        done = self.run(*words)
        assert (done.returncode, done.stdout) == (code, ""), (words, done)
        return done.stderr

    def run(self, *words: str, input: str | None = None) -> subprocess.CompletedProcess[str]:
        stdin: dict[str, Any] = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
        return subprocess.run(
            [*_WORDS, *words], env=self.environment, capture_output=True, text=True, timeout=120, check=False, **stdin
        )

    def start(self, *words: str, **settings: Any) -> subprocess.Popen[str]:
        return subprocess.Popen([*_WORDS, *words], env=self.environment, text=True, **settings)

    def records(self, *options: str) -> list[dict[str, Any]]:
        """What ``ps`` knows of all containers."""
        records: list[dict[str, Any]] = json.loads(self("ps", "-a", "--json", *options))
        return records

    def record(self, name: str) -> dict[str, Any]:
        (record,) = (each for each in self.records() if each["name"] == name)
        return record

    def wait_until(self, name: str, state: str, timeout: float = 20.0) -> dict[str, Any]:
        deadline = time.monotonic() + timeout
        while (record := self.record(name))["state"] != state:
            assert time.monotonic() < deadline, record
            time.sleep(0.05)
        return record

    def clear(self, timeout: float = 20.0) -> None:
        """Remove all containers, and wait until no run is left."""
        runs = Layout(self.store).runs_dir
        if names := [each.id for each in list_runs(runs)]:
            self("rm", "-f", *names)
        deadline = time.monotonic() + timeout
        while any(runs.iterdir()):
            assert time.monotonic() < deadline, list(runs.iterdir())
            time.sleep(0.05)
