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


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name with its password, or an identity token; neither secret shows in a repr."""

    username: str
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """The value of an ``Authorization`` header for HTTP Basic."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode("ascii")


def find_credentials(registry: str) -> Credentials | None:
    """Return what this user has logged in to *registry* (as references name it) with, or ``None``."""
    for document in _documents():
        if found := _from_helper(document, registry) or _from_auths(document, registry):
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
    if directory := os.environ.get("XDG_RUNTIME_DIR"):
        yield Path(directory) / "containers" / "auth.json"
    yield Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"


def _parsed(text: str, source: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if isinstance(document, dict):
        return document
    _log.warning("the credentials in %s are no JSON object", source)
    return {}


def _from_auths(document: dict[str, Any], registry: str) -> Credentials | None:
    for key, entry in _object(document, "auths").items():
        if _host(key) == registry and isinstance(entry, dict) and (found := _from_entry(entry)):
            return found
    return None


def _host(key: str) -> str:
    """Return the registry an ``auths`` key is for: it may be a URL of the API's first version."""
    host = re.sub(r"^https?://", "", key).rstrip("/")
    return canonical(re.sub(r"/v[12]$", "", host))


def _from_entry(entry: dict[str, Any]) -> Credentials | None:
    if token := entry.get("identitytoken"):
        return Credentials("", identity_token=str(token))
    username, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    try:
        text = base64.b64decode(str(entry.get("auth") or "")).decode()
    except (binascii.Error, ValueError):
        text = ""
    if text:
        username, _, password = text.partition(":")
    # Docker pads what it writes with NULs.
    return Credentials(username, password.rstrip("\0")) if username else None


def _from_helper(document: dict[str, Any], registry: str) -> Credentials | None:
    for key, helper in _object(document, "credHelpers").items():
        if _host(key) == registry:
            return _ask(helper, key)
    if helper := document.get("credsStore"):
        return _ask(helper, _HUB_KEY if registry == DOCKER_HUB else registry)
    return None


def _ask(helper: object, server: str) -> Credentials | None:
    """Run ``docker-credential-HELPER get`` (https://github.com/docker/docker-credential-helpers)."""
    if not isinstance(helper, str) or not _HELPER_NAME.fullmatch(helper):
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
        username, secret = str(fields["Username"]), str(fields["Secret"])
    except (ValueError, KeyError, TypeError):
        return None
    if username == "<token>":
        return Credentials("", identity_token=secret)
    return Credentials(username, secret)


def _object(document: dict[str, Any], key: str) -> dict[str, Any]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}
