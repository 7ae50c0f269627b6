"""Image records: which manifest a reference named when it was last pulled."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

from ..errors import LxContainerError
from ..image.digest import Digest
from ..image.name import ImageName, parse_name
from ..image.platform import Platform
from .disk import disk_errors, touch, write_whole
from .layout import Layout


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """*digest* is the manifest's for *platform*, *pulled_at* and *used_at* in seconds since the epoch.

    *index_digest* is that of the index that led to it, or the state of files: what the source resolves the
    reference to. A *local* image was made here, and no source knows of it.
    """

    reference: ImageName
    platform: Platform
    digest: Digest
    pulled_at: float
    index_digest: Digest | None = None
    used_at: float = 0.0
    local: bool = False

    @property
    def resolved(self) -> Digest:
        """What the source answers for the reference while its tag, or its files, stay as they are."""
        return self.index_digest or self.digest


class ImageStore:
    """Remembers what was pulled, so that a run can do without the registry."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def record(
        self,
        reference: ImageName,
        platform: Platform,
        digest: Digest,
        *,
        index_digest: Digest | None = None,
        local: bool = False,
    ) -> None:
        """Remember that *reference* names the manifest *digest* for *platform*, by way of *index_digest*."""
        path = self._layout.image_record(reference, platform)
        fields = {
            "reference": str(reference),
            "platform": str(platform),
            "digest": str(digest),
            "index_digest": str(index_digest) if index_digest else None,
            "pulled_at": time.time(),
            **({"local": True} if local else {}),
        }
        with disk_errors("record an image", path):
            write_whole(self._layout.temporary(), path, json.dumps(fields, indent=1).encode())

    def find(self, reference: ImageName, platform: Platform) -> Digest | None:
        """Return the manifest digest last pulled, or ``None``."""
        found = self.find_record(reference, platform)
        return found.digest if found else None

    def find_record(self, reference: ImageName, platform: Platform) -> ImageRecord | None:
        """Return all that is remembered of *reference*, or ``None``."""
        return _read(self._layout.image_record(reference, platform))

    def touch(self, record: ImageRecord) -> None:
        """Remember that the image is used now, to an hour: pruning by age goes by it."""
        touch(self._layout.image_record(record.reference, record.platform), record.used_at)

    def list(self) -> list[ImageRecord]:
        """Return every record, the latest pulled first."""
        records = filter(None, map(_read, self._layout.images_dir.glob("*.json")))
        return sorted(records, key=lambda record: record.pulled_at, reverse=True)

    def remove(self, reference: ImageName, platform: Platform) -> bool:
        """Forget a record, and tell whether there was one; blobs and layers go with the next prune."""
        path = self._layout.image_record(reference, platform)
        with disk_errors("remove an image", path):
            try:
                path.unlink()
            except FileNotFoundError:
                return False
        return True


def _read(path: Path) -> ImageRecord | None:
    """Read a record; one that cannot be read counts as absent, since pulling again mends it."""
    try:
        fields = json.loads(path.read_bytes())
        return ImageRecord(
            parse_name(fields["reference"]),
            Platform.parse(fields["platform"]),
            Digest.parse(fields["digest"]),
            float(fields["pulled_at"]),
            Digest.parse(fields["index_digest"]) if fields.get("index_digest") else None,
            path.stat().st_mtime,
            bool(fields.get("local")),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, LxContainerError):
        return None
