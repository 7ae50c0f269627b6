"""An image as the store holds it, ready to be run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .config import ImageConfig
from .digest import Digest
from .name import ImageName


@dataclass(frozen=True, slots=True)
class Image:
    """A pulled image: *digest* is its manifest's, *config_digest* its id, *size* its compressed bytes.

    *lower_dirs* are its unpacked layers, base first.
    """

    reference: ImageName
    digest: Digest
    config_digest: Digest
    config: ImageConfig
    size: int
    lower_dirs: tuple[Path, ...]
