"""What LXC reads out of the configuration: the rendered text, read as lxc.container.conf(5) and fstab(5) say."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_lxcontainer import Limits
from pytest_lxcontainer.container.capabilities import HARMFUL, ORDINARY
from pytest_lxcontainer.container.lxc_config import Interface, Place, lxc_items, render
from pytest_lxcontainer.container.mount_entries import entries
from pytest_lxcontainer.container.spec import ContainerSpec
from pytest_lxcontainer.errors import InvalidSettingsError
from pytest_lxcontainer.rootfs.idmap import IdMap, IdRange
from pytest_lxcontainer.rootfs.mount_points import MountPoint
from pytest_lxcontainer.rootfs.overlay import Overlay

MAP = IdMap((IdRange(0, 100000, 65536),), (IdRange(0, 200000, 65536),))
CREATE = {"create=dir", "create=file"}
ETH = Interface("lxtbr", "lxtab1", "10.64.4.2/22", "10.64.4.1", "02:1c:0a:40:04:02")


def spec(**fields: Any) -> ContainerSpec:
    return ContainerSpec(**{"hostname": "box", "group": "", "lower_dirs": (), "command": ("true",), **fields})


def place(**fields: Any) -> Place:
    values: dict[str, Any] = {
        "name": "box-1",
        "files": Path("/store/runs/r/box-1"),
        "idmap": MAP,
        "overlay": Overlay((Path("/store/l/base"), Path("/store/l/top")), Path("/store/runs/r/box-1/upper")),
        "interface": ETH,
        "cgroup": "lxt-r/box-1",
        "cgroups_on_v1": False,
        "limits_apply": True,
        "seccomp_profile": Path("/store/runs/r/box-1/seccomp"),
        "mount_points": (),
    }
    return Place(**{**values, **fields})


class Parsed:
    """The file as LXC sees it."""

    def __init__(self, text: str) -> None:
        self.items = [tuple(line.split(" = ", 1)) for line in text.splitlines()]
        assert all(len(item) == 2 and item[0].startswith("lxc.") for item in self.items)

    def all(self, key: str) -> list[str]:
        return [item[1] for item in self.items if item[0] == key]

    def one(self, key: str) -> str:
        (value,) = self.all(key)
        return value

    @property
    def mounts(self) -> dict[str, tuple[str, str, set[str]]]:
        """(source, type, options) by target, with fstab's octal escapes undone."""
        found = {}
        for entry in self.all("lxc.mount.entry"):
            fields = [re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), field) for field in entry.split()]
            assert len(fields) == 6
            found[fields[1]] = (fields[0], fields[2], set(fields[3].split(",")))
        return found


def parsed(made: ContainerSpec | None = None, **where: Any) -> Parsed:
    made = made or spec()
    wanted = [entry.wanted for entry in entries(made, place().files)]
    # Where there are no links, each thing is mounted where it is wanted.
    points = tuple(MountPoint(each.target.strip("/")) for each in wanted)
    return Parsed(render(lxc_items(made, place(**{"mount_points": points, **where}))))


def test_the_root_is_the_stack_with_its_topmost_layer_first() -> None:
    stack = "overlay:/store/l/top:/store/l/base:/store/runs/r/box-1/upper"
    assert parsed().one("lxc.rootfs.path") == stack


def test_ids_are_mapped_unless_privileged() -> None:
    assert parsed().all("lxc.idmap") == ["u 0 100000 65536", "g 0 200000 65536"]
    assert parsed(spec(privileged=True), idmap=IdMap.identity()).all("lxc.idmap") == []


def test_the_command_runs_in_its_directory() -> None:
    assert parsed(spec(cwd="/srv/data")).one("lxc.init.cwd") == "/srv/data"


def test_a_command_that_is_process_1_is_made_its_user_by_lxc() -> None:
    found = parsed(spec(uid=5, gid=6, init=False))
    assert [found.one(f"lxc.init.{key}") for key in ("uid", "gid")] == ["5", "6"]
    assert parsed(spec(uid=5, gid=6)).all("lxc.init.uid") == []


class TestMounts:
    def test_its_own_files_in_etc(self) -> None:
        mounts = parsed().mounts
        for name in ("hosts", "hostname", "resolv.conf"):
            assert mounts[f"etc/{name}"][0] == f"/store/runs/r/box-1/{name}"

    def test_white_space_and_backslashes_come_through(self, tmp_path: Path) -> None:
        source = tmp_path / "a b\tc\\d"
        source.mkdir()
        found = parsed(spec(mounts=((str(source), "/in here\\", False),))).mounts["in here\\"]
        assert found == (str(source), "none", {"rbind"})

    def test_a_file_is_mounted_on_a_file_and_read_only_if_asked(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        found = parsed(spec(mounts=((str(tmp_path / "file"), "/etc/x", True),))).mounts["etc/x"]
        assert found[2] == {"rbind", "ro"}

    def test_a_tmpfs_has_the_options_given_or_safe_ones(self) -> None:
        mounts = parsed(spec(tmpfs=(("/run", "size=1m"), ("/my tmp", "")))).mounts
        assert mounts["run"] == ("tmpfs", "tmpfs", {"size=1m"})
        assert mounts["my tmp"][2] >= {"nosuid", "nodev", "mode=1777"}

    def test_only_what_is_fresh_is_left_for_lxc_to_make(self) -> None:
        made = spec(tmpfs=(("/data", ""), ("/data/inner", "")))
        wanted = [entry.wanted for entry in entries(made, place().files)]
        points = tuple(MountPoint(each.target.strip("/"), each.target == "/data/inner") for each in wanted)
        made_by_lxc = [path for path, found in parsed(made, mount_points=points).mounts.items() if found[2] & CREATE]
        assert made_by_lxc == ["data/inner"]

    def test_the_outer_ones_come_first_wherever_they_lead(self) -> None:
        made = spec(tmpfs=(("/a/b/c", ""), ("/a", "")))
        points = [MountPoint(entry.wanted.target.strip("/")) for entry in entries(made, place().files)]
        points[-2:] = [MountPoint("x"), MountPoint("x/y")]
        assert [each for each in parsed(made, mount_points=tuple(points)).mounts if each[0] == "x"] == ["x", "x/y"]

    def test_systemd_has_a_run_of_its_own(self) -> None:
        made = spec(init=False, systemd=True, command=("/sbin/init",))
        assert parsed(made).mounts["run"][1] == "tmpfs"
        assert parsed(replace(made, tmpfs=(("/run", "size=1m"),))).mounts["run"][2] == {"size=1m"}
        assert "run" not in parsed(spec(init=False, command=("/sbin/init",))).mounts


class TestEnvironment:
    def test_values_do_not_reach_the_file_but_for_path(self) -> None:
        env = (("SECRET", "x\nlxc.cap.keep = all"), ("PATH", "/bin:/opt/my bin"), ("EMPTY", ""))
        assert parsed(spec(env=env)).all("lxc.environment") == ["SECRET", "PATH=/bin:/opt/my bin", "EMPTY"]

    @pytest.mark.parametrize(
        "fields",
        [
            {"env": (("PATH", "/bin\nlxc.cap.drop ="),)},
            {"env": (("A\nlxc.hook.start = /x", "1"),)},
            {"cwd": "/x\nlxc.hook.start = /x"},
            {"hostname": "x\0y"},
            {"tmpfs": (("/x", "size=1m\nlxc.hook.start = /x"),)},
            {"mounts": (("/etc", "/x\nlxc.hook.start = /x", False),)},
        ],
    )
    def test_nothing_can_become_another_line(self, fields: dict[str, Any]) -> None:
        with pytest.raises(InvalidSettingsError, match="line break"):
            parsed(spec(**fields))


class TestConfinement:
    def test_dockers_capabilities_are_kept_and_no_others(self) -> None:
        assert set(parsed().one("lxc.cap.keep").split()) == ORDINARY

    @pytest.mark.parametrize("written", ["SYS_TIME", "sys_time", "CAP_SYS_TIME"])
    def test_one_that_is_asked_for_is_kept(self, written: str) -> None:
        kept = set(parsed(spec(cap_add=(written,))).one("lxc.cap.keep").split())
        assert kept == ORDINARY | {"sys_time"}

    def test_all_keeps_every_one(self) -> None:
        found = parsed(spec(cap_add=("ALL",)))
        assert found.all("lxc.cap.drop") == found.all("lxc.cap.keep") == []

    @pytest.mark.parametrize(
        "fields", [{"privileged": True}, {"init": False, "command": ("/sbin/init",)}], ids=["privileged", "system"]
    )
    def test_what_is_explicit_or_a_whole_system_lacks_the_harmful_ones_only(self, fields: dict[str, Any]) -> None:
        found = parsed(spec(**fields))
        assert set(found.one("lxc.cap.drop").split()) == HARMFUL
        assert found.all("lxc.cap.keep") == []

    def test_a_small_init_keeps_no_more_than_a_command(self) -> None:
        assert set(parsed(spec(init=False, command=("/init",))).one("lxc.cap.keep").split()) == ORDINARY

    @pytest.mark.parametrize("fields", [{"cap_add": ("SYS_BOOT",)}, {"privileged": True}, {"systemd": True}])
    def test_who_may_reboot_is_not_started_again_by_lxc(self, fields: dict[str, Any]) -> None:
        assert len(parsed(spec(**fields)).all("lxc.hook.post-stop")) == 1
        assert parsed().all("lxc.hook.post-stop") == []

    def test_lxc_puts_the_filter_of_system_calls_on_only_where_its_init_cannot(self) -> None:
        assert parsed(spec(init=False)).one("lxc.seccomp.profile") == "/store/runs/r/box-1/seccomp"
        assert parsed(spec(init=False, groups=(4,))).all("lxc.seccomp.profile") == []
        assert parsed().all("lxc.seccomp.profile") == []

    def test_what_tells_of_the_host_is_masked_unless_privileged(self) -> None:
        mounts = parsed().mounts
        assert mounts["proc/kcore"] == ("/dev/null", "none", {"bind", "optional"})
        assert mounts["sys/firmware"][1] == "tmpfs"
        assert "ro" in mounts["sys/firmware"][2]
        assert "proc/kcore" not in parsed(spec(privileged=True), idmap=IdMap.identity()).mounts

    def test_processes_are_limited_by_default(self) -> None:
        assert parsed().one("lxc.cgroup2.pids.max") == "4096"

    @pytest.mark.parametrize(("on_v1", "key"), [(True, "lxc.cgroup.devices"), (False, "lxc.cgroup2.devices")])
    def test_a_privileged_container_may_use_harmless_devices_only(self, on_v1: bool, key: str) -> None:
        found = parsed(spec(privileged=True), idmap=IdMap.identity(), cgroups_on_v1=on_v1)
        assert found.all(f"{key}.deny") == ["a"]
        allowed = found.all(f"{key}.allow")
        assert "c 1:3 rwm" in allowed
        assert [rule for rule in allowed if rule.startswith("b") and rule != "b *:* m"] == []

    def test_a_user_namespace_needs_no_device_rules(self) -> None:
        assert parsed(cgroups_on_v1=True).all("lxc.cgroup.devices.deny") == []


class TestCgroups:
    @pytest.mark.parametrize(("on_v1", "key"), [(True, "lxc.cgroup.pids.max"), (False, "lxc.cgroup2.pids.max")])
    def test_limits_are_written_for_the_hosts_version(self, on_v1: bool, key: str) -> None:
        made = spec(limits=Limits(pids=7, io_read=1))
        assert parsed(made, cgroups_on_v1=on_v1, disks=("8:0",)).one(key) == "7"

    def test_limits_that_nobody_could_enforce_are_left_out(self) -> None:
        assert not any("pids" in key for key, _ in parsed(limits_apply=False).items)

    def test_it_lives_below_the_runs_cgroup(self) -> None:
        found = parsed()
        assert found.one("lxc.cgroup.dir.container") == "lxt-r/box-1/payload"
        assert found.one("lxc.cgroup.dir.monitor") == "lxt-r/box-1/monitor"
        assert found.one("lxc.cgroup.dir.monitor.pivot") == "lxt-r/box-1/pivot"

    def test_without_delegation_that_is_left_to_lxc(self) -> None:
        assert not any("cgroup.dir" in key for key, _ in parsed(cgroup=None, limits_apply=False).items)


class TestNetwork:
    def test_a_veth_with_the_address_that_was_reserved(self) -> None:
        found = parsed()
        keys = ("type", "link", "veth.pair", "ipv4.address", "ipv4.gateway", "hwaddr", "flags")
        values = ["veth", ETH.bridge, ETH.pair, ETH.address, ETH.gateway, ETH.mac, "up"]
        assert [found.one(f"lxc.net.0.{key}") for key in keys] == values

    def test_none_leaves_the_loopback_only(self) -> None:
        found = parsed(interface=None)
        assert [(key, value) for key, value in found.items if key.startswith("lxc.net")] == [
            ("lxc.net.0.type", "empty"),
            ("lxc.net.0.flags", "up"),
        ]


def test_lxc_does_not_put_containers_into_an_apparmor_profile_of_its_own() -> None:
    assert parsed(apparmor=True).one("lxc.apparmor.profile") == "unchanged"
    assert parsed().all("lxc.apparmor.profile") == []
