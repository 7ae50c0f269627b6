"""``lxcontainer commit``: a container as an image."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .found import CONTAINER_HELP, found_container
from .provisioning import provisioner_of_commands

if TYPE_CHECKING:
    from .grammar import Commands


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "commit",
        help="make an image of a container",
        description="Make an image of a container and what it has written, running or not, and keep it in the store "
        "under a name. No registry is asked for that name from then on, until `lxcontainer rmi` forgets it.",
        epilog="examples:\n  lxcontainer commit db localhost/seeded:1\n"
        "  lxcontainer commit -c 'CMD [\"redis-server\"]' -c 'ENV A=1' db localhost/redis",
    )
    parser.add_argument("container", metavar="CONTAINER", help=CONTAINER_HELP)
    parser.add_argument("reference", metavar="REF", help="the image's name: NAME[:TAG]")
    parser.add_argument("-a", "--author", default="", metavar="TEXT", help="who made it")
    parser.add_argument("-m", "--message", default="", metavar="TEXT", help="what for")
    parser.add_argument(
        "-c",
        "--change",
        action="append",
        default=[],
        metavar="INSTRUCTION",
        help="what it is to be beside that, in a Dockerfile's words: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, "
        "USER, VOLUME or WORKDIR; repeatable",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Make it, and print its id, as Docker does."""
    with provisioner_of_commands() as provisioner, found_container(options.container) as container:
        image = provisioner.commit(
            container, options.reference, author=options.author, message=options.message, changes=options.change
        )
    print(image.config_digest)
    return 0
