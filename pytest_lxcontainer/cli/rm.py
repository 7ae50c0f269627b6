"""``lxcontainer rm``: containers, and what tests that failed have left."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..errors import AlreadyRunningError
from .each import for_each
from .found import CONTAINER_HELP, running_containers, saved_test

if TYPE_CHECKING:
    from ..running import Running
    from ..store.saved import SavedTest
    from .grammar import Commands


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "rm",
        help="remove containers",
        description="Remove containers with all their files: those that have ended, those that were kept for a test "
        "that failed and, with --force, those that run. The id of a test that was saved stands for all its containers.",
        epilog="examples:\n  lxcontainer rm db\n  lxcontainer rm -f $(lxcontainer ps -aq)",
    )
    parser.add_argument("containers", nargs="+", metavar="CONTAINER", help=CONTAINER_HELP)
    parser.add_argument("-f", "--force", action="store_true", help="also those that run")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Remove each, and print what was given for it."""
    with running_containers() as running:
        # Of several containers of a saved test `ps -q` prints one id.
        return for_each(dict.fromkeys(options.containers), lambda text: _remove(running, text, force=options.force))


def _remove(running: Running, text: str, *, force: bool) -> None:
    saved = saved_test(text)
    if saved is not None:
        _forget(saved)
        return
    found = running.find(text)
    if found.status.state != "STOPPED" and not found.record.kept and not force:
        raise AlreadyRunningError(
            f"container {found.name} is running",
            state=found.status.state,
            container=found.name,
            hint=f"lxcontainer stop {text}, or lxcontainer rm -f {text}",
        )
    running.container(found).destroy()


def _forget(saved: SavedTest) -> None:
    from ..settings import Settings
    from ..store.prune import forget_saved
    from .swept import swept_store

    with swept_store(Settings.from_environment().store) as (layout, sandbox):
        forget_saved(layout, sandbox, [saved])
