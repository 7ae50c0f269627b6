from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_lxcontainer.errors import CorruptImageError, UnsupportedImageError
from pytest_lxcontainer.image import (
    Healthcheck,
    ImageConfig,
    Manifest,
    Platform,
    check_layers,
    check_platform,
    parse_manifest,
    sha256_of,
)
from tests.fakes.images import image, layer

SECOND = 1_000_000_000


def read(**config: Any) -> ImageConfig:
    return ImageConfig.from_json(json.dumps({"config": config}).encode())


def test_everything_an_image_says_is_read() -> None:
    base, top = layer({"a": ""}), layer({"b": ""})
    built = image(
        [base, top],
        architecture="arm64",
        variant="v8",
        Env=["PATH=/bin", "EMPTY=", "A=b=c"],
        Entrypoint=["/entry"],
        Cmd=["serve", "--all"],
        User="app:app",
        WorkingDir="/srv",
        ExposedPorts={"8080/tcp": {}, "53/udp": {}, "443": {}},
        Volumes={"/data": {}, "/cache": {}},
        StopSignal="SIGQUIT",
        Shell=["/bin/bash", "-c"],
        Labels={"maintainer": "someone"},
    )
    assert ImageConfig.from_json(built.config) == ImageConfig(
        env=("PATH=/bin", "EMPTY=", "A=b=c"),
        entrypoint=("/entry",),
        cmd=("serve", "--all"),
        user="app:app",
        working_dir="/srv",
        exposed_ports=(443, 8080),
        volumes=("/cache", "/data"),
        stop_signal="SIGQUIT",
        shell=("/bin/bash", "-c"),
        labels={"maintainer": "someone"},
        diff_ids=(base.diff_id, top.diff_id),
        platform=Platform("linux", "arm64"),
    )


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b'{"config": null}',
        b'{"config": {"Env": null, "Cmd": null, "ExposedPorts": null, "Labels": null, "Volumes": null}}',
        b'{"config": {"User": null, "WorkingDir": "", "Healthcheck": null, "Shell": null, "Entrypoint": ""}}',
        b'{"os": "linux", "architecture": "", "rootfs": {"type": "layers", "diff_ids": null}}',
    ],
)
def test_absent_and_null_mean_the_default(data: bytes) -> None:
    assert ImageConfig.from_json(data) == ImageConfig()


def test_a_string_is_the_shell_form() -> None:
    found = read(Entrypoint="exec top -b", Cmd="echo $HOME")
    assert found.entrypoint == ("/bin/sh", "-c", "exec top -b")
    assert found.cmd == ("/bin/sh", "-c", "echo $HOME")


@pytest.mark.parametrize(
    ("exposed", "ports"),
    [
        (["80/tcp", "80"], (80,)),
        (["8000-8003/tcp"], (8000, 8001, 8002, 8003)),
        (["9/TCP", "7/sctp", "0/tcp", "65536", "x/tcp", ""], (9,)),
        (["65535-99999"], (65535,)),
        (["3-5/tcp", "1-3", "4", "7-6", "9-9"], (1, 2, 3, 4, 5, 9)),
    ],
)
def test_exposed_ports_are_tcps_ascending(exposed: list[str], ports: tuple[int, ...]) -> None:
    assert read(ExposedPorts={text: {} for text in exposed}).exposed_ports == ports


def test_thousands_of_wide_port_ranges_cost_no_more_than_one() -> None:
    exposed = {f"{first}-65535/tcp": {} for first in range(1, 60_000)}
    assert read(ExposedPorts=exposed).exposed_ports == tuple(range(1, 65536))


def test_what_a_terminal_would_obey_is_not_printed() -> None:
    config = ImageConfig.from_json(b'{"architecture": "\\u001b[2Jarm\\ud800", "os": "linux"}')
    with pytest.raises(UnsupportedImageError, match=r"for linux/\?\[2jarm\?, not for"):
        check_platform(config, Platform.parse("linux/amd64"))


def test_a_label_of_null_is_empty() -> None:
    assert read(Labels={"a": None}).labels == {"a": ""}


def test_a_healthchecks_times_become_seconds() -> None:
    found = read(
        Healthcheck={
            "Test": ["CMD-SHELL", "pg_isready"],
            "Interval": 3 * SECOND // 2,
            "Timeout": 2 * SECOND,
            "StartPeriod": 10 * SECOND,
            "StartInterval": SECOND,
            "Retries": 5,
        }
    ).healthcheck
    assert found == Healthcheck(("CMD-SHELL", "pg_isready"), 1.5, 2.0, 10.0, 1.0, 5)


@pytest.mark.parametrize(("test", "enabled"), [([], False), (None, False), (["NONE"], False), (["CMD", "/up"], True)])
def test_a_healthcheck_keeps_its_form_and_dockers_defaults(test: list[str] | None, enabled: bool) -> None:
    found = read(Healthcheck={"Test": test, "Interval": 0}).healthcheck
    assert found == Healthcheck(tuple(test or ()), 30.0, 30.0, 0.0, 5.0, 3)
    assert found.is_enabled is enabled


def test_a_relative_working_dir_is_taken_from_the_root() -> None:
    assert read(WorkingDir="app").working_dir == "/app"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b'{"config": []}',
        b'{"config": {"Env": "A=b"}}',
        b'{"config": {"Cmd": [1]}}',
        b'{"config": {"Entrypoint": {}}}',
        b'{"config": {"User": 1}}',
        b'{"config": {"Healthcheck": {"Interval": "1s"}}}',
        b'{"rootfs": {"diff_ids": ["sha256:1"]}}',
        b'{"architecture": 64}',
        b'{"config": {"Healthcheck": {"Interval": 1%s}}}' % (b"0" * 400),
        b'{"config": {"Healthcheck": {"Retries": 1%s}}}' % (b"0" * 19),
        b'{"config": {"Labels": {"a": []}}}',
        b'{"config": {"Volumes": [' + b"[" * 100_000,
    ],
)
def test_a_config_of_the_wrong_shape_is_refused(data: bytes) -> None:
    with pytest.raises(CorruptImageError):
        ImageConfig.from_json(data)


def test_an_image_for_another_platform_is_refused_with_both_names() -> None:
    arm = ImageConfig(platform=Platform.parse("linux/arm/v6"))
    with pytest.raises(UnsupportedImageError, match="for linux/arm/v6, not for linux/amd64"):
        check_platform(arm, Platform.parse("linux/amd64"))
    check_platform(arm, Platform.parse("linux/arm/v7"))
    check_platform(ImageConfig(), Platform.parse("linux/amd64"))


def test_config_and_manifest_must_agree_on_the_number_of_layers() -> None:
    built = image([layer({"a": ""})])
    manifest = parse_manifest(built.manifest)
    assert isinstance(manifest, Manifest)
    check_layers(ImageConfig.from_json(built.config), manifest)
    with pytest.raises(CorruptImageError, match="2 layers, the manifest 1"):
        check_layers(ImageConfig(diff_ids=(sha256_of(b"1"), sha256_of(b"2"))), manifest)
