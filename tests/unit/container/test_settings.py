from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_lxcontainer import ContainerSettings, Limits, MiB, Mount, wait
from pytest_lxcontainer.errors import InvalidSettingsError


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        ({"command": "a b"}, "command", "a b"),
        ({"command": ["a", 1, Path("/x")]}, "command", ("a", "1", "/x")),
        ({"entrypoint": "a 'b c'"}, "entrypoint", ("a", "b c")),
        ({"entrypoint": []}, "entrypoint", ()),
        ({"env": {"N": 1}}, "env", {"N": "1"}),
        ({"user": 1000}, "user", "1000"),
        ({"aliases": "one"}, "aliases", ("one",)),
        ({"cap_add": ["SYS_TIME"]}, "cap_add", ("SYS_TIME",)),
        ({"cap_add": "CAP_NET_ADMIN"}, "cap_add", ("CAP_NET_ADMIN",)),
        ({"init": False}, "init", False),
        ({"tmpfs": "/run"}, "tmpfs", {"/run": ""}),
        ({"tmpfs": ["/run", "/tmp"]}, "tmpfs", {"/run": "", "/tmp": ""}),
        ({"tmpfs": {"/run": "size=1m"}}, "tmpfs", {"/run": "size=1m"}),
        ({"ports": 80}, "ports", (80,)),
        ({"ports": [80, 443]}, "ports", (80, 443)),
        ({"limits": {"memory": "1MiB"}}, "limits", Limits(memory=MiB)),
        ({"timeout": "5"}, "timeout", 5.0),
        ({"ready": wait.port(1)}, "ready", (wait.port(1),)),
        ({"ready": [wait.port(1), print]}, "ready", (wait.port(1), print)),
        ({"ready": []}, "ready", ()),
        ({"labels": {"a": 1}}, "labels", {"a": "1"}),
        ({"network": None, "env": None}, "network", ("default",)),
    ],
)
def test_settings_are_read_as_people_write_them(settings: dict[str, Any], name: str, value: Any) -> None:
    assert getattr(ContainerSettings.of(**settings), name) == value


@pytest.mark.parametrize(
    "settings",
    [
        {"command": ["a\0b"]},
        {"env": ["A=b"]},
        {"env": {"A=B": "c"}},
        {"env": {"": "c"}},
        {"env": {"A": "b\0"}},
        {"tmpfs": "run"},
        {"network": "host"},
        {"ports": 0},
        {"ports": [65536]},
        {"ports": ["80"]},
        {"limits": {"memroy": 1}},
        {"limits": {"memory": "x"}},
        {"ready": "port 80"},
        {"timeout": 0},
        {"timeout": "soon"},
        {"mounts": "/etc"},
        {"mounts": "/etc:/x:rw:no"},
        {"mounts": "/etc:/x:maybe"},
        {"mounts": "/etc:relative"},
        {"mounts": "/no/such/path:/x"},
        {"labels": "x"},
        {"cap_add": ["SYS_TIM"]},
    ],
)
def test_what_cannot_be_used_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidSettingsError):
        ContainerSettings.of(**settings)


def test_a_misspelt_setting_is_answered_with_the_right_one() -> None:
    with pytest.raises(InvalidSettingsError, match="'enviroment'") as caught:
        ContainerSettings.of(enviroment={})
    assert "env" in caught.value.hint


@pytest.mark.parametrize(
    ("written", "target", "read_only"),
    [("{0}:/in", "/in", False), ("{0}:/in:rw", "/in", False), ("{0}:/in:ro", "/in", True)],
)
def test_a_mount_is_written_as_docker_has_it(tmp_path: Path, written: str, target: str, read_only: bool) -> None:
    text = written.format(tmp_path)
    expected = (Mount(tmp_path, target, read_only),)
    assert ContainerSettings.of(mounts=text).mounts == expected
    assert ContainerSettings.of(mounts=[tuple(text.split(":"))]).mounts == expected
    assert ContainerSettings.of(mounts=expected).mounts == expected


def test_a_relative_mount_source_is_seen_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    assert ContainerSettings.of(mounts="data:/in").mounts[0].source == tmp_path / "data"
