"""``lxcontainer inspect``: all that is known of containers and images."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..errors import ContainerNotFoundError, ImageNotCachedError
from .found import running_containers
from .ps import described

if TYPE_CHECKING:
    from ..running import Running
    from ..supervisor.record import Listed
    from .grammar import Commands


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "inspect",
        help="print all that is known of containers or images",
        description="Print all that is known of containers or images, as a JSON list. Times are in seconds since the "
        "epoch, sizes in bytes.",
        epilog="examples:\n  lxcontainer inspect db\n  lxcontainer inspect postgres:15",
    )
    parser.add_argument("names", nargs="+", metavar="NAME", help="a container's name or id, an image's reference or id")
    parser.add_argument("--json", action="store_true", help="as always")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print a list with a record for each name, or nothing where one is of nothing."""
    with running_containers() as running:
        records = [record for name in options.names for record in _records(running, name)]
    print(json.dumps(records, indent=2))
    return 0


def _records(running: Running, name: str) -> list[dict[str, Any]]:
    try:
        return [_container(running.find(name))]
    except ContainerNotFoundError as error:
        if error.details:  # there are several
            raise
    images = _images(name)
    if not images:
        raise ContainerNotFoundError(
            f"there is no container and no image {name!r}", hint="see: lxcontainer ps -a, lxcontainer images"
        )
    return images


def _container(each: Listed) -> dict[str, Any]:
    spec = each.spec
    about = {
        "kind": "container",
        **described(each),
        "env": dict(spec.env),
        "cwd": spec.cwd,
        "user": {"uid": spec.uid, "gid": spec.gid, "groups": spec.groups},
        "hostname": spec.hostname,
        "aliases": spec.aliases,
        "mounts": [dict(zip(("source", "target", "read_only"), mount, strict=True)) for mount in spec.mounts],
        "tmpfs": dict(spec.tmpfs),
        "volumes": spec.volumes,
        "networks": spec.networks,
        "isolated": spec.isolated,
        "limits": asdict(spec.limits),
        "privileged": spec.privileged,
        "cap_add": spec.cap_add,
        "labels": dict(spec.labels),
        "layers": spec.lower_dirs,
    }
    return {**about, "image_digest": each.record.note.get("image", {}).get("digest")}


def _images(name: str) -> list[dict[str, Any]]:
    from ..settings import Settings
    from ..store.blobs import BlobStore
    from ..store.images import ImageStore
    from ..store.layout import Layout
    from .images import described as described_image
    from .rmi import named

    layout = Layout(Settings.from_environment().store)
    blobs = BlobStore(layout)
    try:
        records = named(name, ImageStore(layout).list(), blobs)
    except ImageNotCachedError:
        return []
    return [
        {"kind": "image", **described_image(each, blobs), "config": _config(blobs, each.digest)} for each in records
    ]


def _config(blobs: Any, digest: Any) -> Any:
    """What the image's config says, as it says it; ``None`` where the store has lost it."""
    from ..errors import CorruptImageError, StoreError
    from ..image import Manifest, parse_manifest

    try:
        manifest = parse_manifest(blobs.read(digest), None)
        return json.loads(blobs.read(manifest.config.digest)) if isinstance(manifest, Manifest) else None
    except (StoreError, CorruptImageError, OSError, ValueError):
        return None
