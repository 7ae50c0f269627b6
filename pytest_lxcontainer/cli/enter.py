"""``lxcontainer enter``: a shell in what a failed test has left, or in any other container."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from .found import awake, running_containers

if TYPE_CHECKING:
    from ..running import Running
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
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Open it; returns what it ended with."""
    with running_containers() as running:
        return _enter_container(running, options)


def _enter_container(running: Running, options: argparse.Namespace) -> int:
    found = running.find(options.id)
    with awake(running, running.peers(found)):
        if sys.stdin.isatty():
            print(f"In container {found.name} of {found.spec.image}; leave it with Ctrl-D or exit.", file=sys.stderr)
        return running.container(found).shell(user=options.user)
