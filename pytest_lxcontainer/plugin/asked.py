"""Images and settings that depend on fixtures: functions whose arguments are the names of fixtures."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest

from .choice import Choice

_NOT_ASKING = "ready"
"""The one setting whose functions are called with something else: the container."""


def asked_by(choices: Iterable[Choice]) -> list[str]:
    """Names of the fixtures that functions in *choices* take."""
    functions = [value for choice in choices for value in _values(choice) if inspect.isfunction(value)]
    return list(dict.fromkeys(name for function in functions for name in _arguments(function)))


def answered(request: pytest.FixtureRequest, choice: Choice) -> Choice:
    """*choice* with what its functions return for the fixtures they ask for."""
    image, settings = choice
    found = {name: _answer(request, name, value) for name, value in settings.items()}
    return _answer(request, "image", image), found


def check_names(settings: Mapping[str, Any]) -> None:
    """Raise `InvalidSettingsError` for a name that is no setting's; ``name`` is one beside those of all containers."""
    if settings:
        # Here, since every project that has the plugin pays for what is imported above.
        from ..container.settings import ContainerSettings

        ContainerSettings.check_names(settings.keys() - {"name"})


def _answer(request: pytest.FixtureRequest, setting: str, value: Any) -> Any:
    if setting == _NOT_ASKING or not inspect.isfunction(value):
        return value
    return value(*map(request.getfixturevalue, _arguments(value)))


def _values(choice: Choice) -> list[Any]:
    image, settings = choice
    return [image, *(value for name, value in settings.items() if name != _NOT_ASKING)]


def _arguments(function: Callable[..., Any]) -> list[str]:
    """As for a fixture function of pytest: what has a default is left alone."""
    parameters = inspect.signature(function).parameters.values()
    return [each.name for each in parameters if each.default is each.empty]
