"""What a container's command writes, read afterwards and as it comes."""

from __future__ import annotations

import threading
import time
import tracemalloc
from pathlib import Path

import pytest

from pytest_lxcontainer import Container, MiB, wait
from pytest_lxcontainer.errors import ContainerDiedError, DestroyedError, WaitTimeoutError

from .conftest import Runner, wait_until


class TestLogs:
    def test_both_streams_are_in_the_order_written(self, run: Runner) -> None:
        box = run(command="for i in $(seq 500); do echo out$i; echo err$i >&2; done", ready=wait.exit())
        assert box.logs().split() == [f"{stream}{i}" for i in range(1, 501) for stream in ("out", "err")]

    def test_binary_and_long_ones_are_whole(self, run: Runner) -> None:
        box = run(command=r"printf '\377\000'; head -c 4000000 /dev/zero | tr '\0' 'x'", ready=wait.exit())
        assert box.log_bytes() == b"\xff\0" + b"x" * 4_000_000
        assert box.logs()[:2] == "\ufffd\0"

    def test_they_are_kept_over_a_restart_and_parted_by_since(self, run: Runner) -> None:
        box = run(command="echo started; exec sleep 1000", ready=wait.log("started"))
        begin = time.time()
        box.stop(0)
        box.start()
        wait_until(lambda: box.logs() == "started\nstarted\n")
        assert box.logs(since=begin) == "started\n"

    def test_a_hundred_megabytes_written_at_once_are_whole(self, run: Runner) -> None:
        lines, line = 1_000_000, "0123456789" * 10
        box = run(command=f"yes {line} | head -n {lines}; echo the end; exec sleep 1000", ready=wait.log("^the end$"))
        memory = resident(supervisor_of_run(box))
        tracemalloc.start()
        try:
            box.wait_for(wait.log("^the end$"), timeout=60)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert box.log_bytes() == f"{line}\n".encode() * lines + b"the end\n"
        assert box.log_tail(2) == f"{line}\nthe end"
        assert memory < 100 * MiB
        assert peak < 20 * MiB

    def test_one_that_writes_without_end_can_be_read_and_ended(self, run: Runner) -> None:
        box = run(command="while :; do yes | head -c 1000000; sleep 0.01; done", ready=wait.log("y"))
        assert set(box.logs().split()) == {"y"}
        with pytest.raises(WaitTimeoutError, match="'never'"):
            box.wait_for(wait.log("never"), timeout=0.2)
        with pytest.raises(WaitTimeoutError):
            list(box.follow_logs(timeout=0.2))
        box.stop(0)
        assert box.logs().endswith("\n") or box.logs().endswith("y")

    def test_those_of_every_start_remain_in_order(self, run: Runner) -> None:
        count = "n=$(($(cat /n 2> /dev/null) + 1)); echo $n > /n"
        box = run(command=f"{count}; echo start $n; echo error $n >&2; printf rest", ready=wait.exit())
        for _ in range(3):
            box.start()
        assert box.logs().replace("rest", "\n").split() == [
            word for number in "1234" for word in ("start", number, "error", number)
        ]
        box.destroy()
        with pytest.raises(DestroyedError):
            box.logs()

    def test_since_is_what_arrived_from_then_on(self, run: Runner) -> None:
        box = run(command="read x < /dev/null; for i in 1 2 3; do echo $i; sleep 0.2; done", ready=wait.exit())
        assert box.logs(since=0) == box.logs() == "1\n2\n3\n"
        assert box.logs(since=time.time()) == ""


class TestWait:
    @pytest.mark.parametrize("again", ["restart", "stop and start", "kill and start"])
    def test_what_an_earlier_start_wrote_does_not_count(self, run: Runner, again: str) -> None:
        command = "test -e /first && sleep 0.3; touch /first; echo ready; exec sleep 1000"
        box = run(command=command, ready=wait.log("ready"))
        if again == "restart":
            box.restart(0)
        else:
            box.stop(0) if again.startswith("stop") else box.kill()
            box.wait("STOPPED")
            box.start()
        assert box.logs() == "ready\nready\n"

    def test_a_restored_one_is_ready_only_when_it_says_so(self, run: Runner) -> None:
        box = run(command="sleep 0.2; echo ready; exec sleep 1000", ready=wait.log("ready"))
        box.restore()
        assert box.logs() == "ready\nready\n"

    @pytest.mark.parametrize(
        "condition",
        [
            wait.log("never"),
            wait.port(1),
            wait.http("/", 1),
            wait.exec("exit 1"),
            wait.exec("sleep 1000"),
            wait.file("/never"),
            wait.all_of(wait.log("going"), wait.port(1)),
            wait.any_of(wait.log("never"), wait.exec("sleep 1000")),
            lambda container: container.check_output("false"),
        ],
        ids=wait.describe,
    )
    def test_its_end_is_told_at_once_with_code_and_last_lines(self, run: Runner, condition: wait.Condition) -> None:
        with pytest.raises(ContainerDiedError) as caught:
            run(command="echo going; sleep 0.3; echo gone >&2; exit 3", ready=condition, timeout=600)
        assert (caught.value.exit_code, caught.value.log) == (3, "going\ngone")
        assert wait.describe(condition) in str(caught.value)

    def test_a_signal_that_ended_it_is_named(self, run: Runner) -> None:
        with pytest.raises(ContainerDiedError, match="SIGKILL"):
            run(command="sleep 0.3; kill -9 $$", ready=wait.log("never"), timeout=600)


class TestFollow:
    def test_each_line_is_there_before_the_next_is_written(self, run: Runner) -> None:
        reading = "until read x < /tmp/go; do :; done"
        command = f"mkfifo /tmp/go; for i in 1 2 3; do echo line $i; {reading}; done; printf rest; exit 4"
        box = run(command=command, ready=wait.file("/tmp/go"))
        got = []
        for line in box.follow_logs(timeout=20):
            got.append(line)
            if line != "rest":
                box.exec("echo go > /tmp/go")  # the last one may be killed by the end it brings about
        assert got == ["line 1", "line 2", "line 3", "rest"]
        assert box.exit_code == 4

    def test_what_was_written_before_comes_first_unless_since_says_else(self, run: Runner) -> None:
        box = run(command="echo early; exec sleep 1000", ready=wait.log("early"))
        assert next(box.follow_logs(timeout=20)) == "early"
        later = box.follow_logs(since=time.time(), timeout=0.1)
        with pytest.raises(WaitTimeoutError, match=r"had not ended after 0\.1 s") as caught:
            next(later)
        assert "early" in str(caught.value)

    def test_megabytes_are_followed_whole(self, run: Runner) -> None:
        box = run(command="sleep 0.1; seq 300000", ready=())
        assert list(box.follow_logs(timeout=60)) == [str(number) for number in range(1, 300_001)]

    def test_without_a_line_break_it_waits_for_the_end(self, run: Runner) -> None:
        box = run(command="printf a; sleep 0.2; printf b", ready=())
        assert list(box.follow_logs(timeout=20)) == ["ab"]

    @pytest.mark.parametrize("end", ["stop", "kill", "destroy"])
    def test_any_end_is_its_end_in_another_thread_too(self, run: Runner, end: str) -> None:
        box: Container = run(command="echo up; exec sleep 1000")
        got: list[str] = []
        thread = threading.Thread(target=lambda: [got.append(line) for line in box.follow_logs()])
        lines = box.follow_logs(timeout=20)
        assert next(lines) == "up"
        thread.start()
        wait_until(lambda: got == ["up"])
        if end == "stop":
            box.stop(0)
        else:
            getattr(box, end)()
        thread.join(20)
        assert not thread.is_alive()
        assert got == ["up"]
        assert list(lines) == []

    def test_of_one_that_has_ended_there_is_what_it_wrote(self, run: Runner) -> None:
        box = run(command="echo all", ready=wait.exit())
        assert list(box.follow_logs()) == ["all"]
        assert list(run.clone().follow_logs()) == []

    def test_many_may_follow_and_leave_when_they_like(self, run: Runner) -> None:
        box = run(command="while :; do echo again; sleep 0.01; done", ready=wait.log("again"))
        for _ in range(20):
            lines = box.follow_logs(timeout=20)
            assert next(lines) == "again"
            lines.close()  # type: ignore[attr-defined]  # a generator
        assert next(box.follow_logs(timeout=20)) == "again"


def supervisor_of_run(container: Container) -> int:
    """The process that keeps the log: the parent of the monitor, which is init's."""
    pid = container.pid or 0
    for _ in range(2):
        pid = int(status_of(pid)["PPid"])
    return pid


def resident(pid: int) -> int:
    """Most bytes of memory that *pid* had at a time: VmHWM of proc_pid_status(5)."""
    return int(status_of(pid)["VmHWM"].split()[0]) * 1024


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value for key, _, value in (line.partition(":") for line in lines)}
