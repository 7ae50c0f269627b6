"""Credentials, from where ``docker login`` and ``podman login`` put them.

https://github.com/docker/cli/blob/master/cli/config/configfile/file.go and containers-auth.json(5).
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..image.reference import DOCKER_HUB
from .mirrors import canonical

_HUB_KEY = "https://index.docker.io/v1/"
_HELPER_TIMEOUT = 30.0  # seconds; a helper may ask the desktop's keyring to be unlocked
_HELPER_NAME = re.compile(r"[A-Za-z0-9_.-]+")

_log = logging.getLogger(__name__)


class Secret(str):
    """Text that does not show in a repr, and so in no traceback that shows variables."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name with its password, or a token; no secret shows in a repr.

    An *identity_token* is exchanged for others, *registry_token* is what the registry itself takes.
    """

    username: str
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)

    @property
    def basic(self) -> Secret:
        """The value of an ``Authorization`` header for HTTP Basic."""
        return Secret("Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode("ascii"))

    @property
    def bearer(self) -> Secret:
        """The value of the header that holds `registry_token`."""
        return Secret(f"Bearer {self.registry_token}")


def find_credentials(registry: str, repository: str = "") -> Credentials | None:
    """Return what this user has logged in to *registry* (as references name it) with, or ``None``.

    Podman knows logins for a part of a registry: the one whose name is the longest start of *repository* wins.
    """
    for document in _documents():
        if found := _from_helper(document, registry) or _from_auths(document, registry, repository):
            return found
    return None


def _documents() -> Iterator[dict[str, Any]]:
    if text := os.environ.get("DOCKER_AUTH_CONFIG"):
        yield _parsed(text, "DOCKER_AUTH_CONFIG")
    for path in _files():
        try:
            text = path.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError):
            _log.warning("cannot read the credentials in %s", path)
            continue
        yield _parsed(text, str(path))


def _files() -> Iterator[Path]:
    if path := os.environ.get("REGISTRY_AUTH_FILE"):
        yield Path(path)
    run = os.environ.get("XDG_RUNTIME_DIR")
    yield (Path(run, "containers") if run else Path("/run/containers", str(os.getuid()))) / "auth.json"
    # Unlike Path.home(), which may fail, it leaves the tilde where there is no home, and there no file.
    home = os.path.expanduser("~")  # noqa: PTH111
    yield Path(os.environ.get("XDG_CONFIG_HOME") or f"{home}/.config") / "containers" / "auth.json"
    yield Path(os.environ.get("DOCKER_CONFIG") or f"{home}/.docker") / "config.json"


def _parsed(text: str, source: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if isinstance(document, dict):
        return document
    _log.warning("the credentials in %s are no JSON object", source)
    return {}


def _from_auths(document: dict[str, Any], registry: str, repository: str) -> Credentials | None:
    wanted = f"{registry}/{repository}/"
    fitting = [key for key in _object(document, "auths") if wanted.startswith(f"{_place(key)}/")]
    for key in sorted(fitting, key=lambda key: len(_place(key)), reverse=True):
        entry = document["auths"][key]
        if isinstance(entry, dict) and (found := _from_entry(entry)):
            return found
    return None


def _place(key: str) -> str:
    """Return what an ``auths`` key is for: a registry, by its name or a URL, or a part of one for podman."""
    host, slash, path = re.sub(r"^https?://", "", key).strip("/").partition("/")
    is_whole = "://" in key or path in ("v1", "v2")
    return canonical(host) if is_whole or not slash else f"{canonical(host)}/{path}"


def _from_entry(entry: dict[str, Any]) -> Credentials | None:
    if token := _text(entry.get("identitytoken")):
        return Credentials("", identity_token=token)
    if token := _text(entry.get("registrytoken")):
        return Credentials("", registry_token=token)
    username, password = _text(entry.get("username")), _text(entry.get("password"))
    try:
        text = base64.b64decode(_text(entry.get("auth"))).decode()
    except (binascii.Error, ValueError):
        text = ""
    if text:
        username, _, password = text.partition(":")
    # Docker pads what it writes with NULs.
    return Credentials(username, password.rstrip("\0")) if username else None


def _text(value: object) -> str:
    """Return *value* if it is text that can be sent, else nothing."""
    try:
        return value if isinstance(value, str) and value.encode() else ""
    except UnicodeEncodeError:
        return ""


def _from_helper(document: dict[str, Any], registry: str) -> Credentials | None:
    for key, helper in _object(document, "credHelpers").items():
        if _place(key) == registry:
            return _ask(helper, key)
    if helper := document.get("credsStore"):
        return _ask(helper, _HUB_KEY if registry == DOCKER_HUB else registry)
    return None


def _ask(helper: object, server: str) -> Credentials | None:
    """Run ``docker-credential-HELPER get`` (https://github.com/docker/docker-credential-helpers)."""
    if not isinstance(helper, str) or not _HELPER_NAME.fullmatch(helper) or not _text(server):
        return None
    command = f"docker-credential-{helper}"
    try:
        done = subprocess.run(
            [command, "get"],
            input=server.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_HELPER_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        _log.warning("%s gave no credentials for %s: %s", command, server, type(error).__name__)
        return None
    return _from_answer(done.stdout) if done.returncode == 0 else None


def _from_answer(answer: bytes) -> Credentials | None:
    try:
        fields = json.loads(answer)
        username, secret = _text(fields["Username"]), _text(fields["Secret"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if username == "<token>":
        return Credentials("", identity_token=secret)
    return Credentials(username, secret) if username else None


def _object(document: dict[str, Any], key: str) -> dict[str, Any]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}
