from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from pytest_lxcontainer.registry.credentials import Credentials, find_credentials

HUB = "https://index.docker.io/v1/"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def write(path: Path, **document: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put ``docker-credential-test`` on the path; its input is in ``$server``."""
    path = tmp_path / "bin" / "docker-credential-test"
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\nserver=$(cat)\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("key", "registry"),
    [
        (HUB, "docker.io"),
        ("docker.io", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("ghcr.io", "ghcr.io"),
        ("https://ghcr.io", "ghcr.io"),
        ("https://ghcr.io/v2/", "ghcr.io"),
        ("http://ghcr.io/some/path", "ghcr.io"),
        ("ghcr.io/", "ghcr.io"),
        ("localhost:5000", "localhost:5000"),
    ],
)
def test_a_login_is_found_under_every_name_of_its_registry(home: Path, key: str, registry: str) -> None:
    write(home / ".docker/config.json", auths={key: {"auth": encoded("someone:se:cret")}})
    assert find_credentials(registry) == Credentials("someone", "se:cret")
    assert find_credentials("other.example") is None


@pytest.mark.parametrize(
    ("entry", "credentials"),
    [
        ({"auth": encoded("someone:secret")}, Credentials("someone", "secret")),
        ({"auth": encoded("someone:secret\0\0")}, Credentials("someone", "secret")),
        ({"username": "someone", "password": "secret"}, Credentials("someone", "secret")),
        ({"identitytoken": "t", "auth": encoded("someone:")}, Credentials("", identity_token="t")),
        ({"registrytoken": "t"}, Credentials("", registry_token="t")),
        ({"identitytoken": "t", "registrytoken": "r"}, Credentials("", identity_token="t")),
        ({"auth": encoded("someone:")}, Credentials("someone")),
        ({"auth": encoded(":secret")}, None),
        ({"auth": encoded("someone")}, Credentials("someone")),
        ({"auth": 7, "username": ["someone"], "password": {}}, None),
        ({"username": "\ud800", "password": "secret"}, None),
        ({"auth": "%%%"}, None),
        ({}, None),
        ("text", None),
    ],
)
def test_entries_are_read_in_all_their_forms(home: Path, entry: Any, credentials: Credentials | None) -> None:
    write(home / ".docker/config.json", auths={"ghcr.io": entry})
    assert find_credentials("ghcr.io") == credentials


@pytest.mark.parametrize(
    ("repository", "username"),
    [
        ("a/b/c", "a/b"),
        ("a/b", "a/b"),
        ("a/bc", "a"),
        ("a", "a"),
        ("b", "all"),
        ("", "all"),
    ],
)
def test_the_login_for_most_of_a_name_is_found(home: Path, repository: str, username: str) -> None:
    """containers-auth.json(5)."""
    names = {"ghcr.io": "all", "ghcr.io/a": "a", "ghcr.io/a/b": "a/b", "ghcr.io.evil/a/b/c": "evil"}
    write(
        home / ".docker/config.json",
        auths={key: {"username": name, "password": "x"} for key, name in names.items()},
    )
    found = find_credentials("ghcr.io", repository)
    assert found and found.username == username


def test_a_home_that_is_not_there_holds_no_credentials(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(home / "nothing" / "here"))
    assert find_credentials("ghcr.io") is None


def test_files_are_asked_in_order(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def entry(name: str) -> dict[str, Any]:
        return {"ghcr.io": {"username": name, "password": "x"}}

    def found() -> str:
        credentials = find_credentials("ghcr.io")
        return credentials.username if credentials else ""

    write(home / ".docker/config.json", auths=entry("home"))
    assert found() == "home"
    write(tmp_path / "docker/config.json", auths=entry("DOCKER_CONFIG"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    assert found() == "DOCKER_CONFIG"
    write(home / ".config/containers/auth.json", auths=entry("podman, for ever"))
    assert found() == "podman, for ever"
    write(tmp_path / "run/containers/auth.json", auths=entry("podman"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    assert found() == "podman"
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(write(tmp_path / "auth.json", auths=entry("file"))))
    assert found() == "file"
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", json.dumps({"auths": entry("environment")}))
    assert found() == "environment"


def test_a_helper_is_asked_for_its_registry(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper(tmp_path, monkeypatch, 'echo "{\\"Username\\":\\"$server\\",\\"Secret\\":\\"s\\"}"')
    write(home / ".docker/config.json", credHelpers={"ghcr.io": "test"})
    assert find_credentials("ghcr.io") == Credentials("ghcr.io", "s")
    assert find_credentials("docker.io") is None


def test_a_store_is_asked_for_hub_by_its_old_name(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper(tmp_path, monkeypatch, 'echo "{\\"Username\\":\\"$server\\",\\"Secret\\":\\"s\\"}"')
    write(home / ".docker/config.json", credsStore="test")
    assert find_credentials("docker.io") == Credentials(HUB, "s")
    assert find_credentials("ghcr.io") == Credentials("ghcr.io", "s")


def test_a_helpers_token_is_an_identity_token(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper(tmp_path, monkeypatch, """echo '{"Username":"<token>","Secret":"t"}'""")
    write(home / ".docker/config.json", credsStore="test")
    assert find_credentials("ghcr.io") == Credentials("", identity_token="t")


@pytest.mark.parametrize(
    "script", ["echo credentials not found; exit 1", "echo nonsense", "echo '[]'", "echo '{}'", "exit 0"]
)
def test_a_helper_without_an_answer_leaves_the_file(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    helper(tmp_path, monkeypatch, script)
    entry = {"username": "someone", "password": "secret"}
    write(home / ".docker/config.json", credsStore="test", auths={"ghcr.io": entry})
    assert find_credentials("ghcr.io") == Credentials("someone", "secret")


@pytest.mark.parametrize("name", ["missing", "../evil", "a b", "", 1])
def test_a_helper_that_cannot_be_run_is_passed_over(home: Path, name: Any) -> None:
    write(home / ".docker/config.json", credsStore=name)
    assert find_credentials("ghcr.io") is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"auths": []}'])
def test_a_file_that_cannot_be_read_is_passed_over(home: Path, text: str) -> None:
    (home / ".docker").mkdir()
    (home / ".docker/config.json").write_text(text)
    assert find_credentials("ghcr.io") is None


def test_secrets_do_not_show_in_a_repr() -> None:
    credentials = Credentials("someone", "hidden", "hidden", "hidden")
    for shown in (credentials, credentials.basic, credentials.bearer):
        assert "hidden" not in repr(shown)
    assert str(credentials.basic).removeprefix("Basic ") not in repr(credentials.basic)
    assert str(credentials.bearer) == "Bearer hidden"
