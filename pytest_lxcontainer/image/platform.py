"""Platforms: what an image was built for, and which of them a host can run."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from ..errors import InvalidSettingsError

# uname's and Debian's words for what image indexes name as Go does.
# https://github.com/containerd/platforms/blob/main/database.go
_ARCHITECTURES = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armv7l": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "armv6l": ("arm", "v6"),
    "i386": ("386", ""),
    "i486": ("386", ""),
    "i586": ("386", ""),
    "i686": ("386", ""),
    "ppc64el": ("ppc64le", ""),
}
# The variant that an absent one means, so that both are written the same way.
_BASE_VARIANTS = {("amd64", "v1"): "", ("arm64", "v8"): "", ("arm", ""): "v7"}


@dataclass(frozen=True, slots=True)
class Platform:
    """Operating system, architecture and variant (``""`` is the architecture's usual one), in Go's words."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def of(cls, os: str, architecture: str, variant: str = "") -> Platform:
        """Return the platform with synonyms resolved: ``x86_64`` is ``amd64``, ``arm64/v8`` is ``arm64``."""
        architecture = architecture.lower()
        architecture, implied = _ARCHITECTURES.get(architecture, (architecture, ""))
        variant = variant.lower() or implied
        if variant.isdigit():
            variant = f"v{variant}"
        return cls(os.lower(), architecture, _BASE_VARIANTS.get((architecture, variant), variant))

    @classmethod
    def host(cls) -> Platform:
        """Return the platform of this machine."""
        return cls.of("linux", os.uname().machine)

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Read ``os/architecture[/variant]``, or raise `InvalidSettingsError`."""
        parts = text.split("/")
        if len(parts) not in (2, 3) or not all(re.fullmatch(r"[A-Za-z0-9_.-]+", part) for part in parts):
            raise InvalidSettingsError(
                f"{text!r} is no platform", hint="write OS/ARCH or OS/ARCH/VARIANT, such as linux/amd64"
            )
        return cls.of(*parts)

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))

    def runnable(self) -> tuple[Platform, ...]:
        """Return the platforms whose images run here, best first: this one, then its lesser variants."""
        if not (match := re.fullmatch(r"v(\d{1,2})", self.variant)):
            variants = [self.variant, ""]
        else:
            variants = [f"v{n}" for n in range(int(match[1]), 0, -1)] + [""]
        return tuple(dict.fromkeys(Platform.of(self.os, self.architecture, v) for v in variants))


UNKNOWN_PLATFORM = Platform("linux", "")
"""What very old images are for: they name no architecture."""
