"""``lxcontainer cp``: files between host and container."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..errors import InvalidSettingsError, LxContainerError
from .found import found_container

if TYPE_CHECKING:
    from .grammar import Commands


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "cp",
        help="copy files between the host and a container",
        description="Copy a file, or a directory with all in it. To an existing directory it goes under its own name, "
        "DIR/. is what is in a directory. A path of the host with a colon in it begins with / or ./.",
        epilog="examples:\n  lxcontainer cp db:/var/log/postgresql ./logs\n  lxcontainer cp schema.sql db:/tmp/",
    )
    parser.add_argument("source", metavar="SOURCE", help="PATH on the host, or CONTAINER:PATH")
    parser.add_argument("target", metavar="TARGET", help="CONTAINER:PATH, or PATH on the host")
    parser.add_argument("-a", "--archive", action="store_true", help="into a container: keep user and group ids")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Copy; one of the two is in a container."""
    source, target = parted(options.source), parted(options.target)
    if bool(source[0]) == bool(target[0]):
        raise InvalidSettingsError("one of the two paths must be in a container", hint="write it as CONTAINER:PATH")
    try:
        with found_container(source[0] or target[0]) as container:
            if target[0]:
                container.copy_in(source[1], target[1], owner=None if options.archive else "0:0")
            else:
                container.copy_out(source[1], target[1])
    except LxContainerError:
        raise
    except OSError as error:
        raise InvalidSettingsError(f"{error.filename}: {error.strerror}") from None
    return 0


def parted(text: str) -> tuple[str, str]:
    """Container and path; the container is empty for a path of the host."""
    container, colon, path = text.partition(":")
    if not colon or not container or "/" in container or container.startswith("."):
        return "", text
    return container, path
