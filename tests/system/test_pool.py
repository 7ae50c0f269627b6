"""Containers that were started before they were asked for, and nobody can tell."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from pytest_lxcontainer import Container, Provisioner, Settings, wait
from pytest_lxcontainer.container.cgroups import host_hierarchies
from pytest_lxcontainer.errors import LxContainerError, StartFailedError, WaitTimeoutError
from pytest_lxcontainer.supervisor.host import writable_base

from ..fakes.images import Dir, Entry, File
from .conftest import BUSYBOX, lxc_log_of, wait_until


def was_pooled(container: Container) -> bool:
    return bool(getattr(container, "was_started", False))


class Asker:
    """Asks for containers of which more are coming, in a run of the test's own."""

    def __init__(self, provisioner: Provisioner) -> None:
        self.provisioner = provisioner

    def clone(self, command: Any = None, *, image: str = BUSYBOX, coming: int = 1, **settings: Any) -> Container:
        settings = {"group": uuid.uuid4().hex, **settings}
        return self.provisioner.clone(image, command, coming=coming, **settings)

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
            text_of(base / run / name / below / file)
            for base in bases
            for below in ("", "payload")
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
for of in 1 self; do
    grep -E 'Cap|Sec|NoNewPrivs|Groups|Sig|Shd|Umask|TracerPid|allowed_list|[UG]id' /proc/$of/status
    cat /proc/$of/oom_score_adj /proc/$of/coredump_filter /proc/$of/cmdline /proc/$of/environ | tr '\\0' '\n'
done
stat -c %a /proc/1/root/tmp; ls /dev /dev/shm /dev/pts
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
    text = "\n".join(parts).replace(container.id, "ID")
    for address in status.ips:
        mac = f"02:1c:{IPv4Address(address).packed.hex(':')}"
        text = re.sub(rf"\b{re.escape(address)}\b", "IP", text).replace(mac, "MAC")
    return re.sub(r"(veth|if)\d+|[0-9a-f]{8,}", "NUMBER", text)


LIKE_ANY_OTHER: dict[str, dict[str, Any]] = {
    "log": {"cwd": "/made/for/it", "env": {"A": "b"}, "ready": wait.log("hello")},
    "port": {"command": "echo hello; httpd -p 8080; exec sleep 1000", "ready": wait.port(8080)},
    "http": {"command": "echo hello; exec httpd -f -p 8080", "ready": wait.http("/", port=8080, status=404)},
    "exec": {"ready": wait.exec("hostname"), "user": "nobody", "init": False},
    "file": {"ready": wait.file("/etc/hosts"), "network": "none", "tmpfs": {"/scratch": "size=1m"}},
    "nothing": {"cap_add": ["NET_ADMIN"], "hostname": "other"},
}


@pytest.mark.parametrize("given", LIKE_ANY_OTHER.values(), ids=LIKE_ANY_OTHER.keys())
def test_a_pooled_container_is_like_any_other(ask: Asker, given: dict[str, Any]) -> None:
    settings = {"command": "echo hello; exec sleep 1000", **given}
    cold_since = time.time()
    cold_one = ask(coming=0, **settings)
    wait.until(cold_one, wait.log("hello"), 20)
    cold = seen_in(cold_one, cold_since)
    ask(coming=1, **settings)
    ask.until_full(1)
    since = time.time()
    container = ask(coming=0, **settings)
    assert was_pooled(container)
    wait.until(container, wait.log("hello"), 20)
    assert seen_in(container, since) == cold
    assert "hello" in cold and settings.get("cwd", "") in cold


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


SEED = "hexdump -n 16 -e '1/1 \"%02x\"' /dev/urandom | tr -d '\\n'; echo; echo $RANDOM $RANDOM $RANDOM $RANDOM"
"""Of the kernel's random numbers, and of a generator that the shell seeds by clock and process id when it starts."""


def test_no_two_share_anything(ask: Asker) -> None:
    command = f"{{ {SEED}; }} > /tmp/seed; mv /tmp/seed /seed; exec sleep 1000"
    containers = [ask(command, ready=wait.file("/seed"), coming=6 - number) for number in range(6)]
    assert any(was_pooled(each) for each in containers)
    drawn = [line for each in containers for line in each.read_text("/seed").splitlines()]
    again = [line for each in containers for line in each.check_output(SEED).splitlines()]
    assert len(set(drawn + again)) == 24
    boots = [each.read_text("/proc/sys/kernel/random/boot_id") for each in containers]
    for values in ([each.id for each in containers], [each.ip for each in containers], boots):
        assert len(set(values)) == 6
    for each in containers:
        each.write_text("/mine", each.id)
    assert [each.read_text("/mine") for each in containers] == [each.id for each in containers]


def test_its_clock_is_the_host_s(ask: Asker) -> None:
    command = "trap 'date +%s; cut -d. -f1 /proc/uptime' USR1; echo up; while :; do sleep 0.01; done"
    container = ask.pooled(command, ready=wait.log("up"))
    before = (time.time(), time.clock_gettime(time.CLOCK_BOOTTIME))
    container.kill("USR1")
    wait.until(container, wait.log(r"^\d+\n\d+$"), 20)
    after = (time.time(), time.clock_gettime(time.CLOCK_BOOTTIME))
    told = [int(word) for word in container.logs().split()[1:]]
    assert all(int(low) <= value <= high for low, value, high in zip(before, told, after, strict=True))


def test_its_log_is_followed_from_its_beginning(ask: Asker) -> None:
    container = ask.pooled("echo one; echo two; trap 'echo three; exit' TERM; while :; do sleep 0.01; done")
    lines = container.follow_logs()
    assert [next(lines), next(lines)] == ["one", "two"]
    container.kill("TERM")
    assert list(lines) == ["three"]


@pytest.mark.needs_cgroups
def test_a_test_halts_it_as_any_other(ask: Asker) -> None:
    container = ask.pooled()
    container.freeze()
    assert container.state == "FROZEN"
    container.unfreeze()
    assert container.state == "RUNNING" and container.exec("true").exit_code == 0
    stats = container.stats()
    assert (stats.oom_kills, container.limits) == (0, ask().limits)


def test_it_has_the_volumes_and_the_directory_that_its_image_lacks(ask: Asker, build: Callable[..., str]) -> None:
    files: dict[str, Entry] = {"data": Dir(0o750, 5, 6), "data/seed": File("from the image", 0o640, 7, 8)}
    image = build(files, Cmd=["sleep", "600"], WorkingDir="/made/here", Volumes={"/data": {}, "/new/one": {}})
    look = "pwd; ls -lnaR /data /new /made | sed -E 's/ [A-Z][a-z]{2} .{9}//'"
    cold = ask(image=image, coming=0).check_output(look)
    for _ in range(2):
        container = ask.pooled(image=image)
        assert container.check_output(look) == cold
        container.write_text("/data/mine", "1")
        container.write_text("/new/one/mine", "1")
    assert "/made/here" in cold and "seed" in cold and "mine" not in cold


def test_it_is_healthy_before_it_is_asked_for(ask: Asker, build: Callable[..., str]) -> None:
    check = {"Test": ["CMD-SHELL", "echo asked >> /asked; test -e /tmp/ok"], "Interval": 10**7, "StartPeriod": 10**10}
    image = build(Cmd=["sh", "-c", "sleep 0.2; touch /tmp/ok; exec sleep 600"], Healthcheck=check)
    ask(image=image)
    ask.until_full(1)
    container = ask.clone(image=image, coming=0)
    assert was_pooled(container) and container.exists("/tmp/ok")
    asked = container.read_text("/asked")
    assert container.start().read_text("/asked") == asked


def test_one_that_is_never_healthy_fails_each_test_with_its_own_error(ask: Asker, build: Callable[..., str]) -> None:
    image = build(Cmd=["sleep", "600"], Healthcheck={"Test": ["CMD", "false"], "Interval": 10**7, "Retries": 2})
    for _ in range(3):
        with pytest.raises(LxContainerError, match="HEALTHCHECK"), ask.clone(image=image, timeout=5) as container:
            container.start()
    wait_until(lambda: ask.spares() == [])


def test_what_is_asked_for_otherwise_is_another(ask: Asker) -> None:
    ask(env={"A": "1"}, coming=2)
    ask.until_full(2)
    others: list[dict[str, Any]] = [
        {"env": {"A": "2"}},
        {"hostname": "other"},
        {"labels": {"a": "b"}},
        {"timeout": 50},
        {"image": "nginx:1"},
        {"ready": wait.file("/etc")},
    ]
    for other in others:
        assert not was_pooled(ask(**{"env": {"A": "1"}, "coming": 0, **other}))
    assert was_pooled(ask(env={"A": "1"}, coming=0))


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
    log = lxc_log_of(ask.provisioner, spare)
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
