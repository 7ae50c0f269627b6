"""Settings of a run: where images come from and are kept, and how long things may take."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .container.traits import DEFAULT_TIMEOUT
from .errors import InvalidSettingsError
from .image import Platform
from .store.layout import default_root

PULL_POLICIES = ("missing", "always", "never")


@dataclass(frozen=True, slots=True)
class Settings:
    """Where images come from and are kept, and how long things may take; see the options of the plugin.

    *mirrors* maps a registry's host to the URL asked instead, *timeout* is in seconds. *lock* is a file that pins tags
    to digests (see `pytest_lxcontainer.lockfile`), written anew with *lock_update*. *pool* is how many
    clones are started ahead for tests that ask for the same container (0: none, ``None``: as the host allows).
    """

    store: Path = field(default_factory=default_root)
    mirrors: Mapping[str, str] = field(default_factory=dict)
    pull: str = "missing"
    platform: Platform = field(default_factory=Platform.host)
    timeout: float = DEFAULT_TIMEOUT
    lock: Path | None = None
    lock_update: bool = False
    pool: int | None = None

    def __post_init__(self) -> None:
        if self.pull not in PULL_POLICIES:
            raise InvalidSettingsError(f"{self.pull!r} is no pull policy", hint=f"one of: {', '.join(PULL_POLICIES)}")
        if self.lock_update and self.lock is None:
            raise InvalidSettingsError("there is no lock file to update", hint="name it with --lxc-lock FILE")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read ``LXCONTAINER_STORE``, ``…_MIRROR`` (``HOST=URL``, several with spaces), ``…_PULL``, ``…_PLATFORM``,
        ``…_TIMEOUT``, ``…_LOCK``, ``…_LOCK_UPDATE`` and ``…_POOL``; what is absent keeps its default.
        """
        environ = os.environ if environ is None else environ
        readers: Mapping[str, Any] = {
            "store": lambda text: Path(text).absolute(),
            "mirror": parse_mirrors,
            "pull": str,
            "platform": Platform.parse,
            "timeout": parse_timeout,
            "lock": lambda text: Path(text).absolute(),
            "lock_update": parse_flag,
            "pool": parse_pool,
        }
        given = {name: environ.get(f"LXCONTAINER_{name.upper()}") for name in readers}
        values = {name: readers[name](text) for name, text in given.items() if text}
        if "mirror" in values:
            values["mirrors"] = values.pop("mirror")
        return cls(**values)


def parse_mirrors(text: str) -> dict[str, str]:
    """Read ``HOST=URL`` pairs parted by white space."""
    from .registry.mirrors import parse_mirror

    return dict(parse_mirror(part) for part in text.split())


def parse_flag(text: str) -> bool:
    """Read yes or no as people write them in the environment."""
    meaning = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if text.lower() not in meaning:
        raise InvalidSettingsError(f"{text!r} is neither yes nor no", hint=f"one of: {', '.join(meaning)}")
    return meaning[text.lower()]


def parse_pool(text: str) -> int | None:
    """Read a number of clones, or ``auto``."""
    if text == "auto":
        return None
    if not text.isdecimal():
        raise InvalidSettingsError(f"{text!r} is no size of a pool", hint="a number of clones, 0 for none, or auto")
    return int(text)


def parse_timeout(text: str | float) -> float:
    """Read seconds; `InvalidSettingsError` unless above 0."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not seconds > 0:
        raise InvalidSettingsError(f"{text!r} is no timeout", hint="write a number of seconds above 0")
    return seconds
