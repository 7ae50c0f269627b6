"""Snapshots of real containers: sealed, cloned, compared and restored."""

from __future__ import annotations

import pickle
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pytest_lxcontainer import Container, Provisioner, Settings, wait
from pytest_lxcontainer.container.snapshots import changes_of
from pytest_lxcontainer.errors import (
    DestroyedError,
    InvalidSettingsError,
    NotDelegatedError,
    SnapshotNotFoundError,
)

from ..fakes.images import Dir, Entry, File, Layer, Symlink, Whiteout, image, layer
from ..fakes.registry import FakeRegistry
from .conftest import BUSYBOX, Runner, as_root, wait_until

POSTGRES = "postgres:15"
TRUST = {"POSTGRES_HOST_AUTH_METHOD": "trust"}


ETC: dict[str, dict[str, Entry]] = {
    "alpine-like": {
        "etc/hosts": File("127.0.0.1 localhost\n"),
        "etc/hostname": File("localhost\n"),
        "etc/mtab": Symlink("../proc/mounts"),
        "var/run": Symlink("../run"),
        "dev": Dir(mode=0o700),
    },
    "links": {
        "etc/resolv.conf": Symlink("../run/systemd/resolve/stub-resolv.conf"),
        "etc/hosts": Symlink("/usr/share/own/hosts"),
        "usr/share/own/hosts": File("127.0.0.1 localhost\n"),
        "dev/null": File(""),
        "dev/shm": Symlink("/run/shm"),
    },
    "others-own": {
        "etc": Dir(mode=0o755, uid=33, gid=33),
        "etc/resolv.conf": File("", uid=33, gid=33, mode=0o600),
        "proc": Dir(mode=0o500, uid=33),
        "sys/old": File("x"),
    },
}
"""What stands where something is mounted in every container."""


def changes(container: Container, since: Any = None) -> list[str]:
    return [str(change) for change in container.diff(since)]


def sql(container: Container, statement: str) -> str:
    return container.check_output(["psql", "-U", "postgres", "-At", "-c", statement])


class TestSnapshot:
    def test_a_clone_has_what_was_written_and_shares_the_layers_below(self, box: Container, run: Runner) -> None:
        box.exec("echo kept > /kept; mkdir -p /srv/site; ln /kept /srv/again; rm /bin/awk", check=True)
        snapshot = box.snapshot()
        clone = run(snapshot)
        assert clone.read_text("/kept") == "kept\n"
        assert clone.check_output("stat -c %h /srv/again") == "2"
        assert not clone.exists("/bin/awk")
        assert snapshot.lower_dirs[:-1] == box.image.lower_dirs
        assert snapshot.config == box.image.config
        assert changes(clone) == []

    def test_container_and_snapshot_go_separate_ways(self, box: Container, run: Runner) -> None:
        box.write_text("/note", "before")
        snapshot = box.snapshot()
        box.write_text("/note", "after")
        one, two = run(snapshot), run(snapshot)
        one.write_text("/note", "one")
        assert [each.read_text("/note") for each in (box, one, two)] == ["after", "one", "before"]

    def test_a_running_container_goes_on(self, run: Runner) -> None:
        container = run(command="i=0; while :; do i=$((i+1)); echo $i; sleep 0.01; done")
        pid = container.pid
        container.snapshot()
        seen = len(container.logs().splitlines())
        container.wait_for(wait.log(f"^{seen + 5}$"))
        assert (container.state, container.pid) == ("RUNNING", pid)

    def test_a_stopped_container_has_snapshots_too_and_starts_again(self, box: Container, run: Runner) -> None:
        box.write_text("/note", "x")
        box.stop(timeout=0.1)
        assert run(box.snapshot()).read_text("/note") == "x"
        box.start()
        assert box.read_text("/note") == "x"

    def test_one_that_was_never_started_is_its_image(self, run: Runner) -> None:
        container = run.clone()
        assert container.diff() == []
        assert run(container.snapshot()).running

    def test_a_frozen_container_stays_frozen(self, box: Container, run: Runner) -> None:
        box.write_text("/note", "x")
        try:
            box.freeze()
        except NotDelegatedError:
            # A user without cgroups: what is frozen nowhere is copied as it runs.
            assert run(box.snapshot()).read_text("/note") == "x"
            assert box.state == "RUNNING"
            return
        assert run(box.snapshot()).read_text("/note") == "x"
        assert box.state == "FROZEN"
        box.unfreeze()
        assert box.check_output("cat /note") == "x"

    def test_a_snapshot_of_a_clone_has_both(self, box: Container, run: Runner) -> None:
        box.write_text("/one", "1")
        middle = run(box.snapshot("first"))
        middle.write_text("/two", "2")
        middle.exec("rm /one", check=True)
        top = run(middle.snapshot("second"))
        assert (top.exists("/one"), top.read_text("/two")) == (False, "2")
        assert changes(top, box.image) == ["A /two"]

    def test_owners_modes_and_capabilities_survive(self, run: Runner) -> None:
        container = run(POSTGRES, ["sleep", "1000"], ready=())
        container.exec(
            "install -o postgres -g postgres -m 6750 /bin/true /srv/tool && setfattr -n user.mark -v 1 /srv/tool"
            " || true; touch -d 2001-02-03 /srv/tool",
            check=True,
        )
        what = "stat -c '%U:%G %a %Y' /srv/tool"
        clone = run(container.snapshot(), ["sleep", "1000"], ready=())
        assert clone.check_output(what) == container.check_output(what)
        assert clone.check_output(what).startswith("postgres:postgres 6750 ")

    def test_names_are_shown_and_numbered(self, box: Container, run: Runner) -> None:
        named, numbered = box.snapshot("with-users"), box.snapshot()
        assert (named.title, numbered.title) == ("busybox:latest+with-users", "busybox:latest+snapshot2")
        assert box.snapshots == (named, numbered)
        assert "busybox:latest+with-users" in repr(run(named))
        with pytest.raises(InvalidSettingsError, match="cannot be a snapshot's name"):
            box.snapshot("")

    def test_a_name_given_again_is_the_new_ones(self, box: Container, run: Runner) -> None:
        taken = box.snapshot("snapshot3")
        box.write_text("/note", "1")
        first = box.snapshot("twice")
        assert box.snapshot().snapshot == "snapshot4"
        box.write_text("/note", "2")
        second = box.snapshot("twice")
        assert box.diff("twice") == [] and changes(box, "snapshot3") == ["A /note"]
        assert box.restore("twice").read_text("/note") == "2"
        assert box.restore(first).read_text("/note") == "1"
        assert not box.restore("snapshot3").exists("/note")
        assert [each for each in box.snapshots if each.snapshot in ("twice", "snapshot3")] == [taken, first, second]

    def test_it_outlives_its_container_and_so_do_its_clones(self, provisioner: Provisioner, run: Runner) -> None:
        with provisioner.run(BUSYBOX) as container:
            container.write_text("/note", "x")
            snapshot = container.snapshot()
            clone = run(snapshot)
        assert container.state == "STOPPED"
        assert clone.check_output("cat /note") == "x"
        assert run(snapshot).check_output("cat /note") == "x"
        assert clone.snapshot().lower_dirs[:-1] == snapshot.lower_dirs

    def test_what_was_deleted_and_made_anew_hides_what_was_there(self, box: Container, run: Runner) -> None:
        box.exec("mkdir -p /d/e /gone && echo 1 > /d/e/f", check=True)
        middle = run(box.snapshot())
        middle.exec("rm -r /d /gone && mkdir /d && echo 2 > /d/g", check=True)
        clone = run(middle.snapshot())
        assert (clone.listdir("/d"), clone.exists("/gone")) == (["g"], False)
        again = run(clone.snapshot())
        assert (again.listdir("/d"), again.exists("/gone")) == (["g"], False)
        assert changes(again) == []
        assert changes(again, middle.image) == ["D /d/e", "A /d/g", "D /gone"]

    def test_many_at_once_of_one_container_while_commands_run(self, box: Container, run: Runner) -> None:
        box.write_text("/note", "x")
        images: list[Any] = []
        threads = [threading.Thread(target=lambda: images.append(box.snapshot())) for _ in range(4)]
        for thread in threads:
            thread.start()
        assert [box.check_output("cat /note") for _ in range(10)] == ["x"] * 10
        for thread in threads:
            thread.join()
        assert len({image.lower_dirs for image in images}) == 4
        assert run(images[0]).read_text("/note") == "x"

    def test_one_that_is_destroyed_meanwhile_is_an_error_and_leaves_nothing(self, provisioner: Provisioner) -> None:
        container = provisioner.run(BUSYBOX)
        container.exec("for i in $(seq 3000); do echo $i > /f$i; done", check=True)
        failed: list[BaseException] = []

        def snapshot() -> None:
            try:
                container.snapshot()
            except BaseException as error:
                failed.append(error)

        directory = provisioner.layout.run_dir(provisioner.identity.run_id) / "s"
        before = set(directory.glob("*"))
        thread = threading.Thread(target=snapshot)
        thread.start()
        wait_until(lambda: set(directory.glob("*")) != before or failed)
        container.destroy()
        thread.join()
        (error,) = failed
        assert isinstance(error, DestroyedError)
        wait_until(lambda: set(directory.glob("*")) == before, timeout=30)

    def test_so_it_is_for_a_comparison(self, provisioner: Provisioner) -> None:
        container = provisioner.run(BUSYBOX)
        container.exec("for i in $(seq 3000); do echo $i > /f$i; done", check=True)
        results: list[Any] = []

        def compare() -> None:
            try:
                results.append(container.diff())
            except BaseException as error:
                results.append(error)

        thread = threading.Thread(target=compare)
        thread.start()
        container.destroy()
        thread.join()
        # Which of the two came first is chance; that nothing else comes of it is not.
        assert isinstance(results[0], (DestroyedError, list))

    def test_it_can_be_sent_to_another_process(self, box: Container) -> None:
        snapshot = box.snapshot()
        assert pickle.loads(pickle.dumps(snapshot)) == snapshot

    def test_files_of_all_its_users_go_with_its_run(self, settings: Settings) -> None:
        with Provisioner(settings) as provisioner, provisioner.run(BUSYBOX) as container:
            container.exec("mkdir /srv && echo x > /srv/file && chown -R 1000:1000 /srv && chmod 700 /srv", check=True)
            layer_dir = container.snapshot().lower_dirs[-1]
            assert (layer_dir / "srv").is_dir()
        assert not layer_dir.parents[1].exists()

    def test_it_goes_with_its_run(self, settings: Settings) -> None:
        with Provisioner(settings) as first, first.run(BUSYBOX) as container:
            snapshot = container.snapshot()
        assert not snapshot.lower_dirs[-1].exists()
        with Provisioner(settings) as second, pytest.raises(SnapshotNotFoundError, match="went with the run"):
            second.run(snapshot)

    def test_mount_points_are_in_neither_snapshot_nor_diff(self, run: Runner, tmp_path: Path) -> None:
        tmp_path.chmod(0o755)
        (tmp_path / "file").write_text("host")
        container = run(mounts=[f"{tmp_path}:/m/dir", f"{tmp_path}/file:/m/file"], tmpfs=["/t/u"], cwd="/w/x")
        container.exec("echo memory > /t/u/file", check=True)
        assert changes(container) == []
        clone = run(container.snapshot())
        assert [path for path in ("/m", "/t", "/w") if clone.exists(path)] == []

    @pytest.mark.needs_root
    def test_of_a_privileged_container_it_is_for_privileged_ones(self, run: Runner) -> None:
        container = run(privileged=True)
        container.exec("echo x > /note; mknod /null c 1 3", check=True)
        snapshot = container.snapshot()
        clone = run(snapshot, privileged=True)
        assert clone.check_output("cat /note; stat -c %t:%T /null") == "x\n1:3"
        with pytest.raises(InvalidSettingsError, match="privileged"):
            run(snapshot)

    def test_of_an_unprivileged_container_it_is_not_for_privileged_ones(self, box: Container, run: Runner) -> None:
        with pytest.raises(InvalidSettingsError, match="other owners" if as_root() else "privileged"):
            run(box.snapshot(), privileged=True)

    def test_an_image_without_any_mount_point(self, run: Runner, registry: FakeRegistry, busybox_layer: Layer) -> None:
        bare = layer({name: Whiteout() for name in ("dev", "proc", "sys", "etc")})
        registry.push(image([busybox_layer, bare], Cmd=["sleep", "1000"]), "bare", "1")
        container = run(f"{registry.host}/bare:1")
        assert changes(container) == []
        container.exec("echo x > /etc/own", check=True)
        snapshot = container.snapshot()
        assert changes(container) == ["A /etc/own"]
        assert changes(run(snapshot)) == []


class TestPostgres:
    """Its data is in a volume of the image, and a template must have it."""

    @pytest.fixture
    def database(self, run: Runner) -> Container:
        container = run(POSTGRES, env=TRUST)
        sql(container, "create table t(n int); insert into t values (42)")
        return container

    def test_a_clone_of_a_running_server_recovers_and_has_the_row(self, database: Container, run: Runner) -> None:
        clone = run(database.snapshot(), env=TRUST)
        assert sql(clone, "select n from t") == "42"
        sql(clone, "insert into t values (43)")
        assert sql(database, "select count(*) from t") == "1"

    def test_a_clone_of_a_stopped_server_starts_as_after_a_clean_stop(self, database: Container, run: Runner) -> None:
        database.stop()
        clone = run(database.snapshot(), env=TRUST)
        assert sql(clone, "select n from t") == "42"
        assert "was not properly shut down" not in clone.logs()

    def test_restoring_takes_the_row_back(self, database: Container) -> None:
        snapshot = database.snapshot()
        sql(database, "delete from t")
        assert sql(database.restore(snapshot), "select n from t") == "42"


class TestDiff:
    @pytest.mark.parametrize("name", ["busybox:latest", "debian:bookworm-slim", "redis:7", "nginx:1", POSTGRES])
    def test_what_lxc_made_is_not_in_it(self, run: Runner, name: str) -> None:
        container = run(name, ["sleep", "1000"], entrypoint=[], ready=())
        assert changes(container) == []
        assert changes(run(container.snapshot(), ["sleep", "1000"], entrypoint=[], ready=())) == []

    @pytest.mark.parametrize("etc", ETC)
    def test_nor_is_what_images_of_other_kinds_have_in_its_place(
        self, run: Runner, registry: FakeRegistry, busybox_layer: Layer, etc: str
    ) -> None:
        registry.push(image([busybox_layer, layer(ETC[etc])], Cmd=["sleep", "1000"]), etc, "1")
        container = run(f"{registry.host}/{etc}:1")
        assert container.check_output("cat /etc/hostname") == container.hostname
        assert changes(container) == []
        clone = run(container.snapshot())
        assert changes(clone) == changes(clone, container.image) == []

    def test_each_kind_is_listed_by_path(self, box: Container) -> None:
        box.exec(
            "echo 12345 > /new; mkdir /d; echo x > /d/f; chmod 700 /home; rm -r /root; echo y >> /etc/group", check=True
        )
        found = {change.path: change for change in box.diff()}
        assert [str(found[path]) for path in sorted(found)] == [
            "A /d", "A /d/f", "C /etc/group", "C /home", "A /new", "D /root",
        ]  # fmt: skip
        assert list(found) == sorted(found)
        assert found["/new"].size == 6

    def test_since_a_snapshot_or_its_image(self, box: Container) -> None:
        box.exec("echo 1 > /one; echo 2 > /two", check=True)
        snapshot = box.snapshot()
        assert changes(box, snapshot) == []
        box.exec("rm /one; echo 3 > /three; echo 4 > /two", check=True)
        assert changes(box, snapshot) == ["D /one", "A /three", "C /two"]
        assert changes(box) == ["A /three", "A /two"]

    def test_a_volume_that_the_image_lacks_is_there_and_no_change(
        self, run: Runner, registry: FakeRegistry, busybox_layer: Layer
    ) -> None:
        registry.push(image([busybox_layer], Cmd=["sleep", "1000"], Volumes={"/v/data": {}}), "volume", "1")
        container = run(f"{registry.host}/volume:1")
        assert changes(container) == []
        container.write_text("/v/data/note", "x")
        assert changes(container) == ["A /v/data/note"]
        assert run(container.snapshot()).read_text("/v/data/note") == "x"
        assert container.restore().listdir("/v/data") == []

    def test_names_that_are_no_text_come_through(self, box: Container) -> None:
        box.exec("touch \"$(printf '/n\\377e')\"", check=True)
        assert changes(box) == ["A /n\udcffe"]

    def test_thousands_come_through(self, box: Container) -> None:
        box.exec("mkdir /many; cd /many; for i in $(seq 5000); do : > a-name-of-some-length-$i; done", check=True)
        assert len(box.diff()) == 5001

    def test_what_other_users_of_it_keep_to_themselves_is_seen(self, run: Runner) -> None:
        container = run(POSTGRES, ["sleep", "1000"], ready=())
        container.exec("install -d -o postgres -m 700 /srv/own && su postgres -c 'echo x > /srv/own/f'", check=True)
        assert changes(container) == ["A /srv/own", "A /srv/own/f"]
        assert changes(container, container.snapshot()) == []


class TestRestore:
    def test_it_runs_again_with_the_files_address_and_log_it_had(self, run: Runner) -> None:
        container = run(command="echo begun; sleep 1000")
        container.wait_for(wait.log("begun"))
        container.write_text("/note", "kept")
        snapshot, ip, pid = container.snapshot(), container.ip, container.pid
        container.exec("rm /note; echo x > /other; rm -r /home", check=True)
        assert container.restore(snapshot) is container
        container.wait_for(wait.log("begun"))
        assert container.logs().count("begun") == 2
        assert (container.read_text("/note"), container.exists("/other"), container.exists("/home")) == (
            "kept",
            False,
            True,
        )
        assert (container.state, container.ip) == ("RUNNING", ip)
        assert container.pid != pid
        assert changes(container) == ["A /note"]
        assert changes(container, snapshot) == []

    def test_to_the_image_it_was_made_of_and_on_to_a_snapshot(self, run: Runner) -> None:
        container = run(cwd="/made/for/it")
        container.write_text("/made/for/it/note", "x")
        snapshot = container.snapshot()
        container.restore()
        assert changes(container) == []
        assert container.check_output("pwd") == "/made/for/it"
        container.restore(snapshot)
        assert container.check_output("cat note") == "x"
        container.restore(container.image)
        assert changes(container) == []

    def test_a_stopped_one_stays_stopped(self, box: Container) -> None:
        snapshot = box.snapshot()
        box.write_text("/note", "x")
        box.stop(timeout=0.1)
        box.restore(snapshot)
        assert box.state == "STOPPED"
        assert not box.start().exists("/note")

    def test_a_snapshot_can_be_made_of_what_was_restored(self, box: Container, run: Runner) -> None:
        box.write_text("/one", "1")
        box.restore(box.snapshot())
        box.write_text("/two", "2")
        clone = run(box.snapshot())
        assert (clone.read_text("/one"), clone.read_text("/two")) == ("1", "2")

    def test_a_foreign_image_is_no_snapshot_of_it(self, box: Container, run: Runner) -> None:
        other = run().snapshot("other")
        with pytest.raises(SnapshotNotFoundError, match=r"busybox:latest\+other is no snapshot of container busybox"):
            box.restore(other)
        assert box.running

    def test_a_name_that_there_is_not_is_answered_with_those_there_are(self, box: Container) -> None:
        with pytest.raises(SnapshotNotFoundError, match="'seeded' is no snapshot of container busybox\nit has none"):
            box.restore("seeded")
        box.snapshot("with-users")
        box.snapshot()
        with pytest.raises(SnapshotNotFoundError, match="its snapshots: with-users, snapshot2"):
            box.diff("seeded")
        assert box.running


def test_changes_of_a_hostile_container_are_told_in_time(run: Runner) -> None:
    box = run("busybox", ["sleep", "1000"])
    box.check_output(
        "mkdir /w && cd /w && mkfifo fifo && ln -s /etc/shadow link && ln -s / absolute && truncate -s 100G huge"
        " && mkdir many && cd many && seq 20000 | xargs touch && cd .. && mkdir deep && cd deep"
        " && for n in $(seq 200); do mkdir d && cd d; done",
        user="root",
    )
    for _ in ("running", "stopped"):
        begin = time.monotonic()
        found = changes_of(box, {"seconds": 5, "crowd": 0, "lines": 5000, "texts": 5000})
        assert time.monotonic() - begin < 10
        told = {each["path"]: each for each in found["changes"]}
        assert {told[f"/w/{name}"]["after"] for name in ("absolute", "fifo", "huge", "link")} == {None}
        assert told["/w/huge"]["size"] == 100 << 30
        assert not found["complete"]
        box.stop()
