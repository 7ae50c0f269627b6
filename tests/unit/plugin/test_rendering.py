"""The section of a container in a failed test's report."""

from __future__ import annotations

from typing import Any

from pytest_lxcontainer.plugin.rendering import properties_of, text_of, title_of


def evidence(**values: Any) -> dict[str, Any]:
    """That of a container that runs and has nothing to tell."""
    return {
        "name": "db",
        "id": "db-1",
        "image": "postgres:15",
        "digest": "sha256:abc",
        "command": ["postgres", "-c", "a b"],
        "state": "RUNNING",
        "exit_code": None,
        "reason": "",
        "ips": ["10.0.0.2"],
        "started_at": 1.0,
        "waited_for": "",
        "faults": [],
        "captures": [],
        "kept": "",
        "not_kept": "",
        "log": "",
        "log_left_out": 0,
        "commands": [],
        "commands_left_out": 0,
        "commands_of_others": 0,
        "changes": [],
        "changes_left_out": 0,
        "changes_complete": True,
        "is_gone": False,
        "memory_peak": None,
        "cpu_time": None,
        "problems": [],
        **values,
    }


def command(*args: str, **values: Any) -> dict[str, Any]:
    ended = {"exit_code": 0, "seconds": 0.0123, "output": "", "problem": "", "test": "t", "times": 1, "ok": True}
    return {"args": list(args), **ended, **values}


def change(kind: str, path: str, size: int = 0, **values: Any) -> dict[str, Any]:
    return {"kind": kind, "path": path, "size": size, "old_size": 0, "count": 0, "is_file": True, "diff": "", **values}


def lines(whole: bool = False, **values: Any) -> list[str]:
    return text_of(evidence(**values), whole=whole).split("\n")


HEAD = ["state: RUNNING", "command: postgres -c 'a b'", "image: postgres:15, sha256:abc"]


def test_one_that_has_nothing_to_tell_says_what_it_is() -> None:
    assert title_of(evidence()) == "lxc container db (postgres:15)"
    assert lines() == [*HEAD, "log: (it wrote nothing)"]


def test_all_is_in_its_place() -> None:
    assert lines(
        state="STOPPED",
        exit_code=137,
        reason="killed by SIGKILL: out of memory",
        memory_peak=20 * 1024 * 1024,
        cpu_time=1.234,
        waited_for="port 1",
        faults=["delay 10 ms", "loss 5 %"],
        captures=["/tmp/x.pcap"],
        commands=[command("true")],
        changes=[change("added", "/new", 3, diff="+a\n+b")],
        log="last\nwords",
        log_left_out=7,
    ) == [
        "state: STOPPED, exit code 137 (killed by SIGKILL: out of memory)",
        *HEAD[1:],
        "used: 20.0 MiB of memory at most, 1.23 s of processor time",
        "waited for: port 1",
        "network faults: delay 10 ms; loss 5 %",
        "packets: /tmp/x.pcap",
        "commands:",
        "  exit code 0, 0.012 s: true",
        "changed files:",
        "  A /new (3 B)",
        "      +a",
        "      +b",
        "log:",
        "... 7 earlier lines",
        "last",
        "words",
    ]


def commands(whole: bool = False, **values: Any) -> list[str]:
    told = lines(whole, **values)
    return told[next(number for number, line in enumerate(told) if line.startswith("commands:")) : -1]


def test_a_command_that_failed_shows_the_end_of_its_output() -> None:
    output = "\n".join("1234567")
    failed = command("/bin/sh", "-c", "make it", exit_code=2, output=output)
    shown = ["commands:", "  exit code 2, 0.012 s: make it", *(f"      {number}" for number in "34567")]
    assert commands(commands=[failed]) == shown
    assert len(commands(whole=True, commands=[failed])) == 2 + 1 + 7


def test_how_commands_end() -> None:
    ended = [
        command("a", exit_code=None, seconds=None),
        command("b", exit_code=-9),
        command("c", exit_code=None, problem="killed after 3 s", seconds=3.01),
        command("d", exit_code=1, times=12),
        command("e", exit_code=-63),
    ]
    assert commands(commands=ended) == [
        "commands:",
        "  still running: a",
        "  killed by SIGKILL, 0.012 s: b",
        "  killed after 3 s, 3.010 s: c",
        "  exit code 1, 0.012 s, the last of 12 times: d",
        "  killed by signal 63, 0.012 s: e",
    ]


def test_commands_that_are_not_shown_are_counted() -> None:
    assert commands(commands_left_out=3, commands_of_others=3) == ["commands: (not shown: 3 that other tests ran)"]
    told = commands(commands=[command("a")], commands_left_out=10, commands_of_others=3)
    assert told[0] == "commands: (not shown: 3 that other tests ran, 7 more)"


def test_commands_of_all_tests_are_told_by_test() -> None:
    ran = [command("a", test="x"), command("b", test="x"), command("c", test="")]
    told = [line.strip().partition(" s: ")[2] or line.strip() for line in commands(whole=True, commands=ran)]
    assert told == ["commands:", "in x:", "a", "b", "in no test:", "c"]


def test_a_long_command_is_cut_unless_all_is_told() -> None:
    long = command("echo", "x" * 1000)
    assert commands(commands=[long])[1].endswith("xxx ...")
    assert commands(whole=True, commands=[long])[2].endswith("x" * 1000)


def test_nothing_but_the_log_reaches_the_terminal_as_it_is() -> None:
    told = lines(
        commands=[command("echo", "\x1b[31m\nx", output="\x1b[2J")],
        changes=[change("added", "/\x1b[2J", diff="+\x9b1m\ttab")],
    )
    assert not any(char in "".join(told) for char in "\x1b\x9b")
    assert "      \\x1b[2J" in told and "      +\\x9b1m\ttab" in told


def test_files_are_told_by_kind_and_size() -> None:
    changes = [
        change("changed", "/a", 5, old_size=2048),
        change("changed", "/b", 5, old_size=5),
        change("deleted", "/c", is_file=False),
        change("added", "/dir", is_file=False),
        change("added", "/data", 5 * 1024**3, count=214),
    ]
    told = lines(changes=changes, changes_left_out=4, changes_complete=False)
    assert told[3:-1] == [
        "changed files:",
        "  C /a (2.0 KiB -> 5 B)",
        "  C /b (5 B)",
        "  D /c",
        "  A /dir",
        "  ... 214 more under /data (5.0 GiB)",
        "  ... 4 more",
        "  ... and those that were not looked at: there are too many",
    ]


def test_what_is_not_known_says_why() -> None:
    assert "not known: its files: the supervisor is gone" in lines(problems=["its files: the supervisor is gone"])


def test_of_what_is_gone_files_are_not_known() -> None:
    assert "changed files: not known, since it is gone" in lines(is_gone=True, changes_complete=False)


def test_the_whole_has_its_id_and_addresses() -> None:
    assert "id: db-1; address: 10.0.0.2" in lines(whole=True)


def test_properties_are_what_is_known() -> None:
    assert properties_of(evidence(exit_code=0, memory_peak=5)) == {
        "id": "db-1",
        "image": "postgres:15",
        "digest": "sha256:abc",
        "command": "postgres -c 'a b'",
        "state": "RUNNING",
        "exit_code": "0",
        "memory_peak": "5",
    }
