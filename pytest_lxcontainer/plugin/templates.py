"""`lxc_template`: a container that is prepared once, for every test to begin with."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ..container.container import Container
    from ..template import Template


def lxc_template(
    image: Any,
    *,
    prepare: Callable[[Container], Any],
    key: str | None = None,
    **settings: Any,
) -> Template:
    """Make a template of *image* (a reference, an `Image` or another template), to be used wherever an image is.

    ``db = lxc_container(lxc_template("postgres:15", ready=wait.port(5432), prepare=load_schema))``. When a test first
    needs it, a container is started with *settings* (those of `ContainerSettings`), *prepare* is called with it once it
    is ready, and it is stopped; what it has written is kept in the store, and every container of the template begins
    with it, and with the same settings unless it is given others. Another image, other settings, or another *prepare*
    make another template. *prepare* is known by its source, its arguments, and what it names in its own module; pass
    *key*, any text, where that does not tell what it does, such as for files that it reads.
    """
    from ..template import Template

    if not callable(prepare):
        raise pytest.UsageError(f"lxc_template: prepare={prepare!r} cannot be called; it takes the running container")
    return Template(image, prepare, key, settings)
