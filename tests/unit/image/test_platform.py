from __future__ import annotations

import pytest

from pytest_lxcontainer.errors import InvalidSettingsError
from pytest_lxcontainer.image import Platform


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("linux/amd64", "linux/amd64"),
        ("Linux/x86_64", "linux/amd64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v3"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/8", "linux/arm64"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/6", "linux/arm/v6"),
        ("linux/i686", "linux/386"),
        ("linux/riscv64", "linux/riscv64"),
    ],
)
def test_synonyms_become_one_platform(text: str, canonical: str) -> None:
    assert str(Platform.parse(text)) == canonical


@pytest.mark.parametrize("text", ["", "linux", "linux/", "/amd64", "a/b/c/d", "linux/amd 64"])
def test_what_is_no_platform_is_refused(text: str) -> None:
    with pytest.raises(InvalidSettingsError):
        Platform.parse(text)


def test_the_hosts_platform_runs_on_the_host() -> None:
    assert Platform.host() in Platform.host().runnable()
    assert Platform.host().os == "linux"


def test_lesser_variants_run_too_best_first() -> None:
    variants = [one.variant for one in Platform.parse("linux/arm/v7").runnable()]
    assert variants[:3] == ["v7", "v6", "v5"]
    assert [one.variant for one in Platform.parse("linux/amd64/v3").runnable()] == ["v3", "v2", ""]
    assert [one.variant for one in Platform.parse("linux/arm64").runnable()] == [""]
