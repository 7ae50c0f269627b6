"""``lxcontainer stop``: ending containers in order."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .each import for_each
from .found import CONTAINER_HELP, running_containers

if TYPE_CHECKING:
    from .grammar import Commands

_TIMEOUT = 10.0


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "stop",
        help="end containers in order",
        description="Send containers their stop signal, and SIGKILL to those that have not ended in time. Their files "
        "and logs stay until `lxcontainer rm`.",
        epilog="examples:\n  lxcontainer stop db\n  lxcontainer stop -t 60 db cache",
    )
    parser.add_argument("containers", nargs="+", metavar="CONTAINER", help=CONTAINER_HELP)
    parser.add_argument(
        "-t", "--time", type=float, default=_TIMEOUT, metavar="SECONDS", help="before SIGKILL (default: 10)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Stop each, and print what was given for it."""
    with running_containers() as running:

        def stop(text: str) -> None:
            running.container(running.find(text)).stop(options.time)

        return for_each(options.containers, stop)
