"""The run of what people start from a shell."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..provision import Provisioner

_STDERR = 2  # where progress is drawn: what is printed may go into a file


def provisioner_of_commands(pull: str | None = None) -> AbstractContextManager[Provisioner]:
    """Who makes containers that outlive this process; with *pull*, by that policy and not by the environment's."""
    from ..progress import Drawing, can_draw
    from ..provision import Provisioner, RunIdentity
    from ..settings import Settings
    from ..store.layout import Layout

    settings = Settings.from_environment()
    if pull is not None:
        settings = replace(settings, pull=pull)
    return Provisioner(
        settings,
        identity=RunIdentity.of_commands(Layout(settings.store)),
        watch=Drawing(_STDERR) if can_draw(_STDERR) else None,
    )
