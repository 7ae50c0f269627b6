"""Runs that never were, as records: of any size, the same each time."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from pytest_lxcontainer.plugin.record import Failure, Operation, Record, TestRecord

BEGAN_AT = 1_800_000_000.0

HOSTILE = "</script><img src=x onerror=\"document.title='run'\"><!--<script>&lt;\u2028 \x1b[31m\x00 \U0001f40d"

_DIFF = """--- /etc/app.conf
+++ /etc/app.conf
@@ -1,3 +1,3 @@
 [server]
-workers = 4
+workers = 0
 port = 8080
"""

_TRACE = """    def test_it(db):
        rows = db.check_output("psql -c 'select 1'")
>       assert rows == "1"
E       AssertionError: assert '' == '1'

tests/test_it.py:12: AssertionError"""


def command_of(*args: str, **changed: Any) -> dict[str, Any]:
    """What it has of a command that was run."""
    return {"args": [*args], "exit_code": 0, "seconds": 0.034, "output": "", "test": "t", "ok": True, **changed}


def container_of(failed: str, **changed: Any) -> dict[str, Any]:
    """What a failed test's report has of a container, all of it."""
    about: dict[str, Any] = {
        "name": "db",
        "id": failed,
        "image": "postgres:15",
        "digest": "sha256:" + "ab" * 32,
        "command": ["docker-entrypoint.sh", "postgres", "-c", "fsync=off now"],
        "state": "STOPPED",
        "exit_code": 137,
        "reason": "killed by SIGKILL: out of memory, its limit is 64.0 MiB",
        "log": "LOG:  database system is ready to accept connections\nFATAL:  out of memory",
        "log_left_out": 218,
        "commands": [
            command_of("psql", "-c", "select 1", exit_code=2, output="psql: error: connection refused", ok=False),
            command_of("sh", "-c", "echo hello"),
        ],
        "commands_left_out": 3,
        "changes": [
            {"kind": "changed", "path": "/etc/app.conf", "size": 120, "diff": _DIFF},
            {"kind": "added", "path": "/var/lib/data/1", "size": 4096, "diff": ""},
        ],
        "changes_left_out": 214,
        "memory_peak": 67108864,
        "cpu_time": 1.25,
        "faults": ["delay 100 ms to 10.1.2.3"],
        "ips": ["10.0.3.17"],
        "started_at": BEGAN_AT,
        "kept": "",
    }  # fmt: skip
    return {**about, **changed}


def failure_of(container: str, **changed: Any) -> Failure:
    """A failed call with one container."""
    about = [container_of(container, **changed)]
    return Failure("call", "AssertionError: assert '' == '1'", _TRACE, [("Captured stdout call", "seen\n")], about)


class Making:
    """Makes a record, test by test."""

    def __init__(self) -> None:
        self.record = Record(BEGAN_AT, 0.0)
        self._chance = random.Random(7)
        self._clocks: dict[str, float] = {}
        for number, title in enumerate(("postgres:15", "redis:7", "busybox:latest")):
            key = f"{title} key"
            self.record.images[key] = {
                "key": key, "title": title, "reference": f"docker.io/library/{title}",
                "digest": f"sha256:{number:064x}", "size": 50_000_000 + number,
                "layers": [f"sha256:{layer:064x}" for layer in range(number + 1)], "more_layers": 0,
            }  # fmt: skip

    def test(self, number: int, worker: str, *, failed: bool = False, kept: str = "") -> None:
        """One test with a container of its own."""
        chance, begin = self._chance, self._clocks.get(worker, 0.0)
        title = list(self.record.images.values())[number % 3]["title"]
        node_id = f"tests/test_{number % 17}.py::TestThings::test_number[{number}]"
        name = f"{title.partition(':')[0]}-{number + 1}"
        moment = begin
        plan = [
            ("clone", "setup", 0.002),
            ("start", "setup", 0.02),
            ("ready", "setup", chance.uniform(0, 0.4)),
            ("exec", "call", 0.01),
            ("exec", "call", 0.02),
            ("destroy", "teardown", 0.003),
        ]
        if number < 3:
            plan.insert(0, ("pull", "setup", 1.5))
        for operation, phase, length in plan:
            seconds = length * chance.uniform(0.5, 1.5)
            subject = "" if operation == "pull" else name
            self.record.operations.append(
                Operation(operation, moment, seconds, subject, title, node_id, phase, worker, 1)
            )
            moment += seconds + (chance.uniform(0, 0.2) if phase == "call" else 0)
        about = {"id": name, "name": name.partition("-")[0], "image": f"{title} key", "ips": ["10.0.3.9"]}
        self.record.containers[name] = {**about, "worker": worker}
        count = chance.randrange(2, 25)
        moments = [begin + (moment - begin) * at / count for at in range(count)]
        memory = [int(chance.uniform(1, 9) * 1e6) for _ in moments]
        self.record.samples[name] = [moments, memory, [at * 0.01 for at in range(count)]]
        test = TestRecord(node_id, worker, begin, "failed" if failed else "skipped" if number % 41 == 7 else "passed")
        test.phases = {
            phase: (moment - begin) * part for phase, part in (("setup", 0.5), ("call", 0.4), ("teardown", 0.1))
        }
        if failed:
            test.failures.append(failure_of(name, kept=kept))
        self.record.tests[node_id] = test
        self._clocks[worker] = moment + 0.004


def made_up(count: int = 10, workers: int = 1, failures: int = 1) -> Record:
    """A run of *count* tests, of which so many failed."""
    making = Making()
    every = max(1, count // failures) if failures else count + 1
    for number in range(count):
        failed = number % every == every - 1
        worker = f"gw{number % workers}" if workers > 1 else ""
        kept = "lxcontainer enter 3f9a1c07" if failed and number < every else ""
        making.test(number, worker, failed=failed, kept=kept)
    return making.record


def hostile() -> Record:
    """A run all of whose texts would like to be more than that."""
    record = made_up(2, failures=0)
    (first, second) = record.tests.values()
    first.node_id = f"tests/test_it.py::test_it[{HOSTILE}]"
    record.operations = [
        replace(each, test=first.node_id, subject=HOSTILE) if each.test != second.node_id else each
        for each in record.operations
    ]
    record.tests = {each.node_id: each for each in (first, second)}
    for each in record.images.values():
        each.update(title=HOSTILE, reference=HOSTILE)
    for about in record.containers.values():
        about.update(name=HOSTILE, ips=[HOSTILE])
    text = dict.fromkeys(("name", "image", "state", "reason", "log"), HOSTILE)
    changes = [{"kind": HOSTILE, "path": HOSTILE, "size": 3, "diff": HOSTILE}]
    commands = [command_of(HOSTILE, exit_code=1, output=HOSTILE, test=HOSTILE, ok=False)]
    more = {"changes": changes, "commands": commands, "command": [HOSTILE], "faults": [HOSTILE], "kept": HOSTILE}
    first.failures.append(
        Failure("call", HOSTILE, HOSTILE, [(HOSTILE, HOSTILE)], [container_of("redis-2", **text, **more)])
    )
    first.outcome = "failed"
    return record
