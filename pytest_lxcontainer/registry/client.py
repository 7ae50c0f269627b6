"""The registry client: verified manifests, and streams of blobs."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import requests

from ..errors import CorruptImageError, DigestMismatchError, ImageNotFoundError, RegistryError
from ..image.digest import Digest, sha256_of
from ..image.document import printable
from ..image.manifest import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    MAX_MANIFEST_SIZE,
    Descriptor,
    Index,
    Manifest,
    available,
    candidates,
    check_kind,
    no_platform,
    parse_manifest,
)
from ..image.platform import Platform
from ..image.reference import Reference
from .download import Download
from .failures import CONNECTION_ERRORS, body, codes, discard, no_access, not_found, public_url, refusal, unreachable
from .fetched import FetchedManifest
from .mirrors import HUB_PREFIX_VARIABLE, Endpoint, canonical, endpoint
from .notices import RateLimit
from .transport import TRIES, Transport

_ACCEPT = {"Accept": ", ".join(INDEX_TYPES + MANIFEST_TYPES)}
_MAX_NESTING = 4
_MAX_DOCUMENTS = 32
_MAX_URLS = 8
_PAUSE = 0.25  # seconds
_TAGS_SHOWN = 10
_MAX_TAGS_BODY = 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Fetched:
    """A manifest or index with its exact bytes and their digest."""

    found: Manifest | Index
    data: bytes
    digest: Digest


class RegistryClient:
    """Fetches from registries; a context manager, and safe to use from several threads.

    *mirrors* maps a registry's host to the URL that is asked instead; where it has none for Docker Hub,
    ``$TESTCONTAINERS_HUB_IMAGE_NAME_PREFIX`` may name one. *timeout* (seconds) is for a connection to be made and
    for each wait for bytes, *sleep* pauses before another try.

    *rate_limit* is what a registry last said about the pulls that are left, ``None`` if none did.
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
        self._hub_prefix = os.environ.get(HUB_PREFIX_VARIABLE, "")
        self._transport = Transport(timeout=timeout, user_agent=user_agent, sleep=sleep)
        self._sleep = sleep
        self.rate_limit: RateLimit | None = None

    def __enter__(self) -> RegistryClient:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def warnings(self) -> list[str]:
        """What registries warned of so far, each once."""
        return self._transport.warnings

    @property
    def notices(self) -> list[str]:
        """What people should know of before it becomes an error: warnings, and that few pulls are left."""
        low = [f"few pulls are left: {self.rate_limit}"] if self.rate_limit and self.rate_limit.is_low else []
        return [*self.warnings, *low]

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def resolve(self, reference: Reference) -> Digest:
        """Return the digest of the manifest or index that *reference* names now.

        A reference with a digest answers itself. Registries that count pulls do not count this.
        """
        if reference.digest:
            return reference.digest
        place = self._place(reference)
        response = self._request("HEAD", place, reference, f"manifests/{reference.target}", _ACCEPT)
        discard(response)
        if response.status_code == 429:
            raise self._manifest_refusal(response, place, reference)
        said = response.headers.get("Docker-Content-Digest")
        if response.status_code == 200 and said:
            return Digest.parse(said)
        # Not every registry answers HEAD, or with a digest, and no answer to it can say what is wrong.
        return self._document(place, reference, reference.target).digest

    def fetch_manifest(self, reference: Reference, platform: Platform) -> FetchedManifest:
        """Return the verified manifest of *reference* for *platform*, following indexes.

        Raises `ImageNotFoundError`, `UnsupportedImageError` where the platform is not there, and
        `CorruptImageError` for what is not as its digest or descriptor says.
        """
        place = self._place(reference)
        outermost = self._document(place, reference, reference.target)
        search = _Search(platform, partial(self._listed, place, reference))
        image = search.image(outermost)
        if image is None:
            raise no_platform(platform, search.there)
        found, data, digest = image
        return FetchedManifest(digest, found, data, outermost.digest if digest != outermost.digest else None)

    @contextmanager
    def open_blob(self, reference: Reference, descriptor: Descriptor) -> Iterator[Iterator[bytes]]:
        """Give the chunks of a blob of *reference*'s repository; whoever keeps them verifies their digest.

        The iterator raises `CorruptImageError` when there are more bytes than *descriptor* says, and resumes
        where a connection breaks.
        """
        if descriptor.data is not None:
            yield iter([descriptor.data])
            return
        place = self._place(reference)
        download = Download(descriptor, partial(self._blob, place, reference, descriptor), self._sleep)
        try:
            yield download.chunks()
        finally:
            download.close()

    def _place(self, reference: Reference) -> Endpoint:
        return endpoint(reference.registry, self._mirrors, self._hub_prefix)

    def _blob(
        self, place: Endpoint, reference: Reference, descriptor: Descriptor, headers: dict[str, str]
    ) -> requests.Response:
        response = self._request("GET", place, reference, f"blobs/{descriptor.digest}", headers)
        if _is_blob(response, headers):
            return response
        if response.status_code == 404 and descriptor.urls:
            discard(response)
            return self._foreign_blob(place, descriptor, headers)
        with response:
            raise refusal(response, f"{place.registry} does not give the blob {descriptor.digest}", place)

    def _foreign_blob(self, place: Endpoint, descriptor: Descriptor, headers: dict[str, str]) -> requests.Response:
        """Ask the places the manifest names, which get no credentials (CVE-2020-15157)."""
        problems = []
        for url in descriptor.urls[:_MAX_URLS]:
            try:
                response = self._transport.fetch(place, url, headers)
            except RegistryError as error:
                problems.append(f"{public_url(url)}: {error.message}")
                continue
            if _is_blob(response, headers):
                return response
            problems.append(f"{public_url(url)}: HTTP {response.status_code}")
            discard(response)
        raise ImageNotFoundError(
            f"neither {place.registry} nor a place its manifest names has the blob {descriptor.digest}",
            details="\n".join(problems),
            status=404,
        )

    def _listed(self, place: Endpoint, reference: Reference, entry: Descriptor) -> _Fetched:
        """Return the manifest or index that an index lists as *entry*."""
        if entry.data is not None:
            fetched = _Fetched(parse_manifest(entry.data, entry.media_type), entry.data, entry.digest)
        else:
            fetched = self._document(place, reference, str(entry.digest))
        if len(fetched.data) != entry.size:
            raise CorruptImageError(
                f"the manifest has {len(fetched.data)} bytes, and the index says {entry.size}",
                details=f"digest: {entry.digest}",
            )
        check_kind(entry, fetched.found)
        return fetched

    def _document(self, place: Endpoint, reference: Reference, target: str) -> _Fetched:
        """Return a manifest or index, verified."""
        for tried in range(1, TRIES + 1):
            with self._request("GET", place, reference, f"manifests/{target}", _ACCEPT) as response:
                if response.status_code != 200:
                    raise self._manifest_refusal(response, place, reference)
                try:
                    data = body(response, MAX_MANIFEST_SIZE)
                except CONNECTION_ERRORS as error:
                    if tried == TRIES:
                        raise unreachable(error, place, response.url) from None
                    self._sleep(_PAUSE * tried)
                    continue
                except ValueError:
                    raise CorruptImageError(f"the manifest has more than {MAX_MANIFEST_SIZE} bytes") from None
                expected = target if ":" in target else response.headers.get("Docker-Content-Digest")
                digest = _verified(data, expected)
                return _Fetched(parse_manifest(data, response.headers.get("Content-Type")), data, digest)
        raise AssertionError("the last try returns or raises")

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
                tags = json.loads(body(response, _MAX_TAGS_BODY))["tags"]
                return [printable(tag) for tag in tags if isinstance(tag, str)][:_TAGS_SHOWN]
        except Exception:
            return []

    def _request(
        self, method: str, place: Endpoint, reference: Reference, what: str, headers: dict[str, str]
    ) -> requests.Response:
        response = self._transport.request(method, place, place.repository(reference.repository), what, headers)
        if what.startswith("manifests/"):
            self.rate_limit = RateLimit.read(response.headers) or self.rate_limit
        return response


class _Search:
    """Finds the image for *platform* in an index, and in those that *fetch* gives for its entries.

    *there* are the platforms that were met on the way.
    """

    def __init__(self, platform: Platform, fetch: Callable[[Descriptor], _Fetched]) -> None:
        self.there: list[Platform] = []
        self._platform = platform
        self._fetch = fetch
        self._left = _MAX_DOCUMENTS

    def image(self, fetched: _Fetched, depth: int = 0) -> tuple[Manifest, bytes, Digest] | None:
        """Return the first manifest that *fetched* is or leads to, depth first."""
        if isinstance(fetched.found, Manifest):
            return fetched.found, fetched.data, fetched.digest
        if depth == _MAX_NESTING:
            raise CorruptImageError(f"the image is an index of indexes, more than {_MAX_NESTING} deep")
        self.there += [one for one in available(fetched.found) if one not in self.there]
        for entry in candidates(fetched.found, self._platform):
            if self._left == 0:
                raise CorruptImageError(f"the image's indexes list more than {_MAX_DOCUMENTS} indexes without platform")
            self._left -= 1
            if image := self.image(self._fetch(entry), depth + 1):
                return image
        return None


def _is_blob(response: requests.Response, headers: Mapping[str, str]) -> bool:
    """Tell whether a blob came, or where a part was asked for the answer that there is none."""
    return response.status_code in (200, 206) or (response.status_code == 416 and "Range" in headers)


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
