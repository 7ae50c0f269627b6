"""Template records: which layer holds what a template's containers begin with."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .disk import disk_errors, touch, write_whole
from .layout import Layout


@dataclass(frozen=True, slots=True)
class TemplateRecord:
    """Template *key* (hex digits), *title* for people, and the key of its own *layer*, above those of its image.

    *made_at* and *used_at* are in seconds since the epoch.
    """

    key: str
    title: str
    layer: str
    made_at: float
    used_at: float = 0.0


class TemplateStore:
    """Remembers which templates were made; one without its layer counts as not made."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def record(self, key: str, title: str, layer: str) -> None:
        """Remember that *layer* is what template *key* added to its image."""
        path = self._layout.template_record(key)
        fields = {"title": title, "layer": layer, "made_at": time.time()}
        with disk_errors("record a template", path):
            write_whole(self._layout.temporary(), path, json.dumps(fields, indent=1).encode())

    def find(self, key: str) -> Path | None:
        """The layer of template *key*, or ``None``; it counts as used now."""
        path = self._layout.template_record(key)
        record = _read(path)
        layer = self._layout.layer(record.layer) if record else None
        if record is None or layer is None or not layer.is_dir():
            return None
        touch(path, record.used_at)
        return layer

    def list(self) -> list[TemplateRecord]:
        """Every record, the latest made first."""
        records = filter(None, map(_read, self._layout.templates_dir.glob("*.json")))
        return sorted(records, key=lambda record: record.made_at, reverse=True)

    def remove(self, key: str) -> None:
        """Forget a record; its layer goes with the next prune."""
        with disk_errors("forget a template", self._layout.template_record(key)), suppress(FileNotFoundError):
            self._layout.template_record(key).unlink()


def _read(path: Path) -> TemplateRecord | None:
    """Read a record; one that cannot be read counts as absent, since the template is made again then."""
    try:
        fields = json.loads(path.read_bytes())
        used_at = path.stat().st_mtime
        return TemplateRecord(path.stem, str(fields["title"]), str(fields["layer"]), float(fields["made_at"]), used_at)
    except (OSError, ValueError, KeyError, TypeError):
        return None
