"""Scope ``"run"``: a fixture's container that all of xdist's workers have in common."""

from __future__ import annotations

import sys
from types import FrameType
from typing import TYPE_CHECKING, Any

import pytest

from .choice import name_of_param

if TYPE_CHECKING:
    from ..container.shared import Share

GROUP = "run"
"""Such containers resolve one another by name, whichever worker started them."""


def place_of_caller() -> str:
    """Where a fixture is being defined, in words that are the same in every worker.

    The caller's caller, and the line of the module that led there: a function may make fixtures for several modules.
    """
    frame: FrameType | None = sys._getframe(2)
    places = [_place(frame)]
    while frame is not None and frame.f_code.co_name != "<module>":
        frame = frame.f_back
    return " ".join(dict.fromkeys([*places, _place(frame)]))


def called_in_class() -> bool:
    """Whether the caller's caller is a class body."""
    names = sys._getframe(2).f_locals
    return "__qualname__" in names and "__module__" in names


def _place(frame: FrameType | None) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else ""


def share_of(request: pytest.FixtureRequest, place: str, image: Any) -> Share:
    """What the workers share by this fixture, with this *image* and its parameter."""
    from ..container.shared import Share

    named = name_of_param(image) or image
    param = name_of_param(getattr(request, "param", None)) or ""
    return Share(f"{place} {request.fixturename} {named} {param}", _count_of_workers(request.config))


def _count_of_workers(config: pytest.Config) -> int:
    return int(getattr(config, "workerinput", {}).get("workercount", 1))
