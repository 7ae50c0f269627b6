"""``lxcontainer rm``: containers, and what tests that failed have left."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..errors import AlreadyRunningError
from .each import for_each
from .found import CONTAINER_HELP, found_anything, running_containers

if TYPE_CHECKING:
    from ..running import Running
    from .grammar import Commands


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "rm",
        help="remove containers",
        description="Remove containers with all their files: those that have ended, those that were kept for a test "
        "that failed, saved tests and, with --force, those that run.",
        epilog="examples:\n  lxcontainer rm db\n  lxcontainer rm -f $(lxcontainer ps -aq)",
    )
    parser.add_argument("containers", nargs="+", metavar="CONTAINER", help=CONTAINER_HELP)
    parser.add_argument("-f", "--force", action="store_true", help="also those that run")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Remove each, and print what was given for it."""
    with running_containers() as running:
        return for_each(options.containers, lambda text: _remove(running, text, force=options.force))


def _remove(running: Running, text: str, *, force: bool) -> None:
    from ..provision import Provisioner
    from ..store.saved import SavedTest

    found = found_anything(running, text)
    if isinstance(found, SavedTest):
        with Provisioner() as provisioner:
            provisioner.forget_saved(found)
        return
    if found.status.state != "STOPPED" and not found.record.kept and not force:
        raise AlreadyRunningError(
            f"container {found.name} is running",
            state=found.status.state,
            container=found.name,
            hint=f"lxcontainer stop {text}, or lxcontainer rm -f {text}",
        )
    running.container(found).destroy()
