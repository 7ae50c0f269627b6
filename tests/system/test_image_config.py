"""An image's configuration, honoured as Docker does: what each of its fields comes to in a running container."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pytest_lxcontainer import Container, wait
from pytest_lxcontainer.errors import InvalidSettingsError, LxContainerError, StartFailedError

from ..fakes.images import Dir, Entry, File, Symlink
from .conftest import Make, Runner, is_alive, wait_until

SET_BY_SHELLS = ("PWD", "SHLVL")
PASSWD = "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n"
GROUP = "root:x:0:\napp:x:1001:\ndisks:x:50:app\nother:x:51:\n"


def words(container: Container) -> list[str]:
    """The argv of the command that runs."""
    assert container.pid is not None
    return container.read_text("/proc/2/cmdline").split("\0")[:-1]


class TestCommand:
    @pytest.mark.parametrize(
        ("config", "given", "expected"),
        [
            ({"Cmd": ["sleep", "600"]}, {}, ["sleep", "600"]),
            ({"Entrypoint": ["sleep"], "Cmd": ["600"]}, {}, ["sleep", "600"]),
            ({"Entrypoint": ["sleep"], "Cmd": ["600"]}, {"command": ["700"]}, ["sleep", "700"]),
            ({"Entrypoint": ["cat"], "Cmd": ["x"]}, {"entrypoint": "sleep", "command": ["5000"]}, ["sleep", "5000"]),
            ({"Entrypoint": ["false"], "Cmd": ["/dev/zero"]}, {"entrypoint": ["cat"]}, ["cat"]),
            ({"Entrypoint": ["false"]}, {"entrypoint": [], "command": ["sleep", "8"]}, ["sleep", "8"]),
            ({"Entrypoint": ["/bin/sh", "-c", "exec sleep 6"], "Cmd": ["ignored"]}, {}, ["sleep", "6"]),
            ({"Entrypoint": None, "Cmd": ["/bin/sh", "-c", "exec sleep 7"]}, {}, ["sleep", "7"]),
            (
                {"Cmd": ["cat"], "Shell": ["/bin/ash", "-ec"]},
                {"command": "sleep 9; :"},
                ["/bin/ash", "-ec", "sleep 9; :"],
            ),
        ],
    )
    def test_entrypoint_and_command(
        self, boot: Make, config: dict[str, Any], given: dict[str, Any], expected: list[str]
    ) -> None:
        container = boot(None, given, **config)
        wait_until(lambda: words(container) == expected)

    def test_the_images_shell_is_that_of_exec_too(self, boot: Make) -> None:
        container = boot(Shell=["/bin/sh", "-uc"])
        assert container.exec("echo $UNSET").exit_code != 0

    def test_what_is_for_builds_only_is_passed_over(self, boot: Make) -> None:
        assert boot(OnBuild=["RUN false", "ENTRYPOINT false"]).running


class TestEnvironment:
    def test_it_is_the_images_under_that_of_the_settings_and_nothing_of_the_hosts(
        self, boot: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SECRET_OF_THE_HOST", "1")
        container = boot(None, {"env": {"B": "3"}}, Env=["A=1", "B=2", "EMPTY=", "LINE=a\nb", "noequals"])
        for text in (container.read_text("/proc/2/environ"), container.exec("cat /proc/self/environ").stdout):
            found = dict(entry.split("=", 1) for entry in text.split("\0") if entry)
            assert {key: found.get(key) for key in ("A", "B", "EMPTY", "LINE")} == {
                "A": "1", "B": "3", "EMPTY": "", "LINE": "a\nb",
            }  # fmt: skip
            assert found.keys() <= {"A", "B", "EMPTY", "LINE", "PATH", "HOME", "HOSTNAME", "container", *SET_BY_SHELLS}


class TestUser:
    @pytest.mark.parametrize(
        ("user", "expected"),
        [
            ("", "0 0 0"),
            ("app", "1000 1001 50 1001"),
            ("1000", "1000 1001 50 1001"),
            ("app:other", "1000 51 51"),
            ("1000:51", "1000 51 51"),
            ("4321", "4321 0 0"),
            ("4321:99", "4321 99 99"),
            (":app", "0 1001 1001"),
        ],
    )
    def test_user_and_groups(self, boot: Make, user: str, expected: str) -> None:
        entries: dict[str, Entry] = {"etc/passwd": PASSWD, "etc/group": GROUP}
        container = boot(entries, User=user)
        who = container.check_output("echo $(id -u) $(id -g) $(id -G | tr ' ' '\\n' | sort -n)")
        status = dict(line.split(":", 1) for line in container.read_text("/proc/2/status").splitlines())
        uid, gid, *groups = expected.split()
        assert who == expected
        assert (status["Uid"].split()[1], status["Gid"].split()[1]) == (uid, gid)
        assert set(status["Groups"].split()) | {gid} == set(groups)

    @pytest.mark.parametrize("user", ["app", "app:other", "4321:99", "1000"])
    def test_a_command_that_is_process_1_has_the_same(self, boot: Make, user: str) -> None:
        entries: dict[str, Entry] = {"etc/passwd": PASSWD, "etc/group": GROUP}
        command = "echo $$; grep -E '^(Uid|Gid|Groups|Sig|Cap)' /proc/self/status; echo $HOME; cat /proc/self/environ"
        settings = {"command": command, "ready": wait.exit(0)}
        alone, below_init = (
            boot(entries, {**settings, "init": init}, User=user, Env=["A=1"]).logs().splitlines()
            for init in (False, True)
        )
        assert alone == ["1", *below_init[1:]]

    def test_one_that_cannot_be_executed_is_named(self, boot: Make) -> None:
        entries: dict[str, Entry] = {"etc/passwd": PASSWD, "etc/group": GROUP}
        with pytest.raises(StartFailedError, match="no nothing in the image"):
            boot(entries, {"init": False}, User="app", Cmd=["nothing"])

    @pytest.mark.parametrize("user", ["nobody-here", "root:nobody-here", "-1", "1:-1"])
    def test_one_that_the_image_does_not_know_is_an_error(self, boot: Make, user: str) -> None:
        with pytest.raises(InvalidSettingsError, match="in its /etc/"):
            boot({"etc/passwd": PASSWD, "etc/group": GROUP}, User=user)

    def test_its_home_is_in_the_environment(self, boot: Make) -> None:
        container = boot({"etc/passwd": PASSWD}, User="app")
        assert container.check_output("echo $HOME") == "/home/app"


class TestWorkingDir:
    def test_one_that_is_absent_is_made_and_is_roots(self, boot: Make) -> None:
        entries: dict[str, Entry] = {"home/app": Dir(0o750, 1000, 1001), "lnk": Symlink("/home/app")}
        container = boot(entries, WorkingDir="/lnk/new/deep")
        assert container.check_output("pwd -P; readlink /proc/2/cwd") == "/home/app/new/deep\n/home/app/new/deep"
        assert container.check_output("stat -c '%u:%g %a' . .. ../..") == "0:0 755\n0:0 755\n1000:1001 750"

    def test_one_that_is_there_stays_as_it_is(self, boot: Make) -> None:
        container = boot({"srv": Dir(0o1777, 7, 8)}, WorkingDir="/srv")
        assert container.check_output("pwd; stat -c '%u:%g %a' .") == "/srv\n7:8 1777"


class TestVolumes:
    SEED: ClassVar[dict[str, Entry]] = {
        "data": Dir(0o750, 5, 6),
        "data/seed": File("from the image", 0o640, 7, 8),
        "data/sub": Dir(0o700, 9, 9),
    }

    def test_a_volume_holds_what_the_image_has_there_with_owners_and_modes(self, boot: Make) -> None:
        container = boot(dict(self.SEED), Volumes={"/data": {}})
        assert container.read_text("/data/seed") == "from the image"
        found = container.check_output("stat -c '%n %u:%g %a' /data /data/seed /data/sub")
        assert found.splitlines() == ["/data 5:6 750", "/data/seed 7:8 640", "/data/sub 9:9 700"]

    def test_one_that_the_image_has_not_is_made(self, boot: Make) -> None:
        container = boot(Volumes={"/var/lib/thing/data": {}, "/new": {}})
        assert container.check_output("stat -c '%u:%g %a' /var/lib/thing/data /new") == "0:0 755\n0:0 755"

    def test_each_container_has_its_own(self, build: Callable[..., str], run: Runner) -> None:
        reference = build(dict(self.SEED), Cmd=["sleep", "600"], Volumes={"/data": {}})
        one, two = run(reference), run(reference)
        one.write_text("/data/mine", "1")
        one.exec("rm /data/seed").check()
        assert not two.exists("/data/mine")
        assert two.read_text("/data/seed") == "from the image"
        assert sorted(run(reference).listdir("/data")) == ["seed", "sub"]

    def test_it_is_part_of_the_containers_files_and_lasts_as_long(self, boot: Make) -> None:
        container = boot(Volumes={"/data": {}})
        container.write_text("/data/mine", "1")
        container.restart()
        assert container.read_text("/data/mine") == "1"


def test_tcp_ports_are_exposed_and_the_first_is_waited_for(boot: Make) -> None:
    config = {"ExposedPorts": {"8080-8082/tcp": {}, "53/udp": {}, "9000": {}}}
    container = boot(None, {"command": ["nc", "-ll", "-p", "8080", "-e", "true"]}, **config)
    assert container.ports == (8080, 8081, 8082, 9000)
    assert container.exec("netstat -ltn | grep :8080").exit_code == 0


def test_with_udp_ports_only_there_is_nothing_to_wait_for(boot: Make) -> None:
    assert boot(ExposedPorts={"53/udp": {}}).ports == ()


def test_it_is_stopped_with_its_signal(boot: Make) -> None:
    command = "trap 'exit 7' USR2; trap 'exit 8' TERM; echo trapped; while :; do sleep 0.05; done"
    container = boot(None, {"command": command, "ready": wait.log("trapped")}, StopSignal="SIGUSR2")
    container.stop()
    assert container.exit_code == 7


@pytest.mark.parametrize(
    ("written", "number"), [("SIGRTMIN+3", 37), ("37", 37), ("RTMIN+3", 37), ("sigusr2", 12), ("QUIT", 3), ("", 15)]
)
def test_its_stop_signal_may_be_written_as_docker_takes_it(boot: Make, written: str, number: int) -> None:
    command = 'for n in 3 12 15 37; do trap "echo got $n; exit 7" $n; done; echo trapped; while :; do sleep 0.05; done'
    container = boot(None, {"command": command, "ready": wait.log("trapped")}, StopSignal=written)
    container.stop(timeout=30)
    assert container.logs().splitlines()[-1] == f"got {number}"


@pytest.mark.parametrize("written", ["SIGNONE", "0", "65", "SIGRTMIN+99"])
def test_a_stop_signal_that_is_none_is_an_error(boot: Make, written: str) -> None:
    with pytest.raises(InvalidSettingsError, match="stop signal"):
        boot(StopSignal=written)


def test_nothing_in_the_environment_is_expanded(boot: Make) -> None:
    container = boot(Env=["A=1", "B=$A", "C=${A}x", "D=`id`", "E=%h"])
    assert container.check_output("env | grep '^[BCDE]=' | sort").splitlines() == ["B=$A", "C=${A}x", "D=`id`", "E=%h"]


class TestHealthcheck:
    INTERVAL = 10_000_000
    """Nanoseconds."""

    @pytest.mark.parametrize("test", [["CMD", "test", "-e", "/tmp/ok"], ["CMD-SHELL", "test -e /tmp/ok || exit 1"]])
    def test_it_is_ready_when_it_is_healthy(self, boot: Make, test: list[str]) -> None:
        command = "sleep 0.2; touch /tmp/ok; sleep 600"
        container = boot(
            None,
            {"command": command},
            Healthcheck={
                "Test": test,
                "Interval": self.INTERVAL,
                "StartPeriod": 10**10,
                "StartInterval": self.INTERVAL,
            },
        )
        assert container.exists("/tmp/ok")

    @pytest.mark.parametrize("test", [["NONE"], []])
    def test_none_is_none(self, boot: Make, test: list[str]) -> None:
        assert boot(Healthcheck={"Test": test}).running

    def test_one_that_fails_is_an_error(self, boot: Make) -> None:
        check = {"Test": ["CMD", "false"], "Interval": self.INTERVAL, "Retries": 2}
        with pytest.raises(LxContainerError, match="HEALTHCHECK"):
            boot(None, {"timeout": 1}, Healthcheck=check)


class TestInit:
    def test_orphans_are_reaped(self, boot: Make) -> None:
        container = boot()
        container.exec("for i in 1 2 3; do (sh -c 'sleep 0.01 & echo' &) ; done").check()
        wait_until(lambda: "sleep 0.01" not in container.exec("ps").stdout)
        states = "grep -h ^State /proc/[0-9]*/status"
        wait_until(lambda: "zombie" not in container.exec(states).stdout)

    @pytest.mark.parametrize("name", ["INT", "USR1", "QUIT"])
    def test_what_it_gets_from_inside_it_forwards(self, boot: Make, name: str) -> None:
        command = f"trap 'echo got {name}' {name}; echo trapped; while :; do sleep 0.05; done"
        container = boot(None, {"command": command, "ready": wait.log("trapped")})
        container.exec(["kill", f"-{name}", "1"]).check()
        container.wait_for(wait.log(f"got {name}"))
        assert container.running

    @pytest.mark.parametrize("name", ["TERM", "HUP", "INT", "USR1"])
    def test_signals_reach_the_command(self, boot: Make, name: str) -> None:
        command = f"trap 'echo got {name}' {name}; echo trapped; while :; do sleep 0.05; done"
        container = boot(None, {"command": command, "ready": wait.log("trapped")})
        container.kill(f"SIG{name}")
        container.wait_for(wait.log(f"got {name}"))


class TestAnInitOfItsOwn:
    SCRIPT = File("#!/bin/sh\necho I am $$\ntrap 'exit 3' TERM\nwhile :; do sleep 0.05; done\n", 0o755)

    @pytest.mark.parametrize("name", ["init", "usr/bin/tini", "bin/dumb-init", "package/admin/s6/command/s6-svscan"])
    def test_it_is_process_1(self, boot: Make, name: str) -> None:
        container = boot({name: self.SCRIPT}, {"ready": wait.log("I am 1")}, Entrypoint=[f"/{name}"], Cmd=None)
        assert container.check_output(["cat", "/proc/1/comm"]) == name.rpartition("/")[2]
        container.stop()
        assert container.exit_code == 3

    def test_busybox_init_boots_a_system(self, boot: Make) -> None:
        inittab = "::sysinit:/bin/mount -t tmpfs none /mnt\n::sysinit:/bin/touch /mnt/made\n::respawn:/bin/sleep 1234\n"
        entries: dict[str, Entry] = {"sbin/init": Symlink("/bin/busybox"), "etc/inittab": inittab, "mnt": Dir()}
        container = boot(entries, Cmd=["/sbin/init"])
        wait_until(lambda: container.exec(["pidof", "sleep"]).exit_code == 0)
        assert container.read_text("/proc/1/cmdline").startswith("init")
        assert container.exists("/mnt/made")
        first = container.check_output(["pidof", "sleep"])
        container.exec(["kill", first]).check()
        wait_until(lambda: container.exec(["pidof", "sleep"]).stdout.strip() not in ("", first))

    @pytest.mark.parametrize("init", [True, False])
    def test_the_setting_decides(self, boot: Make, init: bool) -> None:
        container = boot({"init": self.SCRIPT}, {"init": init, "ready": wait.log("I am")}, Cmd=["/init"])
        assert container.logs() == ("I am 2\n" if init else "I am 1\n")

    def test_one_that_ends_ends_the_container_with_its_exit_code(self, boot: Make) -> None:
        script = File("#!/bin/sh\nsleep 0.1\nexit 9\n", 0o755)
        container = boot({"init": script}, {"ready": wait.exit(9)}, Cmd=["/init"])
        assert container.exit_code == 9

    def test_its_signals_and_execs_are_its_own(self, boot: Make) -> None:
        container = boot({"init": self.SCRIPT}, {"ready": wait.log("I am 1")}, Cmd=["/init"])
        assert container.pid is not None and is_alive(container.pid)
        container.restart()
        container.wait_for(wait.log("I am 1"))
        container.kill("SIGTERM")
        container.wait_for(wait.exit(3))


class TestWithoutAShell:
    """An image with one static program and nothing else, as distroless and scratch ones are."""

    @pytest.fixture
    def program(self, run: Runner) -> bytes:
        return run().read_bytes("/bin/busybox")

    @pytest.mark.parametrize("etc", [False, True])
    def test_it_starts_and_exec_works(self, build: Callable[..., str], run: Runner, program: bytes, etc: bool) -> None:
        entries: dict[str, Entry] = {"sleep": File(program, 0o755)}
        if etc:
            entries |= {"etc/passwd": "nonroot:x:65532:65532::/home/nonroot:/sbin/nologin\n"}
        container = run(build(entries, base=False, Entrypoint=["/sleep", "600"], User="65532"))
        assert container.exec(["/sleep", "0"]).exit_code == 0
        assert container.read_text("/etc/hostname") == f"{container.hostname}\n"
        container.write_text("/made", "x")
        assert container.read_text("/made") == "x"

    def test_files_go_in_and_out(self, build: Callable[..., str], run: Runner, program: bytes, tmp_path: Path) -> None:
        container = run(build({"sleep": File(program, 0o755)}, base=False, Cmd=["/sleep", "600"]))
        (tmp_path / "tree/deep").mkdir(parents=True)
        (tmp_path / "tree/deep/file").write_text("x")
        container.copy_in(tmp_path / "tree", "/", owner="7:8")
        assert container.read_text("/tree/deep/file") == "x"
        assert container.copy_out("/tree", tmp_path / "back") == tmp_path / "back"
        assert (tmp_path / "back/deep/file").read_text() == "x"
        assert not container.exists("/tmp")
        assert container.listdir("/etc") == ["hostname", "hosts", "resolv.conf"]
        assert [str(change) for change in container.diff()] == ["A /tree", "A /tree/deep", "A /tree/deep/file"]

    def test_a_missing_shell_is_named(self, build: Callable[..., str], run: Runner, program: bytes) -> None:
        reference = build({"sleep": File(program, 0o755)}, base=False, Cmd=["/sleep", "600"])
        result = run(reference).exec("echo hello")
        assert result.exit_code == 127
        assert "/bin/sh" in result.stderr
        with pytest.raises(StartFailedError, match="no /bin/sh in the image"):
            run(reference, "echo hello")
