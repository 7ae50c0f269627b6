"""Commands in a running container."""

from __future__ import annotations

import ast
import ctypes
import errno
import hashlib
import os
import re
import signal
import struct
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import pytest_lxcontainer
from pytest_lxcontainer import Container, Provisioner, Settings, wait
from pytest_lxcontainer.container import attach
from pytest_lxcontainer.errors import (
    ExecFailedError,
    ExecTimeoutError,
    FrozenError,
    InvalidSettingsError,
    NotRunningError,
)
from pytest_lxcontainer.supervisor.boot import ENTERING

from .conftest import BUSYBOX, Runner, is_alive, wait_until

SECRET = "hunter2-of-the-host"


def test_streams_stay_apart(box: Container) -> None:
    result = box.exec("echo out; echo err >&2")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "out\n", "err\n")
    assert result.args == ("/bin/sh", "-c", "echo out; echo err >&2")
    assert result.duration > 0


@pytest.mark.parametrize("code", [0, 1, 3, 126, 127, 255])
def test_every_exit_code_comes_through(box: Container, code: int) -> None:
    assert box.exec(f"exit {code}").exit_code == code


@pytest.mark.parametrize("number", [1, 6, 9, 15])
def test_a_signal_that_kills_it_is_a_negative_code(box: Container, number: int) -> None:
    assert box.exec(f"kill -{number} $$").exit_code == -number


def test_a_signal_is_no_exit_code_of_the_same_number(box: Container) -> None:
    codes = [box.exec(command).exit_code for command in ("exit 9", "kill -9 $$", "exit 137", "exit 247")]
    assert codes == [9, -9, 137, 247]


def test_what_is_not_there_ends_with_127_and_says_so(box: Container) -> None:
    result = box.exec(["no-such-program", "argument"])
    assert result.exit_code == 127
    assert result.stderr == "exec: no-such-program: No such file or directory\n"


def test_what_cannot_be_executed_ends_with_126_and_says_so(box: Container) -> None:
    result = box.exec(["/etc/passwd"])
    assert result.exit_code == 126
    assert result.stderr == "exec: /etc/passwd: Permission denied\n"


def test_a_missing_working_directory_is_named(box: Container) -> None:
    result = box.exec(["true"], cwd="/no/such/place")
    assert result.exit_code == 127
    assert result.stderr == "exec: /no/such/place: No such file or directory\n"


def test_five_megabytes_of_binary_output_arrive_whole(box: Container) -> None:
    size = 5 << 20
    result = box.exec(f"head -c {size} /dev/urandom | tee /tmp/data", text=False)
    assert len(result.stdout) == size
    assert hashlib.sha256(result.stdout).hexdigest() in box.check_output("sha256sum /tmp/data")


def test_two_megabytes_of_input_come_back_through_cat(box: Container) -> None:
    data = os.urandom(2 << 20)
    assert box.exec(["cat"], input=data, text=False).stdout == data


def test_fifty_megabytes_of_output_arrive_whole(box: Container) -> None:
    size = 50 << 20
    result = box.exec(f"head -c {size} /dev/zero | tr '\\0' 'o'; head -c 1000000 /dev/zero >&2", text=False)
    assert result.stdout == b"o" * size
    assert result.stderr == bytes(1_000_000)


def test_ten_megabytes_of_text_go_in_and_out_at_once(box: Container) -> None:
    text = "gr\u00fc\u00dfe, \U0001f600\n" * 800_000
    assert len(text.encode()) > 10 << 20
    assert box.exec(["cat"], input=text).stdout == text


def test_a_background_child_that_writes_without_end_is_not_waited_for(box: Container) -> None:
    result = box.exec("yes & echo started >&2; sleep 0.1")
    assert (result.exit_code, result.stderr) == (0, "started\n")


def test_input_that_nobody_reads_is_no_error(box: Container) -> None:
    assert box.exec(["true"], input=b"x" * (1 << 20)).exit_code == 0


def test_without_input_stdin_is_empty(box: Container) -> None:
    assert box.exec(["cat"]).stdout == ""


def test_output_that_is_no_text_is_shown_as_such(box: Container) -> None:
    assert box.exec(r"printf 'a\377b'").stdout == "a�b"


@pytest.mark.parametrize(
    ("user", "shown"),
    [
        ("nobody", "65534 65534"),
        ("65534", "65534 65534"),
        (65534, "65534 65534"),
        ("nobody:root", "65534 0"),
        ("12:34", "12 34"),
        ("root", "0 0"),
    ],
)
def test_it_runs_as_the_user_asked_for(box: Container, user: str | int, shown: str) -> None:
    assert box.check_output("echo $(id -u) $(id -g)", user=user) == shown


def test_an_unknown_user_is_named(box: Container) -> None:
    with pytest.raises(InvalidSettingsError, match="nosuchuser"):
        box.exec(["true"], user="nosuchuser")


def test_another_user_has_a_home_of_its_own_and_can_reopen_its_output(box: Container) -> None:
    shown = box.check_output("echo $HOME; echo again > /dev/stdout", user="nobody")
    assert shown == "/home\nagain"


def test_its_working_directory_is_the_one_asked_for(box: Container) -> None:
    assert box.check_output(["pwd"], cwd="/tmp") == "/tmp"


def test_its_environment_is_the_containers_with_its_own_on_top(run: Runner) -> None:
    container = run(env={"ONE": "1", "TWO": "2"})
    assert container.check_output("echo $ONE $TWO", env={"TWO": "zwei\nlines"}) == "1 zwei lines"


def test_a_value_may_hold_any_character(run: Runner) -> None:
    value = 'line\nbreak "quoted" \\ $HOME = \t ü'
    container = run(env={"ODD": value})
    assert container.exec('printf %s "$ODD"').stdout == value
    assert f"ODD={value}" in container.read_text("/proc/2/environ").split("\0")


def test_nothing_of_the_hosts_environment_is_in_the_container(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setenv("LXT_SECRET", SECRET)
    # A run of its own, whose supervisor is started with the secret in its parent's environment.
    with Provisioner(settings) as provisioner:
        container = provisioner.run(BUSYBOX)
        names = {line.partition("=")[0] for line in container.exec(["env"]).stdout.splitlines()}
        everything = container.exec("cat /proc/[0-9]*/environ", text=False).stdout
    assert names <= {"PATH", "HOME", "HOSTNAME", "SHLVL", "PWD", "OLDPWD", "container"}
    # Of init, of the command, and of what exec runs.
    assert b"PATH=" in everything
    assert SECRET.encode() not in everything


def test_a_timeout_kills_the_command_and_all_it_started(box: Container) -> None:
    begin = time.monotonic()
    with pytest.raises(ExecTimeoutError) as caught:
        box.exec("echo begun; sleep 4321 & setsid sleep 4322 & sleep 4323", timeout=0.3)
    assert time.monotonic() - begin < 5
    assert (caught.value.stdout, caught.value.timeout) == ("begun\n", 0.3)
    assert "sleep 432" not in box.check_output(["ps"])


def test_a_command_that_ends_leaves_its_background_children_alone(box: Container) -> None:
    begin = time.monotonic()
    assert box.exec("sleep 4321 & echo started").stdout == "started\n"
    assert time.monotonic() - begin < 5
    assert "sleep 4321" in box.check_output(["ps"])


def test_eight_threads_run_commands_at_once(box: Container) -> None:
    def work(number: int) -> list[str]:
        return [box.check_output(f"echo {number}-{turn}; sleep 0.01") for turn in range(5)]

    with ThreadPoolExecutor(8) as threads:
        shown = list(threads.map(work, range(8)))
    assert shown == [[f"{number}-{turn}" for turn in range(5)] for number in range(8)]


def test_check_raises_with_both_streams(box: Container) -> None:
    with pytest.raises(ExecFailedError) as caught:
        box.exec("echo some; echo thing >&2; exit 7", check=True)
    assert caught.value.result.exit_code == 7
    assert "some" in str(caught.value) and "thing" in str(caught.value)


def test_popen_has_live_streams(box: Container) -> None:
    with box.popen(["cat"]) as process:
        process.stdin.write(b"hello\n")
        assert process.stdout.readline() == b"hello\n"
        assert process.poll() is None
        process.stdin.close()
        assert process.wait(5) == 0


def test_leaving_popen_kills_it(box: Container) -> None:
    with box.popen("sleep 4321"):
        pass
    assert "sleep 4321" not in box.check_output(["ps"])


@pytest.mark.parametrize("command", [[], ["a\0b"]])
def test_what_is_no_command_is_refused(box: Container, command: list[str]) -> None:
    with pytest.raises(InvalidSettingsError):
        box.exec(command)


def test_a_stopped_container_says_how_it_ended(run: Runner) -> None:
    container = run(command="sleep 0.2; echo bye; exit 9")
    container.wait("STOPPED")
    with pytest.raises(NotRunningError, match="exit code 9") as caught:
        container.exec(["true"])
    assert caught.value.state == "STOPPED"
    assert "bye" in str(caught.value)


def test_all_exit_codes_there_are_come_through(box: Container) -> None:
    assert [box.exec(f"exit {code}").exit_code for code in range(256)] == list(range(256))


def test_a_user_has_the_groups_of_the_images_etc_group(box: Container) -> None:
    box.write_text("/etc/group", box.read_text("/etc/group") + "readers:x:4711:nobody\nwriters:x:4712:root,nobody\n")
    assert box.check_output("id -G", user="nobody") == "65534 4711 4712"
    assert box.check_output("id -G", user="nobody:readers") == "4711"


def test_a_timeout_kills_what_has_made_itself_a_daemon(box: Container) -> None:
    # Its parent has ended, and it has left the session: init's child, by all that a list of processes tells.
    daemon = "setsid sh -c 'sleep 4321 & setsid sleep 4322 &' &"
    with pytest.raises(ExecTimeoutError):
        box.exec(f"({daemon}) ; sleep 4323", timeout=0.5)
    assert "sleep 432" not in box.check_output(["ps"])


def test_a_timeout_leaves_the_commands_of_others_alone(box: Container) -> None:
    with box.popen("setsid sleep 4324 & wait") as other:
        with pytest.raises(ExecTimeoutError):
            box.exec("sleep 4325", timeout=0.3)
        assert other.poll() is None
        assert "sleep 4324" in box.check_output(["ps"])


def test_a_daemon_outlives_the_command_that_started_it(box: Container) -> None:
    box.exec("setsid sh -c 'sleep 4326 &'", check=True)
    # Its parent may be about to end.
    wait_until(lambda: box.check_output("ps -o ppid,args | grep '[s]leep 4326'").split() == ["1", "sleep", "4326"])


def test_the_line_in_the_error_runs_the_command_again(run: Runner) -> None:
    container = run(env={"WORD": "it's"})
    command = 'echo "$WORD" $(pwd) $(id -u) $(hostname); exit 7'
    with pytest.raises(ExecFailedError) as caught:
        container.exec(command, cwd="/tmp", user="nobody", check=True)
    assert caught.value.container == container.id
    line = caught.value.hint.partition("with: ")[2]
    again = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)
    assert (again.returncode, again.stdout) == (7, f"it's /tmp 65534 {container.name}\n"), again.stderr


def test_ctrl_c_ends_the_wait_and_the_command_at_once(box: Container) -> None:
    timer = threading.Timer(0.3, signal.pthread_kill, (threading.get_ident(), signal.SIGINT))
    timer.start()
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        box.exec("sleep 4327")
    assert time.monotonic() - begin < 5
    wait_until(lambda: "sleep 4327" not in box.check_output(["ps"]))


@pytest.mark.needs_cgroups
def test_a_frozen_container_runs_none_and_those_it_has_go_on_later(box: Container) -> None:
    with box.popen(["cat"]) as process:
        box.freeze()
        with pytest.raises(FrozenError, match="frozen"):
            box.exec(["true"])
        process.stdin.write(b"later\n")
        assert process.poll() is None
        box.unfreeze()
        assert process.stdout.readline() == b"later\n"
    assert box.exec(["true"]).exit_code == 0


@pytest.mark.needs_cgroups
def test_one_is_ended_in_a_frozen_container_too(box: Container) -> None:
    def left() -> list[str]:
        return sorted(line for line in box.check_output(["ps", "-o", "args"]).splitlines() if line.startswith("sleep"))

    with (
        ThreadPoolExecutor(1) as pool,
        box.popen(["cat"]) as cat,
        box.popen("setsid sleep 4327 & sleep 4328") as process,
    ):
        timed = pool.submit(box.exec, "setsid sleep 4329 & sleep 4329", timeout=1)
        wait_until(lambda: left() == ["sleep 4327", "sleep 4328", "sleep 4329", "sleep 4329"])
        box.freeze()
        process.kill()
        assert process.exit_code == -signal.SIGKILL
        with pytest.raises(ExecTimeoutError, match="killed after 1 s"):
            timed.result(timeout=30)
        assert box.state == "FROZEN"
        box.unfreeze()
        assert left() == []
        assert cat.poll() is None


def test_commands_run_and_begin_while_a_snapshot_is_taken(box: Container) -> None:
    box.exec("for n in $(seq 300); do head -c 100000 /dev/urandom > /tmp/$n; done", check=True)
    with box.popen("while read line; do echo got $line; done") as process, ThreadPoolExecutor(1) as pool:
        taken = pool.submit(box.snapshot)
        shown = [box.check_output(f"echo {number}") for number in range(20)]
        process.stdin.write(b"it\n")
        assert process.stdout.readline() == b"got it\n"
        assert taken.result().lower_dirs[:-1] == box.image.lower_dirs
    assert shown == [str(number) for number in range(20)]


def test_the_caller_is_not_forked(run: Runner) -> None:
    """What it holds would be copied: with 1 GB, 80 ms for each command."""
    box = run()

    def work() -> str:
        forbid_forks()
        with pytest.raises(PermissionError):
            os.fork()
        with box.popen(["cat"]) as process:
            process.kill()
        return box.check_output(["echo", "ran"])

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(work).result() == "ran"


def test_many_long_arguments_arrive_whole(box: Container) -> None:
    words = [f"{number}" * 100 for number in range(2000)]
    assert box.check_output(["sh", "-c", 'echo $# "$*" | md5sum', "sh", *words]).split()[0] == (
        hashlib.md5(f"2000 {' '.join(words)}\n".encode(), usedforsecurity=False).hexdigest()
    )


def test_nothing_calls_the_bindings_attach() -> None:
    # From Python 3.13 on it aborts the interpreter, and with it every container of the run.
    # The one module that knows the binding, which the import rules hold to.
    tree = ast.parse((Path(pytest_lxcontainer.__file__).parent / "container" / "monitor.py").read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    called = {call.func.attr for call in calls if isinstance(call.func, ast.Attribute)}
    assert "start" in called
    assert not called & {"attach", "attach_wait", "attach_interface"}


class TestLauncher:
    """The process that starts a container's commands."""

    def test_the_container_does_not_see_it(self, box: Container) -> None:
        launcher_of(box)
        shown = box.exec("for each in /proc/[0-9]*; do echo ${each#/proc/}; done").stdout.split()
        assert shown[:2] == ["1", "2"]
        assert len(shown) == 3  # init, the command, and who asks

    def test_commands_are_as_confined_as_the_containers_own_with_it_and_before(self, box: Container) -> None:
        wanted = "^(Cap|NoNewPrivs|Seccomp|NSpid)"
        own = box.exec(f"grep -E '{wanted}' /proc/2/status").stdout
        for _ in range(ENTERING + 1):
            its = box.exec(f"grep -E '{wanted}' /proc/self/status").stdout
            assert re.sub("NSpid.*", "", its) == re.sub("NSpid.*", "", own)
        assert "Seccomp:\t2" in own

    def test_what_commands_leave_in_the_container_is_alike_with_it_and_before(self, box: Container) -> None:
        look = "echo $PPID; cut -d' ' -f 1,5,6,7,8 /proc/self/stat; cat /proc/self/cgroup; ls -l /proc/self/fd | wc -l"
        found = [box.exec(look).stdout.split("\n", 2) for _ in range(ENTERING + 2)]
        assert {each[0] for each in found} == {"0"}
        assert len({each[2] for each in found}) == 1
        for _, stat, _ in found:
            _, group, session, terminal, _ = map(int, stat.split())
            assert group == session and terminal == 0

    def test_another_takes_the_place_of_one_that_was_killed(self, box: Container) -> None:
        launcher = launcher_of(box)
        os.kill(launcher, signal.SIGKILL)
        wait_until(lambda: not is_alive(launcher))
        assert box.exec("exit 3").exit_code == 3

    def test_it_ends_with_its_container(self, run: Runner) -> None:
        container = run(command="sleep 1")
        launcher = launcher_of(container)
        container.wait("STOPPED")
        assert not is_alive(launcher)

    def test_it_ends_with_a_supervisor_that_is_killed(self, settings: Settings) -> None:
        with Provisioner(settings) as provisioner:
            container = provisioner.run(BUSYBOX)
            launcher = launcher_of(container)
            os.kill(supervisor_of(container), signal.SIGKILL)
            wait_until(lambda: not is_alive(launcher))
        with Provisioner(settings) as provisioner:
            provisioner.run(BUSYBOX)  # which removes what the killed one left

    def test_a_restarted_container_has_a_new_one(self, box: Container) -> None:
        launcher = launcher_of(box)
        box.restart()
        assert launcher_of(box) != launcher

    @pytest.mark.needs_root
    def test_it_holds_nothing_that_the_supervisor_gives_up(self, box: Container) -> None:
        links = [os.readlink(fd) for fd in Path(f"/proc/{launcher_of(box)}/fd").iterdir()]
        assert len([link for link in links if link.startswith("socket:")]) == 1
        assert not [link for link in links if link.startswith("pipe:") or "eventpoll" in link]


class TestSurroundings:
    """What a command is given by those who start it, beside what it was asked to have."""

    @pytest.mark.parametrize("options", [{}, {"input": "x"}, {"user": "nobody"}], ids=str)
    def test_it_has_three_descriptors(self, box: Container, options: dict[str, Any]) -> None:
        # The fourth is its own: of the directory it reads.
        assert box.check_output(["ls", "/proc/self/fd"], **options).split() == ["0", "1", "2", "3"]

    def test_the_containers_own_command_has_three_too(self, run: Runner) -> None:
        box = run(command=["ls", "/proc/self/fd"], ready=wait.exit())
        assert box.logs().split() == ["0", "1", "2", "3"]

    def test_several_at_once_do_not_share_any(self, box: Container) -> None:
        with ThreadPoolExecutor(8) as pool:
            shown = list(pool.map(lambda _: box.check_output(["ls", "/proc/self/fd"]), range(64)))
        assert set(shown) == {"0\n1\n2\n3"}

    def test_no_signal_is_ignored_or_held_back(self, box: Container) -> None:
        assert signals_of(box.exec(["cat", "/proc/self/status"]).stdout) == NO_SIGNALS

    def test_what_pytest_was_started_to_ignore_is_not_ignored_inside(self, settings: Settings) -> None:
        """As nohup and background jobs of a shell are."""
        numbers = (signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGTSTP, signal.SIGRTMAX)
        before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
        try:
            with Provisioner(settings) as provisioner:
                shown = provisioner.run(BUSYBOX).exec(["cat", "/proc/self/status"]).stdout
                own = provisioner.run(BUSYBOX, ["cat", "/proc/self/status"], ready=wait.exit()).logs()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR2])
            for number, handler in before.items():
                signal.signal(number, handler)
        assert signals_of(shown) == NO_SIGNALS
        assert signals_of(own) == NO_SIGNALS

    def test_a_reader_that_leaves_ends_it(self, box: Container) -> None:
        result = box.exec("yes | head -n 1; yes > /dev/null & kill -PIPE $!; wait $!; exit $?")
        assert (result.stdout, result.exit_code, result.stderr) == ("y\n", 128 + signal.SIGPIPE, "")

    def test_it_leads_a_session_without_a_terminal(self, box: Container) -> None:
        fields = box.exec(["cat", "/proc/self/stat"]).stdout.rpartition(")")[2].split()
        pid = int(box.check_output("echo $$"))
        _, parent, group, session, terminal = fields[:5]
        assert (parent, terminal) == ("0", "0")
        assert group == session
        assert int(session) in range(2, pid + 1)
        assert "No such device" in box.exec("echo x > /dev/tty").stderr

    def test_its_files_are_for_all_to_read(self, box: Container) -> None:
        assert box.check_output("umask; touch /tmp/f; stat -c %a /tmp/f").split() == ["0022", "644"]

    def test_its_limits_and_priorities_are_the_containers(self, box: Container) -> None:
        files = ("limits", "oom_score_adj", "uid_map", "setgroups")
        for name in files:
            assert box.exec(["cat", f"/proc/self/{name}"]).stdout == box.exec(["cat", f"/proc/2/{name}"]).stdout, name
        own, its = (box.exec(["cat", f"/proc/{pid}/stat"]).stdout.rpartition(")")[2].split() for pid in ("self", "2"))
        # Priority, nice value, real-time priority, policy: proc_pid_stat(5).
        for field in (18, 19, 40, 41):
            assert own[field - 3] == its[field - 3]

    def test_its_cgroups_are_the_containers(self, box: Container) -> None:
        own, its = (box.exec(["cat", f"/proc/{pid}/cgroup"]).stdout.splitlines() for pid in ("self", "2"))
        # On hybrid hosts nothing depends on the unified hierarchy.
        hybrid = len(its) > 1
        assert [line for line in own if not (hybrid and line.startswith("0:"))] == [
            line for line in its if not (hybrid and line.startswith("0:"))
        ]

    def test_its_namespaces_are_the_containers(self, box: Container) -> None:
        links = "for each in /proc/{}/ns/*; do readlink $each; done"
        assert box.check_output(links.format("self")) == box.check_output(links.format("2"))

    def test_no_working_directory_is_one_that_who_starts_it_has_open(self, box: Container) -> None:
        """CVE-2024-21626."""
        for fd in range(64):
            assert box.exec(["pwd"], cwd=f"/proc/self/fd/{fd}").exit_code in (126, 127)

    def test_a_working_directory_that_is_removed_meanwhile_is_nowhere(self, box: Container) -> None:
        box.exec("mkdir /tmp/gone", check=True)
        result = box.exec("rmdir /tmp/gone; ls ..; cat ../etc/passwd; /bin/pwd", cwd="/tmp/gone")
        assert result.stdout == ""
        assert result.exit_code != 0

    @pytest.mark.needs_user
    def test_who_starts_it_is_closed_to_its_user(self, box: Container) -> None:
        launcher = launcher_of(box)
        assert os.stat(f"/proc/{launcher}/environ").st_uid == 0
        for name in ("environ", "mem", "maps"):
            with pytest.raises(PermissionError):
                Path(f"/proc/{launcher}/{name}").read_bytes()


NO_SIGNALS = {"SigPnd": 0, "ShdPnd": 0, "SigBlk": 0, "SigIgn": 0, "SigCgt": 0}


def signals_of(status: str) -> dict[str, int]:
    """The sets of signals in a proc_pid_status(5), without the two that are the C library's own."""
    fields = (line.split(":", 1) for line in status.splitlines())
    return {key: int(value, 16) & ~(0b11 << 31) for key, value in fields if key in NO_SIGNALS}


def forbid_forks() -> None:
    """Have the kernel refuse every fork of the calling thread, for good."""
    libc = ctypes.CDLL(None, use_errno=True)
    resolve = ctypes.CDLL("libseccomp.so.2").seccomp_syscall_resolve_name
    numbers = [number for call in (b"fork", b"vfork", b"clone", b"clone3") if (number := resolve(call)) >= 0]
    load, jump_if_equal, give = 0x20, 0x15, 0x06
    allow, refuse = 0x7FFF0000, 0x00050000 | errno.EPERM
    code = struct.pack("=HBBI", load, 0, 0, 0)
    for index, number in enumerate(numbers):
        code += struct.pack("=HBBI", jump_if_equal, len(numbers) - index, 0, number)
    code += struct.pack("=HBBI", give, 0, 0, allow) + struct.pack("=HBBI", give, 0, 0, refuse)
    assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    attach.confine(code)


PR_SET_NO_NEW_PRIVS = 38


def launcher_of(container: Container) -> int:
    """The process that several commands of *container* have brought: filtered as they are, and in no container."""
    supervisor = supervisor_of(container)
    before = launchers(supervisor)
    for _ in range(ENTERING + 1):
        container.exec(["true"], check=True)
    (launcher,) = launchers(supervisor) - before
    return launcher


def supervisor_of(container: Container) -> int:
    return parent(parent(container.status().pid or 0))


def launchers(supervisor: int) -> set[int]:
    children = map(int, Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split())
    return {pid for pid in children if (of := status_of(pid)).get("Seccomp") == "2" and of["NSpid"] == str(pid)}


def parent(pid: int) -> int:
    return int(status_of(pid)["PPid"])


def status_of(pid: int) -> dict[str, str]:
    """proc_pid_status(5); empty for what has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return {}
    return {key: value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}
