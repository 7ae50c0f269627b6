"""The command line's grammar: one function of each command's module adds its own."""

from __future__ import annotations

import argparse
from importlib import metadata

from .commit import add_to as add_commit
from .completion import add_to as add_completion
from .cp import add_to as add_cp
from .diff import add_to as add_diff
from .doctor.command import add_to as add_doctor
from .enter import add_to as add_enter
from .exec import add_to as add_exec
from .export import add_to as add_export
from .grammar import CommandParser
from .images import add_to as add_images
from .inspect import add_to as add_inspect
from .logs import add_to as add_logs
from .prune import add_to as add_prune
from .ps import add_to as add_ps
from .pull import add_to as add_pull
from .rm import add_to as add_rm
from .rmi import add_to as add_rmi
from .run import add_to as add_run
from .stats import add_to as add_stats
from .stop import add_to as add_stop

_ENVIRONMENT = """\
environment, as the options of pytest:
  LXCONTAINER_STORE     directory for blobs, layers and containers
  LXCONTAINER_MIRROR    HOST=URL, several with spaces: ask URL for what belongs to HOST
  LXCONTAINER_PULL      missing, always or never
  LXCONTAINER_PLATFORM  OS/ARCH of images, instead of the host's
  LXCONTAINER_LOCK      file that pins tags to digests; LXCONTAINER_LOCK_UPDATE=1 renews its pins
"""


_COMMANDS = (
    add_run, add_exec, add_enter, add_ps, add_logs, add_stop, add_rm,
    add_inspect, add_stats, add_diff, add_cp, add_commit, add_export,
    add_pull, add_images, add_rmi, add_prune,
    add_doctor, add_completion,
)  # fmt: skip
"""In the order in which help lists them."""


def parser() -> argparse.ArgumentParser:
    """Return the parser; what it reads has the command's function as ``run``."""
    main = argparse.ArgumentParser(
        prog="lxcontainer",
        description="Containers on LXC, as pytest-lxcontainer has them: run them, walk into those of failed tests, "
        "look after images and the host.",
        epilog=_ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    main.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = main.add_subparsers(metavar="COMMAND", required=True, parser_class=CommandParser)
    for add_to in _COMMANDS:
        add_to(commands)
    main.set_defaults(parser=main)
    return main


class _Version(argparse.Action):
    """Only who asks for the version pays for looking it up."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"lxcontainer {metadata.version('pytest-lxcontainer')}")
        parser.exit()
