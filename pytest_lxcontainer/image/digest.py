"""Digests: bytes named by what they are.

The text form is the OCI image spec's
(https://github.com/opencontainers/image-spec/blob/main/descriptor.md#digests).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import CorruptImageError
from .document import shown

if TYPE_CHECKING:
    import hashlib

_HEX_LENGTHS = {"sha256": 64, "sha512": 128}
_HEX = re.compile(r"[0-9a-f]+")


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """``algorithm:hex`` of bytes as they are transferred or stored."""

    algorithm: str
    hex: str

    @classmethod
    def parse(cls, text: object) -> Digest:
        """Read ``sha256:<64 hex>`` or ``sha512:<128 hex>``, or raise `CorruptImageError`."""
        if not isinstance(text, str):
            raise CorruptImageError(f"a digest must be a string, not {shown(text)}")
        algorithm, _, digits = text.partition(":")
        if algorithm not in _HEX_LENGTHS:
            raise CorruptImageError(f"{shown(text)} is no digest: it must begin with sha256: or sha512:")
        if len(digits) != _HEX_LENGTHS[algorithm] or not _HEX.fullmatch(digits):
            raise CorruptImageError(
                f"{shown(text)} is no digest: {algorithm} has {_HEX_LENGTHS[algorithm]} lower-case hex digits"
            )
        return cls(algorithm, digits)

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"

    @property
    def short(self) -> str:
        """The first 12 hex digits, as Docker shows image ids."""
        return self.hex[:12]

    def verifier(self) -> Verifier:
        """Return an object to feed with bytes and then ask whether they are this digest's."""
        return Verifier(self)


class Verifier:
    """Hashes the bytes it is given with the algorithm of the digest it expects."""

    def __init__(self, expected: Digest) -> None:
        # Here, since it loads libcrypto, which most importers of this module never use.
        import hashlib

        self.expected = expected
        self._hash: hashlib._Hash = hashlib.new(expected.algorithm)

    def update(self, data: bytes) -> None:
        """Take the next bytes."""
        self._hash.update(data)

    @property
    def actual(self) -> Digest:
        """The digest of the bytes taken so far."""
        return Digest(self.expected.algorithm, self._hash.hexdigest())

    @property
    def matches(self) -> bool:
        """Whether the bytes taken so far are the expected ones."""
        return self.actual == self.expected


def sha256_of(data: bytes) -> Digest:
    """Return the sha256 digest of *data*."""
    import hashlib

    return Digest("sha256", hashlib.sha256(data).hexdigest())


def chain_ids(diff_ids: Sequence[Digest]) -> tuple[Digest, ...]:
    """Return the identity of every stack that *diff_ids* (base first) form, base first.

    https://github.com/opencontainers/image-spec/blob/main/config.md#layer-chainid
    """
    chain: list[Digest] = []
    for diff_id in diff_ids:
        chain.append(sha256_of(f"{chain[-1]} {diff_id}".encode()) if chain else diff_id)
    return tuple(chain)
