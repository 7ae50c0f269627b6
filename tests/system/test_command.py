"""Containers from a shell: what each command prints, how it ends, and what it says of bad input."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from pytest_lxcontainer.container.units import MiB

from .command import FOREVER, Command


@pytest.fixture
def db(lxcontainer: Command) -> str:
    """A container that runs; its id."""
    return lxcontainer("run", "-d", "--name", "db", "busybox", *FOREVER).strip()


# run


def test_output_and_exit_code_are_passed_on(lxcontainer: Command) -> None:
    done = lxcontainer.run("run", "--rm", "busybox", "sh", "-c", "echo said; echo complained >&2; exit 7")
    assert (done.returncode, sorted((done.stdout + done.stderr).split())) == (7, ["complained", "said"])
    assert lxcontainer.records() == []


def test_without_rm_it_stays_until_it_is_removed(lxcontainer: Command) -> None:
    lxcontainer("run", "--name", "once", "busybox", "true")
    record = lxcontainer.record("once")
    assert (record["state"], record["exit_code"]) == ("STOPPED", 0)
    assert "Exited (0)" in lxcontainer("ps", "-a")
    assert "once" not in lxcontainer("ps")
    assert lxcontainer("rm", "once") == "once\n"
    assert lxcontainer.records() == []


def test_a_detached_one_outlives_the_command(lxcontainer: Command, db: str) -> None:
    assert re.fullmatch("[0-9a-f]{12}", db)
    record = lxcontainer.record("db")
    assert (record["id"], record["state"], record["command"]) == (db, "RUNNING", [*FOREVER])
    assert lxcontainer("exec", db[:4], "hostname") == "db\n"


def test_a_detached_one_with_rm_goes_when_it_ends(lxcontainer: Command) -> None:
    lxcontainer("run", "-d", "--rm", "--name", "brief", "busybox", "sleep", "0.5")
    deadline = time.monotonic() + 10
    while lxcontainer.records():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_settings_are_those_of_the_options(lxcontainer: Command, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "note").write_text("from the host\n")
    shown = lxcontainer(
        "run", "--rm", "-e", "A=1", "--env", "B=two words", "-w", "/tmp", "-u", "5:6", "--name", "box",
        "-v", f"{tmp_path}:/mnt:ro", "--tmpfs", "/scratch", "--entrypoint", "sh", "busybox", "-c",
        "echo $A $B; pwd; id -u; id -g; hostname; cat /mnt/note; grep -c ' /scratch tmpfs' /proc/mounts; "
        "touch /mnt/x || true",
    )  # fmt: skip
    assert shown.splitlines()[:7] == ["1 two words", "/tmp", "5", "6", "box", "from the host", "1"]


@pytest.mark.needs_cgroups
def test_limits_are_enforced(lxcontainer: Command) -> None:
    lxcontainer("run", "-d", "--name", "small", "-m", "32MiB", "--pids-limit", "50", "busybox", *FOREVER)
    (about,) = json.loads(lxcontainer("inspect", "small"))
    assert (about["limits"]["memory"], about["limits"]["pids"]) == (32 * MiB, 50)
    (figures,) = json.loads(lxcontainer("stats", "--json", "small"))
    assert figures["memory_limit"] == 32 * MiB and 0 < figures["memory_usage"] < 32 * MiB


def test_they_reach_one_another_by_name(lxcontainer: Command, db: str) -> None:
    assert lxcontainer.run("run", "--rm", "busybox", "ping", "-c1", "-W3", "db").returncode == 0
    assert lxcontainer.run("run", "--rm", "--network", "back", "busybox", "ping", "-c1", "-W1", "db").returncode != 0
    assert lxcontainer("run", "--rm", "--network", "none", "busybox", "ls", "/sys/class/net") == "lo\n"


def test_stdin_is_passed_on_where_that_is_asked_for(lxcontainer: Command) -> None:
    assert lxcontainer("run", "--rm", "-i", "busybox", "cat", input="one\ntwo") == "one\ntwo"
    assert lxcontainer("run", "--rm", "busybox", "cat", input="one\ntwo") == ""


def test_a_foreground_one_gets_the_signals_of_the_terminal(lxcontainer: Command) -> None:
    script = "trap 'echo interrupted; exit 3' INT; echo ready; while :; do sleep 0.1; done"
    with lxcontainer.start("run", "--rm", "busybox", "sh", "-c", script, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "interrupted\n"
        assert process.wait(20) == 3


def test_one_that_is_killed_takes_its_container_along_with_rm(lxcontainer: Command) -> None:
    with lxcontainer.start("run", "--rm", "--name", "gone", "busybox", *FOREVER) as process:
        deadline = time.monotonic() + 20
        while not any(each["state"] == "RUNNING" for each in lxcontainer.records()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.kill()
    deadline = time.monotonic() + 10
    while lxcontainer.records():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nosuchimage"], 125, "No image named 'nosuchimage'"),
        (["busybox", "nosuchprogram"], 127, "there is no nosuchprogram in the image"),
        (["busybox", "/etc/passwd"], 126, "not executable"),
        (["-u", "nobodyhere", "busybox", "true"], 125, "nobodyhere"),
        (["-v", "/nosuchpath:/x", "busybox", "true"], 125, "does not exist"),
        (["-p", "80:80", "busybox", "true"], 2, "ports are not published"),
        (["-m", "lots", "busybox", "true"], 2, "is no size"),
        (["--network", "a b", "busybox", "true"], 125, "no name for a network"),
    ],
)
def test_what_cannot_be_run_is_told(lxcontainer: Command, words: list[str], code: int, said: str) -> None:
    done = lxcontainer.run("run", "--rm", *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr and "Traceback" not in done.stderr
    assert lxcontainer.records() == []


def test_a_name_is_for_one_at_a_time(lxcontainer: Command, db: str) -> None:
    said = lxcontainer.fails("run", "-d", "--name", "db", "busybox", *FOREVER, code=125)
    assert f"in use by container {db}" in said and "lxcontainer rm db" in said


# exec


def test_a_command_has_the_containers_surroundings(lxcontainer: Command) -> None:
    lxcontainer("run", "-d", "--name", "box", "-e", "A=1", "-w", "/tmp", "-u", "5", "busybox", *FOREVER)
    assert lxcontainer("exec", "box", "sh", "-c", "echo $A; pwd; id -u").split() == ["1", "/tmp", "5"]
    words = ["exec", "-u", "0", "-w", "/etc", "-e", "B=2", "box", "sh", "-c", "echo $B; pwd; id -u"]
    assert lxcontainer(*words).split() == ["2", "/etc", "0"]


def test_exit_codes_and_stdin_are_passed_on(lxcontainer: Command, db: str) -> None:
    assert lxcontainer.run("exec", "db", "sh", "-c", "exit 9").returncode == 9
    assert lxcontainer.run("exec", "db", "nosuchprogram").returncode == 127
    assert lxcontainer.run("exec", "db", "sh", "-c", "kill -9 $$").returncode == 137
    assert lxcontainer("exec", "-i", "db", "wc", "-c", input="12345") == "5\n"


def test_exec_refuses_what_is_not_there(lxcontainer: Command, db: str) -> None:
    assert "no such container: nosuch" in lxcontainer.fails("exec", "nosuch", "true")
    assert "no command given" in lxcontainer.fails("exec", "db", code=2)
    lxcontainer("stop", "-t", "0", "db")
    assert "not running" in lxcontainer.fails("exec", "db", "true")


# ps, logs, inspect, stats


def test_ps_lists_what_runs(lxcontainer: Command, db: str) -> None:
    heading, row = lxcontainer("ps").splitlines()
    assert heading.split() == ["CONTAINER", "ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "NAMES"]
    assert re.fullmatch(rf"{db} +busybox:latest +sleep 1000 +\d+ seconds? ago +Up \d+ seconds? +db", row)
    assert lxcontainer("ps", "-q") == f"{db}\n"


def test_logs_are_as_they_were_written(lxcontainer: Command) -> None:
    lxcontainer("run", "-d", "--name", "box", "busybox", "sh", "-c", "printf 'one\\ntwo\\nthr'; printf ee; sleep 1000")
    deadline = time.monotonic() + 10
    while lxcontainer("logs", "box") != "one\ntwo\nthree":
        assert time.monotonic() < deadline
    assert lxcontainer("logs", "--tail", "1", "box") == "three"
    assert lxcontainer("logs", "-n", "all", "box") == "one\ntwo\nthree"
    assert lxcontainer("logs", "--since", "1h", "box") == "one\ntwo\nthree"
    assert lxcontainer("logs", "--since", str(time.time() + 60), "box") == ""


def test_logs_are_followed_until_the_end(lxcontainer: Command) -> None:
    script = "echo before; while [ ! -e /go ]; do sleep 0.1; done; echo after"
    lxcontainer("run", "-d", "--name", "box", "busybox", "sh", "-c", script)
    with lxcontainer.start("logs", "-f", "box", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "before\n"
        lxcontainer("exec", "box", "touch", "/go")
        assert process.stdout.read() == "after\n"
        assert process.wait(20) == 0


def test_inspect_knows_containers_and_images(lxcontainer: Command, db: str) -> None:
    container, image = json.loads(lxcontainer("inspect", "db", "busybox"))
    assert (container["kind"], container["id"], container["hostname"]) == ("container", db, "db")
    assert (image["kind"], image["reference"]) == ("image", "docker.io/library/busybox:latest")
    assert image["config"]["config"]["Cmd"] == ["sh"] and container["image_digest"] == image["digest"]
    assert "no container and no image 'nosuch'" in lxcontainer.fails("inspect", "nosuch")


def test_stats_are_of_those_that_run(lxcontainer: Command, db: str) -> None:
    heading, row = lxcontainer("stats", "--no-stream").splitlines()
    assert heading.startswith("CONTAINER ID   NAME") and row.startswith(f"{db}   db ")
    assert "no such container" in lxcontainer.fails("stats", "nosuch")
    lxcontainer("stop", "-t", "0", "db")
    assert len(lxcontainer("stats", "--no-stream").splitlines()) == 1
    assert "not running" in lxcontainer.fails("stats", "--no-stream", "db")


# diff, cp


def test_diff_and_cp(lxcontainer: Command, db: str, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_text("content\n")
    assert lxcontainer("diff", "db") == ""
    lxcontainer("cp", str(tmp_path / "tree"), "db:/opt")
    lxcontainer("exec", "db", "rm", "/etc/passwd")
    assert lxcontainer("diff", "db").splitlines() == ["D /etc/passwd", "A /opt", "A /opt/file"]
    assert json.loads(lxcontainer("diff", "--json", "db"))[-1] == {"kind": "added", "path": "/opt/file", "size": 8}
    lxcontainer("cp", "db:/opt/.", str(tmp_path / "back"))
    assert (tmp_path / "back" / "file").read_text() == "content\n"


def test_cp_refuses_what_is_not_there(lxcontainer: Command, db: str, tmp_path: Path) -> None:
    assert "must be in a container" in lxcontainer.fails("cp", "/etc/hosts", str(tmp_path))
    assert "No such file" in lxcontainer.fails("cp", "db:/nosuch", str(tmp_path))
    assert f"{tmp_path}/nosuch: No such file" in lxcontainer.fails("cp", f"{tmp_path}/nosuch", "db:/")
    assert "no such container: nosuch" in lxcontainer.fails("cp", "nosuch:/etc/hosts", str(tmp_path))


# stop, rm


def test_stop_and_rm(lxcontainer: Command, db: str) -> None:
    said = lxcontainer.fails("rm", "db")
    assert "container db is running" in said and "lxcontainer stop db" in said
    assert lxcontainer("stop", "-t", "0", "db") == "db\n"
    assert lxcontainer.record("db")["exit_code"] in (128 + signal.SIGKILL, 128 + signal.SIGTERM)
    assert lxcontainer("stop", "db") == "db\n"
    assert lxcontainer("rm", "db") == "db\n"
    assert "no such container: db" in lxcontainer.fails("rm", "db")


def test_one_that_fails_keeps_no_other_from_it(lxcontainer: Command, db: str) -> None:
    done = lxcontainer.run("rm", "-f", "nosuch", "db")
    assert (done.returncode, done.stdout) == (1, "db\n")
    assert "no such container: nosuch" in done.stderr


def test_an_ambiguous_name_is_refused_with_all_that_it_names(lxcontainer: Command) -> None:
    ids = [lxcontainer("run", "-d", "busybox", *FOREVER).strip() for _ in range(2)]
    said = lxcontainer.fails("logs", "busybox")
    assert "2 containers" in said and all(each in said for each in ids)
    assert lxcontainer("stop", "-t", "0", ids[0]) == f"{ids[0]}\n"


# completion


def test_bash_completes_commands_options_and_names(lxcontainer: Command, db: str) -> None:
    script = lxcontainer("completion", "bash")

    def completed(*words: str) -> list[str]:
        line = " ".join(f"'{word}'" for word in words)
        text = f'lxcontainer() {{ $LXC "$@"; }}\n{script}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}\n'
        program = f"{text}_lxcontainer\nprintf '%s\\n' \"${{COMPREPLY[@]}}\""
        import sys

        environment = {**lxcontainer.environment, "LXC": f"{sys.executable} -m pytest_lxcontainer.cli"}
        done = subprocess.run(["bash", "-c", program], env=environment, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return done.stdout.split()

    assert completed("lxcontainer", "st") == ["stop", "stats"]
    assert completed("lxcontainer", "logs", "--f") == ["--follow"]
    assert "db" in completed("lxcontainer", "logs", "d")
    assert completed("lxcontainer", "run", "busy") == ["busybox:latest"]


def test_the_script_for_zsh_is_one(lxcontainer: Command, tmp_path: Path) -> None:
    script = tmp_path / "_lxcontainer"
    script.write_text(lxcontainer("completion", "zsh"))
    subprocess.run(["zsh", "-n", str(script)], check=True)
    probe = f"fpath=({tmp_path} $fpath); autoload -Uz compinit; compinit -D -u; print $_comps[lxcontainer]"
    done = subprocess.run(["zsh", "-f", "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "_lxcontainer"
