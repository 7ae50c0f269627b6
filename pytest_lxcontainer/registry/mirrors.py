"""Endpoints: which URL is asked for what belongs to a registry."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from ..errors import InvalidSettingsError
from ..image.reference import DOCKER_HUB

_HUB_NAMES = (DOCKER_HUB, "index.docker.io", "registry-1.docker.io")
_HUB_URL = "https://registry-1.docker.io"
_FORM = "write HOST=URL, such as docker.io=http://127.0.0.1:5000"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """*url* is asked for what belongs to *registry*, with the credentials people have for *account*."""

    registry: str
    url: str
    account: str

    @property
    def is_loopback(self) -> bool:
        """Whether it is on this machine, where plain HTTP harms nobody."""
        return is_loopback(urlsplit(self.url).hostname)


def parse_mirror(text: str) -> tuple[str, str]:
    """Read ``HOST=URL``, or raise `InvalidSettingsError`; plain HTTP is for this machine only."""
    host, equals, url = text.partition("=")
    if not equals or not host.strip() or "/" in host:
        raise InvalidSettingsError(f"{text!r} is no mirror", hint=_FORM)
    return canonical(host.strip()), _checked(url.strip())


def endpoint(registry: str, mirrors: Mapping[str, str]) -> Endpoint:
    """Return where to ask for *registry*: its mirror, else itself."""
    if mirror := mirrors.get(registry):
        url = _checked(mirror)
        return Endpoint(registry, url, canonical(urlsplit(url).netloc))
    if registry == DOCKER_HUB:
        return Endpoint(registry, _HUB_URL, DOCKER_HUB)
    scheme = "http" if is_loopback(urlsplit(f"//{registry}").hostname) else "https"
    return Endpoint(registry, f"{scheme}://{registry}", registry)


def canonical(host: str) -> str:
    """Return the name references use for *host*: Docker Hub has several."""
    return DOCKER_HUB if host in _HUB_NAMES else host


def is_loopback(host: str | None) -> bool:
    """Tell whether *host*, a name or an address without port, is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _checked(url: str) -> str:
    parts = _split(url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidSettingsError(f"{url!r} is no mirror's URL", hint=_FORM)
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
    return url.rstrip("/")


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # only read, it is checked
    except ValueError:
        return None
    return parts
