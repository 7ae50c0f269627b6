"""The host's files in a container: mounts of its settings, and those made and undone while it runs."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pytest_lxcontainer import Container
from pytest_lxcontainer.container.settings import Mount
from pytest_lxcontainer.errors import ContainerFileError, InvalidSettingsError, NotRunningError

from .conftest import Runner


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A directory of the host that everyone may read and write."""
    directory = tmp_path / "shared"
    directory.mkdir()
    directory.chmod(0o777)
    (directory / "file").write_text("of the host\n")
    return directory


class TestSettings:
    def test_a_directory_is_read_and_written(self, run: Runner, shared: Path) -> None:
        box = run(mounts=[(shared, "/mnt/deep/shared")])
        assert box.check_output(["cat", "/mnt/deep/shared/file"]) == "of the host"
        box.exec("echo inside > /mnt/deep/shared/new", check=True)
        assert (shared / "new").read_text() == "inside\n"

    def test_read_only_is(self, run: Runner, shared: Path) -> None:
        box = run(mounts=[Mount(shared, "/mnt", read_only=True)])
        assert "Read-only file system" in box.exec("touch /mnt/new").stderr
        with pytest.raises(ContainerFileError) as caught:
            box.write_text("/mnt/new", "x")
        assert caught.value.errno == errno.EROFS

    def test_a_file_may_be_mounted_over_one_of_the_images(self, run: Runner, shared: Path) -> None:
        box = run(mounts=f"{shared}/file:/etc/passwd:ro")
        assert box.read_text("/etc/passwd") == "of the host\n"

    def test_a_relative_source_is_the_tests(self, run: Runner, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(shared.parent)
        assert run(mounts="shared/file:/mnt/file").read_text("/mnt/file") == "of the host\n"

    def test_a_missing_source_is_named(self, run: Runner, shared: Path) -> None:
        with pytest.raises(InvalidSettingsError, match="none' does not exist on the host"):
            run(mounts=[(shared / "none", "/mnt")])

    def test_the_hosts_users_are_nobody_inside(self, run: Runner, shared: Path) -> None:
        box = run(mounts=[(shared, "/mnt")])
        inside = box.check_output(["stat", "-c", "%u", "/mnt/file"])
        # An ordinary user is root of its containers; root is nobody in them.
        assert inside == ("65534" if os.geteuid() == 0 else "0")

    def test_a_tmpfs_has_the_size_asked_for_and_is_gone_with_a_restart(self, run: Runner, tmp_path: Path) -> None:
        large = tmp_path / "large"
        large.write_bytes(bytes(300_000))
        box = run(tmpfs={"/scratch": "size=128k,mode=700"})
        assert box.check_output(["stat", "-c", "%a", "/scratch"]) == "700"
        with pytest.raises(ContainerFileError) as caught:
            box.copy_in(large, "/scratch")
        assert caught.value.errno == errno.ENOSPC
        box.restart(0)
        assert box.listdir("/scratch") == []


class TestLive:
    def test_a_directory_appears_and_goes(self, box: Container, shared: Path) -> None:
        box.mount(shared, "/mnt/new/place")
        assert box.check_output(["cat", "/mnt/new/place/file"]) == "of the host"
        box.exec("echo inside > /mnt/new/place/new", check=True)
        assert (shared / "new").read_text() == "inside\n"
        box.unmount("/mnt/new/place")
        assert box.listdir("/mnt/new/place") == []
        assert sorted(os.listdir(shared)) == ["file", "new"]

    def test_read_only_is(self, box: Container, shared: Path) -> None:
        box.mount(shared, "/mnt", read_only=True)
        assert "Read-only file system" in box.exec("touch /mnt/new; echo x > /mnt/file").stderr
        assert "Read-only file system" in box.exec("rm /mnt/file").stderr
        assert os.listdir(shared) == ["file"]

    def test_a_file_covers_one_of_the_images(self, box: Container, shared: Path) -> None:
        before = box.read_text("/etc/passwd")
        box.mount(shared / "file", "/etc/passwd")
        assert box.check_output(["cat", "/etc/passwd"]) == "of the host"
        box.unmount("/etc/passwd")
        assert box.read_text("/etc/passwd") == before

    def test_what_is_mounted_in_it_comes_along_and_nothing_goes_back(self, box: Container, shared: Path) -> None:
        before = Path("/proc/self/mountinfo").read_text()
        box.mount("/proc", "/mnt/proc", read_only=True)
        assert box.exists(f"/mnt/proc/{os.getpid()}")
        box.exec("mount -t tmpfs tmpfs /mnt/proc/fs", check=False)
        assert Path("/proc/self/mountinfo").read_text() == before

    def test_a_link_at_the_place_leads_nowhere_outside(self, box: Container, shared: Path, tmp_path: Path) -> None:
        (tmp_path / "outside").mkdir()
        box.exec(f"mkdir -p /mnt; ln -sfn {tmp_path}/outside /mnt/link; mkdir -p {tmp_path}/outside", check=True)
        box.mount(shared, "/mnt/link")
        assert box.read_text("/mnt/link/file") == "of the host\n"
        assert os.listdir(tmp_path / "outside") == []

    def test_the_running_alone_have_mounts(self, run: Runner, shared: Path) -> None:
        box = run()
        box.mount(shared, "/mnt/here")
        box.stop(0)
        assert box.listdir("/mnt/here") == []
        for attempt in (lambda: box.mount(shared, "/mnt"), lambda: box.unmount("/mnt/here")):
            with pytest.raises(NotRunningError):
                attempt()
        box.start()
        assert box.listdir("/mnt/here") == []

    def test_what_cannot_be_is_an_error_that_says_why(self, box: Container, shared: Path) -> None:
        with pytest.raises(FileNotFoundError):
            box.mount(shared / "none", "/mnt")
        with pytest.raises(ContainerFileError) as caught:
            box.mount(shared, "/etc/passwd")
        assert (caught.value.errno, caught.value.path) == (errno.ENOTDIR, "/etc/passwd")
        with pytest.raises(ContainerFileError) as caught:
            box.mount(shared / "file", "/etc")
        assert caught.value.errno == errno.EISDIR
        with pytest.raises(ContainerFileError) as caught:
            box.unmount("/etc")
        assert caught.value.errno == errno.EINVAL
