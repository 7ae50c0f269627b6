"""Commands that a person talks to, on a real terminal."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_lxcontainer import wait
from pytest_lxcontainer.container.container import Container
from pytest_lxcontainer.container.shells import lent_tools
from pytest_lxcontainer.container.toolbox import BIN, PLACE, fill
from pytest_lxcontainer.errors import FrozenError, NotRunningError, StartFailedError
from pytest_lxcontainer.provision import Provisioner, Settings

from ..fakes.images import File
from ..fakes.person import ROOT, Person
from .conftest import Runner, wait_until
from .leaks import supervisor_of

DRIVER = """
    import ast, os, sys, termios
    from pathlib import Path
    from pytest_lxcontainer.provision import Provisioner, Settings, parse_mirrors

    store, mirror, program = sys.argv[1:]
    with Provisioner(Settings(store=Path(store), mirrors=parse_mirrors(mirror))) as provisioner:
        exec(program)
"""

Spawn = Callable[..., Person]


@pytest.fixture
def arguments(store: Any, mirror: str) -> Callable[[str], list[str]]:
    """What starts a program that has a ``provisioner``."""
    return lambda program: [
        sys.executable, "-c", textwrap.dedent(DRIVER), str(store), mirror, textwrap.dedent(program)
    ]  # fmt: skip


@pytest.fixture
def on_terminal(arguments: Callable[[str], list[str]]) -> Iterator[Spawn]:
    """Starts a program that has a ``provisioner`` on a terminal; it must have ended with the test."""
    people: list[Person] = []

    def spawn(program: str, **options: Any) -> Person:
        people.append(Person(arguments(program), **options))
        return people[-1]

    yield spawn
    for person in people:
        person.close(force=True)


def interactive(command: str, **options: Any) -> str:
    """A program that runs *command* in busybox with a terminal, and tells how it ended."""
    given = "".join(f", {name}={value!r}" for name, value in options.items())
    return f"""
        box = provisioner.run("busybox", "sleep 1000")
        before = termios.tcgetattr(0)
        code = box.exec_interactive({command!r}, tty=True{given})
        print("code", code, "restored", termios.tcgetattr(0) == before)
    """


JOB = """sh -c 'trap "echo again" CONT; echo ready; while :; do sleep 0.1; done'"""
"""Says when it runs, and when it goes on."""


class TestExecOnATerminal:
    def test_a_shell_is_talked_to(self, on_terminal: Spawn) -> None:
        person = on_terminal(interactive("sh"))
        person.sees("# ")
        person.sendline("echo $((6 * 7))")
        person.sees("\r\n42\r\n")
        person.sendline("exit 3")
        person.sees("code 3 restored True")
        assert person.leaves() == 0

    def test_it_has_a_terminal_of_the_containers_own(self, on_terminal: Spawn) -> None:
        person = on_terminal(interactive("tty; test -t 0 && test -t 1 && test -t 2 && echo three; ls -l $(tty)"))
        person.sees(r"/dev/pts/\d+\r\n")
        person.sees("three\r\n")
        person.sees(r"crw--w---- +1 root .*/dev/pts/\d+\r\n")
        person.sees("code 0")

    def test_it_is_its_users_and_controls_the_command(self, on_terminal: Spawn) -> None:
        person = on_terminal(interactive("echo hi > /dev/tty && ls -ln $(tty) && echo x > $(tty)", user="1234"))
        person.sees("hi\r\n")
        person.sees("crw--w---- +1 1234 ")
        person.sees("x\r\n")
        person.sees("code 0")

    def test_it_has_the_size_of_the_callers_and_follows_it(self, on_terminal: Spawn) -> None:
        person = on_terminal(interactive("trap 'stty size' WINCH; stty size; while read line; do :; done"))
        person.sees("30 100\r\n")
        person.setwinsize(40, 120)
        person.sees("40 120\r\n")
        person.sendcontrol("d")
        person.sees("code 0")

    def test_it_gets_the_callers_term(self, on_terminal: Spawn) -> None:
        person = on_terminal(interactive("echo term=$TERM"), env={"TERM": "vt220"})
        person.sees("term=vt220\r\n")

    def test_ctrl_c_is_the_commands(self, on_terminal: Spawn) -> None:
        person = on_terminal(interactive("trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 1; done"))
        person.sees("ready\r\n")
        person.sendcontrol("c")
        person.sees("caught\r\n")
        person.sees("code 9 restored True")

    def test_ctrl_c_ends_what_does_not_care(self, on_terminal: Spawn) -> None:
        person = on_terminal(interactive(["sleep", "1000"]))  # type: ignore[arg-type]
        wait_until(lambda: not _echoes(person), 20)
        person.sendcontrol("c")
        person.sees("code 130 restored True")

    def test_jobs_can_be_stopped_and_go_on(self, on_terminal: Spawn) -> None:
        person = on_terminal(interactive("sh"))
        person.sees("# ")
        person.sendline(JOB)
        person.sees("\r\nready\r\n")
        person.sendcontrol("z")
        person.sees("Stopped")
        person.sees("# ")
        person.sendline("fg")
        person.sees("\r\nagain\r\n")
        person.sendcontrol("c")
        person.sees("# ")
        person.sendline("exit")
        person.sees("code 1?[0-9]+ restored True")

    def test_the_callers_terminal_is_raw_meanwhile(self, on_terminal: Spawn) -> None:
        person = on_terminal(interactive("stty -echo raw; echo ready; head -c 3 | od -An -tx1; stty sane"))
        person.sees("ready")
        person.send("\x03\x11\x1a")
        person.sees("03 11 1a")
        person.sees("code 0 restored True")

    def test_all_that_was_written_arrives(self, on_terminal: Spawn) -> None:
        person = on_terminal(interactive("i=0; while [ $i -lt 20000 ]; do echo line-$i; i=$((i+1)); done"))
        person.sees("line-19999\r\n")
        person.sees("code 0")

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
    def test_the_terminal_is_restored_when_the_caller_is_ended(self, on_terminal: Spawn, number: int) -> None:
        person = on_terminal(interactive("sh"))
        person.sees("# ")
        assert not _echoes(person)
        os.kill(person.pid, number)
        wait_until(lambda: _echoes(person))
        assert person.leaves() == 128 + number

    def test_the_terminal_is_restored_when_the_supervisor_is_killed(
        self, on_terminal: Spawn, settings: Settings
    ) -> None:
        person = on_terminal("""
            box = provisioner.run("busybox", "sleep 1000")
            from tests.system.leaks import supervisor_of
            print("supervisor", supervisor_of(provisioner.identity.run_id))
            try:
                box.exec_interactive(["sh"], tty=True)
            except Exception as error:
                print(type(error).__name__)
        """)
        person.sees(r"supervisor (\d+)\r\n")
        supervisor = int(person.match[1])
        person.sees("# ")
        os.kill(supervisor, signal.SIGKILL)
        person.sees("SupervisorError")
        assert _echoes(person)
        person.leaves()
        with Provisioner(settings) as another:
            another.backend  # noqa: B018 - it sweeps away what is left

    def test_a_command_that_is_not_there_says_so(self, on_terminal: Spawn) -> None:
        person = on_terminal(interactive(["nothing"]))  # type: ignore[arg-type]
        person.sees("exec: nothing: No such file or directory\r\n")
        person.sees("code 127 restored True")

    def test_a_frozen_container_is_refused(self, on_terminal: Spawn) -> None:
        person = on_terminal("""
            box = provisioner.run("busybox", "sleep 1000")
            try:
                box.freeze()
            except Exception as error:
                print(type(error).__name__)
            try:
                print(box.exec_interactive("true", tty=True))
            except Exception as error:
                print(type(error).__name__)
        """)
        person.sees("FrozenError|NotDelegatedError\r\n0")


@pytest.mark.parametrize("tty", [True, False])
class TestRefusals:
    def test_a_container_that_has_ended_is_refused(self, run: Runner, tty: bool) -> None:
        box = run.clone(command="sleep 1000")
        with pytest.raises(NotRunningError):
            box.exec_interactive("true", tty=tty, stdin=None)

    @pytest.mark.needs_cgroups
    def test_a_frozen_one_too(self, box: Container, tty: bool) -> None:
        box.freeze()
        with pytest.raises(FrozenError):
            box.exec_interactive("true", tty=tty, stdin=None)
        box.unfreeze()
        assert box.exec_interactive("true", tty=tty, stdin=None) == 0


class TestExecOnPipes:
    @pytest.fixture
    def piped(self, arguments: Callable[[str], list[str]]) -> Callable[..., subprocess.CompletedProcess[bytes]]:
        def piped(command: str, data: bytes = b"", **options: Any) -> subprocess.CompletedProcess[bytes]:
            given = "".join(f", {name}={value!r}" for name, value in options.items())
            program = f"""
                box = provisioner.run("busybox", "sleep 1000")
                sys.exit(box.exec_interactive({command!r}{given}))
            """
            return subprocess.run(
                arguments(program), input=data, capture_output=True, check=False, timeout=60,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip

        return piped

    def test_input_is_passed_on_to_its_end(self, piped: Any) -> None:
        data = os.urandom(3_000_000)
        done = piped("cat; echo err >&2; exit 4", data, tty=False)
        assert (done.returncode, done.stdout == data, done.stderr) == (4, True, b"err\n")

    def test_a_killed_command_counts_as_in_a_shell(self, piped: Any) -> None:
        assert piped("kill -9 $$", tty=False).returncode == 137

    def test_without_stdin_there_is_nothing_to_read(self, piped: Any) -> None:
        done = piped("wc -c", b"something", tty=False, stdin=None)
        assert (done.returncode, done.stdout) == (0, b"0\n")

    def test_a_terminal_gets_the_end_of_a_pipe_as_a_key(self, piped: Any) -> None:
        done = piped("cat; echo end", b"one\ntwo", tty=True)
        # It echoes, too.
        assert (done.returncode, done.stdout.endswith(b"one\r\ntwoend\r\n")) == (0, True)

    def test_a_regular_file_can_be_read_from(self, box: Container, tmp_path: Any) -> None:
        (tmp_path / "in").write_bytes(b"content")
        with (tmp_path / "in").open("rb") as source, (tmp_path / "out").open("wb") as target:
            fds = {"stdin": source.fileno(), "stdout": target.fileno()}
            assert box.exec_interactive("cat", tty=False, **fds) == 0
        assert (tmp_path / "out").read_bytes() == b"content"

    @pytest.mark.parametrize("tty", [True, False])
    def test_a_command_whose_output_nobody_reads_is_killed(self, box: Container, tty: bool) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        try:
            assert box.exec_interactive("yes", tty=tty, stdin=None, stdout=writer) == 128 + signal.SIGPIPE
        finally:
            os.close(writer)
        wait_until(lambda: "yes" not in box.check_output("ps").split())

    def test_no_descriptor_stays_open(self, box: Container) -> None:
        null = os.open(os.devnull, os.O_RDWR)
        before = os.listdir("/proc/self/fd")
        for tty in (True, False):
            box.exec_interactive("cat", tty=tty, stdin=null, stdout=null, stderr=null)
        assert len(os.listdir("/proc/self/fd")) == len(before)
        os.close(null)


ATTACH = """
    box = provisioner.clone({image!r}, {command!r}, tty={tty}, stdin={stdin}, **{settings!r})
    before = termios.tcgetattr(0)
    code = box.attach(start=True)
    print("code", code, "restored", termios.tcgetattr(0) == before)
    print("log", [box.logs()])
"""


def attached(command: Any, *, image: str = "busybox", tty: bool = True, stdin: bool = True, **settings: Any) -> str:
    """A program that starts a container and is in front of its command."""
    return textwrap.dedent(ATTACH).format(image=image, command=command, tty=tty, stdin=stdin, settings=settings)


KINDS = [{}, {"init": False}, {"user": "1234"}, {"init": False, "user": "1234"}]


class TestAttachOnATerminal:
    @pytest.mark.parametrize("settings", KINDS, ids=str)
    def test_the_containers_own_shell_is_talked_to(self, on_terminal: Spawn, settings: dict[str, Any]) -> None:
        person = on_terminal(attached(["sh"], **settings))
        person.sees("[#$] ")
        person.sendline("echo $((6 * 7)); tty; ls -ln $(tty); echo by-tty > /dev/tty; echo term=$TERM")
        person.sees("\n42\r\n/dev/pts/0\r\n")
        person.sees(f"crw--w---- +1 {settings.get('user', '0')} ")
        person.sees("\nby-tty\r\nterm=xterm\r\n")
        person.sendline("exit 3")
        person.sees("code 3 restored True")
        assert person.leaves() == 0

    @pytest.mark.needs_root
    def test_so_is_a_privileged_ones(self, on_terminal: Spawn) -> None:
        person = on_terminal(attached(["sh"], privileged=True))
        person.sees("# ")
        person.sendline("tty; exit 3")
        person.sees("/dev/pts/0\r\n")
        person.sees("code 3 restored True")

    @pytest.mark.parametrize("settings", KINDS, ids=str)
    def test_jobs_can_be_stopped_and_go_on(self, on_terminal: Spawn, settings: dict[str, Any]) -> None:
        person = on_terminal(attached(["sh"], **settings))
        person.sees("[#$] ")
        person.sendline(JOB)
        person.sees("\r\nready\r\n")
        person.sendcontrol("z")
        person.sees("Stopped.*[#$] ")
        person.sendline("fg")
        person.sees("\r\nagain\r\n")
        person.sendcontrol("c")
        person.sees("[#$] ")
        person.sendcontrol("d")
        person.sees("code 1?[0-9]+ restored True")

    def test_below_an_init_of_the_image_too(self, on_terminal: Spawn) -> None:
        person = on_terminal(attached(["/usr/bin/tini", "--", "bash"], image="inits:bookworm"))
        person.sees("# ")
        person.sendline("cat /proc/1/comm; tty; exit 3")
        person.sees("tini\r\n/dev/pts/0\r\n")
        person.sees("code 3 restored True")

    @pytest.mark.needs_cgroups
    def test_systemd_has_one(self, run: Runner) -> None:
        box = run("systemd:bookworm", tty=True, ready=wait.exec("systemctl is-system-running --wait"))
        assert box.read_text("/proc/1/comm") == "systemd\n"
        box.stop(timeout=30)
        assert box.status().reason == "it halted itself"

    def test_its_size_is_that_of_the_callers(self, on_terminal: Spawn) -> None:
        person = on_terminal(attached("stty size; trap 'stty size' WINCH; echo; while :; do sleep 0.1; done"))
        person.sees("30 100\r\n\r\n")
        person.setwinsize(40, 120)
        person.sees("40 120\r\n")
        person.sendcontrol("c")
        person.sees("code 130 restored True")

    def test_all_that_was_written_arrives_and_is_in_the_log(self, on_terminal: Spawn) -> None:
        count = "i=0; while [ $i -lt 5000 ]; do echo line-$i; i=$((i+1)); done; tty; exit 3"
        person = on_terminal(attached(count))
        person.sees("line-4999\r\n/dev/pts/0\r\n")
        person.sees("code 3")
        person.sees(r"line-0.*line-4999\\r\\n/dev/pts/0\\r\\n'\]")

    def test_what_opens_its_terminal_anew_is_heard(self, on_terminal: Spawn) -> None:
        person = on_terminal(attached("exec < /dev/null > /dev/null 2>&1; sleep 1; echo again > /dev/tty; sleep 0.1"))
        person.sees("again\r\n")
        person.sees("code 0")

    def test_without_stdin_keys_are_not_passed_on(self, on_terminal: Spawn) -> None:
        person = on_terminal(attached("echo up; read -t 2 line; echo got-$line", stdin=False))
        person.sees("up\r")
        person.sendline("x")
        person.sees("got-\r")
        person.sees("code 0")

    def test_a_second_one_after_the_first(self, on_terminal: Spawn) -> None:
        program = """
            box = provisioner.run("busybox", ["sh"], tty=True, stdin=True)
            child = os.fork()
            if child == 0:
                box.attach()
            os.waitpid(child, 0)
            print("first is over")
            print("code", box.attach())
        """
        person = on_terminal(program)
        person.sees("# ")
        person.sendline("x=kept; echo one; cut -d ' ' -f 1 /proc/self/stat")
        person.sees("\none\r\n")
        (child,) = subprocess.run(
            ["pgrep", "-P", str(person.pid), "-f", "provisioner"], capture_output=True, text=True, check=True
        ).stdout.split()
        os.kill(int(child), signal.SIGTERM)
        person.sees("first is over")
        person.sees("one\r\n")  # what there was before
        person.sendline("echo $x; exit 4")
        person.sees("\nkept\r\n")
        person.sees("code 4")

    @pytest.mark.parametrize("tty", [True, False])
    def test_a_command_that_cannot_be_executed_is_an_error(self, run: Runner, tty: bool) -> None:
        with pytest.raises(StartFailedError, match="could not execute its command"):
            run.clone(command=["nothing"], tty=tty).attach(start=True, stdin=None)


class TestAttachOnPipes:
    @pytest.fixture
    def piped(self, arguments: Callable[[str], list[str]]) -> Callable[..., subprocess.CompletedProcess[bytes]]:
        def piped(command: Any, data: bytes, **settings: Any) -> subprocess.CompletedProcess[bytes]:
            program = f"""
                box = provisioner.clone("busybox", {command!r}, **{settings!r})
                sys.exit(box.attach(start=True))
            """
            return subprocess.run(
                arguments(program), input=data, capture_output=True, check=False, timeout=60,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip

        return piped

    @pytest.mark.parametrize("init", [True, False])
    def test_input_is_passed_on_to_its_end(self, piped: Any, init: bool) -> None:
        data = os.urandom(3_000_000)
        done = piped("cat; exit 4", data, stdin=True, init=init)
        assert (done.returncode, done.stdout == data, done.stderr) == (4, True, b"")

    def test_both_streams_come_in_their_order(self, piped: Any) -> None:
        done = piped("echo one; echo two >&2; echo three; kill -9 $$", b"", stdin=True)
        assert (done.returncode, done.stdout) == (137, b"one\ntwo\nthree\n")

    def test_without_the_setting_nothing_is(self, piped: Any) -> None:
        done = piped("read -t 1 line; echo got-$line", b"word\n")
        assert (done.returncode, done.stdout) == (0, b"got-\n")

    def test_a_terminal_gets_the_end_of_a_pipe_as_a_key(self, piped: Any) -> None:
        done = piped("cat; echo end", b"one\ntwo", tty=True, stdin=True)
        assert (done.returncode, done.stdout.endswith(b"one\r\ntwoend\r\n")) == (0, True)

    def test_ctrl_c_is_passed_on(self, on_terminal: Spawn) -> None:
        command = "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.1; done"
        person = on_terminal(attached(command, tty=False))
        person.sees("ready")
        person.sendcontrol("c")
        person.sees("caught")
        person.sees("code 9 restored True")

    def test_one_that_has_ended_is_told_of(self, run: Runner, tmp_path: Path) -> None:
        box = run(command="echo said; exit 3", ready=wait.exit(3))
        with (tmp_path / "out").open("wb") as target:
            assert box.attach(stdin=None, stdout=target.fileno()) == 3
        assert (tmp_path / "out").read_text() == "said\n"

    def test_it_goes_on_when_nobody_reads(self, run: Runner) -> None:
        box = run(command="echo up; sleep 1000", ready=wait.log("up"))
        reader, writer = os.pipe()
        os.close(reader)
        assert box.attach(stdin=None, stdout=writer) == 128 + signal.SIGPIPE
        os.close(writer)
        assert box.running

    def test_its_destruction_ends_it(self, run: Runner) -> None:
        box = run(command="sleep 1000")
        threading.Timer(0.5, box.destroy).start()
        assert box.attach(stdin=None) == 137

    def test_no_descriptor_stays_open(self, run: Runner) -> None:
        null = os.open(os.devnull, os.O_RDWR)
        run()
        before = len(os.listdir("/proc/self/fd"))
        for settings in ({"tty": True}, {"stdin": True}, {"tty": True, "stdin": True}, {}):
            box = run.clone(command="true", **settings)
            assert box.attach(start=True, stdin=null, stdout=null) == 0
        assert len(os.listdir("/proc/self/fd")) <= before
        os.close(null)

    def test_the_supervisor_keeps_none(self, run: Runner) -> None:
        def count() -> int:
            return len(os.listdir(f"/proc/{supervisor_of(run.provisioner.identity.run_id)}/fd"))

        box = run.clone(command="true", tty=True, stdin=True)
        box.attach(start=True, stdin=None)
        before = count()
        for _ in range(3):
            box.attach(start=True, stdin=None)
        wait_until(lambda: count() == before)


class TestShell:
    @pytest.mark.parametrize(("image", "shell"), [("busybox", "sh"), ("debian:bookworm-slim", "bash")])
    def test_it_is_the_images_own(self, on_terminal: Spawn, image: str, shell: str) -> None:
        person = on_terminal(f"""
            box = provisioner.run({image!r}, "sleep 1000", user="33", cwd="/tmp", env={{"COLOUR": "red"}})
            print("code", box.shell())
        """)
        person.sees(r"\$ ")
        person.sendline("echo $(basename $0)-$(id -u)-$PWD-$COLOUR")
        person.sees(f"[\r\n]{shell}-33-/tmp-red\r\n")
        person.sendline("exit 5")
        person.sees("code 5")

    def test_another_user_may_have_it(self, on_terminal: Spawn) -> None:
        person = on_terminal("""
            box = provisioner.run("busybox", "sleep 1000", user="33")
            box.shell(user="root")
        """)
        person.sees("# ")

    def test_without_a_terminal_it_reads_commands(self, box: Container, tmp_path: Path) -> None:
        (tmp_path / "in").write_text("echo one; tty\nexit 4\n")
        with (tmp_path / "in").open() as source, (tmp_path / "out").open("wb") as target:
            assert box.shell(stdin=source.fileno(), stdout=target.fileno()) == 4
        assert (tmp_path / "out").read_text() == "one\nnot a tty\n"

    def test_an_image_without_one_is_lent_one(self, on_terminal: Spawn, shell_less: str) -> None:
        person = on_terminal(f"""
            box = provisioner.run({shell_less!r}, user="1234")
            code = box.shell()
            print("code", code, box.diff(), box.exists({PLACE!r}), box.listdir("/dev"))
        """)
        person.sees(r"\$ ")
        person.sendline("echo I am $(id -u); ls -a /; touch /dev/.lxcontainer/x /dev/.lxcontainer/bin/x; exit 5")
        person.sees("I am 1234")
        person.sees("pause")
        person.sees("Read-only file system")
        person.sees(r"code 5 \[\] False ")
        assert ".lxcontainer" not in person.read()

    def test_two_at_once_are_lent_one_each(self, run: Runner, shell_less: str) -> None:
        box = run(shell_less)
        with lent_tools(box._backend, box.id):
            with lent_tools(box._backend, box.id):
                assert "sh" in box.listdir(BIN)
            assert "sh" in box.listdir(BIN)
        assert not box.exists(PLACE)

    def test_the_hosts_bash_will_do(self, run: Runner, shell_less: str, store: Path, tmp_path: Path) -> None:
        """Where there is no static busybox; a directory of the store's is one that containers can reach."""
        directory = Path(f"/var/tmp/lxcontainer-tools-{os.getpid()}-{os.urandom(3).hex()}")
        programs = tmp_path / "programs"
        programs.mkdir()
        for name in ("bash", "ls", "id", "cat"):
            found = shutil.which(name)
            assert found is not None
            (programs / name).symlink_to(found)
        box = run(shell_less, user="1234")
        try:
            tools = fill(directory, str(programs))
            box.mount(directory, PLACE, read_only=True)
            program = "echo I am $(id -u); ls /; cat /proc/1/comm; exit 6\n"
            (tmp_path / "in").write_text(program)
            with (tmp_path / "in").open() as source, (tmp_path / "out").open("wb") as target:
                fds = {"stdin": source.fileno(), "stdout": target.fileno()}
                assert box.exec_interactive(tools.shell, tty=False, **fds) == 6
            box.unmount(PLACE)
        finally:
            shutil.rmtree(directory)
        said = (tmp_path / "out").read_text()
        assert said.startswith("I am 1234\n") and "pause\n" in said

    def test_a_container_that_ends_meanwhile_ends_it(self, on_terminal: Spawn, shell_less: str) -> None:
        person = on_terminal(f"""
            import threading, time
            box = provisioner.run({shell_less!r})
            threading.Timer(2, box.kill).start()
            print("code", box.shell())
        """)
        person.sees("code 137")

    @pytest.mark.needs_cgroups
    def test_a_frozen_container_is_refused(self, run: Runner, shell_less: str) -> None:
        for box in (run(), run(shell_less)):
            box.freeze()
            with pytest.raises(FrozenError):
                box.shell()
            box.unfreeze()
            assert not box.exists(PLACE)

    def test_one_that_does_not_run_too(self, run: Runner, shell_less: str) -> None:
        for image in ("busybox", shell_less):
            with pytest.raises(NotRunningError):
                run.clone(image).shell()


@pytest.fixture
def shell_less(build: Callable[..., str], pause: File) -> str:
    """An image of nothing but a program that waits."""
    return build({"pause": pause}, base=False, Entrypoint=["/pause"])


@pytest.fixture(scope="session")
def pause(tmp_path_factory: pytest.TempPathFactory) -> File:
    directory = tmp_path_factory.mktemp("pause")
    (directory / "pause.c").write_text("#include <unistd.h>\nint main(void) { for (;;) pause(); }\n")
    compiler = shutil.which("musl-gcc")
    assert compiler is not None, "run: scripts/host-setup"
    subprocess.run([compiler, "-static", "-o", directory / "pause", directory / "pause.c"], check=True)
    return File((directory / "pause").read_bytes(), 0o755)


def _echoes(person: Person) -> bool:
    return bool(person.getecho())
