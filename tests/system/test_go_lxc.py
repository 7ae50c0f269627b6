"""What go-lxc's own tests look at, and none of the others here does: see docs/reference/go-lxc.md."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from pytest_lxcontainer import Container, errors, wait

from .conftest import Runner, lxc_log_of


def test_containers_stop_and_are_destroyed_from_several_threads_at_once(run: Runner) -> None:
    boxes = [run(name=f"box-{number}") for number in range(6)]
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(Container.stop, boxes))
        assert [box.state for box in boxes] == ["STOPPED"] * 6
        list(threads.map(Container.destroy, boxes + boxes))
    for box in boxes:
        with pytest.raises(errors.DestroyedError):
            box.start()


def test_what_lxc_refuses_is_said_in_its_own_words(run: Runner) -> None:
    with pytest.raises(errors.StartFailedError, match="could not be started by LXC") as caught:
        run(tmpfs={"/scratch": "size=a-lot"})
    assert "scratch" in caught.value.details
    assert "lxcontainer doctor" in caught.value.hint


def test_the_command_has_its_three_streams_and_no_other_descriptor(run: Runner) -> None:
    box = run(command=["ls", "/proc/self/fd"], ready=wait.exit())
    assert box.logs().split() == ["0", "1", "2", "3"]  # the last is the listing's own


def test_a_container_is_in_the_background_and_the_test_goes_on(run: Runner) -> None:
    box = run(command="sleep 0.3; echo done; sleep 1000", ready=())
    assert box.running
    assert box.logs() == ""
    box.wait_for(wait.log("done"))


def test_a_start_has_nothing_of_other_containers_open(run: Runner) -> None:
    for number in range(3):
        run(name=f"box-{number}").exec(["true"])
    box = run()
    log = lxc_log_of(run.provisioner, box.id).read_text()
    assert "INFO     lsm" in log
    assert "inherited fd" not in log
