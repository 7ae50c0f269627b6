"""The doctor on this host, on a host made worse, and what pytest says there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_lxcontainer.network.bridge import USER_BRIDGE

DOCTOR = (sys.executable, "-m", "pytest_lxcontainer.cli", "doctor")

# Where nobody has subordinate ids, become nobody: on the host that is still whoever runs the tests, who can reach the
# interpreter.
WITHOUT_IDS = (
    "mount --bind /dev/null /etc/subuid && mount --bind /dev/null /etc/subgid"
    ' && exec unshare --user --map-user=65534 --map-group=65534 "$@"'
)

# The host's files, network and cgroups stay as they are.
ON_A_COPY_OF_THE_HOST = (
    'mount -t tmpfs none "$1" && mkdir "$1/upper" "$1/work"'
    ' && mount -t overlay overlay -o "lowerdir=/etc,upperdir=$1/upper,workdir=$1/work" /etc'
    " && { [ ! -d /run/systemd ] || mount -t tmpfs none /run/systemd; }"
    " && mount -t sysfs none /sys && mount -t tmpfs none /sys/fs/cgroup && useradd --no-create-home lxt-ann"
    " && for ids in /etc/subuid /etc/subgid; do echo other:100000:65536 > $ids; done && rm -f /etc/lxc/lxc-usernet"
)


def ran(*command: object, **settings: object) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, check=False, **settings)  # type: ignore[call-overload, no-any-return]  # any of run's


def without_ids(*command: str, **settings: object) -> subprocess.CompletedProcess[str]:
    return ran("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", WITHOUT_IDS, "sh", *command, **settings)


def test_the_doctor_finds_this_host_ready(store: Path) -> None:
    done = ran(*DOCTOR, env={**os.environ, "LXCONTAINER_STORE": str(store)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lack" not in done.stdout and "overlay in a user namespace" in done.stdout


def test_looking_leaves_nothing_in_the_store(own_store: Path) -> None:
    before = sorted(own_store.rglob("*"))
    findings = json.loads(ran(*DOCTOR, "--json", env={**os.environ, "LXCONTAINER_STORE": str(own_store)}).stdout)
    assert {"name", "verdict", "found", "command"} == set(findings[0])
    assert sorted(own_store.rglob("*")) == before


def test_without_subordinate_ids_the_doctor_names_the_command_for_them(store: Path) -> None:
    done = without_ids(*DOCTOR, env={**os.environ, "LXCONTAINER_STORE": str(store)})
    assert done.returncode == 1
    assert "run: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 nobody" in done.stdout


def test_who_cannot_mend_is_told_what_root_must_run(store: Path) -> None:
    done = without_ids(*DOCTOR, "--fix", env={**os.environ, "LXCONTAINER_STORE": str(store)})
    assert done.returncode == 1
    assert done.stdout.startswith("Mending takes root. As root, run:\n") and "  usermod --add-subuids" in done.stdout


def test_a_test_run_on_a_host_that_lacks_something_stops_with_one_usage_error(tmp_path: Path) -> None:
    (tmp_path / "test_three.py").write_text("\n".join(f"def test_{name}(container): pass" for name in "abc"))
    command = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path))
    done = without_ids(*command, env={**os.environ, "LXCONTAINER_STORE": str(tmp_path / "store")})
    said = done.stdout + done.stderr
    assert done.returncode == pytest.ExitCode.USAGE_ERROR, said
    assert said.count("usermod --add-subuids") == 1 and "lxcontainer doctor" in said and "Traceback" not in said


@pytest.mark.needs_root
def test_a_firewall_in_the_way_to_the_world_can_be_told_to_let_it_pass(store: Path) -> None:
    chain = "{ type filter hook forward priority filter; policy drop; }"
    world = "ip link add lxt0 type bridge && ip address add 198.51.100.2/30 dev lxt0 && ip link set lxt0 up"
    world += " && ip route add default via 198.51.100.1 && echo 1 > /proc/sys/net/ipv4/ip_forward"
    script = f'{world} && nft "add table ip filter; add chain ip filter FORWARD {chain}" && "$@"'
    script += " && nft 'add chain ip filter FORWARD { policy accept; }' && \"$@\""
    environment = {**os.environ, "LXCONTAINER_STORE": str(store)}
    done = ran("unshare", "--net", "sh", "-ec", script, "sh", *DOCTOR, env=environment)
    told, mended = (line for line in done.stdout.splitlines() if "way to the world" in line)
    assert told.startswith("note") and "(ip filter FORWARD)" in told
    assert "run: nft 'add chain ip filter FORWARD { policy accept; }'" in done.stdout
    assert mended.startswith("ok")


def test_what_faults_the_host_can_do_is_told_and_never_a_lack(store: Path) -> None:
    done = ran(*DOCTOR, "--json", env={**os.environ, "LXCONTAINER_STORE": str(store)})
    findings = {each["name"]: each["verdict"] for each in json.loads(done.stdout)}
    names = {"network faults", "faults in the kernel", "faults in a process"}
    assert {findings[name] for name in names} <= {"ok", "note"}


@pytest.mark.needs_root
def test_mending_for_a_user_can_be_done_again_and_keeps_what_is_there(tmp_path: Path) -> None:
    fix = " ".join(("PATH=$PATH:/usr/sbin", *DOCTOR, "--fix --user lxt-ann"))
    bridge = ("link delete {0}", "link add {0} type bridge", "address add 10.70.0.1/22 dev {0}")
    older = " && ".join(f"ip {words.format(USER_BRIDGE)}" for words in bridge)
    shown = f"cat /etc/subuid /etc/subgid /etc/lxc/lxc-usernet /sys/class/net/{USER_BRIDGE}/address"
    script = f"{ON_A_COPY_OF_THE_HOST} && {fix} && echo ==== && {older} && {fix} && echo ==== && {shown}"
    done = ran("unshare", "--mount", "--net", "--mount-proc", "--pid", "--fork", "sh", "-ec", script, "sh", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    first, again, files = done.stdout.split("====")
    assert "+ usermod --add-subuids 165536-231071" in first and f"{USER_BRIDGE}, 10." in first
    assert again.count("already there") == 2 and "usermod" not in again
    assert "02:1c:0a:46:00:01" in files
    assert files.count("lxt-ann:165536:65536") == 2 and files.count(f"lxt-ann veth {USER_BRIDGE} 256") == 1
