"""What a container's mounts are put on, whatever its image, or it itself, has in the way.

A link means what it means inside. LXC alone would have the kernel resolve it on the host, and make what is absent
there: in a directory that everyone may write to, as `trap` is, even for a container's root.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_lxcontainer.errors import LxContainerError, StartFailedError

from ..fakes.images import Dir, Entry, File, Symlink
from .conftest import Make, Runner

OWN_FILES = ("hosts", "hostname", "resolv.conf")
KINDS = [pytest.param(False, id="unprivileged"), pytest.param(True, id="privileged", marks=pytest.mark.needs_root)]


class Trap:
    """A directory of the host in which everyone may make files, with a file in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        path.chmod(0o777)
        (path / "inner").mkdir()
        (path / "inner").chmod(0o777)
        (path / "file").write_text("of the host\n")
        (path / "file").chmod(0o666)
        self._before = self._state()

    def _state(self) -> list[tuple[Any, ...]]:
        found = (self.path, *sorted(self.path.rglob("*")))
        stats = ((each, each.lstat()) for each in found)
        return [(each, stat.st_mode, stat.st_uid, stat.st_size, stat.st_mtime_ns) for each, stat in stats]

    def assert_untouched(self) -> None:
        """Nothing was made in it, nor changed."""
        assert self._state() == self._before


@pytest.fixture
def trap() -> Iterator[Trap]:
    path = Path(f"/var/tmp/lxcontainer-trap-{os.getpid()}")
    trap = Trap(path)
    yield trap
    shutil.rmtree(path)


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A directory of the host that is to be mounted."""
    directory = tmp_path / "shared"
    directory.mkdir()
    directory.chmod(0o777)
    (directory / "file").write_text("shared\n")
    return directory


def links(trap: Trap, form: str) -> str:
    """Where a link in the image's root leads that means *trap*."""
    return {"absolute": "", "relative": "../../../..", "inside": "."}[form] + str(trap.path)


@pytest.mark.parametrize("privileged", KINDS)
class TestLinksOfAnImage:
    @pytest.mark.parametrize("form", ["absolute", "relative", "inside"])
    def test_etc_elsewhere(self, boot: Make, trap: Trap, form: str, privileged: bool) -> None:
        entries: dict[str, Entry] = {"etc": Symlink(links(trap, form))}
        container = boot(entries, {"privileged": privileged})
        trap.assert_untouched()
        assert container.hostname in container.read_text("/etc/hosts")
        assert container.read_text(f"{trap.path}/hostname") == f"{container.hostname}\n"
        assert container.diff() == []

    @pytest.mark.parametrize("to", ["/made", "/new/deep/made", "/file", "/inner/../made"])
    def test_files_of_etc_elsewhere(self, boot: Make, trap: Trap, to: str, privileged: bool) -> None:
        entries: dict[str, Entry] = {f"etc/{name}": Symlink(f"{trap.path}{to}-{name}") for name in OWN_FILES}
        container = boot(entries, {"privileged": privileged})
        trap.assert_untouched()
        assert container.hostname in container.read_text("/etc/hosts")
        assert container.read_text("/etc/hostname") == f"{container.hostname}\n"
        container.exec("echo changed > /etc/hosts").check()
        trap.assert_untouched()

    @pytest.mark.parametrize("to", ["../run/systemd/resolve/stub-resolv.conf", "/run/resolv.conf", "resolv.real"])
    def test_as_distributions_have_them(self, boot: Make, to: str, privileged: bool) -> None:
        container = boot({"etc/resolv.conf": Symlink(to)}, {"privileged": privileged})
        assert container.check_output(["readlink", "/etc/resolv.conf"]) == to
        assert "nameserver" in container.read_text("/etc/resolv.conf")
        assert container.diff() == []
        container.restart()
        assert "nameserver" in container.read_text("/etc/resolv.conf")

    def test_into_a_tmpfs(self, boot: Make, privileged: bool) -> None:
        settings = {"tmpfs": "/run", "privileged": privileged}
        container = boot({"etc/resolv.conf": Symlink("/run/systemd/resolv.conf")}, settings)
        assert "nameserver" in container.read_text("/run/systemd/resolv.conf")

    @pytest.mark.parametrize("name", ["dev", "proc", "sys"])
    def test_the_kernels_directories_elsewhere(self, boot: Make, trap: Trap, name: str, privileged: bool) -> None:
        with pytest.raises(StartFailedError, match=f"/{name} is no directory"):
            boot({name: Symlink(str(trap.path)), "bin/x": "x"}, {"privileged": privileged})
        trap.assert_untouched()

    @pytest.mark.parametrize("to", ["/proc/self/attr/current", "/proc/1/root/file", "/sys/made"])
    def test_files_of_etc_in_the_kernels(self, boot: Make, to: str, privileged: bool) -> None:
        with pytest.raises(StartFailedError, match="the kernel's"):
            boot({"etc/hosts": Symlink(to)}, {"privileged": privileged})

    def test_below_dev(self, boot: Make, trap: Trap, privileged: bool) -> None:
        entries: dict[str, Entry] = {"dev/shm": Symlink(str(trap.path)), "dev/null": Symlink(f"{trap.path}/null")}
        entries |= {"dev/pts": Symlink(str(trap.path)), "dev/mqueue": File("x")}
        container = boot(entries, {"privileged": privileged, "tmpfs": "/dev/more"})
        trap.assert_untouched()
        assert container.check_output("stat -c %F /dev/null; stat -f -c %T /dev/shm /dev/more") == (
            "character special file\ntmpfs\ntmpfs"
        )

    def test_what_is_mounted_for_the_user(self, boot: Make, trap: Trap, shared: Path, privileged: bool) -> None:
        mounts = [(shared, "/data/made"), (shared / "file", "/data/new/file"), (shared / "file", "/data/file")]
        settings = {"mounts": mounts, "tmpfs": ["/data/inner", "/data/tmp/deep"], "privileged": privileged}
        container = boot({"data": Symlink(str(trap.path))}, settings)
        trap.assert_untouched()
        for path in ("made/file", "new/file", "file"):
            assert container.read_text(f"/data/{path}") == "shared\n"
        assert container.check_output(f"stat -f -c %T {trap.path}/inner /data/tmp/deep") == "tmpfs\ntmpfs"

    def test_volumes_and_the_working_directory(self, boot: Make, trap: Trap, privileged: bool) -> None:
        entries: dict[str, Entry] = {"data": Symlink(str(trap.path)), "up": Symlink(f"../../..{trap.path}")}
        config = {"Volumes": {"/data/volume": {}, "/up/volume2": {}}, "WorkingDir": "/data/desk/deep"}
        container = boot(entries, {"privileged": privileged}, **config)
        trap.assert_untouched()
        assert container.check_output("pwd -P") == f"{trap.path}/desk/deep"
        assert container.listdir(str(trap.path)) == ["desk", "volume", "volume2"]

    def test_to_themselves(self, boot: Make, privileged: bool) -> None:
        with pytest.raises(LxContainerError, match="link"):
            boot({"etc/hosts": Symlink("hosts")}, {"privileged": privileged})


class TestTargets:
    def test_dots_do_not_leave_the_container(self, run: Runner, trap: Trap, shared: Path) -> None:
        container = run(mounts=[(shared, f"/x/../../../..{trap.path}/made")], tmpfs=f"/../..{trap.path}/tmp")
        trap.assert_untouched()
        assert container.listdir(str(trap.path)) == ["made", "tmp"]

    def test_a_file_where_a_directory_is_asked_for(self, boot: Make, shared: Path) -> None:
        with pytest.raises(StartFailedError, match=r"etc/passwd.* would be a directory"):
            boot(None, {"mounts": [(shared, "/etc/passwd")]})
        with pytest.raises(StartFailedError, match="/tmp is a directory"):
            boot(None, {"mounts": [(shared / "file", "/tmp")]})

    def test_the_whole_container(self, run: Runner, shared: Path) -> None:
        with pytest.raises(StartFailedError, match="container's root"):
            run(mounts=[(shared, "/")])

    def test_own_files_are_over_a_mount_of_etc(self, run: Runner, shared: Path) -> None:
        for name in OWN_FILES:
            (shared / name).write_text("of the host\n")
        container = run(mounts=[(shared, "/etc")])
        assert container.read_text("/etc/hostname") == f"{container.hostname}\n"
        assert container.read_text("/etc/file") == "shared\n"
        assert (shared / "hostname").read_text() == "of the host\n"

    def test_one_below_another(self, run: Runner, shared: Path, tmp_path: Path) -> None:
        (tmp_path / "inner").mkdir()
        container = run(
            mounts=[(tmp_path / "inner", "/app/deep/new"), (shared, "/app")], tmpfs=["/app/tmp", "/app/tmp/inner"]
        )
        assert container.read_text("/app/file") == "shared\n"
        assert container.listdir("/app/deep/new") == []
        assert container.listdir("/app/tmp") == ["inner"]
        assert sorted(path.name for path in shared.iterdir()) == ["deep", "file", "tmp"]

    def test_one_below_another_through_a_link_in_it(self, run: Runner, shared: Path, trap: Trap) -> None:
        """A container that may write in a shared directory is not to choose where the next one's mounts go."""
        (shared / "way").symlink_to(trap.path)
        for mounts in ([(shared, "/app"), (shared, "/app/way")], [(shared, "/app"), (shared, "/app/way/made")]):
            with pytest.raises(StartFailedError, match="way"):
                run(mounts=mounts)
        trap.assert_untouched()


class TestLinksOfAContainer:
    """A container's root has the image's files to itself, and what it leaves is there at its next start."""

    def test_etc_elsewhere(self, run: Runner, trap: Trap) -> None:
        container = run(cap_add="SYS_ADMIN")
        container.exec(f"umount /etc/*; rm -r /etc && ln -s {trap.path} /etc").check()
        container.restart()
        trap.assert_untouched()
        assert container.read_text(f"{trap.path}/hostname") == f"{container.hostname}\n"

    def test_the_kernels_directories(self, run: Runner, trap: Trap) -> None:
        container = run(cap_add="SYS_ADMIN")
        container.exec(f"umount -l /proc && mv /proc /old && ln -s {trap.path} /proc").check()
        with pytest.raises(StartFailedError, match="/proc is no directory"):
            container.restart()
        trap.assert_untouched()

    def test_what_it_deleted_is_made_again(self, boot: Make, shared: Path) -> None:
        settings = {"mounts": [(shared, "/srv/deep/data")]}
        container = boot({"srv": Dir(0o750, 7, 8), "srv/old": "x", "etc/hosts": "image's\n"}, settings)
        container.unmount("/srv/deep/data")
        container.exec("rm -r /srv; umount /etc/hosts; rm /etc/hosts", check=False)
        container.restart()
        assert container.listdir("/srv") == ["deep"]
        assert container.read_text("/srv/deep/data/file") == "shared\n"
        assert container.hostname in container.read_text("/etc/hosts")


def test_directories_keep_their_owners_and_modes(boot: Make, shared: Path) -> None:
    """Also those that an ordinary user may not even look into."""
    entries: dict[str, Entry] = {"etc": Dir(0o755, 7, 8), "srv": Dir(0o2711, 9, 10), "srv/in": Dir(0o700, 11, 12)}
    container = boot(entries, {"mounts": [(shared, "/srv/in/made/data")]})
    found = container.check_output("stat -c '%u:%g %a' /etc /srv /srv/in /srv/in/made")
    assert found.splitlines() == ["7:8 755", "9:10 2711", "11:12 700", "0:0 755"]
    assert container.read_text("/srv/in/made/data/file") == "shared\n"
    assert container.diff() == []


class TestClonesOfOneImage:
    """Their mounts lie on what is made once for all of them."""

    def test_a_clone_that_has_written_nothing_has_no_files(self, run: Runner) -> None:
        for _ in range(2):
            container = run(tmpfs="/some/where/new")
            assert container.read_text("/etc/hostname") == f"{container.hostname}\n"
            assert container.listdir("/some/where/new") == []
            upper = run.provisioner.layout.upper_dir(run.provisioner.identity.run_id, container.id)
            assert list(upper.iterdir()) == []

    def test_what_one_makes_of_it_another_does_not_see(self, run: Runner) -> None:
        first, second = run(), run()
        first.exec("echo mine > /etc/new; chmod 700 /etc", check=True)
        assert second.exec("cat /etc/new").exit_code != 0
        assert second.check_output("stat -c %a /etc") == "755"
        assert run().exec("cat /etc/new").exit_code != 0

    def test_other_mounts_lie_elsewhere(self, run: Runner) -> None:
        with_tmpfs, without = run(tmpfs="/other/place"), run()
        assert with_tmpfs.exists("/other/place") and not without.exists("/other")

    def test_it_is_not_in_a_snapshot(self, run: Runner) -> None:
        container = run(tmpfs="/other/place")
        container.write_text("/kept", "kept")
        clone = run(container.snapshot())
        assert clone.read_text("/kept") == "kept" and not clone.exists("/other")
        assert [change.path for change in container.diff()] == ["/kept"]
