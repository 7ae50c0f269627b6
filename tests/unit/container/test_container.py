"""A `Container` over a backend that runs local processes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from pytest_lxcontainer import Container
from pytest_lxcontainer.errors import ContainerError, ContainerFileError, NotRunningError
from tests.fakes.backend import FakeBackend

from .conftest import Make


def test_it_knows_what_it_was_made_of(make: Make) -> None:
    box = make(("sleep", "5"), ports=(80, 443))
    assert (box.name, box.hostname, box.command, box.ports) == ("box", "box", ("sleep", "5"), (80, 443))
    assert box.env == {"PATH": "/usr/bin:/bin", "HOME": "/root"}
    assert box.labels == {"from": "test", "a": "b"}
    assert box.url(80) == f"http://{box.ip}:80"
    assert box.url(5432, "postgresql") == f"postgresql://{box.ip}:5432"
    assert repr(box) == f"<Container {box.id} of box:latest>"


def test_it_lives_from_start_to_destroy(make: Make) -> None:
    box = make()
    assert (box.state, box.running, box.pid, box.exit_code) == ("STOPPED", False, None, None)
    assert box.start() is box
    assert box.running
    assert box.pid
    box.stop()
    assert (box.running, box.exit_code) == (False, 128 + 15)
    box.destroy()
    assert (box.state, box.exit_code) == ("STOPPED", 128 + 15)


def test_leaving_its_block_destroys_it(make: Make, backend: FakeBackend) -> None:
    with make() as box:
        box.start()
    assert backend.names() == {}
    box.destroy()
    assert (box.state, box.pid, box.running) == ("STOPPED", None, False)


def test_a_restart_keeps_its_address(box: Container) -> None:
    ip, pid = box.ip, box.pid
    assert box.restart().ip == ip
    assert box.pid != pid


@pytest.mark.parametrize("number", [9, "SIGKILL"])
def test_a_signal_is_a_number_or_a_name(box: Container, number: int | str) -> None:
    box.kill(number)
    box.wait("STOPPED")
    assert box.exit_code == 128 + 9


def test_frozen_is_running(box: Container) -> None:
    box.freeze()
    assert (box.state, box.running) == ("FROZEN", True)
    box.unfreeze()
    assert box.state == "RUNNING"


def test_without_network_there_is_no_address(make: Make) -> None:
    box = make(networks=())
    assert box.ips == ()
    with pytest.raises(ContainerError, match="no address"):
        box.url(80)


def test_interfaces_have_the_loopback_first(box: Container) -> None:
    assert box.interfaces() == ["lo", "eth0"]


def test_logs_are_text_whatever_was_written(make: Make) -> None:
    box = make(r"printf 'a\377b'; sleep 1000").start()
    box.wait_for(lambda c: len(c.logs()) == 3)
    assert box.logs() == "a\ufffdb"


class TestFiles:
    def test_text_and_bytes_come_back(self, box: Container) -> None:
        box.write_text("/desk/a", "ä\n", encoding="latin-1")
        assert box.read_bytes("/desk/a") == b"\xe4\n"
        assert box.read_text("/desk/a", encoding="latin-1") == "ä\n"

    def test_exists_and_listdir(self, box: Container) -> None:
        box.write_bytes("/desk/a", b"", mode=0o600)
        assert (box.exists("/desk"), box.exists("/desk/a"), box.exists("/none")) == (True, True, False)
        assert box.listdir("/desk") == ["a"]
        with pytest.raises(FileNotFoundError, match="/none"):
            box.listdir("/none")

    def test_a_missing_file_is_the_errors_python_programs_expect(self, box: Container) -> None:
        with pytest.raises(OSError, match="/none") as caught:
            box.read_text("/none")
        assert isinstance(caught.value, ContainerFileError)
        assert caught.value.errno == 2


def test_what_needs_a_running_container_says_so(make: Make) -> None:
    with pytest.raises(NotRunningError, match="box-1"):
        make().exec("true")


def test_every_operation_that_takes_time_is_observed(make: Make) -> None:
    seen: list[tuple[str, float]] = []
    box = make(observer=lambda container, operation, seconds: seen.append((operation, seconds)))
    box.start()
    box.exec("true")
    with pytest.raises(ContainerError):
        box.exec("true", timeout=0)
    box.stop()
    box.destroy()
    box.destroy()
    assert [operation for operation, _ in seen] == ["start", "ready", "exec", "exec", "stop", "destroy"]
    assert all(seconds >= 0 for _, seconds in seen)


def test_several_threads_may_use_it(box: Container) -> None:
    with ThreadPoolExecutor(8) as threads:
        results = threads.map(lambda number: box.check_output(f"echo {number}"), range(40))
    assert list(results) == [str(number) for number in range(40)]
