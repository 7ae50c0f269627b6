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

    *lower_dirs* are its unpacked layers, base first. *snapshot* names what a container added to the image that
    *reference* and the digests are of, empty for one that was pulled; *privileged* tells of a snapshot whether it is of
    a container without a user namespace, and so for such containers only.
    """

    reference: ImageName
    digest: Digest
    config_digest: Digest
    config: ImageConfig
    size: int
    lower_dirs: tuple[Path, ...]
    snapshot: str = ""
    privileged: bool = False

    @property
    def title(self) -> str:
        """How it is shown: ``busybox:latest``, and ``busybox:latest+NAME`` for a snapshot."""
        return f"{self.reference.familiar}+{self.snapshot}" if self.snapshot else self.reference.familiar
