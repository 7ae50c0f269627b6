"""Every operation in every state: it succeeds, or raises the error that names the state."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_lxcontainer import Container, errors, wait

from .conftest import Runner, as_root

OK = None
STATES = ("new", "running", "frozen", "ended", "destroyed")
NR, FR, DE = errors.NotRunningError, errors.FrozenError, errors.DestroyedError

Operation = Callable[[Container], object]

OPERATIONS: dict[str, tuple[Operation, tuple[type[errors.LxContainerError] | None, ...]]] = {
    #                                                          new, running, frozen, ended, destroyed
    "start": (lambda c: c.start(), (OK, errors.AlreadyRunningError, errors.AlreadyRunningError, OK, DE)),
    "restart": (lambda c: c.restart(), (OK, OK, OK, OK, DE)),
    "stop": (lambda c: c.stop(), (OK, OK, OK, OK, DE)),
    "kill": (lambda c: c.kill(), (NR, OK, OK, NR, DE)),
    "signal": (lambda c: c.kill("WINCH"), (NR, OK, OK, NR, DE)),
    "freeze": (lambda c: c.freeze(), (NR, OK, errors.AlreadyFrozenError, NR, DE)),
    "unfreeze": (lambda c: c.unfreeze(), (NR, errors.NotFrozenError, OK, NR, DE)),
    "exec": (lambda c: c.exec(["true"]), (NR, OK, FR, NR, DE)),
    "popen": (lambda c: c.popen(["true"]).__exit__(None, None, None), (NR, OK, FR, NR, DE)),
    "stats": (lambda c: c.stats(), (NR, OK, OK, NR, DE)),
    "interfaces": (lambda c: c.interfaces(), (NR, OK, OK, NR, DE)),
    "logs": (lambda c: c.logs(), (OK, OK, OK, OK, DE)),
    "status": (lambda c: c.status(), (OK, OK, OK, OK, OK)),
    "limits": (lambda c: c.limits, (OK, OK, OK, OK, DE)),
    "set_limits": (lambda c: c.set_limits(pids=77), (OK, OK, OK, OK, DE)),
    "cgroup_item": (lambda c: c.cgroup_item("pids.max"), (NR, OK, OK, NR, DE)),
    "set_cgroup_item": (lambda c: c.set_cgroup_item("pids.max", 99), (NR, OK, OK, NR, DE)),
    "lxc_config_item": (lambda c: c.lxc_config_item("lxc.uts.name"), (OK, OK, OK, OK, DE)),
    "lxc_config_keys": (lambda c: c.lxc_config_keys(), (OK, OK, OK, OK, DE)),
    "add_device": (lambda c: c.add_device("/dev/zero", "/dev/z"), (NR, OK, FR, NR, DE)),
    "wait STOPPED": (lambda c: c.wait("STOPPED", 0.05), (OK, errors.WaitTimeoutError, errors.WaitTimeoutError, OK, OK)),
    "wait RUNNING": (
        lambda c: c.wait("RUNNING", 0.05),
        (errors.ContainerDiedError, OK, errors.WaitTimeoutError, errors.ContainerDiedError, DE),
    ),
    "destroy": (lambda c: c.destroy(), (OK, OK, OK, OK, OK)),
}
NEEDS_CGROUPS = {"freeze", "unfreeze", "set_limits", "cgroup_item", "set_cgroup_item"}
NEEDS_ROOT = {"add_device"}


def in_state(run: Runner, state: str) -> Container:
    box = run.clone(command="sleep 1000")
    if state != "new":
        box.start()
    if state == "frozen":
        box.freeze()
    if state == "ended":
        box.kill()
        box.wait("STOPPED")
    if state == "destroyed":
        box.destroy()
    return box


def outcome_of(operation: Operation, box: Container) -> Exception | None:
    try:
        operation(box)
    except Exception as error:
        return error
    return None


def names_the_state(error: Exception | None, box: Container) -> bool:
    return not isinstance(error, errors.StateError) or bool(error.state and box.name in error.message)


@pytest.mark.parametrize("state", STATES)
def test_every_operation_succeeds_or_names_the_state(run: Runner, state: str) -> None:
    delegated = run().stats().source != "proc"
    if state == "frozen" and not delegated:
        return
    wrong = {}
    for name, (operation, outcomes) in OPERATIONS.items():
        expected = outcomes[STATES.index(state)]
        if name in NEEDS_CGROUPS and not delegated and expected not in (NR, DE):
            expected = errors.NotDelegatedError
        if name in NEEDS_ROOT and not as_root() and expected not in (NR, DE):
            expected = errors.NotPermittedError
        box = in_state(run, state)
        happened = outcome_of(operation, box)
        if type(happened) is not (expected or type(None)) or not names_the_state(happened, box):
            wrong[name] = (expected, happened)
        box.destroy()
    assert wrong == {}


def test_state_errors_are_one_family_with_the_state_in_it(box: Container) -> None:
    with pytest.raises(errors.StateError) as caught:
        box.start()
    assert (caught.value.state, caught.value.container) == ("RUNNING", box.id)


def test_stop_does_not_wait_for_what_ignores_the_signal(run: Runner) -> None:
    box = run(command="trap '' TERM; echo trapped; while :; do sleep 0.05; done", ready=wait.log("trapped"))
    begin = time.monotonic()
    box.stop()
    assert time.monotonic() - begin < 5  # docker stop: 10
    assert box.exit_code == 137


def test_what_is_frozen_is_stopped_with_its_signal(run: Runner) -> None:
    box = run(command="trap 'exit 5' TERM; echo trapped; while :; do sleep 0.05; done", ready=wait.log("trapped"))
    if box.stats().source == "proc":
        return
    box.freeze()
    box.stop(timeout=10)
    assert (box.state, box.exit_code) == ("STOPPED", 5)


def test_kill_ends_what_is_frozen(run: Runner) -> None:
    box = run()
    if box.stats().source == "proc":
        return
    box.freeze()
    box.kill()
    box.wait("STOPPED", timeout=10)
    assert box.exit_code == 137


def test_an_unknown_state_is_not_waited_for(box: Container) -> None:
    with pytest.raises(errors.InvalidSettingsError, match="ASLEEP"):
        box.wait("ASLEEP")
    box.wait("running")


def test_a_restart_keeps_the_address_and_has_another_process(box: Container) -> None:
    ip, pid = box.ip, box.pid
    assert box.restart().ip == ip
    assert box.pid != pid
    assert box.pid is not None and Path(f"/proc/{box.pid}").exists()
