from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_lxcontainer.errors import InvalidReferenceError
from pytest_lxcontainer.image import ArchiveReference, Reference, parse_name


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "transport", "path", "tag"),
    [
        ("oci:build/app", "oci", "HERE/build/app", None),
        ("oci:build/app:1", "oci", "HERE/build/app", "1"),
        ("oci:/srv/app:docker.io/library/app:1", "oci", "/srv/app", "docker.io/library/app:1"),
        ("oci-archive:app.tar", "oci-archive", "HERE/app.tar", None),
        ("oci-archive:./app.tar:v1", "oci-archive", "HERE/app.tar", "v1"),
        ("docker-archive:~/app.tar", "docker-archive", "/home/somebody/app.tar", None),
        ("docker-archive:app.tar:owner/app:1", "docker-archive", "HERE/app.tar", "owner/app:1"),
        ("docker-archive:app.tar:@1", "docker-archive", "HERE/app.tar", "@1"),
        ("dir:/srv/root", "dir", "/srv/root", None),
        ("dir:a:b", "dir", "HERE/a:b", None),
        ("oci:with space", "oci", "HERE/with space", None),
    ],
)
def test_names_of_files_are_read_as_skopeo_reads_them(
    here: Path, text: str, transport: str, path: str, tag: str | None
) -> None:
    name = parse_name(text)
    assert name == ArchiveReference(transport, Path(path.replace("HERE", str(here))), tag)
    assert parse_name(str(name)) == name and name.digest is None


def test_a_parent_directory_is_left_to_the_system(here: Path) -> None:
    """What ``a/..`` is depends on what ``a`` links to."""
    assert str(parse_name("oci:a/../b")) == f"oci:{here}/a/../b"


def test_a_name_means_the_same_from_elsewhere(here: Path) -> None:
    name = parse_name("oci:app")
    os.chdir("/")
    assert parse_name(str(name)) == name


@pytest.mark.parametrize("text", ["redis:7", "docker://oci:1", "localhost/oci:1", "library/dir:1", "oci", "OCI"])
def test_other_names_are_left_to_registries(text: str) -> None:
    if text == "OCI":
        with pytest.raises(InvalidReferenceError):
            parse_name(text)
    else:
        assert parse_name(text) == Reference.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "oci:",
        "oci::tag",
        "oci:dir:",
        "dir:",
        "docker-archive:",
        "oci:a\nb",
        "oci:a\x1b[2J",
        "oci:\udcff",
        "oci:~nobody-knows-them/x",
    ],
)
def test_what_names_no_file_is_refused(text: str) -> None:
    with pytest.raises(InvalidReferenceError):
        parse_name(text)


def test_a_colon_in_the_current_directory_is_told(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be taken for the tag's when the name is read again."""
    (here / "a:b").mkdir()
    monkeypatch.chdir(here / "a:b")
    with pytest.raises(InvalidReferenceError, match="colon"):
        parse_name("oci:app")
    assert parse_name(str(parse_name("dir:app"))) == parse_name("dir:app")


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("oci:build/App:1", "app"),
        ("docker-archive:my_app-1.2.tar.gz", "my-app-1-2"),
        ("docker-archive:app.tgz", "app"),
        ("oci-archive:app.oci.tar", "app-oci"),
        ("dir:/", "dir"),
        ("dir:画", "dir"),
    ],
)
def test_the_short_name_is_fit_for_a_host(text: str, short: str) -> None:
    assert parse_name(text).repository == short


def test_a_list_of_images_shows_name_and_tag_apart(here: Path) -> None:
    archive, hub = parse_name("oci:app:1"), parse_name("redis:7")
    assert (archive.name, archive.tag) == (f"oci:{here}/app", "1")
    assert (hub.name, hub.tag) == ("redis", "7")
    assert archive.familiar == str(archive)
