"""``lxcontainer enter``: a shell in what a failed test has left, or in any other container."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from .found import awake, found_anything, running_containers

if TYPE_CHECKING:
    from ..container.container import Container
    from ..store.saved import SavedTest
    from .grammar import Commands


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "enter",
        help="open a shell in a container, or in what a failed test has left",
        description="Open a shell in a container, with its environment, user, directory, files and network. A "
        "container that was kept for a failed test, and those kept with it, go on until the shell ends. "
        "Of a test that was saved, all containers are started again for as long as the shell lasts. An "
        "image without a shell gets one of the host's.",
        epilog="examples:\n  lxcontainer enter 3f2a9c01b7de\n  lxcontainer enter 9c41d2e8 db",
    )
    parser.add_argument("id", metavar="ID", help="a container's id or name, or the id of a saved test")
    parser.add_argument("name", nargs="?", metavar="NAME", help="which of a saved test's containers")
    parser.add_argument("-u", "--user", metavar="USER", help="name or id (default: the container's)")
    parser.set_defaults(run=run, usage_error=parser.error)


def run(options: argparse.Namespace) -> int:
    """Open it; returns what it ended with."""
    from ..store.saved import SavedTest

    with running_containers() as running:
        found = found_anything(running, options.id)
        if isinstance(found, SavedTest):
            return _enter_saved(found, options)
        if options.name:
            options.usage_error("NAME is for saved tests; the container is named by its ID already")
        with awake(running, running.peers(found)):
            return _enter(running.container(found), options.user)


def _enter_saved(saved: SavedTest, options: argparse.Namespace) -> int:
    """Run all that the test had, for as long as a shell in one of them lasts."""
    from ..provision import Provisioner
    from ..settings import Settings

    with Provisioner(Settings.from_environment()) as provisioner:
        containers = provisioner.run_saved(saved, options.name)
        return _enter(next(iter(containers.values())), options.user)


def _enter(container: Container, user: str | None) -> int:
    if sys.stdin.isatty():
        where = f"In container {container.name} of {container.image.title}"
        print(f"{where}; leave it with Ctrl-D or exit.", file=sys.stderr)
        if container.is_stand_in:
            print("Its own command has ended; in its place something only waits.", file=sys.stderr)
    return container.shell(user=user)
