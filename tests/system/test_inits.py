"""Images whose command is an init: it is process 1, does what process 1 is for, and the container ends with it.

The images are of ``tests/images``.
"""

from __future__ import annotations

import json

import pytest

from pytest_lxcontainer import Container, wait
from pytest_lxcontainer.errors import NotDelegatedError, NotRunningError

from .conftest import Runner, wait_until

INITS = "inits:bookworm"
SYSTEMD = "systemd:bookworm"

TRAPPING = "trap 'echo stopped; exit 7' TERM; echo trapped; while :; do sleep 0.05; done"
FORWARDING = {
    "tini": ["/usr/bin/tini", "--"],
    "dumb-init": ["/usr/bin/dumb-init", "--"],
}


def states(container: Container) -> list[str]:
    """The state of every process, as in proc_pid_status(5)."""
    return container.exec("grep -h ^State: /proc/[0-9]*/status").stdout.splitlines()


def leave_an_orphan(container: Container) -> None:
    """Have a process end whose parent has ended before: its status is for process 1 to fetch."""
    container.exec(["setsid", "--fork", "sh", "-c", "(sleep 0.1; touch /ended) &"]).check()
    wait_until(lambda: container.exists("/ended"))


@pytest.mark.parametrize("name", FORWARDING)
class TestSmallInits:
    @pytest.fixture
    def container(self, run: Runner, name: str) -> Container:
        return run(INITS, ["sh", "-c", TRAPPING], entrypoint=FORWARDING[name], ready=wait.log("trapped"))

    def test_it_is_process_1(self, container: Container, name: str) -> None:
        assert container.read_text("/proc/1/comm") == f"{name}\n"
        assert container.check_output("ps -o ppid= -p $(pgrep -o -x sh)").strip() == "1"

    def test_it_forwards_the_stop_signal_and_ends_with_the_commands_exit_code(
        self, container: Container, name: str
    ) -> None:
        container.stop(timeout=30)
        assert container.exit_code == 7
        assert container.logs().endswith("stopped\n")

    def test_it_reaps(self, container: Container, name: str) -> None:
        leave_an_orphan(container)
        wait_until(lambda: not any("zombie" in state for state in states(container)))

    def test_a_command_that_ends_ends_the_container(self, run: Runner, name: str) -> None:
        container = run(INITS, ["sh", "-c", "exit 5"], entrypoint=FORWARDING[name], ready=wait.exit(5))
        assert container.exit_code == 5


class TestS6:
    """With an ``/init`` that becomes s6-svscan, as s6-overlay's does."""

    @pytest.fixture
    def container(self, run: Runner) -> Container:
        return run(INITS, ["/init"], ready=wait.log("ticking"))

    def test_it_is_process_1_and_supervises(self, container: Container) -> None:
        assert container.read_text("/proc/1/comm") == "s6-svscan\n"
        assert container.check_output("s6-svstat -o up /run/services/ticker") == "true"
        container.exec("s6-svc -k /run/services/ticker").check()
        container.wait_for(wait.log("ticking", times=2))

    def test_it_stops_its_services(self, container: Container) -> None:
        container.stop(timeout=30)
        assert container.exit_code == 0
        assert container.read_text("/var/lib/finished") == "finished\n"

    def test_it_reaps(self, container: Container) -> None:
        leave_an_orphan(container)
        wait_until(lambda: not any("zombie" in state for state in states(container)))


def booted(container: Container) -> bool:
    """Whether systemd has started everything; it has no bus in its first moments."""
    result = container.exec(["systemctl", "is-system-running", "--wait"], timeout=60)
    return result.stdout.strip() in ("running", "degraded")


def assert_rebooted(container: Container) -> None:
    """LXC's own way would be a new init that nobody knows, in a container that seems to run on."""
    container.wait_for(wait.exit(129), timeout=60)
    with pytest.raises(NotRunningError, match="rebooted itself"):
        container.exec("true")


@pytest.mark.parametrize("init", [True, False])
def test_a_reboot_ends_a_container_that_may(run: Runner, init: bool) -> None:
    container = run(cap_add=["SYS_BOOT"], command=["sleep", "1000"], init=init)
    container.exec(["reboot", "-f"])
    assert_rebooted(container)
    container.start()
    container.exec(["poweroff", "-f"])
    container.wait_for(wait.exit(130))
    with pytest.raises(NotRunningError, match="halted itself"):
        container.exec("true")


@pytest.mark.needs_root
def test_a_reboot_ends_a_privileged_container(run: Runner) -> None:
    container = run(privileged=True)
    container.exec(["reboot", "-f"])
    assert_rebooted(container)


@pytest.mark.needs_cgroups
class TestSystemd:
    @pytest.fixture
    def container(self, run: Runner) -> Container:
        return run(SYSTEMD, ready=booted, timeout=60)

    def test_it_boots_without_a_failure(self, container: Container) -> None:
        assert container.read_text("/proc/1/comm") == "systemd\n"
        failed = container.check_output(["systemctl", "list-units", "--failed", "--output=json"])
        assert json.loads(failed) == []
        assert container.check_output(["systemctl", "is-system-running"]) == "running"

    def test_its_services_run_in_cgroups_of_their_own(self, container: Container) -> None:
        shown = container.check_output(["systemctl", "show", "greeter", "--property=ActiveState,ControlGroup"])
        assert shown.splitlines() == ["ControlGroup=/system.slice/greeter.service", "ActiveState=active"]
        container.exec(["systemctl", "restart", "greeter"]).check()
        assert container.exists("/var/lib/greeter-stopped")
        assert container.check_output(["systemd-run", "--wait", "--pipe", "--quiet", "id", "-u"]) == "0"

    def test_its_journal_is_kept(self, container: Container) -> None:
        wait_until(lambda: "hello from nobody" in container.check_output(["journalctl", "--unit=greeter"]))

    def test_it_knows_that_it_is_in_a_container(self, container: Container) -> None:
        assert container.check_output(["systemd-detect-virt"]) == "lxc"

    def test_the_resolver_is_found_through_a_link_into_run(self, container: Container) -> None:
        assert container.check_output(["readlink", "/etc/resolv.conf"]) == "../run/systemd/resolve/stub-resolv.conf"
        assert "nameserver" in container.check_output(["cat", "/etc/resolv.conf"])

    def test_it_is_stopped_by_the_signal_it_halts_on(self, container: Container) -> None:
        container.stop(timeout=60)
        # As of one that calls reboot(2) itself, and not 137 of one that is killed in the end.
        assert container.exit_code == 130
        assert container.exists("/var/lib/greeter-stopped")

    def test_it_starts_again(self, container: Container) -> None:
        container.restart(timeout=60)
        assert container.check_output(["systemctl", "is-active", "greeter"]) == "active"

    def test_it_reaps(self, container: Container) -> None:
        leave_an_orphan(container)
        wait_until(lambda: not any("zombie" in state for state in states(container)))

    def test_a_reboot_ends_it(self, container: Container) -> None:
        container.exec(["systemctl", "reboot"])
        assert_rebooted(container)
        assert container.exists("/var/lib/greeter-stopped")
        container.start()
        assert container.check_output(["systemctl", "is-active", "greeter"]) == "active"

    def test_below_lxcs_own_init_it_is_a_command_like_any_other(self, run: Runner) -> None:
        """And as such is telinit, which has nobody to tell."""
        container = run(SYSTEMD, init=True, ready=wait.exit(1))
        assert "telinit" in container.logs()


@pytest.mark.needs_no_cgroups
def test_systemd_without_cgroups_of_its_own_says_what_it_lacks(run: Runner) -> None:
    with pytest.raises(NotDelegatedError, match="systemd"):
        run(SYSTEMD)
