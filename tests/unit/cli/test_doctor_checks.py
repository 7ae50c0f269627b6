from __future__ import annotations

import os
import subprocess
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from pytest_lxcontainer.cli.doctor.cgroup_fix import delegate_command, systemd_commands
from pytest_lxcontainer.cli.doctor.delegation import (
    check_root_cgroups,
    check_systemd_cgroups,
    check_user_bridge,
    check_user_cgroups,
    check_user_ids,
)
from pytest_lxcontainer.cli.doctor.kernel import check_kernel, check_links, check_user_namespaces
from pytest_lxcontainer.cli.doctor.software import (
    check_ip,
    check_kernel_seccomp,
    check_lxc,
    check_lxc_seccomp,
    check_privileged,
    check_seccomp,
    lxc_filters,
    lxc_version,
)
from pytest_lxcontainer.cli.doctor.storage import check_file_system, check_room, check_store, check_way, file_system_of
from pytest_lxcontainer.container.cgroups import Hierarchies
from pytest_lxcontainer.container.seccomp import program
from pytest_lxcontainer.container.units import GiB
from pytest_lxcontainer.network.bridge import Bridge

BRIDGE = Bridge("lxtusr0", IPv4Address("10.64.4.1"), IPv4Network("10.64.4.0/22"))


def verdicts(*findings: object) -> list[str]:
    return [getattr(finding, "verdict") for finding in findings]  # noqa: B009  # any finding


def test_an_interpreter_without_the_binding_is_told_how_to_get_it() -> None:
    (finding,) = check_lxc(None, "/opt/python")
    assert finding.verdict == "lack" and "lxc-dev" in finding.command
    assert finding.command.endswith("/opt/python -m pip install lxc")


def test_an_interpreter_that_does_not_exist_has_no_binding() -> None:
    assert lxc_version("/nonexistent/python") is None


@pytest.mark.parametrize(
    ("version", "verdict"), [("4.0.12", "lack"), ("5.0.2", "ok"), ("3.1.0", "lack"), ("6.1.0~rc1", "ok")]
)
def test_lxc_4_is_the_oldest(version: str, verdict: str) -> None:
    assert verdicts(*check_lxc(version)) == ["ok", verdict]


@pytest.mark.parametrize(("release", "verdict"), [("5.10.0-9-amd64", "lack"), ("5.11", "ok"), ("6.18.44-fc", "ok")])
def test_kernel_5_11_is_the_oldest(release: str, verdict: str) -> None:
    assert check_kernel(release).verdict == verdict


def sysctls(directory: Path, **values: str) -> Path:
    for key, value in values.items():
        path = directory / key.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value + "\n")
    return directory


def test_a_host_without_the_switches_allows_user_namespaces(tmp_path: Path) -> None:
    assert check_user_namespaces(False, tmp_path).verdict == "ok"


def test_every_switch_that_forbids_user_namespaces_is_in_one_command(tmp_path: Path) -> None:
    forbidding = {"kernel__unprivileged_userns_clone": "0", "kernel__apparmor_restrict_unprivileged_userns": "1"}
    finding = check_user_namespaces(False, sysctls(tmp_path, user__max_user_namespaces="96000", **forbidding))
    assert finding.verdict == "lack"
    assert finding.command == (
        "sysctl -w kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0"
    )


def test_what_restrains_ordinary_users_does_not_concern_root(tmp_path: Path) -> None:
    switches = sysctls(tmp_path, kernel__unprivileged_userns_clone="0")
    assert check_user_namespaces(True, switches).verdict == "ok"
    assert check_user_namespaces(True, sysctls(tmp_path, user__max_user_namespaces="0")).verdict == "lack"


def test_a_kernel_that_makes_no_bridge_is_told_by_what_ip_said() -> None:
    finding = check_links(("sh", "-c", "echo 'Unknown device type.' >&2; exit 2"))
    assert (finding.verdict, finding.found) == ("lack", "Unknown device type.")
    assert check_links(("/nonexistent",)).verdict == "lack"
    assert check_links(("true",)).verdict == "ok"


def test_a_helper_must_act_as_root(tmp_path: Path) -> None:
    helper = tmp_path / "newuidmap"
    helper.touch(mode=0o755)
    assert check_privileged("newuidmap", None, "uidmap").command == "apt-get install -y uidmap"
    assert check_privileged("newuidmap", str(helper), "uidmap").command == f"chmod u+s {helper}"
    setuid = next(path for path in ("/usr/bin/passwd", "/bin/su", "/usr/bin/su") if os.path.exists(path))
    assert check_privileged("passwd", setuid, "passwd").verdict == "ok"


def test_a_host_without_iproute2_lacks_it(tmp_path: Path) -> None:
    assert check_ip(str(tmp_path)).command == "apt-get install -y iproute2"


def test_a_host_without_libseccomp_is_told_of_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_seccomp().verdict == "ok"
    program.cache_clear()
    monkeypatch.setattr("pytest_lxcontainer.container.seccomp.LIBRARY", "libno-such.so.2")
    finding = check_seccomp()
    assert (finding.verdict, finding.command) == ("lack", "apt-get install -y libseccomp2")
    assert "libno-such.so.2" in finding.found


def test_an_lxc_that_does_not_filter_is_worth_a_note() -> None:
    assert verdicts(*check_lxc_seccomp(True), *check_lxc_seccomp(False)) == ["ok", "note"]
    assert check_lxc_seccomp(None) == []
    assert lxc_filters("/nonexistent/python") is None


def test_a_kernel_that_filters_tells_so_of_every_process() -> None:
    assert check_kernel_seccomp(Path("/proc/self/status").read_text()).verdict == "ok"
    assert check_kernel_seccomp("Name:\tsh\nSeccomp:\t0\n").verdict == "lack"


@pytest.mark.parametrize("kind", ["overlay", "nfs4", "9p", "vfat", "fuse.sshfs"])
def test_a_file_system_that_cannot_be_an_upper_directory_is_a_lack(kind: str) -> None:
    assert check_file_system(Path("/store"), kind).verdict == "lack"


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "zfs"])
def test_a_local_file_system_will_do(kind: str) -> None:
    assert check_file_system(Path("/store"), kind).verdict == "ok"


MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:40 / /home rw - nfs4 server:/home rw
31 30 0:41 / /home/ann/my\\040disk rw - xfs /dev/vdb rw
32 22 0:42 / /home rw - btrfs /dev/vdc rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/x", "ext4"),
        ("/homely", "ext4"),
        ("/home/bob", "btrfs"),
        ("/home/ann/my disk/st", "xfs"),
        ("/home", "btrfs"),
    ],
)
def test_the_deepest_and_latest_mount_tells_the_file_system(path: str, kind: str) -> None:
    assert file_system_of(Path(path), MOUNTS) == kind


def test_directories_that_the_containers_root_may_not_pass_are_named_together(tmp_path: Path) -> None:
    closed, group_only = tmp_path / "closed", tmp_path / "closed" / "group"
    group_only.mkdir(parents=True)
    tmp_path.chmod(0o755)
    closed.chmod(0o700)
    group_only.chmod(0o710)
    store, other = group_only / "store", os.getuid() + 1
    assert f"{closed} {group_only}" in check_way(store, other, os.getgid() + 1).command
    assert check_way(store, other, group_only.stat().st_gid).command.endswith(f" {closed}")


def test_a_store_below_a_file_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (finding,) = check_store(tmp_path / "file" / "store", "ext4", 0, 0)
    assert finding.verdict == "lack" and "LXCONTAINER_STORE" in finding.command


def test_little_room_is_worth_a_note() -> None:
    assert check_room(Path("/var"), GiB).found == "only 1.0 GiB are free in /var"
    assert verdicts(check_room(Path("/var"), GiB), check_room(Path("/var"), 3 * GiB)) == ["note", "ok"]


def test_subordinate_ids_are_proposed_beside_those_of_others(tmp_path: Path) -> None:
    subuid, subgid = tmp_path / "subuid", tmp_path / "subgid"
    subuid.write_text("bob:100000:65536\neve:231072:65536\n")
    subgid.write_text("bob:100000:65536\nsys:160000:10000\n")
    finding = check_user_ids(1000, 1000, "ann", subuid=subuid, subgid=subgid)
    assert finding.command == "usermod --add-subuids 296608-362143 --add-subgids 296608-362143 ann"
    for path in (subuid, subgid):
        path.write_text("ann:300000:65536\n")
    assert check_user_ids(1000, 1000, "ann", subuid=subuid, subgid=subgid).found == "65536 from 300000 up"


def test_a_user_needs_a_bridge_that_exists() -> None:
    nothing = check_user_bridge("ann", [], {})
    gone = check_user_bridge("ann", ["lxtusr0"], {})
    assert nothing.command == gone.command == "lxcontainer doctor --fix --user ann"
    assert check_user_bridge("ann", ["lxcbr0", "lxtusr0"], {"lxtusr0": BRIDGE}).found == "lxtusr0, 10.64.4.0/22"


def test_cgroups_that_are_not_delegated_are_a_note_for_users_and_a_lack_for_root() -> None:
    assert check_user_cgroups("ann", {}, False, "delegate").command == "delegate"
    some = {"memory": Path("/m"), "": Path("/u")}
    found = (check_user_cgroups("ann", {}, False, ""), check_user_cgroups("ann", some, True, ""))
    assert verdicts(*found) == ["note", "ok"]
    assert found[1].found == "memory, unified"
    assert verdicts(check_root_cgroups({}, False), check_root_cgroups(some, False)) == ["lack", "note"]


def test_who_delegates_depends_on_the_hierarchies(monkeypatch: pytest.MonkeyPatch) -> None:
    hybrid = Hierarchies((("memory", Path("/sys/fs/cgroup/memory")),), Path("/sys/fs/cgroup/unified"))
    assert delegate_command("ann", hybrid) == "lxcontainer doctor --fix --user ann --pid $$"
    monkeypatch.setattr(Path, "is_dir", lambda _: True)
    assert delegate_command("ann", Hierarchies((), Path("/sys/fs/cgroup"))) == "lxcontainer doctor --fix --user ann"


def test_what_systemd_may_not_give_away_is_a_note() -> None:
    everything, usual = {"cpu", "io", "memory", "pids"}, {"cpu", "memory", "pids"}
    found = [check_systemd_cgroups("ann", offered) for offered in (everything, usual, {"pids"})]
    assert verdicts(*found) == ["ok", "note", "note"]
    assert "without io" in found[1].found
    assert found[1].command == found[2].command == "lxcontainer doctor --fix --user ann"


def test_systemd_is_told_to_give_away_what_limits_need(tmp_path: Path) -> None:
    settings = tmp_path / "user@.service.d" / "lxcontainer.conf"
    write, *others = systemd_commands("ann", 1234, settings)
    subprocess.run(["sh", "-c", write], check=True)
    assert settings.read_text() == "[Service]\nDelegate=cpu io memory pids\n"
    assert others[1:3] == ["loginctl enable-linger ann", "systemctl start user@1234.service"]
