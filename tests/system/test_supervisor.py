"""Whatever is killed, nothing stays for longer than until the next run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_lxcontainer import Container, Provisioner, Settings
from pytest_lxcontainer.errors import ContainerDiedError, NotRunningError, SupervisorError
from pytest_lxcontainer.provision import RunIdentity
from pytest_lxcontainer.supervisor.owner import Owner

from .conftest import BUSYBOX, Runner, is_alive, wait_until
from .leaks import Leaks, parent_of, supervisor_of

PROGRAM = """
import sys, time
from pytest_lxcontainer import Provisioner
provisioner = Provisioner()
containers = [provisioner.run("busybox", name=f"box{number}") for number in range(2)]
containers[1].exec("sleep 4321 &")
print(provisioner.identity.run_id, *[container.pid for container in containers], flush=True)
time.sleep(60)
"""


class Program:
    """Another process with two running containers."""

    def __init__(self, store: Path) -> None:
        environ = {**os.environ, "LXCONTAINER_STORE": str(store)}
        self.process = subprocess.Popen([sys.executable, "-c", PROGRAM], env=environ, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.run_id, *pids = self.process.stdout.readline().split()
        self.inits = [int(pid) for pid in pids]
        self.monitors = [parent_of(pid) for pid in self.inits]
        self.supervisor = supervisor_of(self.run_id)

    def end(self) -> None:
        assert self.process.stdout is not None
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def program(settings: Settings) -> Iterator[Program]:
    program = Program(settings.store)
    yield program
    program.end()


@pytest.fixture
def other(settings: Settings) -> Iterator[Provisioner]:
    """A run of the test's own, in this process."""
    with Provisioner(settings) as provisioner:
        yield provisioner


def sweep(settings: Settings) -> None:
    """What the next run does first."""
    with Provisioner(settings) as provisioner:
        assert provisioner.backend.names() == {}


def test_an_ordinary_end_leaves_nothing(program: Program, leaks: Leaks) -> None:
    program.process.send_signal(signal.SIGINT)
    program.process.wait(5)
    leaks.assert_nothing_new()


def test_a_killed_owner_leaves_nothing_without_anybodys_help(program: Program, leaks: Leaks) -> None:
    program.process.kill()
    leaks.assert_nothing_new()
    # A process that has given everything back may not have ended yet.
    wait_until(lambda: not any(is_alive(pid) for pid in (program.supervisor, *program.monitors, *program.inits)))


def test_with_the_supervisor_its_containers_die_and_the_next_run_clears_up(
    other: Provisioner, settings: Settings, leaks: Leaks
) -> None:
    container = other.run(BUSYBOX)
    init, supervisor = container.pid, supervisor_of(other.identity.run_id)
    os.kill(supervisor, signal.SIGKILL)
    with pytest.raises(SupervisorError) as caught:
        container.exec(["sleep", "60"])
    assert caught.value.hint
    with pytest.raises(SupervisorError):
        other.run(BUSYBOX)
    # While it is dying it counts as alive, and a sweep leaves its run to the next.
    wait_until(lambda: not is_alive(init or 0) and not is_alive(supervisor))
    sweep(settings)
    leaks.assert_nothing_new()


@pytest.mark.needs_cgroups
def test_what_stands_still_when_the_supervisor_dies_goes_too(settings: Settings, leaks: Leaks) -> None:
    """A test's, and the pool's: on v1 of cgroups not even SIGKILL ends what is frozen."""
    with Provisioner(settings) as provisioner:
        frozen = provisioner.run(BUSYBOX)
        frozen.freeze()
        pid = frozen.pid
        os.kill(supervisor_of(provisioner.identity.run_id), signal.SIGKILL)
        wait_until(lambda: not is_supervised(provisioner.identity.run_id))
    sweep(settings)
    assert pid is not None
    wait_until(lambda: not is_alive(pid))
    leaks.assert_nothing_new()


def is_supervised(run_id: str) -> bool:
    try:
        return is_alive(supervisor_of(run_id))
    except StopIteration:
        return False


def test_a_zygote_that_is_killed_is_replaced(other: Provisioner) -> None:
    before = other.run(BUSYBOX)
    supervisor = supervisor_of(other.identity.run_id)
    # Its children are listed as they came: proc_tid_children(5).
    zygote = int(Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()[0])
    assert zygote != parent_of(before.pid or 0)
    os.kill(zygote, signal.SIGKILL)
    assert before.check_output(["echo", "ran"]) == "ran"
    assert not is_alive(zygote)
    after = other.run(BUSYBOX)
    assert after.check_output(["echo", "ran"]) == "ran"
    assert parent_of(parent_of(after.pid or 0)) == supervisor
    assert cgroups_of_command(after) == cgroups_of_command(before).replace(before.id, after.id)


def test_one_that_is_killed_while_it_is_asked_for_a_command_does_no_harm(other: Provisioner) -> None:
    container = other.run(BUSYBOX)
    supervisor = supervisor_of(other.identity.run_id)
    zygote = int(Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()[0])
    os.kill(zygote, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(container.check_output, ["echo", "ran"])
        time.sleep(0.2)  # until the zygote has been asked, and stands still
        os.kill(zygote, signal.SIGKILL)
        assert asked.result(20) == "ran"


def cgroups_of_command(container: Container) -> str:
    """On the host: where its process 2 is."""
    (command,) = Path(f"/proc/{container.pid}/task/{container.pid}/children").read_text().split()
    return Path(f"/proc/{command}/cgroup").read_text()


def test_a_command_that_runs_while_the_supervisor_dies_ends_with_an_error(
    other: Provisioner, settings: Settings
) -> None:
    container = other.run(BUSYBOX)
    supervisor = supervisor_of(other.identity.run_id)
    with container.popen(["sleep", "60"]) as process:
        os.kill(supervisor, signal.SIGKILL)
        with pytest.raises(SupervisorError):
            process.wait(10)
    # Its sockets are closed before it has ended.
    wait_until(lambda: not is_alive(supervisor))
    sweep(settings)


def test_after_owner_and_supervisor_were_killed_the_next_run_removes_everything(
    program: Program, settings: Settings, leaks: Leaks
) -> None:
    os.kill(program.supervisor, signal.SIGSTOP)
    program.process.kill()
    os.kill(program.supervisor, signal.SIGKILL)
    wait_until(lambda: not is_alive(program.supervisor))
    sweep(settings)
    leaks.assert_nothing_new()


def test_after_everything_but_the_containers_was_killed_the_next_run_removes_them(
    program: Program, settings: Settings, leaks: Leaks
) -> None:
    for pid in (program.supervisor, program.process.pid, *program.monitors):
        os.kill(pid, signal.SIGSTOP)
    for pid in (program.process.pid, *program.monitors, program.supervisor):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(program.supervisor))
    sweep(settings)
    leaks.assert_nothing_new()
    wait_until(lambda: not any(is_alive(pid) for pid in program.inits))


def test_a_run_that_lives_is_not_swept(program: Program, settings: Settings) -> None:
    sweep(settings)
    assert all(is_alive(pid) for pid in (program.supervisor, *program.inits))


def test_a_container_whose_monitor_is_killed_has_stopped(run: Runner) -> None:
    container = run(command="echo alive; sleep 100")
    assert container.pid is not None
    os.kill(parent_of(container.pid), signal.SIGKILL)
    container.wait("STOPPED", timeout=10)
    assert container.exit_code == 137
    assert "monitor was killed" in container.status().reason
    with pytest.raises(NotRunningError, match="monitor was killed"):
        container.exec(["true"])
    container.start()
    assert container.check_output(["echo", "again"]) == "again"


def test_a_wait_ends_when_the_monitor_is_killed(run: Runner) -> None:
    container = run()

    def kill(each: Container) -> bool:
        if each.pid is not None:
            os.kill(parent_of(each.pid), signal.SIGKILL)
        return False

    with pytest.raises(ContainerDiedError, match="monitor was killed"):
        container.wait_for(kill, timeout=10)


@pytest.mark.needs_root
def test_nobody_else_may_speak_to_the_supervisor(provisioner: Provisioner, box: Container) -> None:
    run_id = provisioner.identity.run_id
    stranger = (
        "import os, socket; os.setuid(65534); s = socket.socket(socket.AF_UNIX); s.settimeout(5);"
        f"s.connect('\\0pytest-lxcontainer/run/{run_id}'); print(s.recv(1))"
    )
    done = subprocess.run([sys.executable, "-c", stranger], capture_output=True, text=True, check=True)
    assert done.stdout == "b''\n"
    assert box.running


def test_several_that_want_a_supervisor_at_the_same_time_start_one(settings: Settings, leaks: Leaks) -> None:
    identity = RunIdentity(os.urandom(4).hex(), Owner.of(os.getpid()))
    # As xdist's workers, but in one process.
    provisioners = [Provisioner(settings, identity=identity) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        started = [threads.submit(each.begin) for each in provisioners]
        assert all(each.exception(20) is None for each in started)
        boxes = list(threads.map(lambda each: each.run(BUSYBOX), provisioners))
    assert len({box.ip for box in boxes}) == 4
    begun = [pid for pid in children_of(os.getpid()) if identity.run_id in arguments_of(pid)]
    assert begun == [supervisor_of(identity.run_id)]
    for each in provisioners:
        each.close()
    leaks.assert_nothing_new()


def children_of(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def arguments_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
