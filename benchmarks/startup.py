#!/usr/bin/env python3
"""Measure how much later pytest is done where the plugin is installed and no test uses it.

Alternates `pytest` as it is with `pytest -p no:lxcontainer` on a file with one empty test.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

VARIANTS = {"with": (), "without": ("-p", "no:lxcontainer")}


def main(argv: Sequence[str]) -> int:
    options = parse(argv)
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "pytest.ini").write_text("[pytest]\n")
        Path(directory, "test_nothing.py").write_text("def test_nothing():\n    pass\n")
        seconds: dict[str, list[float]] = {name: [] for name in VARIANTS}
        for number in range(options.warmup + options.runs):
            # The second of a pair may gain by the first: they take turns at being it.
            order = list(VARIANTS) if number % 2 else list(reversed(VARIANTS))
            for name in order:
                taken = timed(VARIANTS[name], directory)
                if number >= options.warmup:
                    seconds[name].append(taken)
    report(seconds)
    if options.json:
        options.json.write_text(json.dumps({"seconds": seconds}, indent=1) + "\n")
    return 0


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20, metavar="N", help="measured pairs (default: 20)")
    parser.add_argument("--warmup", type=int, default=2, metavar="N", help="pairs before them (default: 2)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every single figure there too")
    return parser.parse_args(argv)


def timed(arguments: Sequence[str], directory: str) -> float:
    """Seconds that a whole run of pytest takes."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments, directory]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    begin = time.perf_counter()
    subprocess.run(command, check=True, cwd=directory, env=environment, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def report(seconds: dict[str, list[float]]) -> None:
    for name, values in seconds.items():
        print(f"pytest {name} the plugin: median {statistics.median(values) * 1e3:6.1f} ms of {len(values)}")
    pairs = [there - not_there for there, not_there in zip(seconds["with"], seconds["without"], strict=True)]
    print(f"difference of a pair: median {statistics.median(pairs) * 1e3:6.1f} ms")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
