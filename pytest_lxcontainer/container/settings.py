"""What a user asks of a container: the keyword arguments of `run`, the marker and the fixture makers."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ..errors import InvalidSettingsError
from .capabilities import capability
from .limits import Limits
from .private_network import NETWORKS, PrivateNetwork
from .spec import DEFAULT_NETWORK


@dataclass(frozen=True, slots=True)
class Mount:
    """A file or directory of the host (*source*) shown in the container at *target*, an absolute path there."""

    source: Path
    target: str
    read_only: bool = False

    @classmethod
    def of(cls, value: Mount | str | tuple[Any, ...]) -> Mount:
        """Accept a `Mount`, ``"HOST:CONTAINER[:ro]"``, or ``(host, container[, "ro"])``."""
        if isinstance(value, Mount):
            mount = value
        else:
            parts = value.split(":") if isinstance(value, str) else list(value)
            if len(parts) not in (2, 3) or (len(parts) == 3 and parts[2] not in ("ro", "rw")):
                raise InvalidSettingsError(
                    f"{value!r} is no mount", hint="write 'HOST:CONTAINER' or 'HOST:CONTAINER:ro'"
                )
            mount = cls(Path(parts[0]), str(parts[1]), parts[2:] == ["ro"])
        if not mount.target.startswith("/"):
            raise InvalidSettingsError(f"mount target {mount.target!r} must be an absolute path in the container")
        if not mount.source.exists():
            raise InvalidSettingsError(f"mount source {str(mount.source)!r} does not exist on the host")
        return replace(mount, source=mount.source.absolute())


@dataclass(frozen=True, slots=True)
class ContainerSettings:
    """Everything about one container that is not its image.

    *command* replaces the image's CMD and *entrypoint* its ENTRYPOINT (and, as in Docker, its CMD with it): a list is
    argv; a string *command* goes through the image's shell, a string *entrypoint* is split as a shell would.
    *user* is a name, an id, or ``user:group``. *mounts* are `Mount` or ``"HOST:CONTAINER[:ro]"``. *tmpfs* are paths, or
    a mapping of paths to mount options. *network* is ``"default"``, its test's, which leads to the world where the host
    lets it; ``"isolated"``, the same without the world; a `PrivateNetwork`; several of these; or ``"none"``, with but
    the loopback. *ports* adds to what the image exposes. *ready* is a condition of `pytest_lxcontainer.wait`, a
    callable taking the container, or several. *timeout* is the deadline in seconds for starting and becoming ready.
    *privileged* runs without a user namespace; *cap_add* are names of capabilities(7) beyond Docker's usual ones, or
    ``"ALL"``. *init* tells whether a small init is process 1, which forwards signals and reaps; without it the command
    itself is. By default it is left out where the command is an init of its own. *labels* are the user's own notes.
    With *tty* the command has a terminal of the container's as stdin, stdout and stderr. With *stdin*,
    `Container.attach` feeds it; else nothing ever comes from there.
    """

    command: Sequence[str] | str | None = None
    entrypoint: Sequence[str] | str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    cwd: str | None = None
    hostname: str | None = None
    aliases: Sequence[str] = ()
    mounts: tuple[Mount, ...] = ()
    tmpfs: Mapping[str, str] = field(default_factory=dict)
    network: tuple[str | PrivateNetwork, ...] = (DEFAULT_NETWORK,)
    ports: tuple[int, ...] = ()
    limits: Limits = Limits()
    ready: tuple[Callable[[Any], Any], ...] | None = None
    timeout: float | None = None
    privileged: bool = False
    cap_add: tuple[str, ...] = ()
    init: bool | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    tty: bool = False
    stdin: bool = False

    @classmethod
    def of(cls, **settings: Any) -> ContainerSettings:
        """Check and convert keyword arguments; `InvalidSettingsError` names the one that cannot be used."""
        cls.check_names(settings)
        given = {name: value for name, value in settings.items() if value is not None}
        return cls(**{name: _CONVERT.get(name, _same)(value) for name, value in given.items()})

    @property
    def networks(self) -> tuple[str, ...]:
        """Names of the networks that it is on."""
        named = (DEFAULT_NETWORK if each == "isolated" else str(each) for each in self.network if each != "none")
        return tuple(dict.fromkeys(named))

    @classmethod
    def check_names(cls, names: Iterable[str]) -> None:
        """Raise `InvalidSettingsError` for one that is no setting's."""
        known = [each.name for each in fields(cls)]
        for name in names:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else "known settings: " + ", ".join(known)
                raise InvalidSettingsError(f"no container setting is called {name!r}", hint=hint)


def _same(value: Any) -> Any:
    return value


def _command(value: Any) -> Any:
    if isinstance(value, str):
        return value
    return _strings("command")(value)


def _entrypoint(value: Any) -> tuple[str, ...]:
    return tuple(shlex.split(value)) if isinstance(value, str) else _strings("entrypoint")(value)


def _strings(name: str) -> Callable[[Any], tuple[str, ...]]:
    def convert(value: Any) -> tuple[str, ...]:
        values = (value,) if isinstance(value, (str, int)) else tuple(value)
        converted = tuple(str(each) for each in values)
        if any("\0" in each for each in converted):
            raise InvalidSettingsError(f"{name}={value!r}: no argument can hold a NUL")
        return converted

    return convert


def _mapping(name: str) -> Callable[[Any], dict[str, str]]:
    def convert(value: Any) -> dict[str, str]:
        if not isinstance(value, Mapping):
            raise InvalidSettingsError(f"{name}={value!r} must be a mapping of names to values")
        converted = {str(key): str(each) for key, each in value.items()}
        for key, each in converted.items():
            if not key or "=" in key or "\0" in key + each:
                raise InvalidSettingsError(f"{name}: {key!r}={each!r} cannot be passed to a process")
        return converted

    return convert


def _tmpfs(value: Any) -> dict[str, str]:
    if isinstance(value, str):
        value = [value]
    mounts = dict(value) if isinstance(value, Mapping) else dict.fromkeys(value, "")
    for path in mounts:
        if not str(path).startswith("/"):
            raise InvalidSettingsError(f"tmpfs: {path!r} must be an absolute path in the container")
    return mounts


def _network(value: Any) -> tuple[str | PrivateNetwork, ...]:
    networks = (value,) if isinstance(value, (str, PrivateNetwork)) else tuple(value)
    hint = f"one of: {', '.join(NETWORKS)}; or what containers.network(name) gives, or several"
    for each in networks:
        if not isinstance(each, PrivateNetwork) and each not in NETWORKS:
            raise InvalidSettingsError(f"network={each!r} is not known", hint=hint)
    if not networks or ("none" in networks and len(networks) > 1):
        raise InvalidSettingsError(f"network={value!r} is both something and nothing", hint=hint)
    return networks


def _ports(value: Any) -> tuple[int, ...]:
    ports = (value,) if isinstance(value, int) else tuple(value)
    if not all(isinstance(port, int) and 0 < port < 65536 for port in ports):
        raise InvalidSettingsError(f"ports={value!r}: a port is a number from 1 to 65535")
    return ports


def _capabilities(value: Any) -> tuple[str, ...]:
    names = _strings("cap_add")(value)
    for name in names:
        capability(name)
    return names


def _limits(value: Any) -> Limits:
    if isinstance(value, Limits):
        return value
    try:
        return Limits(**value)
    except TypeError as error:
        raise InvalidSettingsError(f"limits={value!r}: {error}", hint="pass Limits(memory=..., cpus=...)") from None


def _ready(value: Any) -> tuple[Callable[[Any], Any], ...]:
    conditions: Iterable[Any] = (value,) if callable(value) else value
    conditions = tuple(conditions)
    if not all(callable(condition) for condition in conditions):
        raise InvalidSettingsError(
            f"ready={value!r} is no condition", hint="use wait.port(n), wait.log(regex), or any callable"
        )
    return conditions


def _timeout(value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = -1
    if not seconds > 0:
        raise InvalidSettingsError(f"timeout={value!r} must be a number of seconds above 0")
    return seconds


def _mounts(value: Any) -> tuple[Mount, ...]:
    return tuple(Mount.of(each) for each in ([value] if isinstance(value, (str, Mount)) else value))


_CONVERT: Mapping[str, Callable[[Any], Any]] = {
    "command": _command,
    "entrypoint": _entrypoint,
    "env": _mapping("env"),
    "user": str,
    "cwd": str,
    "hostname": str,
    "aliases": _strings("aliases"),
    "mounts": _mounts,
    "tmpfs": _tmpfs,
    "network": _network,
    "ports": _ports,
    "limits": _limits,
    "ready": _ready,
    "timeout": _timeout,
    "cap_add": _capabilities,
    "labels": _mapping("labels"),
}
