"""Changes to an image's config in the words of a Dockerfile, as ``docker commit --change`` takes them.

https://docs.docker.com/reference/cli/docker/container/commit/#change and
https://docs.docker.com/reference/dockerfile/
"""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..errors import InvalidSettingsError

_DEFAULT_SHELL = ["/bin/sh", "-c"]
_PORT = re.compile(r"\d{1,5}(?:-\d{1,5})?(?:/(?:tcp|udp|sctp))?")

Settings = dict[str, Any]
"""The object ``config`` of an image's config document."""


def changed(settings: Mapping[str, Any], changes: Iterable[str]) -> Settings:
    """*settings* after *changes*, such as ``CMD ["redis-server"]`` or ``ENV A=1 B=2``, in order.

    Another entrypoint drops a command that was not among the changes before it. Raises `InvalidSettingsError`.
    """
    made = dict(settings)
    seen: set[str] = set()
    for change in changes:
        word, _, rest = change.strip().partition(" ")
        instruction = _INSTRUCTIONS.get(word.upper())
        if instruction is None or not rest.strip():
            raise InvalidSettingsError(
                f"{change!r} is no change of an image", hint=f"one of: {', '.join(_INSTRUCTIONS)}, and what it takes"
            )
        instruction(made, rest.strip())
        if word.upper() == "ENTRYPOINT" and "CMD" not in seen:
            made.pop("Cmd", None)
        seen.add(word.upper())
    return made


def with_variables(entries: Sequence[str] | None, added: Mapping[str, str]) -> list[str]:
    """*entries* (``NAME=value``) with the *added* variables, each in the place of one of its name."""
    values = dict(entry.partition("=")[::2] for entry in entries or ())
    return [f"{name}={value}" for name, value in {**values, **added}.items()]


def _cmd(settings: Settings, text: str) -> None:
    settings["Cmd"] = _command(settings, text)


def _entrypoint(settings: Settings, text: str) -> None:
    settings["Entrypoint"] = _command(settings, text)


def _env(settings: Settings, text: str) -> None:
    settings["Env"] = with_variables(settings.get("Env"), _pairs("ENV", text))


def _label(settings: Settings, text: str) -> None:
    settings["Labels"] = {**(settings.get("Labels") or {}), **_pairs("LABEL", text)}


def _expose(settings: Settings, text: str) -> None:
    ports = text.lower().split()
    for port in ports:
        if not _PORT.fullmatch(port):
            raise InvalidSettingsError(f"EXPOSE {port}: this is no port", hint="write 80, 80/tcp or 53/udp")
    added: Settings = {port if "/" in port else f"{port}/tcp": {} for port in ports}
    settings["ExposedPorts"] = {**(settings.get("ExposedPorts") or {}), **added}


def _volume(settings: Settings, text: str) -> None:
    listed = _listed(text)
    paths = _words("VOLUME", text) if listed is None else listed
    settings["Volumes"] = {**(settings.get("Volumes") or {}), **{path: {} for path in paths}}


def _user(settings: Settings, text: str) -> None:
    settings["User"] = text


def _workdir(settings: Settings, text: str) -> None:
    settings["WorkingDir"] = posixpath.normpath(posixpath.join(settings.get("WorkingDir") or "/", text))


def _stop_signal(settings: Settings, text: str) -> None:
    settings["StopSignal"] = text


_INSTRUCTIONS: Mapping[str, Callable[[Settings, str], None]] = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "LABEL": _label,
    "STOPSIGNAL": _stop_signal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}


def _command(settings: Settings, text: str) -> list[str]:
    """argv from JSON, or for the image's shell."""
    listed = _listed(text)
    return [*(settings.get("Shell") or _DEFAULT_SHELL), text] if listed is None else listed


def _listed(text: str) -> list[str] | None:
    """The strings of a JSON list, ``None`` for what is none: to Docker, that is text as well."""
    if not text.startswith("["):
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, list) and all(isinstance(each, str) for each in value) else None


def _pairs(instruction: str, text: str) -> dict[str, str]:
    """``A=1 B="2 3"``, or the older form of a single one: ``A 2 3``."""
    name, space, value = text.partition(" ")
    if space and "=" not in name:
        return {name: value.strip()}
    pairs = [word.partition("=") for word in _words(instruction, text)]
    if not all(name and equals for name, equals, _ in pairs):
        raise InvalidSettingsError(f"{instruction} {text}: this is not NAME=VALUE")
    return {name: value for name, _, value in pairs}


def _words(instruction: str, text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise InvalidSettingsError(f"{instruction} {text}: {error}") from None
