from __future__ import annotations

import os
import shlex
import threading
import time
from pathlib import Path

import pytest

from pytest_lxcontainer import Container, ExecResult
from pytest_lxcontainer.container.backend import ExecSpec
from pytest_lxcontainer.container.exec import argv, shell_line
from pytest_lxcontainer.errors import ExecFailedError, ExecTimeoutError, InvalidSettingsError


def test_a_list_is_argv_and_a_string_goes_through_the_shell() -> None:
    assert argv(["a b", Path("/c"), 1]) == ("a b", "/c", "1")  # type: ignore[list-item]  # as people write it
    assert argv("a | b") == ("/bin/sh", "-c", "a | b")
    assert argv("a", ("/bin/bash", "-ec")) == ("/bin/bash", "-ec", "a")


def test_check_returns_the_result_of_a_success() -> None:
    result = ExecResult(("true",), 0, "out", "", 0.1)
    assert result.check() is result


@pytest.mark.parametrize("code", [1, 127, 255, -9])
def test_check_raises_with_both_streams_and_the_result(code: int) -> None:
    result = ExecResult(("sh", "-c", "exit 1"), code, b"some \xff out", b"some err", 0.1)
    with pytest.raises(ExecFailedError) as caught:
        result.check()
    assert caught.value.result is result
    for text in (f"exit code {code}", "sh -c 'exit 1'", "some \ufffd out", "some err"):
        assert text in str(caught.value)


@pytest.mark.parametrize(("code", "shown"), [(-9, "killed by SIGKILL"), (-34, "killed by S"), (-99, "by signal 99")])
def test_a_signal_is_named(code: int, shown: str) -> None:
    with pytest.raises(ExecFailedError, match=shown):
        ExecResult(("sleep",), code, "", "", 0.1).check()


def test_the_line_to_run_it_again_survives_a_shell() -> None:
    spec = ExecSpec(("printf", "%s", "it's $HOME"), (("A B", "'\"\n"),), "/a b", 1, 2)
    words = shlex.split(shell_line(spec, os.getpid(), user_namespace=True))
    assert words[:3] == ["env", "-i", "A B='\"\n"]
    assert words[-4:] == ["--", "printf", "%s", "it's $HOME"]
    assert {"--wdns=/a b", "--setuid=1", "--setgid=2", "--user"} <= set(words)
    assert "--user" not in shell_line(spec, os.getpid(), user_namespace=False)


def test_output_is_text_or_bytes(box: Container) -> None:
    command = r"printf 'a\377'; printf 'b' >&2"
    text, raw = box.exec(command), box.exec(command, text=False)
    assert (text.stdout, text.stderr) == ("a\ufffd", "b")
    assert (raw.stdout, raw.stderr) == (b"a\xff", b"b")
    assert text.duration > 0


def test_check_output_is_stdout_without_its_last_line_break(box: Container) -> None:
    assert box.check_output("echo a; echo; echo err >&2") == "a\n"
    with pytest.raises(ExecFailedError):
        box.check_output("exit 1")


@pytest.mark.parametrize("data", ["text ä", b"\x00\xff"])
def test_input_is_text_or_bytes(box: Container, data: str | bytes) -> None:
    expected = data.encode() if isinstance(data, str) else data
    assert box.exec("cat", input=data, text=False).stdout == expected


def test_env_comes_on_top_of_the_containers(box: Container) -> None:
    assert box.check_output("echo $HOME $MINE", env={"MINE": "x"}) == "/root x"


@pytest.mark.parametrize("command", [[], ["a\0b"], "a\0b"])
def test_what_is_no_command_is_refused(box: Container, command: str | list[str]) -> None:
    with pytest.raises(InvalidSettingsError, match="no command"):
        box.exec(command)


def test_what_a_background_child_still_writes_is_not_waited_for(box: Container) -> None:
    begin = time.monotonic()
    result = box.exec("echo now; (sleep 30; echo late) &")
    assert (result.exit_code, result.stdout) == (0, "now\n")
    assert time.monotonic() - begin < 20


def test_a_child_that_writes_without_end_is_not_waited_for(box: Container) -> None:
    result = box.exec("yes & sleep 0.1")
    assert result.exit_code == 0
    assert set(result.stdout.split()) <= {"y"}


@pytest.mark.parametrize("env", [{"A=B": "x"}, {"": "x"}, {"A\0": "x"}, {"A": "x\0y"}])
def test_an_environment_that_cannot_be_is_refused(box: Container, env: dict[str, str]) -> None:
    with pytest.raises(InvalidSettingsError, match="env"):
        box.exec(["true"], env=env)


def test_a_timeout_says_what_was_written(box: Container) -> None:
    with pytest.raises(ExecTimeoutError, match=r"after 0\.2 s") as caught:
        box.exec("echo so far; exec sleep 1000", timeout=0.2)
    assert caught.value.stdout == "so far\n"
    with pytest.raises(ExecTimeoutError) as caught:
        box.exec("echo so far; exec sleep 1000", timeout=0.2, text=False)
    assert caught.value.stdout == b"so far\n"


def test_an_interrupted_caller_leaves_no_command_behind(box: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    import signal

    def interrupt() -> None:
        time.sleep(0.3)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        box.exec("sleep 1; touch late")
    thread.join()
    time.sleep(1)
    assert not box.exists("/desk/late")


class TestPopen:
    def test_streams_are_live(self, box: Container) -> None:
        with box.popen("while read line; do echo got $line; done") as process:
            process.stdin.write(b"one\n")
            assert process.stdout.readline() == b"got one\n"
            process.stdin.write(b"two\n")
            assert process.stdout.readline() == b"got two\n"
            assert process.poll() is None
            process.stdin.close()
            assert process.wait(20) == 0
            assert process.poll() == 0

    def test_leaving_it_kills_it(self, box: Container) -> None:
        with box.popen(["sleep", "1000"]) as process:
            assert process.poll() is None
        assert process.exit_code == -9
        assert process.stdout.closed

    def test_waiting_too_long_is_an_error_and_kills_nothing(self, box: Container) -> None:
        with box.popen("sleep 0.5; exit 3") as process:
            with pytest.raises(ExecTimeoutError, match="still runs"):
                process.wait(0.05)
            assert process.wait(20) == 3

    def test_killing_it_twice_is_fine(self, box: Container) -> None:
        with box.popen(["sleep", "1000"]) as process:
            process.kill()
            process.kill()
            assert process.wait() == -9
