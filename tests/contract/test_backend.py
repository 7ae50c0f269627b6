"""What every `Backend` does: one suite for the fake and for the supervisor, so that the fake cannot drift."""

from __future__ import annotations

import errno
import os
import selectors
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_lxcontainer.container.backend import LOG_KEPT
from pytest_lxcontainer.container.limits import Limits
from pytest_lxcontainer.container.relay import Stdio
from pytest_lxcontainer.container.spec import ContainerSpec
from pytest_lxcontainer.container.stats import Stats
from pytest_lxcontainer.container.talk import attach, on_terminal
from pytest_lxcontainer.errors import (
    AlreadyFrozenError,
    AlreadyRunningError,
    ContainerError,
    ContainerFileError,
    DestroyedError,
    ExecTimeoutError,
    FrozenError,
    NotFrozenError,
    NotPermittedError,
    NotRunningError,
    UnknownItemError,
)

from .conftest import CWD, Bench

ON_TERM = "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.05; done"


def wait_for_log(bench: Bench, name: str, text: bytes) -> bytes:
    deadline = time.monotonic() + 20
    while text not in (logs := bench.backend.logs(name)):
        assert time.monotonic() < deadline, logs
        time.sleep(0.01)
    return logs


def wait_for_end(bench: Bench, name: str) -> int | None:
    deadline = time.monotonic() + 20
    while (status := bench.backend.status(name)).state != "STOPPED":
        assert time.monotonic() < deadline, status
        time.sleep(0.01)
    return status.exit_code


class TestLife:
    def test_a_created_container_has_an_address_and_does_not_run(self, bench: Bench) -> None:
        status = bench.create()
        assert (status.state, status.pid, status.exit_code, len(status.ips)) == ("STOPPED", None, None, 1)
        assert bench.backend.status(status.name) == status

    def test_two_of_one_host_name_differ_in_name_and_address(self, bench: Bench) -> None:
        one, two = bench.create(), bench.create()
        assert one.name != two.name
        assert one.ips != two.ips

    def test_without_network_there_is_no_address(self, bench: Bench) -> None:
        assert bench.create(networks=()).ips == ()

    def test_start_returns_the_running_container(self, bench: Bench) -> None:
        created = bench.create()
        started = bench.backend.start(created.name, timeout=20)
        assert (started.state, started.ips, started.exit_code) == ("RUNNING", created.ips, None)
        assert started.pid is not None
        assert Path(f"/proc/{started.pid}").exists()

    @pytest.mark.parametrize("code", [0, 1, 3, 126, 255])
    def test_a_command_that_ends_leaves_its_exit_code(self, bench: Bench, code: int) -> None:
        name = bench.start(f"exit {code}")
        assert wait_for_end(bench, name) == code
        assert bench.backend.status(name).pid is None

    def test_a_command_that_a_signal_ends_has_128_and_the_signal(self, bench: Bench) -> None:
        name = bench.start("sleep 0.1; kill -KILL $$")
        assert wait_for_end(bench, name) == 128 + signal.SIGKILL

    def test_signal_reaches_the_command(self, bench: Bench) -> None:
        name = bench.start("trap 'echo hup' HUP; echo up; while :; do sleep 0.05; done")
        wait_for_log(bench, name, b"up\n")
        bench.backend.signal(name, signal.SIGHUP)
        wait_for_log(bench, name, b"hup\n")
        assert bench.backend.status(name).state == "RUNNING"

    def test_stop_sends_the_stop_signal_and_waits(self, bench: Bench) -> None:
        name = bench.start(ON_TERM)
        wait_for_log(bench, name, b"up\n")
        status = bench.backend.stop(name, timeout=20)
        assert (status.state, status.exit_code) == ("STOPPED", 7)
        assert bench.backend.logs(name) == b"up\nbye\n"

    def test_stop_takes_the_signal_from_the_spec(self, bench: Bench) -> None:
        name = bench.start(ON_TERM.replace("TERM", "USR1"), stop_signal=int(signal.SIGUSR1))
        wait_for_log(bench, name, b"up\n")
        assert bench.backend.stop(name, timeout=20).exit_code == 7

    def test_stop_kills_what_does_not_listen(self, bench: Bench) -> None:
        name = bench.start("trap '' TERM; echo up; while :; do sleep 0.05; done")
        wait_for_log(bench, name, b"up\n")
        status = bench.backend.stop(name, timeout=0.2)
        assert (status.state, status.exit_code) == ("STOPPED", 128 + signal.SIGKILL)

    def test_stopping_what_is_stopped_is_fine(self, bench: Bench) -> None:
        assert bench.backend.stop(bench.create().name, timeout=1).state == "STOPPED"

    def test_a_restart_keeps_address_and_files_and_log(self, bench: Bench) -> None:
        name = bench.start("echo up; exec sleep 1000")
        wait_for_log(bench, name, b"up\n")
        before = bench.backend.status(name).ips
        bench.exec(name, "echo kept > note").check()
        bench.backend.stop(name, timeout=20)
        after = bench.backend.start(name, timeout=20)
        assert (after.state, after.ips, after.exit_code) == ("RUNNING", before, None)
        assert bench.exec(name, "cat note").stdout == b"kept\n"
        wait_for_log(bench, name, b"up\nup\n")

    def test_what_runs_cannot_be_started_again(self, bench: Bench, box: str) -> None:
        with pytest.raises(AlreadyRunningError, match="already"):
            bench.backend.start(box, timeout=1)

    def test_a_destroyed_container_is_unknown(self, bench: Bench, box: str) -> None:
        pid = bench.backend.status(box).pid
        bench.backend.destroy(box)
        with pytest.raises(DestroyedError, match=box):
            bench.backend.status(box)
        assert box not in bench.backend.names()
        deadline = time.monotonic() + 20
        while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not Path(f"/proc/{pid}").exists()

    def test_destroying_the_unknown_is_fine(self, bench: Bench) -> None:
        assert bench.backend.destroy("nobody") is None

    def test_a_destroyed_container_leaves_word_of_how_it_was(self, bench: Bench) -> None:
        name = bench.start("echo last words; sleep 1000")
        wait_for_log(bench, name, b"last words\n")
        status = bench.backend.status(name)
        used = bench.backend.usage(name).cpu_time
        remains = bench.backend.destroy(name)
        assert remains is not None
        assert (remains.status, remains.log) == (status, b"last words\n")
        assert used is not None and (remains.usage.cpu_time or 0.0) >= used

    def test_so_does_one_that_had_ended(self, bench: Bench) -> None:
        name = bench.start("echo last words; exit 3")
        deadline = time.monotonic() + 20
        while bench.backend.status(name).exit_code is None and time.monotonic() < deadline:
            time.sleep(0.01)
        remains = bench.backend.destroy(name)
        assert remains is not None
        assert (remains.status.state, remains.status.exit_code, remains.log) == ("STOPPED", 3, b"last words\n")

    def test_only_the_end_of_a_long_log_is_left(self, bench: Bench) -> None:
        name = bench.start("head -c 1500000 /dev/zero; printf end; sleep 1000")
        wait_for_log(bench, name, bytes(1_500_000) + b"end")
        remains = bench.backend.destroy(name)
        assert remains is not None and remains.log == bytes(LOG_KEPT - 3) + b"end"

    @pytest.mark.needs_cgroups
    def test_frozen_processes_halt_and_go_on(self, bench: Bench) -> None:
        name = bench.start("while :; do echo x; sleep 0.02; done")
        wait_for_log(bench, name, b"x\nx\n")
        bench.backend.freeze(name)
        assert bench.backend.status(name).state == "FROZEN"
        time.sleep(0.05)  # what it wrote before may still be on its way
        frozen = bench.backend.logs(name)
        time.sleep(0.2)
        assert bench.backend.logs(name) == frozen
        bench.backend.unfreeze(name)
        assert bench.backend.status(name).state == "RUNNING"
        wait_for_log(bench, name, frozen + b"x\n")

    @pytest.mark.needs_cgroups
    def test_nothing_can_be_run_in_a_frozen_container(self, bench: Bench, box: str) -> None:
        bench.backend.freeze(box)
        with pytest.raises(FrozenError, match="frozen"):
            bench.exec(box, "true")

    @pytest.mark.needs_cgroups
    def test_what_is_frozen_cannot_be_frozen_again(self, bench: Bench, box: str) -> None:
        bench.backend.freeze(box)
        with pytest.raises(AlreadyFrozenError):
            bench.backend.freeze(box)
        bench.backend.unfreeze(box)
        with pytest.raises(NotFrozenError):
            bench.backend.unfreeze(box)

    @pytest.mark.needs_cgroups
    def test_what_is_frozen_can_be_stopped(self, bench: Bench) -> None:
        name = bench.start(ON_TERM)
        wait_for_log(bench, name, b"up\n")
        bench.backend.freeze(name)
        assert bench.backend.stop(name, timeout=20).exit_code == 7

    @pytest.mark.needs_cgroups
    def test_a_frozen_container_can_be_destroyed(self, bench: Bench, box: str) -> None:
        bench.backend.freeze(box)
        bench.backend.destroy(box)
        assert box not in bench.backend.names()

    def test_names_tell_image_state_group_and_address(self, bench: Bench) -> None:
        name = bench.start(image="some/image:1", group=("all", "mine"))
        stopped = bench.create(image="other:2", group=())
        table = bench.backend.names()
        assert table[name] == {
            "image": "some/image:1",
            "state": "RUNNING",
            "group": "mine",
            "ips": list(bench.backend.status(name).ips),
        }
        assert table[stopped.name]["state"] == "STOPPED"


class TestControl:
    @pytest.mark.needs_cgroups
    def test_limits_can_be_changed_and_lifted(self, bench: Bench, box: str) -> None:
        before = bench.backend.limits(box)
        assert bench.backend.set_limits(box, {"pids": 50}).pids == 50
        assert bench.backend.limits(box) == replace(before, pids=50)
        assert bench.backend.set_limits(box, {"pids": None}).pids is None

    @pytest.mark.needs_cgroups
    def test_limits_of_what_does_not_run_are_those_of_its_next_start(self, bench: Bench) -> None:
        name = bench.create(limits=Limits(pids=70)).name
        assert bench.backend.limits(name).pids == 70
        bench.backend.set_limits(name, {"pids": 60})
        bench.backend.start(name, timeout=20)
        assert bench.backend.limits(name).pids == 60

    @pytest.mark.needs_cgroups
    def test_cgroup_files_are_read_and_written(self, bench: Bench, box: str) -> None:
        bench.backend.set_cgroup_item(box, "pids.max", "90")
        assert bench.backend.cgroup_item(box, "pids.max") == "90"
        with pytest.raises(UnknownItemError, match=r"no\.such"):
            bench.backend.cgroup_item(box, "no.such")

    def test_configuration_items_are_lines(self, bench: Bench, box: str) -> None:
        assert bench.backend.config_item(box, "lxc.uts.name") == "box"
        lines = bench.backend.config_item(box, "lxc.environment").splitlines()
        assert [line for line in lines if line.startswith("PATH=/")] == lines[:1]
        assert {"lxc.uts.name", "lxc.environment"} <= set(bench.backend.config_keys(box))
        with pytest.raises(UnknownItemError, match=r"lxc\.no\.such"):
            bench.backend.config_item(box, "lxc.no.such")

    def test_only_what_was_added_can_be_taken_away(self, bench: Bench, box: str) -> None:
        with pytest.raises((UnknownItemError, NotPermittedError)):
            bench.backend.remove_device(box, "/dev/null")
        with pytest.raises((UnknownItemError, NotPermittedError)):
            bench.backend.detach_interface(box, "eth0", None)


class TestExec:
    @pytest.mark.parametrize("code", [0, 1, 2, 126, 127, 128, 254, 255])
    def test_exit_codes_come_through(self, bench: Bench, box: str, code: int) -> None:
        assert bench.exec(box, f"exit {code}").exit_code == code

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
    def test_a_killed_command_ends_with_the_negative_signal(self, bench: Bench, box: str, number: int) -> None:
        assert bench.exec(box, f"kill -{number} $$").exit_code == -number

    def test_the_missing_command_ends_with_127_and_says_so(self, bench: Bench, box: str) -> None:
        result = bench.exec(box, ["no-such-command"])
        assert result.exit_code == 127
        assert b"no-such-command: No such file" in result.stderr

    def test_the_forbidden_command_ends_with_126(self, bench: Bench, box: str) -> None:
        assert bench.exec(box, ["/etc/passwd"]).exit_code == 126

    def test_both_streams_come_apart_and_binary(self, bench: Bench, box: str) -> None:
        result = bench.exec(box, r"printf '\000\377\n'; printf '\376' >&2")
        assert (result.stdout, result.stderr) == (b"\x00\xff\n", b"\xfe")

    def test_stdin_goes_through_whole_and_binary(self, bench: Bench, box: str) -> None:
        data = bytes(range(256)) * 4096  # far more than a pipe holds
        assert bench.exec(box, "cat", data=data).stdout == data

    def test_without_input_stdin_is_empty(self, bench: Bench, box: str) -> None:
        assert bench.exec(box, "cat; echo end", timeout=20).stdout == b"end\n"

    def test_a_command_that_ignores_its_input_is_fine(self, bench: Bench, box: str) -> None:
        assert bench.exec(box, "echo done", data=b"x" * 300_000).stdout == b"done\n"

    def test_the_environment_is_exactly_the_one_given(self, bench: Bench, box: str) -> None:
        env = (("PATH", "/usr/bin:/bin"), ("TEXT", "two\nlines = \U0001f4a1"), ("EMPTY", ""))
        spec = bench.spec(["env"], env=env)
        reader, writer = os.pipe()
        handle = bench.backend.exec(box, spec, [0, writer, writer])
        os.close(writer)
        with os.fdopen(reader, "rb") as output:
            lines = output.read().decode()
        assert handle.wait(20) == 0
        assert lines.strip() == "\n".join(f"{key}={value}" for key, value in env).strip()

    def test_it_starts_in_its_working_directory(self, bench: Bench, box: str) -> None:
        assert bench.exec(box, "pwd").stdout.rstrip().endswith(CWD.encode())

    def test_the_callers_descriptors_stay_the_callers(self, bench: Bench, box: str) -> None:
        reader, writer = os.pipe()
        bench.backend.exec(box, bench.spec("echo one"), [reader, writer, writer]).wait(20)
        os.write(writer, b"two\n")
        assert os.read(reader, 100) == b"one\ntwo\n"
        os.close(reader)
        os.close(writer)

    def test_it_inherits_its_three_streams_and_nothing_else(self, bench: Bench, box: str) -> None:
        other = bench.popen(box, "sleep 1000")
        # The fourth is ls's own, of the directory.
        assert bench.exec(box, ["ls", "/proc/self/fd"]).stdout == b"0\n1\n2\n3\n"
        other.kill()

    def test_wait_gives_up_after_its_timeout_and_can_go_on(self, bench: Bench, box: str) -> None:
        handle = bench.popen(box, "sleep 0.4; exit 5")
        assert handle.wait(0.05) is None
        assert handle.wait(0) is None
        assert handle.wait() == 5
        assert handle.wait() == 5

    def test_its_descriptor_turns_readable_when_it_ends(self, bench: Bench, box: str) -> None:
        handle = bench.popen(box, "sleep 0.2")
        with selectors.DefaultSelector() as selector:
            selector.register(handle.fileno(), selectors.EVENT_READ)
            assert not selector.select(0)
            assert selector.select(20)
        assert handle.wait(20) == 0

    def test_kill_ends_it_with_all_it_started(self, bench: Bench, box: str) -> None:
        handle = bench.popen(box, "sleep 1001 & (sleep 1002 & wait) & wait")
        time.sleep(0.1)
        handle.kill()
        assert handle.wait(20) == -signal.SIGKILL
        left = bench.exec(box, "ps -o args 2>/dev/null || ps -ef").stdout
        assert bench.exec(box, "true").exit_code == 0
        if bench.backend.stats(box).source != "fake":  # whose ps shows the host's processes
            assert b"sleep 100" not in left.replace(b"sleep 1000\n", b"")

    def test_killing_what_has_ended_is_fine(self, bench: Bench, box: str) -> None:
        handle = bench.popen(box, "exit 4")
        time.sleep(0.1)
        handle.kill()
        handle.kill()
        assert handle.wait() == 4
        assert bench.exec(box, "exit 6").exit_code == 6

    def test_an_abandoned_command_is_killed(self, bench: Bench, box: str) -> None:
        bench.popen(box, "sleep 0.5; touch late").abandon()
        time.sleep(1)
        assert not bench.backend.has_file(box, f"{CWD}/late")

    def test_a_timeout_kills_and_keeps_what_was_written(self, bench: Bench, box: str) -> None:
        with pytest.raises(ExecTimeoutError) as caught:
            bench.exec(box, "echo so far; echo bad >&2; sleep 1000", timeout=0.3)
        assert (caught.value.stdout, caught.value.stderr) == (b"so far\n", b"bad\n")

    def test_the_containers_end_is_the_commands_end(self, bench: Bench, box: str) -> None:
        handle = bench.popen(box, "sleep 1000")
        bench.backend.stop(box, timeout=20)
        assert handle.wait(20) == -signal.SIGKILL

    def test_many_at_once_do_not_mix(self, bench: Bench, box: str) -> None:
        results: dict[int, bytes] = {}

        def work(number: int) -> None:
            for turn in range(5):
                results[number * 10 + turn] = bench.exec(box, f"echo {number * 10 + turn}").stdout

        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == {key: b"%d\n" % key for key in (n * 10 + t for n in range(6) for t in range(5))}


class TestLogs:
    def test_both_streams_are_kept_in_the_order_written(self, bench: Bench) -> None:
        name = bench.start("for i in 1 2 3; do echo out$i; echo err$i >&2; done")
        wait_for_end(bench, name)
        assert bench.backend.logs(name) == b"out1\nerr1\nout2\nerr2\nout3\nerr3\n"

    def test_a_long_log_is_whole(self, bench: Bench) -> None:
        name = bench.start("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done")
        assert wait_for_end(bench, name) == 0
        assert bench.backend.logs(name) == b"".join(b"line %d\n" % i for i in range(20000))

    def test_since_leaves_out_what_came_before(self, bench: Bench) -> None:
        name = bench.start("echo early; sleep 1; echo late; exec sleep 1000")
        wait_for_log(bench, name, b"early\n")
        moment = time.time()
        wait_for_log(bench, name, b"late\n")
        assert bench.backend.logs(name, since=moment) == b"late\n"
        assert bench.backend.logs(name, since=time.time()) == b""

    def test_a_container_that_never_ran_has_an_empty_log(self, bench: Bench) -> None:
        assert bench.backend.logs(bench.create().name) == b""


class TestFiles:
    def test_what_is_written_is_read(self, bench: Bench, box: str) -> None:
        data = bytes(range(256)) * 1000
        with bench.backend.open_file(box, f"{CWD}/data", "wb") as file:
            file.write(data)
        with bench.backend.open_file(box, f"{CWD}/data", "rb") as file:
            assert file.read() == data
        assert bench.exec(box, "cat data").stdout == data

    def test_writing_replaces_the_content_and_keeps_the_mode(self, bench: Bench, box: str) -> None:
        with bench.backend.open_file(box, f"{CWD}/data", "wb", 0o640) as file:
            file.write(b"long content")
        with bench.backend.open_file(box, f"{CWD}/data", "wb", 0o777) as file:
            file.write(b"short")
        assert bench.exec(box, "stat -c %a data; cat data").stdout == b"640\nshort"

    @pytest.mark.parametrize(
        ("path", "mode", "code"),
        [
            ("missing", "rb", errno.ENOENT),
            ("missing/file", "wb", errno.ENOENT),
            ("", "rb", errno.EISDIR),
            ("", "wb", errno.EISDIR),
            ("file/below", "rb", errno.ENOTDIR),
            ("pipe", "rb", errno.EINVAL),
        ],
    )
    def test_an_error_has_the_path_and_errno_of_the_container(
        self, bench: Bench, box: str, path: str, mode: str, code: int
    ) -> None:
        bench.exec(box, "touch file; mkfifo pipe").check()
        with pytest.raises(ContainerFileError) as caught:
            bench.backend.open_file(box, f"{CWD}/{path}", mode)
        error = caught.value
        assert (error.errno, error.path, error.container) == (code, f"{CWD}/{path}", box)
        assert isinstance(error, type(OSError(code, "what the host's files raise")))
        assert os.strerror(code) in str(error)

    @pytest.mark.parametrize(
        ("path", "kind"),
        [
            ("d/none", FileNotFoundError),
            ("link", FileNotFoundError),
            ("d/a", NotADirectoryError),
            ("d/a/below", NotADirectoryError),
            ("pipe", NotADirectoryError),
        ],
    )
    def test_only_directories_are_listed(self, bench: Bench, box: str, path: str, kind: type[OSError]) -> None:
        bench.exec(box, "mkdir d d/sub; touch d/b d/a; ln -s nowhere link; mkfifo pipe").check()
        assert bench.backend.list_files(box, f"{CWD}/d") == ["a", "b", "sub"]
        with pytest.raises(ContainerFileError) as caught:
            bench.backend.list_files(box, f"{CWD}/{path}")
        assert isinstance(caught.value, kind)
        assert caught.value.path == f"{CWD}/{path}"

    def test_there_is_what_has_a_name(self, bench: Bench, box: str) -> None:
        bench.exec(box, "mkdir d; touch file; ln -s nowhere dangling; ln -s loop loop; mkfifo pipe").check()
        there = ["d", "file", "dangling", "loop", "pipe"]
        absent = ["none", "none/below", "file/below", "dangling/below"]
        assert [path for path in there + absent if bench.backend.has_file(box, f"{CWD}/{path}")] == there

    @pytest.mark.parametrize("ended", [False, True])
    def test_they_are_there_though_it_does_not_run(self, bench: Bench, ended: bool) -> None:
        name = bench.create("echo inside > /tmp/inside 2>/dev/null || echo inside > inside").name
        if ended:
            bench.backend.start(name, timeout=20)
            wait_for_end(bench, name)
        with bench.backend.open_file(name, f"{CWD}/data", "wb") as file:
            file.write(b"written")
        with bench.backend.open_file(name, f"{CWD}/data", "rb") as file:
            assert file.read() == b"written"
        assert "data" in bench.backend.list_files(name, CWD)

    def test_copies_keep_content_and_mode_both_ways(self, bench: Bench, box: str, tmp_path: Path) -> None:
        source = tmp_path / "source"
        source.mkdir()
        (source / "script").write_text("#!/bin/sh\n")
        (source / "script").chmod(0o750)
        (source / "link").symlink_to("script")
        assert bench.backend.copy_in(box, str(source), CWD, None if os.geteuid() else "0:0") == f"{CWD}/source"
        copy = bench.backend.copy_out(box, f"{CWD}/source", str(tmp_path / "copy"))
        assert copy == tmp_path / "copy"
        assert (copy / "script").read_text() == "#!/bin/sh\n"
        assert (copy / "script").stat().st_mode & 0o7777 == 0o750
        assert (copy / "link").readlink() == Path("script")

    def test_a_copy_of_nothing_or_to_nowhere_is_an_error(self, bench: Bench, box: str, tmp_path: Path) -> None:
        with pytest.raises(ContainerFileError) as caught:
            bench.backend.copy_out(box, f"{CWD}/none", str(tmp_path))
        assert (caught.value.errno, caught.value.path) == (errno.ENOENT, f"{CWD}/none")
        with pytest.raises(FileNotFoundError):
            bench.backend.copy_in(box, str(tmp_path / "none"), CWD, "0:0")
        (tmp_path / "file").touch()
        with pytest.raises(ContainerFileError) as caught:
            bench.backend.copy_in(box, str(tmp_path / "file"), f"{CWD}/none/file", "0:0")
        assert caught.value.errno == errno.ENOENT


class TestFollow:
    def test_it_gives_what_comes_and_tells_the_end(self, bench: Bench) -> None:
        name = bench.start("echo one; sleep 0.3; echo two; sleep 0.3; exit 3")
        following = bench.backend.follow(name)
        got = b""
        while following.wait(20):
            got += following.read()
        got += following.read()
        following.close()
        assert got == b"one\ntwo\n"
        assert bench.backend.status(name).exit_code == 3

    def test_what_its_last_start_wrote_can_be_read_alone(self, bench: Bench) -> None:
        name = bench.start("n=$(($(cat n 2> /dev/null) + 1)); echo $n > n; echo $n")
        for expected in (b"1\n", b"2\n", b"3\n"):
            wait_for_end(bench, name)
            following = bench.backend.follow(name, this_start=True)
            while following.wait(20):
                pass
            assert following.read() == expected
            assert following.read() == b""
            following.close()
            bench.backend.start(name, timeout=20)
        wait_for_end(bench, name)
        assert bench.backend.logs(name) == b"1\n2\n3\n4\n"

    def test_of_one_that_does_not_run_there_is_what_it_wrote(self, bench: Bench) -> None:
        name = bench.start("echo once")
        wait_for_end(bench, name)
        following = bench.backend.follow(name)
        while following.wait(20):
            pass
        assert following.read() == b"once\n"
        following.close()


class TestStats:
    def test_they_have_every_figure(self, bench: Bench, box: str) -> None:
        stats = bench.backend.stats(box)
        assert isinstance(stats, Stats)
        assert stats.memory_usage > 0
        assert stats.pids >= 1
        assert stats.cpu_time >= 0
        assert list(stats.networks) == ["eth0"]

    def test_without_network_there_is_no_traffic_to_tell(self, bench: Bench) -> None:
        assert bench.backend.stats(bench.start(networks=())).networks == {}


class TestNotRunning:
    OPERATIONS = ("signal", "freeze", "unfreeze", "exec", "stats")

    @pytest.mark.parametrize("operation", OPERATIONS)
    @pytest.mark.parametrize("ended", [False, True])
    def test_the_error_says_which_container_and_its_state(self, bench: Bench, operation: str, ended: bool) -> None:
        name = bench.create("exit 3").name
        if ended:
            bench.backend.start(name, timeout=20)
            wait_for_end(bench, name)
        with pytest.raises(NotRunningError, match=name) as caught:
            self._do(bench, operation, name)
        assert (caught.value.container, caught.value.state) == (name, "STOPPED")

    @pytest.mark.parametrize("operation", [*OPERATIONS, "start", "status", "stop", "logs"])
    def test_an_unknown_name_is_an_error(self, bench: Bench, operation: str) -> None:
        with pytest.raises(ContainerError, match="nobody"):
            self._do(bench, operation, "nobody")

    def _do(self, bench: Bench, operation: str, name: str) -> None:
        arguments = {
            "signal": (signal.SIGTERM,),
            "start": (1.0,),
            "stop": (1.0,),
        }
        if operation == "exec":
            bench.exec(name, "true")
        else:
            getattr(bench.backend, operation)(name, *arguments.get(operation, ()))


class TestTerminals:
    def test_a_command_is_controlled_by_its_terminal(self, bench: Bench, box: str) -> None:
        spec = bench.spec("test -t 0 && echo by-tty > /dev/tty")
        reader, writer = os.pipe()
        try:
            assert on_terminal(bench.backend, box, spec, Stdio(None, writer)) == 0
            assert os.read(reader, 100) == b"by-tty\r\n"
        finally:
            os.close(reader)
            os.close(writer)

    def test_it_is_killed_when_nobody_reads(self, bench: Bench, box: str) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        os.set_blocking(writer, False)
        try:
            code = on_terminal(bench.backend, box, bench.spec("yes"), Stdio(None, writer))
        finally:
            os.close(writer)
        assert code == 128 + signal.SIGPIPE

    def test_what_does_not_run_has_none(self, bench: Bench) -> None:
        with pytest.raises(NotRunningError):
            bench.backend.open_terminal(bench.create().name, 0)


class TestAttaching:
    def test_a_command_is_fed_to_its_end(self, bench: Bench) -> None:
        name = bench.start("cat; exit 5", stdin=True)
        fd = bench.backend.attach(name)
        assert fd is not None
        os.write(fd, b"fed\n")
        wait_for_log(bench, name, b"fed\n")
        os.close(fd)
        bench.backend.close_stdin(name)
        assert wait_for_end(bench, name) == 5

    def test_a_closed_one_is_not_opened_again(self, bench: Bench) -> None:
        name = bench.start("cat > /dev/null; sleep 1000", stdin=True)
        bench.backend.close_stdin(name)
        bench.backend.close_stdin(name)
        assert bench.backend.attach(name) is None

    def test_who_closes_it_leaves_it_to_others(self, bench: Bench) -> None:
        name = bench.start("cat", stdin=True)
        for word in (b"one\n", b"two\n"):
            fd = bench.backend.attach(name)
            assert fd is not None
            os.write(fd, word)
            os.close(fd)
        wait_for_log(bench, name, b"one\ntwo\n")

    def test_there_is_none_where_nothing_runs(self, bench: Bench) -> None:
        name = bench.create(stdin=True).name
        assert bench.backend.attach(name) is None
        bench.backend.close_stdin(name)

    def test_attaching_passes_on_what_was_written_before(self, bench: Bench) -> None:
        name = bench.start("echo early; read line; echo $line; exit 3", stdin=True)
        wait_for_log(bench, name, b"early\n")
        (source, feeding), (reader, target) = os.pipe(), os.pipe()
        os.write(feeding, b"late\n")
        try:
            spec = ContainerSpec("box", (), (), (), stdin=True)
            assert attach(bench.backend, name, spec, Stdio(source, target)) == 3
            assert os.read(reader, 100) == b"early\nlate\n"
        finally:
            for fd in (source, feeding, reader, target):
                os.close(fd)
