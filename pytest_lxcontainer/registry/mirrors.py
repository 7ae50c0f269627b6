"""Endpoints: which URL is asked for what belongs to a registry."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from ..errors import InvalidSettingsError
from ..image.document import printable
from ..image.reference import DOCKER_HUB

_HUB_NAMES = (DOCKER_HUB, "index.docker.io", "registry-1.docker.io")
_HUB_URL = "https://registry-1.docker.io"
_COMPONENT = r"[A-Za-z0-9_-]+(?:\.+[A-Za-z0-9_-]+)*"
_PATH = re.compile(rf"(?:{_COMPONENT}(?:/{_COMPONENT})*)?")
_FORM = "write HOST=URL, such as docker.io=http://127.0.0.1:5000"

HUB_PREFIX_VARIABLE = "TESTCONTAINERS_HUB_IMAGE_NAME_PREFIX"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to ask for what belongs to *registry*: *url*, scheme and host alone, with the credentials for *account*.

    There, repositories have *prefix* before their names, and with *familiar* Docker Hub's official images lack
    their ``library/``.
    """

    registry: str
    url: str
    account: str
    prefix: str = ""
    familiar: bool = False

    @property
    def is_loopback(self) -> bool:
        """Whether it is on this machine, where plain HTTP harms nobody."""
        return is_loopback(urlsplit(self.url).hostname)

    @property
    def is_mirror(self) -> bool:
        """Whether somebody else is asked than the registry itself."""
        return self.account != self.registry or bool(self.prefix)

    @property
    def address(self) -> str:
        """The URL as whoever set the mirror wrote it."""
        return f"{self.url}/{self.prefix}" if self.prefix else self.url

    def repository(self, name: str) -> str:
        """Return what the repository *name* of `registry` is called there."""
        if self.familiar:
            name = name.removeprefix("library/")
        return f"{self.prefix}/{name}" if self.prefix else name


def parse_mirror(text: str) -> tuple[str, str]:
    """Read ``HOST=URL``, or raise `InvalidSettingsError`; plain HTTP is for this machine only.

    A path in the URL goes before the repositories' names: with ``https://host/hub``, ``redis`` is asked for at
    ``https://host/v2/hub/library/redis``.
    """
    host, equals, url = text.partition("=")
    if not equals or not host.strip() or "/" in host:
        raise InvalidSettingsError(f"{printable(text)!r} is no mirror", hint=_FORM)
    return canonical(host.strip()), _checked(url.strip())


def endpoint(registry: str, mirrors: Mapping[str, str], hub_prefix: str = "") -> Endpoint:
    """Return where to ask for *registry*: its mirror, for Docker Hub else what *hub_prefix* names, else itself.

    *hub_prefix* is what testcontainers puts before the names of Docker Hub's images (`HUB_PREFIX_VARIABLE`).
    """
    if mirror := mirrors.get(registry):
        parts = urlsplit(_checked(mirror))
        prefix = re.sub(r"^v2(/|$)", "", parts.path.strip("/"))
        return Endpoint(registry, f"{parts.scheme}://{parts.netloc}", canonical(parts.netloc), prefix)
    if registry == DOCKER_HUB:
        return _prefixed(hub_prefix.strip()) if hub_prefix.strip() else Endpoint(registry, _HUB_URL, DOCKER_HUB)
    return Endpoint(registry, _url(registry), registry)


def _prefixed(prefix: str) -> Endpoint:
    """Return Docker Hub's stand-in: a registry and the start of a repository, or the latter alone."""
    name = prefix.removesuffix("/")
    first, _, rest = name.partition("/")
    has_host = first == "localhost" or "." in first or ":" in first
    path = rest if has_host else name
    host = canonical(first) if has_host else DOCKER_HUB
    if "://" in prefix or not _hostname(host) or "@" in host or not _PATH.fullmatch(path):
        raise InvalidSettingsError(
            f"{HUB_PREFIX_VARIABLE} is no registry's host and repository",
            hint="write it as it stands before an image's name, such as mirror.example.com/dockerhub/",
        )
    return Endpoint(
        DOCKER_HUB, _HUB_URL if host == DOCKER_HUB else _url(host), host, path, bool(path) or host != DOCKER_HUB
    )


def _url(host: str) -> str:
    scheme = "http" if is_loopback(_hostname(host)) else "https"
    return f"{scheme}://{host}"


def canonical(host: str) -> str:
    """Return the name references use for *host*: Docker Hub has several."""
    return DOCKER_HUB if host in _HUB_NAMES else host


def is_loopback(host: str | None) -> bool:
    """Tell whether *host*, a name or an address without port, is this machine."""
    if host == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def may_lead_to(source: str, target: str) -> bool:
    """Tell whether a server at the URL *source* may have us ask *target*: for a token, by a redirect, for a layer.

    Over TLS its word is its own, and it could have had for itself what it sends us elsewhere with, so that any
    public host will do. Two things are never done on a stranger's word: plain HTTP, unless all stays on this
    machine, and asking an address of this machine or of a private network, where a request may do harm that its
    sender could not do himself. A server that is itself at such an address may name others like it.
    """
    old, new = _split(source), _split(target)
    if old is None or new is None or not new.hostname or new.username is not None or new.password is not None:
        return False
    here = is_loopback(old.hostname)
    if new.scheme != "https" and not (new.scheme == "http" == old.scheme and here and is_loopback(new.hostname)):
        return False
    if new.hostname == old.hostname or not _is_inside(new.hostname):
        return True
    if is_loopback(new.hostname) or new.hostname.endswith(".localhost"):
        return here
    address = _address(new.hostname)
    return _is_inside(old.hostname) and address is not None and not address.is_link_local


def _is_inside(host: str | None) -> bool:
    """Tell whether *host* is written as an address that is not the public Internet's."""
    if host == "localhost" or (host or "").endswith(".localhost"):
        return True
    address = _address(host)
    return address is not None and not address.is_global


def _address(host: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address *host* is, in any form that a resolver takes (``127.1``, ``0x7f000001``)."""
    text = (host or "").partition("%")[0].rstrip(".")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        try:
            # It would also take an address with words behind it.
            return ipaddress.IPv4Address(socket.inet_aton(text)) if re.fullmatch(r"[0-9a-fA-FxX.]+", text) else None
        except OSError:
            return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


def _checked(url: str) -> str:
    parts = _split(url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidSettingsError(f"{printable(url)!r} is no mirror's URL", hint=_FORM)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise InvalidSettingsError(
            f"the mirror's URL at {parts.hostname} may hold neither user, password, query nor fragment",
            hint=f"log in instead: docker login {parts.hostname}",
        )
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise InvalidSettingsError(
            f"the mirror {url} is not on this machine, and plain HTTP would let anyone change its images",
            hint="serve it over https, or forward it to a port of this machine",
        )
    if not _PATH.fullmatch(parts.path.strip("/")):
        raise InvalidSettingsError(
            f"the mirror {printable(url)} has a path that no repository's name can begin with",
            hint="use letters, digits and . _ - with / between them",
        )
    return url.rstrip("/")


def _hostname(netloc: str) -> str | None:
    parts = _split(f"//{netloc}")
    return parts.hostname if parts else None


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port, parts.hostname  # only read, they are checked
    except ValueError:
        return None
    return parts
