"""``lxcontainer prune``: room in the store."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .words import checked, seconds, size

if TYPE_CHECKING:
    from ..store.prune import Pruned
    from .grammar import Commands


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "prune",
        help="remove what no image and no run uses",
        description="Remove from the store what no image and no running container uses. "
        "With --all, --older-than or --max-size, forget images and templates first; never those that a run uses.",
        epilog="examples:\n  lxcontainer prune --older-than 7d\n  lxcontainer prune --max-size 5GiB --dry-run",
    )
    parser.add_argument("--all", action="store_true", help="forget every image and template that no run uses")
    parser.add_argument(
        "--older-than", type=checked(seconds), metavar="DURATION", help="forget images not used for 7d, 12h, 1h30m ..."
    )
    parser.add_argument(
        "--max-size",
        type=checked(size),
        metavar="SIZE",
        help="forget the least recently used images until the rest takes at most 5GiB ...",
    )
    parser.add_argument("--dry-run", action="store_true", help="only tell what would be removed")
    parser.add_argument("--json", action="store_true", help="print a record")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prune, and print what went."""
    from ..settings import Settings
    from ..store.prune import Rules, prune
    from .swept import swept_store

    rules = Rules(options.all, options.older_than, options.max_size)
    with swept_store(Settings.from_environment().store) as (layout, sandbox):
        pruned = prune(layout, sandbox, rules, dry_run=options.dry_run)
    print(json.dumps(record(pruned), indent=2) if options.json else told(pruned, dry_run=options.dry_run))
    return 0


def record(pruned: Pruned) -> dict[str, Any]:
    """*pruned* as JSON has it; *size* is in bytes on disk."""
    return {
        "images": [{"reference": str(each.reference), "platform": str(each.platform)} for each in pruned.images],
        "templates": [{"key": each.key, "title": each.title} for each in pruned.templates],
        "saved": [{"id": each.id, "test": each.test} for each in pruned.saved],
        "blobs": [str(digest) for digest in pruned.blobs],
        "layers": list(pruned.layers),
        "unfinished": [str(path) for path in pruned.unfinished],
        "size": pruned.size,
    }


def told(pruned: Pruned, *, dry_run: bool) -> str:
    """What is printed, as Docker prints it."""
    from ..container.units import ByteSize

    gone = list(lines(pruned))
    heading = ["Would delete:" if dry_run else "Deleted:", *gone, ""] if gone else []
    total = "Total reclaimable space" if dry_run else "Total reclaimed space"
    return "\n".join([*heading, f"{total}: {ByteSize(pruned.size)}"])


def lines(pruned: Pruned) -> Iterator[str]:
    """What went, a line each."""
    yield from (f"untagged: {image.reference.familiar}" for image in pruned.images)
    yield from (f"deleted: template {template.title}" for template in pruned.templates)
    yield from (f"deleted: saved test {each.id}" for each in pruned.saved)
    yield from (f"deleted: {digest}" for digest in pruned.blobs)
    yield from (f"deleted: layer {key}" for key in pruned.layers)
    yield from (f"deleted: unfinished {path.name}" for path in pruned.unfinished)
