"""``lxcontainer exec``: a command in a container."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .found import CONTAINER_HELP, awake, running_containers
from .words import checked, variable

if TYPE_CHECKING:
    from .grammar import Commands


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "exec",
        help="run a command in a container",
        description="Run a command in a container that runs, with the container's environment and limits. Its exit "
        "code is passed on. A container that was kept for a test goes on for as long as the command runs.",
        epilog="examples:\n  lxcontainer exec -it db psql -U postgres\n  lxcontainer exec -i db psql < schema.sql",
    )
    add_terminal_options(parser)
    parser.add_argument("-u", "--user", metavar="USER", help="name or id, or USER:GROUP (default: the container's)")
    parser.add_argument("-w", "--workdir", metavar="DIR", help="where to run it (default: the container's)")
    add_env_option(parser)
    parser.add_argument("container", metavar="CONTAINER", help=CONTAINER_HELP)
    parser.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="COMMAND ...", help="what to run, with its arguments"
    )
    parser.set_defaults(run=run, usage_error=parser.error)


def add_terminal_options(parser: argparse.ArgumentParser) -> None:
    """Add ``-i`` and ``-t``."""
    parser.add_argument("-i", "--interactive", action="store_true", help="pass our stdin on to it")
    parser.add_argument("-t", "--tty", action="store_true", help="give it a terminal")


def add_env_option(parser: argparse.ArgumentParser) -> None:
    """Add ``-e``."""
    parser.add_argument(
        "-e", "--env", action="append", default=[], type=checked(variable), metavar="NAME[=VALUE]",
        help="set a variable, without VALUE to that of our own environment; repeatable",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Run it; returns its exit code."""
    if not options.command:
        options.usage_error("no command given")
    with running_containers() as running:
        found = running.find(options.container)
        with awake(running, [found]):
            return running.container(found).exec_interactive(
                options.command,
                user=options.user,
                cwd=options.workdir,
                env=dict(each for each in options.env if each),
                tty=options.tty,
                stdin=0 if options.interactive else None,
            )
