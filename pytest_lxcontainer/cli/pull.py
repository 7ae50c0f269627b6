"""``lxcontainer pull``: images into the store."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from .naming import naming
from .provisioning import provisioner_of_commands

if TYPE_CHECKING:
    from ..image import Image
    from .grammar import Commands


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "pull",
        help="pull images into the store",
        description="Pull images into the store, from a registry or from files. Progress is shown on stderr if that is "
        "a terminal; what is printed ends with the canonical reference, as Docker's does.",
        epilog="examples:\n  lxcontainer pull redis:7 postgres:15\n  lxcontainer pull oci:build/app",
    )
    parser.add_argument("references", nargs="+", metavar="REF", help="e.g. redis:7 or ghcr.io/owner/name@sha256:…")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Pull each reference in turn; the first that fails ends it."""
    from ..image import parse_name

    references = [(text, parse_name(text)) for text in options.references]
    with provisioner_of_commands() as provisioner:
        try:
            for text, reference in references:
                with naming(text):
                    print(told(provisioner.pull(reference)), flush=True)
        finally:
            for notice in provisioner.notices:
                print(f"notice: {notice}", file=sys.stderr)
    return 0


def told(image: Image) -> str:
    """What is printed of a pulled *image*, ending as Docker's does with the canonical reference."""
    from ..container.units import ByteSize

    layers = len(image.lower_dirs)
    return (
        f"{image.reference.familiar}: {layers} layer{'s' * (layers != 1)}, {ByteSize(image.size)}\n"
        f"Digest: {image.digest}\n"
        f"{image.reference}"
    )
