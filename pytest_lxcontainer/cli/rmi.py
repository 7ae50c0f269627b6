"""``lxcontainer rmi``: images out of the store."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import ImageNotCachedError, InvalidReferenceError
from .naming import no_image

if TYPE_CHECKING:
    from ..store.blobs import BlobStore
    from ..store.images import ImageRecord
    from .grammar import Commands

_MIN_ID = 4
"""Digits of an image id that are taken for one."""


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "rmi",
        help="remove images from the store",
        description="Forget images, for every platform, and remove what only they needed; none of them if one is not "
        "there.",
        epilog="examples:\n  lxcontainer rmi redis:7\n  lxcontainer rmi 7f2a9c01",
    )
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="a reference, or an IMAGE ID as images prints it")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Forget the images, for every platform, with what only they needed; none of them if one is not there."""
    from ..settings import Settings
    from ..store.blobs import BlobStore
    from ..store.images import ImageStore
    from ..store.prune import forget
    from .prune import lines
    from .swept import swept_store

    with swept_store(Settings.from_environment().store) as (layout, sandbox):
        records = ImageStore(layout).list()
        chosen = [each for text in options.images for each in named(text, records, BlobStore(layout))]
        pruned = forget(layout, sandbox, chosen)
    for line in lines(pruned):
        print(line[0].upper() + line[1:])
    return 0


def named(text: str, records: Sequence[ImageRecord], blobs: BlobStore) -> list[ImageRecord]:
    """The *records* that *text* names, by reference or by the start of their image id."""
    from ..image import parse_name
    from .images import described

    try:
        reference = parse_name(text)
    except InvalidReferenceError:
        reference = None
    found = [each for each in records if each.reference == reference]
    if not found and len(text) >= _MIN_ID:
        found = [each for each in records if _has_id(described(each, blobs)["image_id"], text)]
    if not found:
        raise ImageNotCachedError(no_image(text), hint="the store has what this prints: lxcontainer images")
    return found


def _has_id(image_id: str | None, text: str) -> bool:
    return image_id is not None and (image_id.startswith(text) or image_id.partition(":")[2].startswith(text))
