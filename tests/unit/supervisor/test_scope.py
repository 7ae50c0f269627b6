from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from pytest_lxcontainer.container.cgroups import Hierarchies
from pytest_lxcontainer.container.limits import Limits
from pytest_lxcontainer.errors import NotDelegatedError
from pytest_lxcontainer.rootfs.idmap import IdMap
from pytest_lxcontainer.supervisor.host import Host
from pytest_lxcontainer.supervisor.refusals import check_limits
from pytest_lxcontainer.supervisor.scope import in_a_scope, manager_answers, manager_controllers, manager_directory

HYBRID = Hierarchies((("memory", Path("/c/memory")),), Path("/c/unified"))
UID = 4242


@pytest.fixture
def unified(tmp_path: Path) -> Hierarchies:
    """A hierarchy in which the user's systemd has what systemd gives it by default."""
    service = tmp_path / f"user.slice/user-{UID}.slice/user@{UID}.service"
    service.mkdir(parents=True)
    (service / "cgroup.controllers").write_text("cpuset cpu memory pids\n")
    return Hierarchies((), tmp_path)


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The directory where a systemd listens."""
    (tmp_path / "run" / "systemd").mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "run" / "systemd" / "private"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    return tmp_path / "run"


def test_there_is_no_scope_for_root_or_beside_v1(unified: Hierarchies, manager: Path) -> None:
    assert not manager_answers(0, unified) and not manager_answers(os.getuid() or UID, HYBRID)
    assert in_a_scope("r", 0, unified, {}) == in_a_scope("r", UID, HYBRID, {}) == ()


def test_there_is_no_scope_where_no_systemd_listens(
    unified: Hierarchies, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "nowhere"))
    assert not manager_answers(UID, unified)


def test_another_users_directory_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert manager_directory(os.getuid()) == tmp_path
    assert manager_directory(UID) == Path(f"/run/user/{UID}")


def test_of_what_systemd_has_what_limits_need_counts(unified: Hierarchies) -> None:
    assert manager_controllers(UID, unified) == {"cpu", "memory", "pids"}
    assert manager_controllers(UID + 1, unified) == set()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A user's, without the controller io."""
    scope = tmp_path / "scope"
    scope.mkdir()
    (scope / "cgroup.type").write_text("domain\n")
    (scope / "cgroup.subtree_control").write_text("cpu memory pids\n")
    return Host(UID, "ann", (), IdMap.identity(), Hierarchies((), tmp_path), {"": scope}, ("8:0",), False)


def test_a_limit_without_its_controller_is_refused_by_name(host: Host) -> None:
    limits = Limits(memory="64MiB", cpus=1, io_read="1MiB")
    with pytest.raises(NotDelegatedError, match=r"limits \(io_read\): the cgroup controller io") as caught:
        check_limits("box", limits, limits.explicit, host)
    assert caught.value.hint.endswith("lxcontainer doctor --fix --user ann")


def test_lifting_a_limit_needs_no_controller(host: Host) -> None:
    check_limits("box", Limits(), {"io_read": None, "memory": None}, host)
