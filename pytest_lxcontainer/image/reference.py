"""References: how people name images, read as Docker reads them.

The grammar is https://github.com/distribution/reference/blob/main/reference.go, the normalisation that of its
``normalize.go``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..errors import CorruptImageError, InvalidReferenceError
from .digest import Digest

DOCKER_HUB = "docker.io"

_HUB_ALIASES = (DOCKER_HUB, "index.docker.io")
_DEFAULT_TAG = "latest"
_MAX_NAME_LENGTH = 255
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_PATH_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PATH_COMPONENT}(?:/{_PATH_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_IMAGE_ID = re.compile(r"[a-f0-9]{64}")


@dataclass(frozen=True, slots=True)
class Reference:
    """``registry/repository[:tag][@digest]``; where both are present the digest wins."""

    registry: str
    repository: str
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read what people write (``alpine``, ``docker://host/repo:1``), or raise `InvalidReferenceError`."""
        name, tag, digest = _split(text.removeprefix("docker://"), text)
        registry, repository = _normalised(name)
        _check(text, registry, repository, tag)
        if tag is None and digest is None:
            tag = _DEFAULT_TAG
        return cls(registry, repository, tag, digest)

    def __str__(self) -> str:
        return f"{self.registry}/{self.repository}{self._suffix}"

    @property
    def familiar(self) -> str:
        """The reference as Docker prints it: without ``docker.io/`` and ``library/``."""
        if self.registry != DOCKER_HUB:
            return str(self)
        return self.repository.removeprefix("library/") + self._suffix

    @property
    def name(self) -> str:
        """The reference as Docker prints it, without tag and digest."""
        return replace(self, tag=None, digest=None).familiar

    @property
    def target(self) -> str:
        """What a registry is asked for: the digest, else the tag."""
        return str(self.digest or self.tag or _DEFAULT_TAG)

    def with_digest(self, digest: Digest) -> Reference:
        """Return the same reference pinned to *digest*; a tag is kept."""
        return replace(self, digest=digest)

    @property
    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def _split(rest: str, text: str) -> tuple[str, str | None, Digest | None]:
    name, at, digest_text = rest.partition("@")
    slash = name.rfind("/")
    colon = name.rfind(":")
    # A colon before the last slash belongs to the registry's port.
    name, tag = (name[:colon], name[colon + 1 :]) if colon > slash else (name, None)
    if not at:
        return name, tag, None
    try:
        return name, tag, Digest.parse(digest_text)
    except CorruptImageError as error:
        raise InvalidReferenceError(f"{text!r} is no image reference", details=error.message) from None


def _normalised(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if slash and (first == "localhost" or "." in first or ":" in first or first != first.lower()):
        registry, repository = first, rest
    else:
        registry, repository = DOCKER_HUB, name
    if registry not in _HUB_ALIASES:
        return registry, repository
    return DOCKER_HUB, repository if "/" in repository else f"library/{repository}"


def _check(text: str, registry: str, repository: str, tag: str | None) -> None:
    for wrong, problem, hint in _problems(registry, repository, tag):
        if wrong:
            raise InvalidReferenceError(f"{text!r} is no image reference", details=problem, hint=hint)


def _problems(registry: str, repository: str, tag: str | None) -> Iterator[tuple[bool, str, str]]:
    yield (
        repository in ("", "library/"),
        "it names no repository",
        "write [registry/]repository[:tag][@digest], such as alpine:3.20",
    )
    yield (
        bool(_IMAGE_ID.fullmatch(repository.removeprefix("library/"))),
        "64 hex digits are an image id, which no registry knows",
        "name the repository and its tag",
    )
    yield not _REGISTRY.fullmatch(registry), f"{registry!r} is no registry's host[:port]", ""
    yield (
        repository != repository.lower(),
        f"the repository {repository!r} has upper-case letters",
        f"use lower case: {repository.lower()}",
    )
    yield (
        not _REPOSITORY.fullmatch(repository),
        f"{repository!r} is no repository's name",
        "use a-z and 0-9, with single . _ - or / between them",
    )
    yield (
        len(registry) + 1 + len(repository) > _MAX_NAME_LENGTH,
        f"the name is longer than {_MAX_NAME_LENGTH} characters",
        "",
    )
    yield (
        tag is not None and not _TAG.fullmatch(tag),
        f"{tag!r} is no tag",
        "a tag has at most 128 of A-Z a-z 0-9 _ . - and begins with neither . nor -",
    )
