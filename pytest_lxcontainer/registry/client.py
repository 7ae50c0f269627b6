"""The registry client: verified manifests, and streams of blobs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import requests

from ..errors import CorruptImageError, DigestMismatchError
from ..image.digest import Digest, sha256_of
from ..image.manifest import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    MAX_MANIFEST_SIZE,
    Descriptor,
    Index,
    Manifest,
    parse_manifest,
    select,
)
from ..image.platform import Platform
from ..image.reference import Reference
from .download import Download
from .failures import codes, no_access, not_found, refusal, unreachable
from .mirrors import Endpoint, canonical, endpoint
from .transport import Transport

_ACCEPT = {"Accept": ", ".join(INDEX_TYPES + MANIFEST_TYPES)}
_MAX_NESTING = 4
_TAGS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class FetchedManifest:
    """One platform's manifest: *data* are its exact bytes, *digest* theirs.

    *index_digest* is that of the index that led to it, ``None`` where there was none.
    """

    digest: Digest
    manifest: Manifest
    data: bytes
    index_digest: Digest | None = None


class RegistryClient:
    """Fetches from registries; a context manager, and safe to use from several threads.

    *mirrors* maps a registry's host to the URL that is asked instead; *timeout* (seconds) is for a connection
    to be made and for each wait for bytes, *sleep* pauses before another try.
    """

    def __init__(
        self,
        mirrors: Mapping[str, str] | None = None,
        *,
        timeout: float = 30.0,
        user_agent: str = "pytest-lxcontainer",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._mirrors = {canonical(host): url for host, url in (mirrors or {}).items()}
        self._transport = Transport(timeout=timeout, user_agent=user_agent, sleep=sleep)
        self._sleep = sleep

    def __enter__(self) -> RegistryClient:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def resolve(self, reference: Reference) -> Digest:
        """Return the digest of the manifest or index that *reference* names now.

        A reference with a digest answers itself. Registries that count pulls do not count this.
        """
        if reference.digest:
            return reference.digest
        place = endpoint(reference.registry, self._mirrors)
        with self._request("HEAD", place, reference, f"manifests/{reference.target}", _ACCEPT) as response:
            said = response.headers.get("Docker-Content-Digest")
            if response.status_code == 200 and said:
                return Digest.parse(said)
        # An answer to HEAD has no body that could say what is wrong.
        return self._document(place, reference, reference.target)[0]

    def fetch_manifest(self, reference: Reference, platform: Platform) -> FetchedManifest:
        """Return the verified manifest of *reference* for *platform*, following indexes.

        Raises `ImageNotFoundError`, `UnsupportedImageError` where the platform is not there, and
        `CorruptImageError` for what is not as its digest or descriptor says.
        """
        place = endpoint(reference.registry, self._mirrors)
        digest, data, found = self._document(place, reference, reference.target)
        outermost: Digest | None = None
        for _ in range(_MAX_NESTING):
            if isinstance(found, Manifest):
                return FetchedManifest(digest, found, data, outermost)
            outermost = outermost or digest
            chosen = select(found, platform)
            digest, data, found = self._document(place, reference, str(chosen.digest))
            if len(data) != chosen.size:
                raise CorruptImageError(
                    f"the manifest has {len(data)} bytes, and the index says {chosen.size}",
                    details=f"digest: {digest}",
                )
        raise CorruptImageError(f"{reference} is an index of indexes, more than {_MAX_NESTING} deep")

    @contextmanager
    def open_blob(self, reference: Reference, descriptor: Descriptor) -> Iterator[Iterator[bytes]]:
        """Give the chunks of a blob of *reference*'s repository; whoever keeps them verifies their digest.

        The iterator raises `CorruptImageError` when there are more bytes than *descriptor* says, and resumes
        where a connection breaks.
        """
        place = endpoint(reference.registry, self._mirrors)

        def request(headers: dict[str, str]) -> requests.Response:
            response = self._request("GET", place, reference, f"blobs/{descriptor.digest}", headers)
            if response.status_code in (200, 206):
                return response
            with response:
                raise refusal(response, f"{place.registry} does not give the blob {descriptor.digest}", place)

        download = Download(descriptor, request, self._sleep)
        try:
            yield download.chunks()
        finally:
            download.close()

    def _document(self, place: Endpoint, reference: Reference, target: str) -> tuple[Digest, bytes, Manifest | Index]:
        """Return a manifest or index with its digest and bytes, verified."""
        with self._request("GET", place, reference, f"manifests/{target}", _ACCEPT) as response:
            if response.status_code != 200:
                raise self._manifest_refusal(response, place, reference)
            data = _read(response, place)
            expected = target if ":" in target else response.headers.get("Docker-Content-Digest")
            digest = _verified(data, expected)
            return digest, data, parse_manifest(data, response.headers.get("Content-Type"))

    def _manifest_refusal(self, response: requests.Response, place: Endpoint, reference: Reference) -> Exception:
        if response.status_code in (401, 403):
            return no_access(response, reference, place)
        if response.status_code == 404:
            unknown = "NAME_UNKNOWN" in codes(response)
            return not_found(response, reference, place, None if unknown else self._tags(place, reference))
        return refusal(response, f"{place.registry} does not give the manifest of {reference.familiar}", place)

    def _tags(self, place: Endpoint, reference: Reference) -> list[str] | None:
        """Return a few tags of the repository, ``None`` if there is no such repository."""
        try:
            with self._request("GET", place, reference, f"tags/list?n={_TAGS_SHOWN}", {}) as response:
                if response.status_code == 404:
                    return None
                return [str(tag) for tag in response.json()["tags"]][:_TAGS_SHOWN]
        except Exception:
            return []

    def _request(
        self, method: str, place: Endpoint, reference: Reference, what: str, headers: dict[str, str]
    ) -> requests.Response:
        return self._transport.request(
            method,
            place,
            f"{reference.repository}/{what}",
            scope=f"repository:{reference.repository}:pull",
            headers=headers,
        )


def _read(response: requests.Response, place: Endpoint) -> bytes:
    data = bytearray()
    try:
        for chunk in response.iter_content(64 * 1024):
            data += chunk
            if len(data) > MAX_MANIFEST_SIZE:
                raise CorruptImageError(f"the manifest has more than the {MAX_MANIFEST_SIZE} bytes allowed")
    except requests.RequestException as error:
        raise unreachable(error, place, response.url) from error
    return bytes(data)


def _verified(data: bytes, expected: str | None) -> Digest:
    if expected is None:
        return sha256_of(data)
    digest = Digest.parse(expected)
    verifier = digest.verifier()
    verifier.update(data)
    if not verifier.matches:
        raise DigestMismatchError(
            "the manifest's bytes are not what its digest says",
            expected=expected,
            actual=str(verifier.actual),
            hint="a proxy or mirror may have changed it; try again without",
        )
    return digest
