from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_lxcontainer.cli import main
from pytest_lxcontainer.cli.doctor.command import line
from pytest_lxcontainer.cli.doctor.finding import Finding, lack, note, ok, ready
from pytest_lxcontainer.cli.images import listed
from pytest_lxcontainer.cli.table import age, table
from pytest_lxcontainer.image import Digest, Platform, Reference
from pytest_lxcontainer.store.images import ImageStore
from pytest_lxcontainer.store.layout import Layout


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LXCONTAINER_STORE", str(tmp_path / "store"))
    return tmp_path / "store"


def test_an_error_of_ours_is_told_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pull", "redis:7", "No Reference"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("lxcontainer: 'No Reference' is no image reference\n")
    assert "hint: " in printed.err and "Traceback" not in printed.err


@pytest.mark.parametrize(
    "arguments", [[], ["nonsense"], ["pull"], ["doctor", "--user", "ann"], ["doctor", "--pid", "1"]]
)
def test_a_command_line_that_cannot_be_read_is_exit_code_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    from importlib.metadata import version

    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"lxcontainer {version('pytest-lxcontainer')}\n"


def test_a_store_that_does_not_exist_has_no_images(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["images", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert not store.exists()


def test_an_image_whose_manifest_is_gone_is_still_listed(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layout = Layout(store)
    layout.create()
    digest = Digest("sha256", "ab" * 32)
    ImageStore(layout).record(Reference.parse("redis:7"), Platform("linux", "amd64"), digest)
    assert main(["images"]) == 0
    headings, row = capsys.readouterr().out.splitlines()
    assert headings.split()[:2] == ["REPOSITORY", "TAG"]
    assert row.split()[:4] == ["redis", "7", "<missing>", "linux/amd64"]


def test_images_are_listed_with_readable_sizes_and_ages() -> None:
    record = {
        "repository": "redis",
        "tag": None,
        "image_id": "sha256:0123456789abcdef",
        "platform": "linux/amd64",
        "size": 1536 * 1024,
        "pulled_at": 1000.0,
    }
    row = table(*listed([record], now=1000.0 + 7200)).splitlines()[1]
    assert row.split() == ["redis", "<none>", "0123456789ab", "linux/amd64", "2", "hours", "ago", "1.5", "MiB"]


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert table(("A", "LONG"), [("wide", "b")]) == "A      LONG\nwide   b"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "1 second"), (59, "59 seconds"), (100, "100 seconds"), (7199, "119 minutes"), (1e6, "11 days")],
)
def test_an_age_is_in_the_largest_unit_of_which_there_are_two(seconds: float, text: str) -> None:
    assert age(seconds) == text


def test_a_finding_is_one_line_and_its_command_another() -> None:
    assert line(ok("kernel", "6.1")) == f"ok    {'kernel':<27} 6.1"
    assert line(lack("iproute2", "no program ip", "apt-get install iproute2")).splitlines()[1] == (
        "      run: apt-get install iproute2"
    )


def test_colours_are_only_for_terminals() -> None:
    assert "\033[" not in line(lack("kernel", "5.4"))
    assert line(lack("kernel", "5.4"), coloured=True).startswith("\033[31mlack\033[0m")


@pytest.mark.parametrize(
    ("findings", "expected"), [([], True), ([ok("a", ""), note("b", "")], True), ([ok("a", ""), lack("b", "")], False)]
)
def test_only_a_lack_keeps_containers_from_running(findings: list[Finding], expected: bool) -> None:
    assert ready(findings) is expected
