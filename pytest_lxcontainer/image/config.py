"""Image configs: what an image asks of whoever runs it.

https://github.com/opencontainers/image-spec/blob/main/config.md, and for Docker's additions
(Healthcheck, Shell) https://github.com/moby/docker-image-spec/blob/main/spec.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import CorruptImageError, UnsupportedImageError
from .digest import Digest
from .document import MAX_INTEGER, printable, read_object, shown
from .manifest import Manifest
from .platform import UNKNOWN_PLATFORM, Platform

DEFAULT_STOP_SIGNAL = "SIGTERM"
MAX_CONFIG_SIZE = 8 * 1024 * 1024

_NANOSECONDS = 1_000_000_000
_DEFAULT_SHELL = ("/bin/sh", "-c")
_PORTS = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/tcp)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Healthcheck:
    """How the image tells whether it works; times in seconds, Docker's defaults where the image names none.

    *test* is as in the config: ``("CMD", arg, ...)``, ``("CMD-SHELL", text)``, ``("NONE",)`` or empty.
    """

    test: tuple[str, ...] = ()
    interval: float = 30.0
    timeout: float = 30.0
    start_period: float = 0.0
    start_interval: float = 5.0
    retries: int = 3

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Healthcheck:
        """Rebuild from what `asdict` gave, after JSON has made a list of a tuple."""
        return cls(**{**data, "test": tuple(data["test"])})

    @property
    def is_enabled(self) -> bool:
        """Whether there is something to run."""
        return bool(self.test) and self.test[0] != "NONE"


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """What an image's config says; *diff_ids* are base first, *exposed_ports* are TCP's, ascending."""

    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    user: str = ""
    working_dir: str = "/"
    exposed_ports: tuple[int, ...] = ()
    volumes: tuple[str, ...] = ()
    stop_signal: str = DEFAULT_STOP_SIGNAL
    healthcheck: Healthcheck | None = None
    shell: tuple[str, ...] = _DEFAULT_SHELL
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    diff_ids: tuple[Digest, ...] = ()
    platform: Platform = UNKNOWN_PLATFORM

    @classmethod
    def from_json(cls, data: bytes) -> ImageConfig:
        """Read a config blob, or raise `CorruptImageError`; null means absent, as for Docker."""
        document = read_object(data, "the image config", MAX_CONFIG_SIZE)
        settings = _Object(_Object(document).child("config"))
        healthcheck = settings.child("Healthcheck")
        return cls(
            env=tuple(entry for entry in settings.strings("Env") if "=" in entry),
            entrypoint=settings.command("Entrypoint"),
            cmd=settings.command("Cmd"),
            user=settings.text("User"),
            working_dir="/" + settings.text("WorkingDir").lstrip("/"),
            exposed_ports=_tcp_ports(settings.child("ExposedPorts")),
            volumes=tuple(sorted(settings.child("Volumes"))),
            stop_signal=settings.text("StopSignal") or DEFAULT_STOP_SIGNAL,
            healthcheck=_healthcheck(healthcheck) if healthcheck else None,
            shell=settings.strings("Shell") or _DEFAULT_SHELL,
            labels=_labels(settings.child("Labels")),
            diff_ids=_diff_ids(document),
            platform=_platform(document),
        )


def check_platform(config: ImageConfig, wanted: Platform) -> None:
    """Raise `UnsupportedImageError` unless an image with *config* runs on *wanted*.

    A config that names no architecture, as very old images' do, is let through.
    """
    if not config.platform.architecture or config.platform in wanted.runnable():
        return
    raise UnsupportedImageError(
        f"the image is for {printable(str(config.platform))}, not for {wanted}",
        hint="choose another image, or --lxc-platform if the host can run this one",
    )


def check_layers(config: ImageConfig, manifest: Manifest) -> None:
    """Raise `CorruptImageError` unless *config* names a diff_id for each of *manifest*'s layers."""
    if len(config.diff_ids) != len(manifest.layers):
        raise CorruptImageError(
            f"the image config names {len(config.diff_ids)} layers, the manifest {len(manifest.layers)}"
        )


class _Object:
    """A JSON object whose keys may be absent or null, and must otherwise be of the type asked for."""

    def __init__(self, value: dict[str, Any]) -> None:
        self._value = value

    def child(self, key: str) -> dict[str, Any]:
        value: dict[str, Any] = self._get(key, dict, {})
        return value

    def text(self, key: str) -> str:
        return str(self._get(key, str, ""))

    def number(self, key: str) -> int:
        value = int(self._get(key, int, 0))
        if abs(value) > MAX_INTEGER:
            raise CorruptImageError(f"the image config's {key} is {shown(value)}")
        return value

    def strings(self, key: str) -> tuple[str, ...]:
        entries: list[Any] = self._get(key, list, [])
        if not all(isinstance(entry, str) for entry in entries):
            raise CorruptImageError(f"the image config's {key} holds something else than strings")
        return tuple(entries)

    def command(self, key: str) -> tuple[str, ...]:
        # A bare string is the shell form, which Docker wrote so before 1.3.
        text = self._value.get(key)
        return (*_DEFAULT_SHELL, text) if isinstance(text, str) and text else self.strings(key)

    def _get(self, key: str, kind: type, default: Any) -> Any:
        value = self._value.get(key)
        if value is None or value == "":
            return default
        if not isinstance(value, kind):
            raise CorruptImageError(f"the image config's {key} is {shown(value)}")
        return value


def _labels(value: dict[str, Any]) -> dict[str, str]:
    if not all(isinstance(text, str | None) for text in value.values()):
        raise CorruptImageError("the image config's Labels hold something else than strings")
    return {key: text or "" for key, text in value.items()}


def _tcp_ports(exposed: dict[str, Any]) -> tuple[int, ...]:
    matches = [match for text in exposed if (match := _PORTS.fullmatch(text))]
    ranges = sorted((int(match[1]), int(match[2] or match[1])) for match in matches)
    ports: list[int] = []
    # Each range adds only what lies above the last: thousands of wide ones cost no more than one.
    for first, last in ranges:
        start = max(first, ports[-1] + 1 if ports else 1)
        ports.extend(range(start, min(last, 65535) + 1))
    return tuple(ports)


def _healthcheck(value: dict[str, Any]) -> Healthcheck:
    read = _Object(value)
    default = Healthcheck()

    def seconds(key: str, otherwise: float) -> float:
        return read.number(key) / _NANOSECONDS or otherwise

    return Healthcheck(
        test=read.strings("Test"),
        interval=seconds("Interval", default.interval),
        timeout=seconds("Timeout", default.timeout),
        start_period=seconds("StartPeriod", default.start_period),
        start_interval=seconds("StartInterval", default.start_interval),
        retries=read.number("Retries") or default.retries,
    )


def _diff_ids(document: dict[str, Any]) -> tuple[Digest, ...]:
    return tuple(Digest.parse(text) for text in _Object(_Object(document).child("rootfs")).strings("diff_ids"))


def _platform(document: dict[str, Any]) -> Platform:
    read = _Object(document)
    return Platform.of(read.text("os") or "linux", read.text("architecture"), read.text("variant"))
