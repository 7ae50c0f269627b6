"""The command line's grammar: one function of each command's module adds its own."""

from __future__ import annotations

import argparse
from importlib import metadata

from .doctor.command import add_to as add_doctor
from .images import add_to as add_images
from .prune import add_to as add_prune
from .pull import add_to as add_pull
from .rmi import add_to as add_rmi

_ENVIRONMENT = """\
environment, as the options of pytest:
  LXCONTAINER_STORE     directory for blobs, layers and containers
  LXCONTAINER_MIRROR    HOST=URL, several with spaces: ask URL for what belongs to HOST
  LXCONTAINER_PULL      missing, always or never
  LXCONTAINER_PLATFORM  OS/ARCH of images, instead of the host's
  LXCONTAINER_LOCK      file that pins tags to digests; LXCONTAINER_LOCK_UPDATE=1 renews its pins
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser; what it reads has the command's function as ``run``."""
    main = argparse.ArgumentParser(
        prog="lxcontainer",
        description="Look after what pytest-lxcontainer uses: images, and the host.",
        epilog=_ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    main.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = main.add_subparsers(metavar="COMMAND", required=True)
    for add_to in (add_pull, add_images, add_rmi, add_prune, add_doctor):
        add_to(commands)
    return main


class _Version(argparse.Action):
    """Only who asks for the version pays for looking it up."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"lxcontainer {metadata.version('pytest-lxcontainer')}")
        parser.exit()
