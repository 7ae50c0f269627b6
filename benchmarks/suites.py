"""Whole pytest runs of a suite, one for each way to give its tests containers; the suites are in suites/."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from surroundings import HERE


@dataclass(frozen=True, slots=True)
class Suite:
    """A file of suites/ as one interpreter runs it, with no other plugins than those named."""

    file: str
    python: Path
    image: str
    tests: int
    directory: Path
    plugins: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(self) -> float:
        """Seconds for each test: those of the whole command, by the number of tests."""
        command = [str(self.python), "-m", "pytest", "-q", "-c", str(self._config()), "-p", "no:cacheprovider"]
        named = [argument for plugin in self.plugins for argument in ("-p", plugin)]
        command += [*named, *self.arguments, str(HERE / "suites" / f"{self.file}.py")]
        begin = time.perf_counter()
        done = subprocess.run(
            command,
            cwd=self.directory,
            env={**os.environ, **self._own_environment()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - begin
        passed = re.search(r"(?m)^(\d+) passed", done.stdout)
        if done.returncode or not passed or int(passed[1]) != self.tests:
            raise SystemExit(f"{self.file}: not every test passed:\n{done.stdout[-4000:]}")
        return seconds / self.tests

    def _config(self) -> Path:
        path = self.directory / "pytest.ini"
        path.write_text("[pytest]\n")
        return path

    def _own_environment(self) -> dict[str, str]:
        return {
            "BENCH_IMAGE": self.image,
            "BENCH_TESTS": str(self.tests),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONDONTWRITEBYTECODE": "",
            **self.environment,
        }


def has_option(option: str, directory: Path) -> bool:
    """Whether this interpreter's pytest knows *option*; it is asked in *directory*."""
    command = [sys.executable, "-m", "pytest", "--help"]
    return option in subprocess.run(command, cwd=directory, capture_output=True, text=True, check=True).stdout
