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
from collections.abc import Mapping, Sequence
from pathlib import Path

VARIANTS = {"with": (), "without": ("-p", "no:lxcontainer")}

Taken = tuple[float, float]
"""Seconds on the clock, and of a processor's time, which tells more on a busy machine."""


def main(argv: Sequence[str]) -> int:
    options = parse(argv)
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "pytest.ini").write_text("[pytest]\n")
        Path(directory, "test_nothing.py").write_text("def test_nothing():\n    pass\n")
        taken: dict[str, list[Taken]] = {name: [] for name in VARIANTS}
        for number in range(options.warmup + options.runs):
            # The second of a pair may gain by the first: they take turns at being it.
            for name in list(VARIANTS) if number % 2 else list(reversed(VARIANTS)):
                once = timed(VARIANTS[name], directory)
                if number >= options.warmup:
                    taken[name].append(once)
    report(taken)
    if options.json:
        options.json.write_text(json.dumps({"seconds, of them on a processor": taken}, indent=1) + "\n")
    return 0


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20, metavar="N", help="measured pairs (default: 20)")
    parser.add_argument("--warmup", type=int, default=2, metavar="N", help="pairs before them (default: 2)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every single figure there too")
    return parser.parse_args(argv)


def timed(arguments: Sequence[str], directory: str) -> Taken:
    """What a whole run of pytest takes."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments, directory]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    begin = time.perf_counter()
    process = subprocess.Popen(command, cwd=directory, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"startup: pytest ended with exit code {process.returncode}")
    return time.perf_counter() - begin, usage.ru_utime + usage.ru_stime


def report(taken: Mapping[str, Sequence[Taken]]) -> None:
    print(f"medians of {len(taken['with'])} runs, in ms {'on the clock':>20}{'on a processor':>18}")
    for name, runs in taken.items():
        clock, processor = (statistics.median(values) * 1e3 for values in zip(*runs, strict=True))
        print(f"pytest {name + ' the plugin':<19}{clock:>24.1f}{processor:>18.1f}")
    pairs = [
        (there[0] - not_there[0], there[1] - not_there[1])
        for there, not_there in zip(taken["with"], taken["without"], strict=True)
    ]
    clock, processor = (statistics.median(values) * 1e3 for values in zip(*pairs, strict=True))
    print(f"{'difference of a pair':<26}{clock:>24.1f}{processor:>18.1f}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
