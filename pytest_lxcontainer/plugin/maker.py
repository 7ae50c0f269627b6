"""`lxc_container`, which makes fixtures."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import pytest

from .asked import answered, asked_by, check_names
from .choice import (
    IMAGE_OF_FIXTURE,
    PLACE_OF_FIXTURE,
    Choice,
    name_of_param,
    param_of,
    value_of_param,
    with_param,
)
from .fixtures import started
from .place import Place, is_class_body
from .pool import coming_after
from .reset import check_reset, reset_between_tests
from .shared import share_of

if TYPE_CHECKING:
    from ..container.container import Container
    from ..provision import Provisioner

ScopeName = Literal["function", "class", "module", "package", "session", "run"]
Scope = ScopeName | Callable[..., ScopeName]
SCOPES = ("function", "class", "module", "package", "session", "run")

_ALWAYS_ASKED = ("request", "_lxc_provisioner")


def lxc_container(
    image: Any = None,
    *,
    scope: Scope = "function",
    params: Iterable[Any] | None = None,
    ids: Sequence[Any] | Callable[[Any], Any] | None = None,
    autouse: bool = False,
    reset: Literal["test"] | None = None,
    **settings: Any,
) -> Callable[..., Container]:
    """Make a fixture that gives a container of *image* (a reference, `Image` or `Template`), one for each *scope*.

    Assign it to the fixture's name in a conftest or test module: ``redis = lxc_container("redis:7", scope="module")``.
    Scope ``"run"`` is one for all workers of xdist, and the session's without xdist. *params* are images, or mappings
    of settings with or without ``image``: whoever uses the fixture runs once for each. *scope*, *ids* and *autouse* are
    as for `pytest.fixture`. With *reset* ``"test"`` a container that serves several tests gets the files of its image
    again, and its command is started anew, before each further test that asks for the fixture by name: as fresh as a
    new one, at the same address. *settings* are those of `ContainerSettings`, and ``name``. A function as image, or as
    any setting but *ready*, is called with the fixtures that its arguments are named after:
    ``env=lambda db: {"DB": db.ip}``.
    """
    if not callable(scope) and scope not in SCOPES:
        raise pytest.UsageError(f"lxc_container: no scope {scope!r}; one of: {', '.join(SCOPES)}")
    check_names(settings)
    check_reset(reset, scope)
    params = list(params) if params is not None else None
    frame = sys._getframe(1)
    place, in_class = Place.of(frame), is_class_body(frame)

    # In a class it is a method, which gets the class.
    def fixture(*_: Any, request: pytest.FixtureRequest, _lxc_provisioner: Provisioner, **_asked: Any) -> Container:
        __tracebackhide__ = True
        try:
            chosen = answered(request, with_param((image, settings), param_of(request, params or ())))
            share = share_of(request, place, chosen[0]) if _is_run(scope, request) else None
            # What depends on fixtures is another thing for every test: nothing of it can be started ahead.
            coming = 0 if asks else coming_after(request)
            container = started(request, _lxc_provisioner, _with_image(request, chosen), share, coming)
            if reset is not None:
                reset_between_tests(request, container)
            return container
        except Exception as error:
            _place_in(error, request, place)
            raise error

    choices = [(image, settings), *(with_param((None, {}), value_of_param(each)) for each in params or ())]
    asks = asked_by(choices)
    _introduce(fixture, place, choices, in_class)
    function: Any = classmethod(fixture) if in_class else fixture
    setattr(function, IMAGE_OF_FIXTURE, image)
    setattr(function, PLACE_OF_FIXTURE, place.key)
    return pytest.fixture(scope=_for_pytest(scope), params=params, ids=ids or name_of_param, autouse=autouse)(function)


def _introduce(fixture: Callable[..., Any], place: Place, choices: Sequence[Choice], in_class: bool) -> None:
    """Tell pytest what *fixture* asks for, and who looks for it where it is from and what it gives."""
    names = dict.fromkeys([*_ALWAYS_ASKED, *asked_by(choices)])
    parameters = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in names]
    if in_class:
        parameters.insert(0, inspect.Parameter("cls", inspect.Parameter.POSITIONAL_ONLY))
    described = vars(fixture)
    described["__signature__"] = inspect.Signature(parameters)
    described["__wrapped__"] = place.function()
    fixture.__name__ = "lxc_container"
    named = [str(image) for image, _ in choices if image is not None and not callable(image)]
    fixture.__doc__ = f"A container of {' or '.join(dict.fromkeys(named))}." if named else "A container."


def _with_image(request: pytest.FixtureRequest, choice: Choice) -> Choice:
    if choice[0] is None:
        raise pytest.UsageError(
            f"fixture {request.fixturename!r}: neither lxc_container nor a parameter names an image"
        )
    return choice


def _place_in(error: Exception, request: pytest.FixtureRequest, place: Place) -> None:
    """Have *error* name the fixture if it is one of ours, and no traceback where the definition is wrong."""
    from ..errors import InvalidReferenceError, InvalidSettingsError, LxContainerError

    if isinstance(error, LxContainerError):
        error.details = "\n".join(filter(None, [f"fixture {request.fixturename!r} of {place}", error.details]))
    if isinstance(error, (InvalidReferenceError, InvalidSettingsError)):
        error.__traceback__ = None


def _for_pytest(scope: Scope) -> Any:
    """*scope* as pytest knows it."""
    if callable(scope):
        return lambda **known: _for_pytest(scope(**known))
    return "session" if scope == "run" else scope


def _is_run(scope: Scope, request: pytest.FixtureRequest) -> bool:
    name = scope(fixture_name=request.fixturename, config=request.config) if callable(scope) else scope
    return name == "run"
