"""Failed tests that were saved: what their containers were, they are again."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_lxcontainer import Container, Limits, PrivateNetwork, Provisioner, Settings, wait
from pytest_lxcontainer.container.stand_in import write_program
from pytest_lxcontainer.errors import ContainerNotFoundError, ImageNotCachedError, LxContainerError
from pytest_lxcontainer.store import saved as saved_store
from pytest_lxcontainer.store.prune import forget
from pytest_lxcontainer.store.saved import SavedTest

from .conftest import BUSYBOX, Runner

TEST = "tests/test_app.py::test_it"


@pytest.fixture(autouse=True)
def _none_saved(provisioner: Provisioner) -> Iterator[None]:
    yield
    for each in provisioner.saved():
        provisioner.forget_saved(each)


@pytest.fixture
def later(provisioner: Provisioner, settings: Settings) -> Iterator[Provisioner]:
    """A run that knows only what the store does."""
    with Provisioner(Settings(store=settings.store, mirrors=settings.mirrors, pull="never")) as later:
        yield later


def test_what_was_saved_is_told(run: Runner, provisioner: Provisioner, later: Provisioner) -> None:
    before = time.time()
    saved = provisioner.save(TEST, [run(name="db"), run(name="app", ports=(80,))], "assert 1 == 2")
    (found,) = later.saved()
    assert found.id == saved.id and (found.test, found.reason) == (TEST, "assert 1 == 2")
    assert before <= found.saved_at <= time.time()
    db, app = found.containers
    assert (db.name, app.name, app.image, app.ports) == ("db", "app", BUSYBOX, (80,))
    assert db.state == "RUNNING" and db.exit_code is None
    assert str(db.reference) == f"localhost/saved/{saved.id}/db:latest"
    assert not db.spec["lower_dirs"]


def test_containers_are_again_as_they_were(
    run: Runner, provisioner: Provisioner, later: Provisioner, tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir(mode=0o755)
    (tmp_path / "there" / "file").write_text("mounted")
    (tmp_path / "gone").mkdir()
    for path in (tmp_path, *tmp_path.parents[:2]):
        path.chmod(path.stat().st_mode | 0o055)
    box = run(
        BUSYBOX,
        ["sh", "-c", "echo started; exec sleep 900"],
        name="db",
        env={"GREETING": "hello"},
        user="nobody",
        cwd="/var",
        aliases=("database",),
        mounts=[f"{tmp_path}/there:/there:ro", f"{tmp_path}/gone:/gone"],
        tmpfs="/scratch",
        ports=(5432,),
        labels={"a": "b"},
        limits=Limits(pids=50),
    )
    box.exec("mkdir /data && echo kept > /data/row", user="root", check=True)
    saved = provisioner.save(TEST, [box])
    (tmp_path / "gone").rmdir()
    (again,) = later.run_saved(saved.id[:5]).values()
    with again:
        assert again.read_text("/data/row") == "kept\n"
        assert again.read_text("/there/file") == "mounted"
        assert (again.command, again.env, again.labels["a"]) == (box.command, box.env, "b")
        assert again.check_output("echo $GREETING; id -un; pwd") == "hello\nnobody\n/var"
        assert "/scratch" in again.read_text("/proc/mounts") and "/gone " not in again.read_text("/proc/mounts")
        assert again.ports == (5432,) and not again.is_stand_in
        again.wait_for(wait.log("started"))


def test_all_of_a_test_reach_one_another_by_name(run: Runner, provisioner: Provisioner, later: Provisioner) -> None:
    back = PrivateNetwork("back")
    group = "of-a-test"
    db = run(name="db", group=group, network=back)
    app = run(name="app", group=group, network=["default", back])
    other = run(name="other", group=group)
    saved = provisioner.save(TEST, [db, app, other])
    again = later.run_saved(saved, "app")
    try:
        assert list(again) == ["app", "db", "other"]
        assert again["app"].exec("ping -c1 -W2 db").exit_code == 0
        assert again["app"].exec("ping -c1 -W2 other").exit_code == 0
        assert again["db"].exec("ping -c1 -W1 other").exit_code != 0
        assert again["app"].ip not in (db.ip, app.ip)
    finally:
        for each in again.values():
            each.destroy()


def test_what_had_ended_is_stood_in_for(run: Runner, provisioner: Provisioner, later: Provisioner) -> None:
    box = run(BUSYBOX, "echo dying > /last; exit 3", ready=wait.exit(3))
    saved = provisioner.save(TEST, [box])
    assert (saved.containers[0].state, saved.containers[0].exit_code) == ("STOPPED", 3)
    (again,) = later.run_saved(saved).values()
    with again:
        assert again.is_stand_in and again.running
        assert again.check_output("cat /last") == "dying"
        assert again.diff() == []
        again.stop()
        assert not again.running


def test_what_ends_at_once_is_stood_in_for_as_it_was_saved(
    run: Runner, provisioner: Provisioner, later: Provisioner
) -> None:
    box = run(BUSYBOX, "[ -e /second ] && echo more > /trace && exit 1; touch /second; exec sleep 900")
    box.wait_for(wait.file("/second"))
    saved = provisioner.save(TEST, [box, run()])
    again = later.run_saved(saved)
    try:
        assert [each.is_stand_in for each in again.values()] == [True, False]
        first = next(iter(again.values()))
        assert first.running and not first.exists("/trace")
    finally:
        for each in again.values():
            each.destroy()


def test_they_need_not_be_started(run: Runner, provisioner: Provisioner, later: Provisioner) -> None:
    saved = provisioner.save(TEST, [run()])
    (again,) = later.run_saved(saved, start=False).values()
    with again:
        assert again.state == "STOPPED" and again.exit_code is None
        assert again.start().running


def test_the_program_that_waits_does_so_on_this_host(tmp_path: Path) -> None:
    assert write_program(tmp_path / "wait")
    with subprocess.Popen([tmp_path / "wait"]) as process:
        time.sleep(0.1)
        assert process.poll() is None
        state = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]
        process.terminate()
        assert process.wait(5) == -15 and state == "S"


def test_containers_of_one_name_are_told_apart(run: Runner, provisioner: Provisioner, later: Provisioner) -> None:
    boxes = [run(name="db") for _ in range(3)]
    for number, box in enumerate(boxes):
        box.write_text("/number", str(number))
    saved = provisioner.save(TEST, boxes)
    again = later.run_saved(saved)
    try:
        assert {name: each.read_text("/number") for name, each in again.items()} == {
            "db": "0",
            "db-2": "1",
            "db-3": "2",
        }
    finally:
        for each in again.values():
            each.destroy()


@pytest.mark.needs_root
def test_a_privileged_one_is_so_again(run: Runner, provisioner: Provisioner, later: Provisioner) -> None:
    box = run(privileged=True)
    box.exec("echo kept > /note; chown 7:8 /note", check=True)
    (again,) = later.run_saved(provisioner.save(TEST, [box])).values()
    with again:
        assert again.check_output("cat /note; stat -c %u:%g /note") == "kept\n7:8"
        assert again.read_text("/proc/1/uid_map").split() == ["0", "0", "4294967295"]


def test_one_that_cannot_be_saved_leaves_nothing(run: Runner, provisioner: Provisioner) -> None:
    gone = run()
    gone.destroy()
    before = {str(each.reference) for each in provisioner.images()}
    with pytest.raises(LxContainerError):
        provisioner.save(TEST, [run(), gone])
    assert provisioner.saved() == []
    assert {str(each.reference) for each in provisioner.images()} == before
    assert not list(provisioner.layout.layers_dir.glob(".*"))


def test_the_oldest_go_when_there_are_too_many(
    run: Runner, provisioner: Provisioner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saved_store, "KEEP_MOST", 2)
    box = run()
    saved: list[SavedTest] = []
    for number in range(4):
        box.write_text("/number", str(number))
        saved.append(provisioner.save(f"{TEST}[{number}]", [box]))
    assert [each.id for each in provisioner.saved()] == [saved[3].id, saved[2].id]
    names = {str(each.reference) for each in provisioner.images()}
    assert str(saved[3].containers[0].reference) in names and str(saved[0].containers[0].reference) not in names
    with pytest.raises(ContainerNotFoundError):
        provisioner.run_saved(saved[0].id)


def test_a_saved_test_is_exported_by_the_names_of_its_containers(
    run: Runner, provisioner: Provisioner, later: Provisioner, tmp_path: Path
) -> None:
    db, app = run(name="db"), run(name="app")
    db.write_text("/who", "db")
    app.write_text("/who", "app")
    saved = provisioner.save(TEST, [db, app])
    named = later.export(saved, f"oci:{tmp_path}/layout")
    assert [each.tag for each in named] == ["db", "app"]
    for each in named:
        with later.run(each, "sleep 900") as container:
            assert container.read_text("/who") == each.tag
    assert len(later.export(saved, f"docker-archive:{tmp_path}/both.tar")) == 2
    (one,) = later.export(saved, f"oci-archive:{tmp_path}/app.tar:app")
    with later.run(one, "sleep 900") as container:
        assert container.read_text("/who") == "app"
    with pytest.raises(ContainerNotFoundError, match="it has: db, app"):
        later.export(saved, f"oci-archive:{tmp_path}/app.tar:other")


SAVE = """
import sys
from pathlib import Path
from pytest_lxcontainer import Provisioner, Settings
with Provisioner(Settings(store=Path(sys.argv[1]), pull="never")) as provisioner:
    with provisioner.run("busybox", "sleep 900") as box:
        box.write_text("/who", sys.argv[2])
        for _ in range(3):
            print(provisioner.save(sys.argv[2], [box]).id)
"""


def test_one_whose_image_was_removed_says_so(run: Runner, provisioner: Provisioner, later: Provisioner) -> None:
    saved = provisioner.save(TEST, [run()])
    records = [each for each in provisioner.images() if each.reference == saved.containers[0].reference]
    forget(provisioner.layout, provisioner._sandboxes.sandbox(), records)
    with pytest.raises(ImageNotCachedError, match="has been removed"):
        later.run_saved(saved)


def test_several_processes_save_at_once(provisioner: Provisioner, later: Provisioner) -> None:
    provisioner.pull(BUSYBOX)
    command = [sys.executable, "-c", SAVE, str(provisioner.settings.store)]
    processes = [subprocess.Popen([*command, str(number)], stdout=subprocess.PIPE, text=True) for number in range(3)]
    ids = [line for process in processes for line in process.communicate(timeout=60)[0].split()]
    assert len(set(ids)) == 9
    assert {each.id for each in later.saved()} == set(ids)
    for each in later.saved()[:3]:
        (again,) = later.run_saved(each).values()
        with again:
            assert again.read_text("/who") == each.test


def test_a_pooled_and_a_changed_one_keep_what_they_had(box: Container, provisioner: Provisioner) -> None:
    """Saving leaves a container as it is: those of wider scopes are used further."""
    box.write_text("/note", "before")
    provisioner.save(TEST, [box])
    assert box.running and box.read_text("/note") == "before"
    assert box.exec("echo after > /note").exit_code == 0
