"""What an image is: pure values, no I/O."""

from .archive import ArchiveReference
from .config import Healthcheck, ImageConfig, check_layers, check_platform
from .digest import Digest, Verifier, chain_ids, sha256_of
from .image import Image
from .manifest import Descriptor, Index, Manifest, parse_manifest
from .name import ImageName, parse_name
from .platform import Platform
from .reference import Reference

__all__ = [
    "ArchiveReference",
    "Descriptor",
    "Digest",
    "Healthcheck",
    "Image",
    "ImageConfig",
    "ImageName",
    "Index",
    "Manifest",
    "Platform",
    "Reference",
    "Verifier",
    "chain_ids",
    "check_layers",
    "check_platform",
    "parse_manifest",
    "parse_name",
    "sha256_of",
]
