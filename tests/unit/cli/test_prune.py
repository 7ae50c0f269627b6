from __future__ import annotations

import pytest

from pytest_lxcontainer.cli import main
from pytest_lxcontainer.cli.prune import record, told
from pytest_lxcontainer.cli.words import seconds
from pytest_lxcontainer.errors import InvalidSettingsError
from pytest_lxcontainer.image import Platform, Reference, sha256_of
from pytest_lxcontainer.store.images import ImageRecord
from pytest_lxcontainer.store.prune import Pruned

ONE = sha256_of(b"1")
PRUNED = Pruned(
    images=(ImageRecord(Reference.parse("redis:7"), Platform.parse("linux/amd64"), ONE, 0.0),),
    blobs=(ONE,),
    layers=("abcdefghijkl",),
    size=3 << 20,
)


@pytest.mark.parametrize(
    ("text", "value"), [("0s", 0), ("90s", 90), ("1h30m", 5400), ("7d", 604800), ("2w", 1209600), ("1.5h", 5400)]
)
def test_durations(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "7", "d", "7 d", "7x", "-1d", "1h30", "1..5h", "٣d"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(InvalidSettingsError, match="is no duration"):
        seconds(text)


@pytest.mark.parametrize(("option", "text", "what"), [("--older-than", "7", "duration"), ("--max-size", "5X", "size")])
def test_a_bad_value_is_explained(option: str, text: str, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["prune", option, text])
    assert ended.value.code == 2
    assert f"argument {option}: '{text}' is no {what}; write " in capsys.readouterr().err


def test_what_went_is_told_as_docker_tells_it() -> None:
    assert told(PRUNED, dry_run=False) == (
        f"Deleted:\nuntagged: redis:7\ndeleted: {ONE}\ndeleted: layer abcdefghijkl\n\nTotal reclaimed space: 3.0 MiB"
    )
    assert told(Pruned(), dry_run=False) == "Total reclaimed space: 0 B"
    assert told(PRUNED, dry_run=True).startswith("Would delete:\n")


def test_json_has_sizes_in_bytes() -> None:
    assert record(PRUNED) == {
        "images": [{"reference": "docker.io/library/redis:7", "platform": "linux/amd64"}],
        "blobs": [str(ONE)],
        "layers": ["abcdefghijkl"],
        "unfinished": [],
        "templates": [],
        "saved": [],
        "size": 3 << 20,
    }
