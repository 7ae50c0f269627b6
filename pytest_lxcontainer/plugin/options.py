"""Options on the command line, in the environment (``LXCONTAINER_…``) and in ini files (``lxc_…``), in this order."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

if TYPE_CHECKING:
    from ..provision import Settings

DEFAULT_IMAGE = "alpine:latest"

ON_FAILURE = ("destroy", "keep", "save")
"""What may become of a failed test's containers."""

_HELP = {
    "image": "image for the `container` fixture; repeatable: each test runs once for each",
    "pull": "when to ask the registry: missing (default), always, or never (opens no socket)",
    "mirror": "ask URL for what belongs to the registry HOST, e.g. docker.io=http://127.0.0.1:5000; repeatable",
    "platform": "OS/ARCH[/VARIANT] of images, instead of the host's",
    "lock": "file that pins tags to digests: its pins are all that is used; written where it is absent",
    "store": "directory for blobs, layers and containers (default: the user's cache directory)",
    "timeout": "seconds a container has to start and become ready (default: 60)",
    "on_failure": "what becomes of failed tests' containers: destroy (default), keep (frozen), or save (as images)",
    "pool": "containers to start ahead of the tests that will ask for them (default: auto; 0: none)",
    "durations": "show the N slowest operations on containers and images (0: all)",
    "report": "write a page (HTML) that shows the run: containers, times, failures",
}
_METAVARS = {
    "image": "REF",
    "pull": "POLICY",
    "mirror": "HOST=URL",
    "platform": "OS/ARCH",
    "lock": "FILE",
    "store": "DIR",
    "timeout": "SECONDS",
    "on_failure": "WHAT",
    "pool": "N",
    "durations": "N",
    "report": "FILE",
}
_REPEATABLE = ("image", "mirror")
_WITHOUT_CONTAINERS = ("image", "durations", "report")
"""Options that need no store nor registry to be looked at."""
_UPDATE_HELP = "ask what the tags that are used name now, and pin them to that in the file of --lxc-lock"

_SHELL_HELP = "on a failure, open a shell in the test's container before its teardown (not with -n)"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the plugin's options."""
    group = parser.getgroup("lxcontainer", "containers for tests (pytest-lxcontainer)")
    for name, text in _HELP.items():
        repeatable = name in _REPEATABLE
        group.addoption(
            f"--lxc-{name.replace('_', '-')}",
            dest=f"lxc_{name}",
            action="append" if repeatable else "store",
            default=None,
            metavar=_METAVARS[name],
            help=text,
        )
        kind: Literal["linelist", "string"] = "linelist" if repeatable else "string"
        parser.addini(f"lxc_{name}", text, type=kind, default=None)
    group.addoption("--lxc-lock-update", dest="lxc_lock_update", action="store_true", help=_UPDATE_HELP)
    group.addoption("--lxc-shell", dest="lxc_shell", action="store_true", help=_SHELL_HELP)


def chosen_images(config: pytest.Config) -> list[str]:
    """Images for the `container` fixture, from the first place that names any."""
    return _chosen(config, "image") or [DEFAULT_IMAGE]


def settings_of(config: pytest.Config) -> Settings:
    """The run's `Settings`; `pytest.UsageError` for an option that cannot be used."""
    from ..errors import InvalidSettingsError
    from ..image.platform import Platform
    from ..provision import Settings, parse_mirrors, parse_timeout
    from ..settings import parse_flag, parse_pool
    from ..store.layout import Layout

    readers: dict[str, Callable[[list[str]], Any]] = {
        "store": lambda values: Path(config.invocation_params.dir, Path(values[-1]).expanduser()),
        "mirror": lambda values: parse_mirrors(" ".join(values)),
        "pull": lambda values: values[-1],
        "platform": lambda values: Platform.parse(values[-1]),
        "timeout": lambda values: parse_timeout(values[-1]),
        "pool": lambda values: parse_pool(values[-1]),
    }
    try:
        values = {name: read(found) for name, read in readers.items() if (found := _chosen(config, name))}
        if "mirror" in values:
            values["mirrors"] = values.pop("mirror")
        update = config.getoption("lxc_lock_update") or parse_flag(os.environ.get("LXCONTAINER_LOCK_UPDATE") or "no")
        settings = Settings(**values, lock=_file_named(config, "lock"), lock_update=update)
        Layout(settings.store)  # refuses a path that cannot be a store's
        return settings
    except InvalidSettingsError as error:
        raise pytest.UsageError(str(error)) from None


def on_failure_of(config: pytest.Config) -> str:
    """What becomes of a failed test's containers; `pytest.UsageError` for what is none of `ON_FAILURE`."""
    chosen = (_chosen(config, "on_failure") or ["destroy"])[-1]
    if chosen not in ON_FAILURE:
        raise pytest.UsageError(f"--lxc-on-failure: {chosen!r} is none of: {', '.join(ON_FAILURE)}")
    return chosen


def is_chosen(config: pytest.Config, *names: str) -> bool:
    """Whether the user said anything for one of the options *names*."""
    return any(_chosen(config, name) for name in names)


def any_setting(config: pytest.Config) -> bool:
    """Whether the user said anything that is not about images alone."""
    update = config.getoption("lxc_lock_update") or os.environ.get("LXCONTAINER_LOCK_UPDATE")
    return bool(update) or is_chosen(config, *(name for name in _HELP if name not in _WITHOUT_CONTAINERS))


def chosen_durations(config: pytest.Config) -> int | None:
    """How many operations to list, 0 for all; ``None`` for no list, `pytest.UsageError` for what is no number."""
    found = _chosen(config, "durations")
    if found and not found[-1].isdecimal():
        raise pytest.UsageError(f"{found[-1]!r} is no number of operations\nhint: --lxc-durations 10, or 0 for all")
    return int(found[-1]) if found else None


def chosen_report(config: pytest.Config) -> Path | None:
    """Where the page of the run is to be; ``None`` for nowhere."""
    return _file_named(config, "report")


def _file_named(config: pytest.Config, name: str) -> Path | None:
    """The path: what an ini file names is beside the ini file, what else is named in the current directory."""
    found = _chosen(config, name)
    if not found:
        return None
    in_ini_file = not (config.getoption(f"lxc_{name}") or os.environ.get(f"LXCONTAINER_{name.upper()}"))
    project = config.inipath.parent if config.inipath else config.rootpath
    return Path(project if in_ini_file else config.invocation_params.dir, Path(found[-1]).expanduser())


def _chosen(config: pytest.Config, name: str) -> list[str]:
    on_command_line = config.getoption(f"lxc_{name}")
    in_environment = os.environ.get(f"LXCONTAINER_{name.upper()}", "").strip()
    for value in (on_command_line, in_environment, config.getini(f"lxc_{name}")):
        if value:
            return _listed(value, name)
    return []


def _listed(value: str | list[str], name: str) -> list[str]:
    """Several values are a list, lines in an ini file, or words in an environment variable."""
    if isinstance(value, str):
        return value.split() if name in _REPEATABLE else [value]
    return list(value)
