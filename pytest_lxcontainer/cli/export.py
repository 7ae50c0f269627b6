"""``lxcontainer export``: images, and what failed tests have left, in files for others."""

from __future__ import annotations

import argparse
import re
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from .found import running_containers, saved_test
from .naming import naming
from .provisioning import provisioner_of_commands

if TYPE_CHECKING:
    from ..container.container import Container
    from ..provision import Provisioner
    from ..running import Running
    from ..store.saved import SavedTest
    from .grammar import Commands


_ID = re.compile(r"[0-9a-f]{4,12}")
"""What is taken for an id rather than for an image's name."""


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "export",
        help="write an image, a container or a saved test's containers into files",
        description="Write an image of the store, a container as it is now, or all containers of a test that was "
        "saved, into files: an OCI layout, which is added to, or an archive, which is replaced. A layout is for "
        "--lxc-image, skopeo and umoci, an archive of the form docker-archive for docker load. With a saved test of "
        "several containers, TAG chooses one.",
        epilog="examples:\n  lxcontainer export 9c41d2e8 docker-archive:failed.tar\n"
        "  lxcontainer export 9c41d2e8 oci:failed\n  lxcontainer export redis:7 oci-archive:redis.tar:7",
    )
    parser.add_argument(
        "image", metavar="ID|REF", help="the id of a saved test, a container's id or name, or an image's reference"
    )
    parser.add_argument(
        "destination",
        metavar="DEST",
        help="oci:DIR[:TAG], oci-archive:FILE[:TAG] or docker-archive:FILE[:REF]",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write it, and print what names each image there."""
    with provisioner_of_commands() as provisioner, running_containers() as running, naming(options.image):
        for named in provisioner.export(_found(provisioner, running, options.image), options.destination):
            print(named)
        for notice in provisioner.notices:
            print(f"notice: {notice}", file=sys.stderr)
    return 0


def _found(provisioner: Provisioner, running: Running, text: str) -> SavedTest | Container | str:
    """The saved test, or the container, that *text* names; else *text*, which is a reference then."""
    from ..errors import ContainerNotFoundError

    if (saved := saved_test(text)) is not None:
        return saved
    with suppress(ContainerNotFoundError):
        return running.container(running.find(text))
    if _ID.fullmatch(text) and text not in {each.reference.name for each in provisioner.images()}:
        raise ContainerNotFoundError(
            f"no saved test and no container has the id {text}", hint="these are there: lxcontainer ps -a"
        )
    return text
