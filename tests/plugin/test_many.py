"""Many containers of several workers and runs, all alive at once."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ..system.leaks import Leaks
from .conftest import Inner

pytestmark = pytest.mark.usefixtures("mirror")

RUNS, WORKERS, EACH = 2, 4, 25
TIMEOUT = 120.0
PLUGINS = ("-p", "lxcontainer", "-p", "xdist")

MANY = f"""
    import socket, time
    from pathlib import Path

    import pytest

    from pytest_lxcontainer import wait

    RUN = Path(__file__).stem

    def answer_of(address):
        with socket.create_connection((address, 80), timeout=30) as connection:
            return connection.makefile().read().strip()

    def meet_the_others(where, number, said):
        Path(f"{{where}}-{{RUN}}-{{number}}").write_text(said)
        deadline = time.monotonic() + {TIMEOUT}
        while len(list(Path().glob(f"{{where}}-*"))) < {RUNS * WORKERS}:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    @pytest.mark.parametrize("number", range({WORKERS}))
    def test_it(containers, number):
        names = [f"{{RUN}}-{{number}}-{{each}}".replace("_", "-") for each in range({EACH})]
        serving = dict(image="busybox", command="nc -ll -p 80 -e hostname", ready=wait.port(80))
        boxes = containers.run_all(dict.fromkeys(names, serving))
        meet_the_others("up", number, " ".join(box.ip for box in boxes.values()))
        assert [answer_of(box.ip) for box in boxes.values()] == names
        meet_the_others("answered", number, "yes")
"""


def test_two_hundred_of_two_runs_with_four_workers_never_collide(inner: Inner, leaks: Leaks) -> None:
    inner.write(test_first=MANY, test_second=MANY)
    # What other plugins there may be takes each worker longer to load than its containers to start.
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", *inner.options, *PLUGINS, "-n", str(WORKERS)]
    runs = [
        subprocess.Popen(
            [*command, f"test_{name}.py"], cwd=inner.path, env=environment, stdout=subprocess.PIPE, text=True
        )
        for name in ("first", "second")
    ]
    said = [run.communicate(timeout=2 * TIMEOUT)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], "\n".join(said)
    addresses = [address for path in inner.path.glob("up-*") for address in path.read_text().split()]
    assert len(addresses) == len(set(addresses)) == RUNS * WORKERS * EACH
    leaks.assert_nothing_new()
