"""Every operation in every state: it succeeds, or raises the error that names the state."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_lxcontainer import Container, errors, wait

from ..conftest import cgroup_version
from .conftest import Runner, as_root

OK = None
STATES = ("new", "running", "frozen", "ended", "destroyed")
NR, FR, DE = errors.NotRunningError, errors.FrozenError, errors.DestroyedError
AR, AF, NF = errors.AlreadyRunningError, errors.AlreadyFrozenError, errors.NotFrozenError
CD, WT, UI = errors.ContainerDiedError, errors.WaitTimeoutError, errors.UnknownItemError

Operation = Callable[[Container], object]
Outcome = type[errors.LxContainerError] | None


def copied_out(box: Container) -> None:
    with tempfile.TemporaryDirectory() as directory:
        box.copy_out("/etc/passwd", directory)


def mounted(box: Container) -> None:
    # What both root's and an ordinary user's containers may look into.
    box.mount("/usr/share", "/mnt/host")


def restored(box: Container) -> None:
    box.restore()


OPERATIONS: dict[str, tuple[Operation, tuple[Outcome, ...]]] = {
    #                                                          new, running, frozen, ended, destroyed
    "start": (lambda c: c.start(), (OK, AR, AR, OK, DE)),
    "restart": (lambda c: c.restart(), (OK, OK, OK, OK, DE)),
    "stop": (lambda c: c.stop(), (OK, OK, OK, OK, DE)),
    "kill": (lambda c: c.kill(), (NR, OK, OK, NR, DE)),
    "signal": (lambda c: c.kill("WINCH"), (NR, OK, OK, NR, DE)),
    "freeze": (lambda c: c.freeze(), (NR, OK, AF, NR, DE)),
    "unfreeze": (lambda c: c.unfreeze(), (NR, NF, OK, NR, DE)),
    "exec": (lambda c: c.exec(["true"]), (NR, OK, FR, NR, DE)),
    "check_output": (lambda c: c.check_output(["true"]), (NR, OK, FR, NR, DE)),
    "popen": (lambda c: c.popen(["true"]).__exit__(None, None, None), (NR, OK, FR, NR, DE)),
    "stats": (lambda c: c.stats(), (NR, OK, OK, NR, DE)),
    "interfaces": (lambda c: c.interfaces(), (NR, OK, OK, NR, DE)),
    "status": (lambda c: c.status(), (OK, OK, OK, OK, OK)),
    "logs": (lambda c: c.logs(), (OK, OK, OK, OK, DE)),
    "follow_logs": (lambda c: next(c.follow_logs(timeout=0), None), (OK, WT, WT, OK, DE)),
    "read": (lambda c: c.read_text("/etc/passwd"), (OK, OK, OK, OK, DE)),
    "write": (lambda c: c.write_text("/tmp/note", "x"), (OK, OK, OK, OK, DE)),
    "exists": (lambda c: c.exists("/etc/passwd"), (OK, OK, OK, OK, DE)),
    "listdir": (lambda c: c.listdir("/"), (OK, OK, OK, OK, DE)),
    "copy_in": (lambda c: c.copy_in(__file__, "/tmp/"), (OK, OK, OK, OK, DE)),
    "copy_out": (copied_out, (OK, OK, OK, OK, DE)),
    "mount": (mounted, (NR, OK, OK, NR, DE)),
    "unmount": (lambda c: c.unmount("/scratch"), (NR, OK, OK, NR, DE)),
    "snapshot": (lambda c: c.snapshot(), (OK, OK, OK, OK, DE)),
    "diff": (lambda c: c.diff(), (OK, OK, OK, OK, DE)),
    "restore": (restored, (OK, OK, OK, OK, DE)),
    "limits": (lambda c: c.limits, (OK, OK, OK, OK, DE)),
    "set_limits": (lambda c: c.set_limits(pids=77), (OK, OK, OK, OK, DE)),
    "cgroup_item": (lambda c: c.cgroup_item("pids.max"), (NR, OK, OK, NR, DE)),
    "set_cgroup_item": (lambda c: c.set_cgroup_item("pids.max", 99), (NR, OK, OK, NR, DE)),
    "lxc_config_item": (lambda c: c.lxc_config_item("lxc.uts.name"), (OK, OK, OK, OK, DE)),
    "lxc_config_keys": (lambda c: c.lxc_config_keys(), (OK, OK, OK, OK, DE)),
    "add_device": (lambda c: c.add_device("/dev/zero", "/dev/z"), (NR, OK, FR, NR, DE)),
    # What is asked for is not there: that is told where the state would allow it.
    "remove_device": (lambda c: c.remove_device("/dev/z"), (NR, UI, UI, NR, DE)),
    "attach_interface": (lambda c: c.attach_interface("no-such"), (NR, UI, UI, NR, DE)),
    "detach_interface": (lambda c: c.detach_interface("no-such"), (NR, UI, UI, NR, DE)),
    "wait STOPPED": (lambda c: c.wait("STOPPED", 0.05), (OK, WT, WT, OK, OK)),
    "wait RUNNING": (lambda c: c.wait("RUNNING", 0.05), (CD, OK, WT, CD, DE)),
    "destroy": (lambda c: c.destroy(), (OK, OK, OK, OK, OK)),
}
NEEDS_CGROUPS = {"freeze", "unfreeze", "set_limits", "cgroup_item", "set_cgroup_item"}
NEEDS_ROOT = {"add_device", "remove_device", "attach_interface", "detach_interface"}


def in_state(run: Runner, state: str) -> Container:
    box = run.clone(command="sleep 1000", tmpfs={"/scratch": ""})
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


def expected(name: str, outcome: Outcome) -> Outcome:
    """What becomes of operation *name* here, where the table has *outcome*; who may not learns of the state first."""
    if outcome in (NR, DE):
        return outcome
    if name in NEEDS_CGROUPS and cgroup_version() is None:
        return errors.NotDelegatedError
    return errors.NotPermittedError if name in NEEDS_ROOT and not as_root() else outcome


def outcome_of(operation: Operation, box: Container) -> Exception | None:
    try:
        operation(box)
    except Exception as error:
        return error
    return None


def names_the_state(error: Exception | None, box: Container) -> bool:
    return not isinstance(error, errors.StateError) or bool(error.state and box.name in error.message)


@pytest.mark.parametrize(
    "state", [pytest.param(each, marks=[pytest.mark.needs_cgroups] * (each == "frozen")) for each in STATES]
)
def test_every_operation_succeeds_or_names_the_state(run: Runner, state: str) -> None:
    wrong = {}
    for name, (operation, outcomes) in OPERATIONS.items():
        wanted = expected(name, outcomes[STATES.index(state)])
        box = in_state(run, state)
        happened = outcome_of(operation, box)
        if type(happened) is not (wanted or type(None)) or not names_the_state(happened, box):
            wrong[name] = (wanted, happened)
        box.destroy()
    assert wrong == {}


def test_state_errors_are_one_family_with_the_state_in_it(box: Container) -> None:
    with pytest.raises(errors.StateError) as caught:
        box.start()
    assert (caught.value.state, caught.value.container) == ("RUNNING", box.id)


@pytest.mark.needs_cgroups
def test_what_is_frozen_is_stopped_with_its_signal(run: Runner) -> None:
    box = run(command="trap 'exit 5' TERM; echo trapped; while :; do sleep 0.05; done", ready=wait.log("trapped"))
    box.freeze()
    box.stop(timeout=10)
    assert (box.state, box.exit_code) == ("STOPPED", 5)


@pytest.mark.needs_cgroups
def test_kill_ends_what_is_frozen(run: Runner) -> None:
    box = run()
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
