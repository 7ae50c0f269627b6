"""What a container's command writes, read afterwards and as it comes."""

from __future__ import annotations

import threading
import time

import pytest

from pytest_lxcontainer import Container, wait
from pytest_lxcontainer.errors import WaitTimeoutError

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


class TestFollow:
    def test_each_line_is_there_before_the_next_is_written(self, run: Runner) -> None:
        command = "mkfifo /tmp/go; for i in 1 2 3; do echo line $i; read x < /tmp/go; done; printf rest; exit 4"
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
