"""``lxcontainer commit`` and ``export``: what they print, what they make, and what they say of bad input."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from .command import FOREVER, Command


@pytest.fixture
def db(lxcontainer: Command) -> str:
    """A container that runs, with something written; its id."""
    made = lxcontainer("run", "-d", "--name", "db", "-e", "GREETING=hello", "busybox", *FOREVER).strip()
    lxcontainer("exec", "db", "sh", "-c", "echo kept > /note")
    return made


def test_commit_prints_the_images_id(lxcontainer: Command, db: str) -> None:
    made = lxcontainer("commit", "-m", "for later", "-c", 'CMD ["cat", "/note"]', "db", "localhost/mine:1").strip()
    (record,) = (each for each in json.loads(lxcontainer("images", "--json")) if each["tag"] == "1")
    assert (record["image_id"], record["repository"]) == (made, "localhost/mine")
    lxcontainer("run", "-d", "--name", "once", "localhost/mine:1")
    lxcontainer.wait_until("once", "STOPPED")
    assert lxcontainer("logs", "once") == "kept\n"
    lxcontainer("run", "-d", "--name", "again", "localhost/mine:1", *FOREVER)
    assert lxcontainer("exec", "again", "sh", "-c", "echo $GREETING") == "hello\n"
    lxcontainer("rm", "-f", "once", "again")
    assert "untagged" in lxcontainer("rmi", "localhost/mine:1").lower()
    assert "localhost/mine" not in lxcontainer("images")


def test_commit_says_what_is_wrong(lxcontainer: Command, db: str) -> None:
    assert "no such container: other" in lxcontainer.fails("commit", "other", "localhost/mine")
    assert "is no image reference" in lxcontainer.fails("commit", "db", "UPPER")
    said = lxcontainer.fails("commit", "-c", "RUN true", "db", "localhost/mine")
    assert "'RUN true' is no change of an image" in said and "hint: one of: CMD" in said


@pytest.mark.parametrize(
    "form", ["oci:{}/layout:one", "oci-archive:{}/layout.tar:one", "docker-archive:{}/app.tar:app:1"]
)
def test_export_prints_what_names_it_now(lxcontainer: Command, db: str, where: Path, form: str) -> None:
    named = form.format(where)
    assert lxcontainer("export", "db", named) == f"{named}\n"
    lxcontainer("run", "-d", "--name", "again", named, *FOREVER)
    assert lxcontainer("exec", "again", "cat", "/note") == "kept\n"
    assert lxcontainer("export", db[:6], named) == f"{named}\n"


def test_export_takes_an_image(lxcontainer: Command, where: Path) -> None:
    assert lxcontainer("export", "busybox", f"oci:{where}/layout") == f"oci:{where}/layout:latest\n"
    named = lxcontainer("export", "busybox", f"docker-archive:{where}/app.tar").strip()
    assert named == f"docker-archive:{where}/app.tar:busybox:latest"


def test_export_says_what_is_wrong(lxcontainer: Command, db: str, where: Path) -> None:
    assert "hint: write oci:DIR" in lxcontainer.fails("export", "db", "somewhere.tar")
    assert "no image can be written as dir:" in lxcontainer.fails("export", "db", f"dir:{where}")
    assert "there is no directory" in lxcontainer.fails("export", "db", f"oci-archive:{where}/no/app.tar")
    assert "no saved test and no container" in lxcontainer.fails("export", "0123abcd", f"oci:{where}/layout")
    (where / "mine").mkdir()
    (where / "mine" / "file").touch()
    assert "is no OCI layout, and not empty" in lxcontainer.fails("export", "db", f"oci:{where}/mine")
    assert os.listdir(where) == ["mine"]
