from __future__ import annotations

import http.server
import re
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_lxcontainer import Container, wait
from pytest_lxcontainer.container.backend import Status
from pytest_lxcontainer.container.spec import ContainerSpec
from pytest_lxcontainer.errors import (
    ContainerDiedError,
    InvalidSettingsError,
    LxContainerError,
    StartFailedError,
    WaitTimeoutError,
)
from pytest_lxcontainer.image.config import Healthcheck
from tests.fakes.backend import FakeBackend

from .conftest import Make


class OnLoopback(FakeBackend):
    """Its containers' ports are this host's."""

    def create(self, spec: ContainerSpec) -> Status:
        made = super().create(spec)
        return Status(made.name, made.state, ("127.0.0.1",))


@pytest.fixture
def backend(tmp_path: Any) -> Iterator[FakeBackend]:
    with OnLoopback(tmp_path / "containers") as backend:
        yield backend


@pytest.fixture
def web() -> Iterator[int]:
    """The port of a server that answers 200 for /, 503 for /busy."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(503 if self.path == "/busy" else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


LATER = "sleep 0.2; echo one; echo two ready; touch made; exec sleep 1000"


@pytest.mark.parametrize(
    "condition",
    [
        wait.log("two ready"),
        wait.log(r"^two \w+$"),
        wait.log(r"one|two", times=2),
        wait.file("/desk/made"),
        wait.exec("test -e made"),
        wait.exec(["test", "-e", "made"]),
        wait.healthy(),
        wait.all_of(wait.log("one"), wait.file("/desk/made")),
        wait.any_of(wait.log("never"), wait.log("one")),
        lambda container: "one" in container.logs(),
        lambda container: container.read_text("/desk/made") == "",
        lambda container: container.check_output("cat made") == "",
        lambda container: [][0] if "one" not in container.logs() else True,
    ],
)
def test_it_holds_once_it_is_so(make: Make, condition: wait.Condition) -> None:
    check = Healthcheck(("CMD-SHELL", "test -e made"), timeout=5)
    box = make(LATER, ready=[condition], healthcheck=check).start()
    assert "one" in box.logs()


def test_port_and_http(make: Make, web: int) -> None:
    make(ready=[wait.port(web), wait.http("/", web), wait.http("/busy", web, status=503)]).start()


@pytest.mark.parametrize(
    ("condition", "awaited", "seen"),
    [
        (wait.log("never"), "'never' in the log", "not found"),
        (wait.log("up", times=2), "'up' in the log, 2 times", "found 1 of 2 times"),
        (wait.file("/desk/x"), "file /desk/x", "False"),
        (wait.exec("echo why >&2; exit 3"), "command 'echo why >&2; exit 3' to succeed", "exit code 3: why"),
        (wait.all_of(wait.log("up"), wait.file("/x")), "'up' in the log and file /x", "False"),
        (
            wait.any_of(wait.file("/x"), wait.exit(1)),
            "file /x or its end with exit code 1",
            "file /x: False; its end with exit code 1: False",
        ),
    ],
)
def test_a_timeout_tells_what_was_awaited_and_last_seen(
    make: Make, condition: wait.Condition, awaited: str, seen: str
) -> None:
    box = make("echo up; exec sleep 1000").start()
    with pytest.raises(WaitTimeoutError) as caught:
        box.wait_for(condition, timeout=0.2)
    error = caught.value
    assert (error.awaited, error.last_seen, error.container) == (awaited, seen, "box")
    for text in (awaited, seen, "up", "--lxc-timeout"):
        assert text in str(error)


def test_what_a_port_or_a_server_said_last_is_told(make: Make, web: int, closed_port: int) -> None:
    box = make().start()
    for condition, seen in [
        (wait.port(closed_port), "ConnectionRefusedError"),
        (wait.http("/busy", web), "status 503"),
        (wait.http("/", closed_port), "ConnectionRefusedError"),
    ]:
        with pytest.raises(WaitTimeoutError) as caught:
            box.wait_for(condition, timeout=0.1)
        assert seen in caught.value.last_seen


def never_well(container: Container) -> bool:
    raise ValueError("not yet, says the library")


def test_a_callable_that_raises_does_not_hold_yet(box: Container) -> None:
    with pytest.raises(WaitTimeoutError, match="never_well") as caught:
        box.wait_for(never_well, timeout=0.1)
    assert caught.value.last_seen == "ValueError: not yet, says the library"


@pytest.mark.parametrize(
    ("condition", "seen"),
    [
        (lambda c: c.check_output("exit 3"), "exit code 3"),
        (lambda c: c.read_text("/nope"), "/nope"),
        (lambda c: c.exec("sleep 9", timeout=0.01), "killed after 0.01 s"),
    ],
)
def test_a_container_operation_that_fails_does_not_hold_yet(box: Container, condition: Any, seen: str) -> None:
    with pytest.raises(WaitTimeoutError) as caught:
        box.wait_for(condition, timeout=0.2)
    assert seen in caught.value.last_seen


def test_a_mistake_in_the_condition_is_not_waited_out(box: Container) -> None:
    with pytest.raises(InvalidSettingsError):
        box.wait_for(lambda c: c.exec([]), timeout=60)


def test_a_missing_health_check_is_not_waited_out(box: Container) -> None:
    with pytest.raises(LxContainerError, match="no HEALTHCHECK"):
        box.wait_for(wait.healthy(), timeout=60)


@pytest.mark.parametrize("test", [("CMD", "sleep", "1000"), ("CMD-SHELL", "exit 1")])
def test_a_health_check_that_hangs_or_fails_does_not_hold_yet(make: Make, test: tuple[str, ...]) -> None:
    box = make(healthcheck=Healthcheck(test, timeout=0.05)).start()
    with pytest.raises(WaitTimeoutError, match="HEALTHCHECK"):
        box.wait_for(wait.healthy(), timeout=0.2)


class TestLog:
    def test_an_earlier_start_does_not_count(self, make: Make) -> None:
        box = make("test -e made || { touch made; echo up; }; exec sleep 1000", ready=[wait.log("up")]).start()
        assert wait.log("up")(box)
        box.stop(0)
        box._backend.start(box.id, 20)
        with pytest.raises(WaitTimeoutError, match="'up' in the log"):
            box.wait_for(wait.log("up"), timeout=0.2)
        assert "up" in box.logs()

    def test_a_restart_meanwhile_begins_anew(self, make: Make) -> None:
        box = make("echo up; exec sleep 1000", ready=[wait.log("up")]).start()
        restarts = iter([lambda: box.restart(0)])

        def restarted(container: Container) -> bool:
            next(restarts, lambda: None)()
            return False

        with pytest.raises(WaitTimeoutError, match="found 1 of 2 times"):
            box.wait_for(wait.any_of(wait.log("up", times=2), restarted), timeout=1)
        assert box.logs() == "up\nup\n"

    def test_a_line_without_an_end_counts(self, make: Make) -> None:
        make("printf 'login: '; exec sleep 1000", ready=[wait.log("login: $")]).start()

    def test_a_match_may_span_lines(self, make: Make) -> None:
        make("echo one; sleep 0.1; echo two; exec sleep 1000", ready=[wait.log(r"one\ntwo")]).start()

    def test_a_compiled_pattern_keeps_its_flags(self, box: Container) -> None:
        assert wait.log(re.compile("x", re.IGNORECASE)) != wait.log("x")
        with pytest.raises(WaitTimeoutError, match="'never' in the log"):
            box.wait_for(wait.log(re.compile("never")), timeout=0.05)

    def test_every_one_of_several_sees_the_whole_log(self, make: Make) -> None:
        both = wait.all_of(wait.log("two"), wait.log("one"))
        make("echo one; echo two; exec sleep 1000", ready=[both, wait.log("one")]).start()

    @pytest.mark.parametrize("condition", [wait.log("late"), wait.exit(), wait.any_of(wait.log("late"), wait.exit())])
    def test_a_quiet_container_is_not_asked_again_and_again(
        self, make: Make, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch, condition: wait.Condition
    ) -> None:
        asked: list[str] = []
        box = make("sleep 1; echo late").start()
        monkeypatch.setattr(Container, "status", lambda self: [asked.append(self.id), backend.status(self.id)][1])
        box.wait_for(condition, timeout=60)
        assert len(asked) < 10


VALUES = [
    lambda: wait.port(1),
    lambda: wait.log("x", times=2),
    lambda: wait.http("/x", 80, 404),
    lambda: wait.exec(["a", "b"]),
    lambda: wait.exec("a b"),
    lambda: wait.healthy(),
    lambda: wait.file("/x"),
    lambda: wait.exit(3),
    lambda: wait.all_of(wait.port(1), wait.log("x")),
    lambda: wait.any_of(wait.port(1), wait.log("x")),
]


def test_conditions_are_values() -> None:
    assert [make() for make in VALUES] == [make() for make in VALUES]
    assert len({make() for make in VALUES} | {make() for make in VALUES}) == len(VALUES)


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (wait.port(5432), "port 5432 to accept connections"),
        (wait.http("/health", 8080, 204), "HTTP status 204 for /health on port 8080"),
        (wait.exec(["pg_isready", "-q"]), "command ('pg_isready', '-q') to succeed"),
        (wait.healthy(), "the image's HEALTHCHECK to succeed"),
        (wait.exit(None), "its end"),
        (
            wait.all_of(wait.file("/a"), wait.any_of(wait.file("/b"), wait.exit())),
            "file /a and (file /b or its end with exit code 0)",
        ),
    ],
)
def test_conditions_say_what_they_wait_for(condition: wait.Condition, words: str) -> None:
    assert wait.describe(condition) == words


def test_an_invalid_pattern_is_an_error_at_once() -> None:
    with pytest.raises(Exception, match="unterminated"):
        wait.log("[")


class TestDeath:
    def test_a_container_that_ends_is_not_waited_for(self, make: Make) -> None:
        box = make("echo going; sleep 0.2; exit 3", ready=[wait.log("never")], timeout=60)
        with pytest.raises(ContainerDiedError) as caught:
            box.start()
        error = caught.value
        assert (error.exit_code, error.log.strip()) == (3, "going")
        for text in ("exit code 3", "'never' in the log", "going"):
            assert text in str(error)

    @pytest.mark.parametrize(
        "condition",
        [
            wait.log("never"),
            wait.port(1),
            wait.http("/", 1),
            wait.exec("exit 1"),
            wait.healthy(),
            wait.file("/never"),
            wait.all_of(wait.log("going"), wait.file("/never")),
            wait.any_of(wait.log("never"), wait.port(1)),
            lambda container: False,
        ],
        ids=wait.describe,
    )
    def test_whatever_is_awaited_its_end_is_told_with_its_last_words(
        self, make: Make, condition: wait.Condition
    ) -> None:
        check = Healthcheck(("CMD-SHELL", "exit 1"), timeout=5)
        box = make("echo going; sleep 0.3; exit 3", ready=[condition], timeout=60, healthcheck=check)
        with pytest.raises(ContainerDiedError) as caught:
            box.start()
        error = caught.value
        assert (error.exit_code, error.log.strip()) == (3, "going")
        assert wait.describe(condition) in str(error)

    def test_one_that_wrote_nothing_is_said_to(self, make: Make) -> None:
        with pytest.raises(ContainerDiedError, match="it wrote nothing"):
            make("sleep 0.2", ready=[wait.log("never")], timeout=60).start()

    def test_what_it_wrote_last_still_counts(self, make: Make) -> None:
        make("sleep 0.2; echo done", ready=[wait.log("done")], timeout=60).start()

    def test_an_end_at_once_is_a_failed_start(self, make: Make) -> None:
        with pytest.raises(StartFailedError, match="/no/such/command") as caught:
            make(["/no/such/command"]).start()
        assert caught.value.exit_code == 127


class TestExit:
    def test_the_end_may_be_what_is_awaited(self, make: Make) -> None:
        assert make("sleep 0.1", ready=[wait.exit()]).start().exit_code == 0
        assert make("exit 3", ready=[wait.exit(3)]).start().exit_code == 3
        assert make("exit 4", ready=[wait.exit(None)]).start().exit_code == 4

    def test_another_end_is_an_error_at_once(self, make: Make) -> None:
        with pytest.raises(ContainerDiedError, match="exit code 4, not 0") as caught:
            make("echo why; exit 4", ready=[wait.exit()], timeout=60).start()
        assert (caught.value.exit_code, caught.value.log.strip()) == (4, "why")

    def test_an_end_among_others_may_come_first(self, make: Make) -> None:
        make("sleep 0.1", ready=[wait.any_of(wait.log("never"), wait.exit())], timeout=60).start()

    def test_state_stopped_is_its_end_whatever_the_code(self, make: Make) -> None:
        box = make("sleep 0.1; exit 9").start()
        box.wait("STOPPED", timeout=20)
        assert box.exit_code == 9

    def test_a_state_that_does_not_come_is_named(self, box: Container) -> None:
        with pytest.raises(WaitTimeoutError, match="state FROZEN"):
            box.wait("FROZEN", timeout=0.1)


def test_all_conditions_share_one_deadline(make: Make) -> None:
    box = make().start()
    begin = time.monotonic()
    with pytest.raises(WaitTimeoutError):
        box.wait_for(lambda c: time.monotonic() > begin + 0.3, wait.file("/nope"), timeout=0.5)
    assert time.monotonic() - begin < 5


def test_conditions_that_hold_need_no_time(box: Container) -> None:
    box.wait_for(lambda c: True, timeout=0)
    box.wait_for()


def test_a_command_that_hangs_is_given_up_with_the_wait(box: Container) -> None:
    with pytest.raises(WaitTimeoutError, match="command 'sleep 1000' to succeed") as caught:
        box.wait_for(wait.exec("sleep 1000"), timeout=0.3)
    assert "sleep 1000" in caught.value.last_seen


def test_a_command_among_others_is_given_up_too(box: Container) -> None:
    with pytest.raises(WaitTimeoutError):
        box.wait_for(wait.all_of(wait.exec("true"), wait.any_of(wait.exec("sleep 1000"))), timeout=0.3)


def test_any_of_tells_what_each_saw(box: Container) -> None:
    with pytest.raises(WaitTimeoutError) as caught:
        box.wait_for(wait.any_of(wait.exec("exit 3"), wait.file("/none")), timeout=0.2)
    assert "command 'exit 3' to succeed: exit code 3" in caught.value.last_seen
    assert "file /none: False" in caught.value.last_seen


def test_a_slow_answer_is_an_answer(make: Make) -> None:
    class Slow(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(0.8)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Not into the test's output."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        make().start().wait_for(wait.http("/", server.server_port), timeout=20)
        server.shutdown()
