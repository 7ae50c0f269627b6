"""Changes of an image's config in a Dockerfile's words."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_lxcontainer.errors import InvalidSettingsError
from pytest_lxcontainer.image.change import changed, with_variables
from pytest_lxcontainer.image.config import ImageConfig
from pytest_lxcontainer.image.written import config_document, written


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ('CMD ["a", "b c"]', {"Cmd": ["a", "b c"]}),
        ("CMD a b", {"Cmd": ["/bin/sh", "-c", "a b"]}),
        ("cmd [a]", {"Cmd": ["/bin/sh", "-c", "[a]"]}),
        ('ENTRYPOINT ["a"]', {"Entrypoint": ["a"]}),
        ("ENV A=1 B='2 3'", {"Env": ["A=1", "B=2 3"]}),
        ("ENV A 2 3", {"Env": ["A=2 3"]}),
        ("LABEL a=b c=", {"Labels": {"a": "b", "c": ""}}),
        ("EXPOSE 80 53/UDP 8000-8010", {"ExposedPorts": {"80/tcp": {}, "53/udp": {}, "8000-8010/tcp": {}}}),
        ("VOLUME /a /b", {"Volumes": {"/a": {}, "/b": {}}}),
        ('VOLUME ["/a b"]', {"Volumes": {"/a b": {}}}),
        ("USER app:staff", {"User": "app:staff"}),
        ("WORKDIR srv/../app", {"WorkingDir": "/app"}),
        ("STOPSIGNAL SIGINT", {"StopSignal": "SIGINT"}),
    ],
)
def test_a_change_says_what_a_dockerfile_says(change: str, expected: dict[str, Any]) -> None:
    assert changed({}, [change]) == expected


def test_changes_add_to_what_is_there_in_their_order() -> None:
    before = {"Env": ["A=1", "B=1"], "Labels": None, "WorkingDir": "/srv", "ExposedPorts": {"1/tcp": {}}}
    after = changed(before, ["ENV A=2", "ENV C=$A", "WORKDIR a", "WORKDIR b", "LABEL x=y", "EXPOSE 2"])
    assert after == {
        "Env": ["A=2", "B=1", "C=$A"],
        "Labels": {"x": "y"},
        "WorkingDir": "/srv/a/b",
        "ExposedPorts": {"1/tcp": {}, "2/tcp": {}},
    }
    assert before["Env"] == ["A=1", "B=1"]


def test_another_entrypoint_drops_the_command_that_was_there() -> None:
    assert "Cmd" not in changed({"Cmd": ["old"]}, ['ENTRYPOINT ["new"]'])
    assert changed({"Cmd": ["old"]}, ['CMD ["new"]', 'ENTRYPOINT ["e"]'])["Cmd"] == ["new"]


def test_the_images_shell_runs_a_command_that_is_text() -> None:
    assert changed({"Shell": ["/bin/bash", "-ec"]}, ["CMD x"])["Cmd"] == ["/bin/bash", "-ec", "x"]


@pytest.mark.parametrize("change", ["", "CMD", "RUN true", "EXPOSE http", "ENV =1", "ENV A", "LABEL 'a", "VOLUME '"])
def test_what_is_no_change_is_refused(change: str) -> None:
    with pytest.raises(InvalidSettingsError):
        changed({}, [change])


def test_a_variable_keeps_its_place() -> None:
    assert with_variables(["A=1", "B=2"], {"A": "3", "C": "4"}) == ["A=3", "B=2", "C=4"]


def test_a_lost_config_is_written_anew_as_it_was_read() -> None:
    text = b"""{"architecture": "arm64", "os": "linux", "variant": "v8", "config": {"User": "app", "Env": ["A=1"],
      "Entrypoint": ["e"], "Cmd": ["c"], "WorkingDir": "/srv", "ExposedPorts": {"80/tcp": {}}, "Volumes": {"/v": {}},
      "Labels": {"a": "b"}, "StopSignal": "SIGINT", "Shell": ["/bin/bash", "-c"],
      "Healthcheck": {"Test": ["CMD", "true"], "Interval": 1000000000, "Retries": 5}}}"""
    config = ImageConfig.from_json(text)
    assert ImageConfig.from_json(written(config_document(config))) == config
    assert ImageConfig.from_json(written(config_document(ImageConfig()))) == ImageConfig()
