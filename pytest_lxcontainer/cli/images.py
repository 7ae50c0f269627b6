"""``lxcontainer images``: what the store has."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .table import age, print_table

if TYPE_CHECKING:
    from ..store.blobs import BlobStore
    from ..store.images import ImageRecord
    from .grammar import Commands

_SHORT_ID = 12
_HEADINGS = ("REPOSITORY", "TAG", "IMAGE ID", "PLATFORM", "PULLED", "SIZE")


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "images",
        help="list the images in the store",
        description="List the images in the store, the one that was pulled last, first. Sizes are as transferred.",
        epilog="examples:\n  lxcontainer images\n  lxcontainer images --json",
    )
    parser.add_argument("--json", action="store_true", help="print a list of records")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print what was pulled, the latest first; an absent store is an empty one."""
    from ..provision import Settings
    from ..store.blobs import BlobStore
    from ..store.images import ImageStore
    from ..store.layout import Layout

    layout = Layout(Settings.from_environment().store)
    blobs = BlobStore(layout)
    records = [described(record, blobs) for record in ImageStore(layout).list()]
    if options.json:
        print(json.dumps(records, indent=2))
    else:
        print_table(*listed(records, time.time()))
    return 0


def described(record: ImageRecord, blobs: BlobStore) -> dict[str, Any]:
    """What is known of an image: *size* is in bytes as transferred; ``None`` where the store lost its manifest."""
    image_id, size = _identity(record, blobs)
    return {
        "reference": str(record.reference),
        "repository": record.reference.name,
        "tag": record.reference.tag,
        "platform": str(record.platform),
        "digest": str(record.digest),
        "image_id": image_id,
        "size": size,
        "pulled_at": record.pulled_at,
    }


def listed(records: list[dict[str, Any]], now: float) -> tuple[Sequence[str], list[tuple[str, ...]]]:
    """Headings and rows of *records*, at *now* (seconds since the epoch)."""
    return _HEADINGS, [_row(record, now) for record in records]


def _row(record: dict[str, Any], now: float) -> tuple[str, ...]:
    from ..container.units import ByteSize

    image_id = (record["image_id"] or "").partition(":")[2][:_SHORT_ID]
    return (
        record["repository"],
        record["tag"] or "<none>",
        image_id or "<missing>",
        record["platform"],
        f"{age(now - record['pulled_at'])} ago",
        "-" if record["size"] is None else str(ByteSize(record["size"])),
    )


def _identity(record: ImageRecord, blobs: BlobStore) -> tuple[str | None, int | None]:
    from ..errors import CorruptImageError, StoreError
    from ..image import Manifest, parse_manifest

    try:
        manifest = parse_manifest(blobs.read(record.digest), None)
    except (StoreError, CorruptImageError, OSError):
        return None, None
    if not isinstance(manifest, Manifest):
        return None, None
    return str(manifest.config.digest), manifest.size
