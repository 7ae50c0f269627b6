"""Scope ``"run"``: a fixture's container that all of xdist's workers have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .choice import name_of_param
from .place import Place

if TYPE_CHECKING:
    from ..container.shared import Share


def share_of(request: pytest.FixtureRequest, place: Place, image: Any) -> Share:
    """What the workers share by the fixture of *place*, with this *image* and its parameter."""
    from ..container.shared import Share

    named = name_of_param(image) or image
    param = name_of_param(getattr(request, "param", None)) or ""
    return Share(f"{place.key} {request.fixturename} {named} {param}", count_of_workers(request.config))


def count_of_workers(config: pytest.Config) -> int:
    """How many processes of xdist run the tests; 1 without it."""
    return int(getattr(config, "workerinput", {}).get("workercount", 1))
