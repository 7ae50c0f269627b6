"""Containers that were started before they were asked for, and nobody can tell."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_lxcontainer import Container, Provisioner, Settings, wait
from pytest_lxcontainer.container.cgroups import host_hierarchies
from pytest_lxcontainer.errors import StartFailedError, WaitTimeoutError
from pytest_lxcontainer.supervisor.host import writable_base

from .conftest import BUSYBOX, wait_until


def was_pooled(container: Container) -> bool:
    return bool(getattr(container, "was_started", False))


class Asker:
    """Asks for containers of which more are coming, in a run of the test's own."""

    def __init__(self, provisioner: Provisioner) -> None:
        self.provisioner = provisioner

    def clone(self, command: Any = None, *, coming: int = 1, **settings: Any) -> Container:
        settings = {"group": uuid.uuid4().hex, **settings}
        return self.provisioner.clone(BUSYBOX, command, coming=coming, **settings)

    def __call__(self, command: Any = None, **settings: Any) -> Container:
        return self.clone(command, **settings).start()

    def pooled(self, command: Any = None, **settings: Any) -> Container:
        """One that was started ahead."""
        self(command, **settings)
        self.until_full(1)
        container = self.clone(command, **{**settings, "coming": 0})
        assert was_pooled(container)
        return container.start()

    def spares(self) -> list[str]:
        """Names of the clones that nobody has."""
        layout, run_id = self.provisioner.layout, self.provisioner.identity.run_id
        made = {path.name for path in layout.run_dir(run_id).iterdir() if "-" in path.name}
        return sorted(made - self.provisioner.backend.names().keys())

    def until_full(self, count: int) -> None:
        """Wait until so many clones are ready and stand still."""
        wait_until(lambda: sum(map(self._stands_still, self.spares())) == count, 20)

    def _stands_still(self, name: str) -> bool:
        run = f"lxt-{self.provisioner.identity.run_id}"
        bases = set(writable_base(os.geteuid(), host_hierarchies()).values())
        if not bases:  # nothing of this user's can be halted, and who asks waits until one is ready
            return True
        texts = (
            text_of(base / run / name / "payload" / file)
            for base in bases
            for file in ("freezer.state", "cgroup.events")
        )
        return any("FROZEN" in text or "frozen 1" in text for text in texts)


def text_of(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


@pytest.fixture
def ask(settings: Settings) -> Iterator[Asker]:
    with Provisioner(settings) as provisioner:
        yield Asker(provisioner)


LOOK = """
hostname; cat /etc/hostname /etc/hosts /etc/resolv.conf; env | sort; pwd; id
ip -4 addr show eth0 | grep inet; ip route; cat /proc/net/tcp
cat /proc/1/comm /proc/mounts /proc/self/cgroup /proc/self/limits; ulimit -a
ps -o pid,ppid,user,nice,args; ls -l /proc/1/fd/0 | cut -c1-10
grep -E 'Cap|Seccomp|NoNewPrivs|Groups' /proc/self/status
ls -lnaR / -I proc -I sys 2>/dev/null | grep -v ' /proc\\| /sys' | head -50
"""


def seen_in(container: Container, since: float) -> str:
    """All that a test may look at, without what is each container's own."""
    status = container.status()
    assert status.pid is not None
    parts = [
        container.exec(LOOK).stdout,
        container.logs(),
        container.logs(since),
        status.state,
        *container.interfaces(),
    ]
    parts += [str(container.is_first)]
    mac = f"02:1c:{':'.join(f'{int(part):02x}' for part in container.ip.split('.'))}"
    text = "\n".join(parts)
    for own, word in ((container.id, "ID"), (container.ip, "IP"), (mac, "MAC")):
        text = text.replace(own, word)
    return re.sub(r"(veth|if)\d+|[0-9a-f]{8,}", "NUMBER", text)


def test_a_pooled_container_is_like_any_other(ask: Asker) -> None:
    settings = {
        "command": "echo hello; exec sleep 1000",
        "cwd": "/made/for/it",
        "env": {"A": "b"},
        "ready": wait.log("hello"),
    }
    cold_since = time.time()
    cold = seen_in(ask(coming=0, **settings), cold_since)
    ask(coming=1, **settings)
    ask.until_full(1)
    since = time.time()
    container = ask(coming=0, **settings)
    assert was_pooled(container)
    assert seen_in(container, since) == cold
    assert "hello" in cold and "/made/for/it" in cold


def test_and_goes_on_as_any_other(ask: Asker) -> None:
    container = ask.pooled("trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.1; done")
    before = (container.id, container.ip)
    wait.until(container, wait.log("up"), 20)
    container.stop(20)
    assert (container.exit_code, container.logs()) == (7, "up\nbye\n")
    container.write_text("/note", "kept")
    container.start()
    assert container.read_text("/note") == "kept"
    assert (container.id, container.ip) == before
    wait.until(container, wait.log("up"), 20)
    assert container.logs() == "up\nbye\nup\n"
    assert ask.provisioner.run(container.snapshot()).read_text("/note") == "kept"
    container.kill()
    container.wait("STOPPED")
    assert container.exit_code == 137


def test_no_two_share_anything(ask: Asker) -> None:
    containers = [ask(coming=6 - number) for number in range(6)]
    assert any(was_pooled(each) for each in containers)
    drawn = [each.check_output("cat /proc/sys/kernel/random/boot_id; hexdump -n 8 /dev/urandom") for each in containers]
    for values in ([each.id for each in containers], [each.ip for each in containers], drawn):
        assert len(set(values)) == 6
    for each in containers:
        each.write_text("/mine", each.id)
    assert [each.read_text("/mine") for each in containers] == [each.id for each in containers]


def test_what_comes_later_in_its_group_resolves_it_and_is_resolved(ask: Asker) -> None:
    ask(hostname="db")
    ask.until_full(1)
    group = uuid.uuid4().hex
    db = ask(hostname="db", group=group, coming=0)
    app = ask(hostname="app", group=group)
    assert was_pooled(db)
    assert f"{app.ip}\tapp" in db.read_text("/etc/hosts") and f"{db.ip}\tdb" in app.read_text("/etc/hosts")
    assert db.exec("ping -c 1 -W 5 app").exit_code == 0
    assert "db" not in ask(hostname="app", group="another").read_text("/etc/hosts").split()


def test_who_would_see_others_from_its_first_moment_is_started_now(ask: Asker) -> None:
    command = "cat /etc/hosts; exec sleep 1000"
    ask(command, hostname="app")
    ask.until_full(1)
    group = uuid.uuid4().hex
    db = ask(hostname="db", group=group)
    app = ask(command, hostname="app", group=group)
    wait.until(app, wait.log(rf"^{re.escape(db.ip)}\tdb$"), 20)
    assert not was_pooled(app)


READY = {
    "file": wait.file("/tmp/ready"),
    "log": wait.log("it is"),
    "exec": wait.exec("test -e /tmp/ready"),
    "port": wait.port(8080),
    "all": wait.all_of(wait.file("/tmp/ready"), wait.any_of(wait.port(8080), wait.file("/never"))),
}


@pytest.mark.parametrize("condition", READY.values(), ids=READY.keys())
def test_it_is_ready_before_it_is_asked_for(ask: Asker, condition: wait.Condition) -> None:
    command = "sleep 0.2; touch /tmp/ready; echo it is; httpd -p 8080; exec sleep 1000"
    ask(command, ready=condition)
    ask.until_full(1)
    container = ask.clone(command, ready=condition, coming=0)
    assert container.running and container.exists("/tmp/ready")
    assert container.start().running
    # Not one of its own, nor of who waited for the port.
    assert "01" not in {line.split()[3] for line in container.read_text("/proc/net/tcp").splitlines()[1:]}


def test_a_condition_of_the_user_s_own_is_asked_by_the_test(ask: Asker) -> None:
    asked = []

    def ready(container: Container) -> bool:
        asked.append(container.id)
        return container.exists("/tmp/ready")

    command = "sleep 0.2; touch /tmp/ready; exec sleep 1000"
    ask(command, ready=ready)
    wait_until(lambda: ask.spares() != [])
    container = ask(command, ready=ready, coming=0)
    assert was_pooled(container)
    assert container.exists("/tmp/ready") and container.id in asked


def test_what_cannot_start_fails_each_test_with_its_own_error(ask: Asker) -> None:
    for _ in range(3):
        with pytest.raises(StartFailedError, match="exit code 3") as caught, ask.clone("echo why; exit 3") as container:
            container.start()
        assert "why" in caught.value.log
        wait_until(lambda: ask.spares() == [])


def test_so_does_what_does_not_become_ready(ask: Asker) -> None:
    for _ in range(3):
        settings = {"ready": wait.file("/never"), "timeout": 0.5}
        with pytest.raises(WaitTimeoutError, match="/never"), ask.clone(**settings) as container:
            container.start()
    wait_until(lambda: ask.spares() == [])


def test_one_that_dies_in_the_pool_is_not_given_to_anybody(ask: Asker) -> None:
    settings = {"command": "sleep 0.5; exit 3", "ready": bool}
    ask(coming=1, **settings)
    wait_until(lambda: ask.spares() != [])
    (spare,) = ask.spares()
    log = ask.provisioner.layout.run_dir(ask.provisioner.identity.run_id) / spare / "lxc.log"
    wait_until(lambda: "ended on error (3)" in log.read_text())
    container = ask(coming=1, **settings)
    assert not was_pooled(container) and container.exec("true").exit_code == 0
    wait_until(lambda: ask.spares() == [])


def test_what_is_mounted_from_the_host_is_as_it_is_when_asked_for(ask: Asker, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for number in range(3):
        (tmp_path / "note").write_text(str(number))
        container = ask("cat /host/note; exec sleep 1000", mounts=[f"{tmp_path}:/host:ro"], coming=3)
        wait.until(container, wait.log(str(number)), 20)
        assert container.logs() == str(number)


def test_the_pool_s_are_in_nobody_s_list(ask: Asker) -> None:
    container = ask(coming=2)
    ask.until_full(2)
    assert list(ask.provisioner.backend.names()) == [container.id]


def test_what_nobody_will_ask_for_goes(ask: Asker) -> None:
    ask(coming=2)
    ask.until_full(2)
    ask(coming=0)
    wait_until(lambda: ask.spares() == [], 20)


def test_without_a_pool_each_is_started_when_asked_for(settings: Settings) -> None:
    with Provisioner(replace(settings, pool=0)) as provisioner:
        ask = Asker(provisioner)
        for _ in range(3):
            assert not was_pooled(ask(coming=5))
            assert ask.spares() == []


def test_a_full_pool_ends_with_its_run(settings: Settings) -> None:
    with Provisioner(replace(settings, pool=4)) as provisioner:
        ask = Asker(provisioner)
        ask(coming=9, ready=wait.exec("true"))
        ask.until_full(4)


PROGRAM = """
import os, signal
from pytest_lxcontainer import Provisioner, wait
provisioner = Provisioner()
provisioner.clone("busybox", coming=9, ready=wait.exec("true")).start()
print(provisioner.identity.run_id, flush=True)
signal.pause()
"""


@pytest.mark.parametrize("wait_first", [False, True], ids=["being filled", "full"])
def test_and_with_the_death_of_who_asked(settings: Settings, wait_first: bool) -> None:
    environ = {**os.environ, "LXCONTAINER_STORE": str(settings.store), "LXCONTAINER_POOL": "3"}
    with subprocess.Popen([sys.executable, "-c", PROGRAM], env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            run_dir = settings.store / "runs" / process.stdout.readline().strip()
            if wait_first:
                wait_until(lambda: len([path for path in run_dir.iterdir() if "-" in path.name]) == 4, 20)
        finally:
            process.kill()
    wait_until(lambda: not run_dir.exists())
