"""A container from start to end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_lxcontainer import Container, Provisioner, Settings, wait
from pytest_lxcontainer.errors import NotRunningError, WaitTimeoutError

from .conftest import BUSYBOX, Runner, directory_is_gone, wait_until


def test_it_runs_until_it_is_destroyed(run: Runner) -> None:
    container = run()
    assert (container.state, container.running) == ("RUNNING", True)
    assert container.exit_code is None
    assert container.pid is not None and Path(f"/proc/{container.pid}").exists()
    pid = container.pid
    container.destroy()
    container.destroy()
    assert (container.state, container.running) == ("STOPPED", False)
    wait_until(lambda: not Path(f"/proc/{pid}").exists())


def test_a_with_block_destroys_it(provisioner: Provisioner) -> None:
    with provisioner.run(BUSYBOX) as container:
        assert container.running
    assert container.state == "STOPPED"


def test_a_restart_keeps_address_and_files(run: Runner) -> None:
    container = run("redis:7")
    ip, pid = container.ip, container.pid
    container.check_output(["redis-cli", "config", "set", "save", ""])
    container.write_text("/data/mark", "kept")
    container.restart()
    assert container.ip == ip
    assert container.pid != pid
    assert container.read_text("/data/mark") == "kept"
    assert container.check_output(["redis-cli", "-h", ip, "ping"]) == "PONG"


def test_logs_go_on_after_a_restart_and_can_be_had_from_a_moment_on(run: Runner) -> None:
    container = run(command="echo begun; sleep 100")
    container.wait_for(wait.log("begun"))
    time.sleep(0.01)
    moment = time.time()
    container.restart(timeout=0.1)
    container.wait_for(wait.log("begun"))
    assert container.logs() == "begun\nbegun\n"
    assert container.logs(since=moment) == "begun\n"


def test_stop_sends_the_stop_signal_and_tells_the_exit_code(run: Runner) -> None:
    container = run(
        command="trap 'echo asked; exit 5' TERM; echo trapped; while :; do sleep 0.1; done", ready=wait.log("trapped")
    )
    container.stop()
    assert (container.state, container.exit_code) == ("STOPPED", 5)
    assert container.logs() == "trapped\nasked\n"


def test_stop_kills_what_does_not_listen(run: Runner) -> None:
    container = run(command="trap '' TERM; echo trapped; while :; do sleep 0.1; done", ready=wait.log("trapped"))
    container.stop(timeout=0.2)
    assert container.state == "STOPPED"
    assert container.exit_code == 128 + signal.SIGKILL


def test_kill_sends_any_signal(run: Runner) -> None:
    container = run(
        command="trap 'echo hup' HUP; echo trapped; while :; do sleep 0.05; done", ready=wait.log("trapped")
    )
    container.kill("HUP")
    container.wait_for(wait.log("hup"))
    container.kill()
    container.wait("STOPPED")
    assert container.exit_code == 137


def test_an_end_is_noticed_with_its_code(run: Runner) -> None:
    container = run(command="sleep 0.1; exit 3", ready=[])
    container.wait_for(wait.exit(3), timeout=5)
    assert (container.state, container.exit_code) == ("STOPPED", 3)


def test_a_command_that_is_meant_to_end_may_end_before_it_is_looked_at(run: Runner) -> None:
    container = run(command="echo done", ready=wait.exit())
    assert container.logs() == "done\n"
    assert container.exit_code == 0


@pytest.mark.needs_cgroups
def test_a_frozen_container_stands_still_until_it_is_unfrozen(run: Runner) -> None:
    container = run(command="while :; do date +%s%N > /tmp/now; done", ready=wait.file("/tmp/now"))
    container.freeze()
    assert container.state == "FROZEN" and container.running
    with pytest.raises(NotRunningError, match="unfreeze"):
        container.exec(["true"])
    container.unfreeze()
    assert container.state == "RUNNING"
    before = container.read_text("/tmp/now")
    container.wait_for(lambda each: each.read_text("/tmp/now") not in ("", before), timeout=5)
    container.freeze()
    # Destroyed while frozen by the end of the test.


def test_what_does_not_become_ready_says_what_was_awaited(run: Runner) -> None:
    with pytest.raises(WaitTimeoutError) as caught:
        run(command="echo alive; sleep 100", ready=wait.port(9), timeout=0.5)
    assert caught.value.awaited == "port 9 to accept connections"
    assert "Connection refused" in caught.value.last_seen
    assert "alive" in str(caught.value)


def test_destroying_it_as_a_command_begins_takes_no_longer(provisioner: Provisioner, run: Runner) -> None:
    slowest = 0.0
    with ThreadPoolExecutor(1) as threads:
        for number in range(40):
            box = run()
            directory = provisioner.layout.run_dir(provisioner.identity.run_id) / box.id
            command = threads.submit(box.exec, "sleep 1000")
            time.sleep(number * 0.0001)
            begin = time.monotonic()
            box.destroy()
            wait_until(directory_is_gone(directory), timeout=10)
            slowest = max(slowest, time.monotonic() - begin)
            command.exception(10)  # or it was killed with the container: either is fine
    assert slowest < 3  # else it was waited for until patience was at its end


def test_containers_start_from_several_threads_at_once(run: Runner) -> None:
    with ThreadPoolExecutor(6) as threads:
        started = list(threads.map(lambda number: run(name=f"box-{number}"), range(6)))
    assert len({container.ip for container in started}) == 6
    assert [container.check_output(["hostname"]) for container in started] == [f"box-{n}" for n in range(6)]


def test_addresses_of_the_living_differ_also_between_runs(run: Runner, settings: Settings) -> None:
    ours = [run() for _ in range(3)]
    with Provisioner(settings) as other:
        theirs = [other.run(BUSYBOX) for _ in range(3)]
        assert len({container.ip for container in (*ours, *theirs)}) == 6


def test_thirty_containers_in_a_row_all_start(run: Runner) -> None:
    for number in range(30):
        container = run()
        assert container.check_output(f"echo {number}") == str(number)
        container.destroy()


FAT = """
import json, sys
from pytest_lxcontainer import Provisioner
ballast = bytearray(b"x") * (1 << 30)
with Provisioner() as provisioner:
    provisioner.run("busybox").destroy()
    with provisioner.run("busybox") as container:
        shown = container.check_output("echo from inside")
    print(json.dumps({"shown": shown, "ballast": len(ballast)}))
"""


def test_a_process_that_holds_a_gigabyte_uses_containers_like_any_other(settings: Settings) -> None:
    environ = {**os.environ, "LXCONTAINER_STORE": str(settings.store)}
    done = subprocess.run([sys.executable, "-c", FAT], env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"shown": "from inside", "ballast": 1 << 30}


def test_the_table_of_a_run_lists_the_living(box: Container, provisioner: Provisioner) -> None:
    assert provisioner.backend.names()[box.id] == {
        "image": "busybox:latest",
        "state": "RUNNING",
        "group": box._spec.group[-1],
        "ips": [box.ip],
    }


def test_its_files_need_not_be_waited_for_until_they_are_on_disk(run: Runner) -> None:
    container = run(BUSYBOX)
    for text in ("one", "two"):
        root = next(line for line in container.read_text("/proc/mounts").splitlines() if line.split()[1] == "/")
        assert any(option.endswith("volatile") for option in root.split()[3].split(","))
        container.check_output(f"echo {text} >> /note; sync")
        container.kill()
        container.wait("STOPPED")
        container.write_text("/at-rest", text)
        container.start()
    assert (container.read_text("/note"), container.read_text("/at-rest")) == ("one\ntwo\n", "two")
