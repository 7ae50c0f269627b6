"""``lxcontainer diff``: what a container has changed."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from .found import CONTAINER_HELP, found_container

if TYPE_CHECKING:
    from .grammar import Commands


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "diff",
        help="list the files that a container has changed",
        description="List the files that are other than in the container's image: A is added, C changed, D deleted.",
        epilog="examples:\n  lxcontainer diff db",
    )
    parser.add_argument("container", metavar="CONTAINER", help=CONTAINER_HELP)
    parser.add_argument("--json", action="store_true", help="print a list of records")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print a line for each path, by path."""
    with found_container(options.container) as container:
        changes = container.diff()
    if options.json:
        print(json.dumps([{"kind": each.kind, "path": each.path, "size": each.size} for each in changes], indent=2))
    else:
        print("".join(f"{each}\n" for each in changes), end="")
    return 0
