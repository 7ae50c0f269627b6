"""Authentication: answering a registry's challenge.

https://distribution.github.io/distribution/spec/auth/token/ and
https://distribution.github.io/distribution/spec/auth/oauth/
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import requests

from ..errors import AuthenticationError, RegistryError
from .credentials import Credentials
from .failures import public_url, refusal
from .mirrors import Endpoint

_CLIENT_ID = "pytest-lxcontainer"
_DEFAULT_LIFETIME = 60.0  # seconds, by the token specification
_SPARE = 0.1  # the share of a token's lifetime that is not used, for clocks and the way
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PART = re.compile(rf'({_TOKEN})(?:\s*=\s*("(?:[^"\\]|\\.)*"|[^\s,"]*))?')


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way a server offers to authenticate; *scheme* and parameter names are in lower case."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict, hash=False)


def parse_challenges(header: str) -> tuple[Challenge, ...]:
    """Read a ``WWW-Authenticate`` header, or several joined by commas (RFC 9110, section 11.6.1)."""
    found: list[tuple[str, dict[str, str]]] = []
    for name, value in _parts(header):
        if value is None:
            found.append((name.lower(), {}))
        elif found:
            found[-1][1][name.lower()] = value
    return tuple(Challenge(scheme, parameters) for scheme, parameters in found)


def _parts(header: str) -> Iterator[tuple[str, str | None]]:
    for match in _PART.finditer(header):
        name, value = match[1], match[2]
        if value is not None and value.startswith('"'):
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        yield name, value


@dataclass(frozen=True, slots=True)
class _Grant:
    """An ``Authorization`` header and until when it may be used, by the monotonic clock."""

    header: str = field(repr=False)
    expires: float = float("inf")


class Authenticator:
    """Finds and keeps the ``Authorization`` header for each endpoint and scope; safe to use from threads.

    *send* makes one HTTP request that follows no redirect: what answers a challenge goes nowhere else.
    """

    def __init__(
        self,
        send: Callable[..., requests.Response],
        credentials_for: Callable[[str], Credentials | None],
    ) -> None:
        self._send = send
        self._credentials_for = credentials_for
        self._grants: dict[tuple[str, str], _Grant] = {}
        self._lock = threading.Lock()

    def known(self, endpoint: Endpoint, scope: str) -> str | None:
        """Return the header to begin with, if an earlier request found one that still holds."""
        grant = self._grants.get((endpoint.url, scope))
        return grant.header if grant and time.monotonic() < grant.expires else None

    def answer(self, endpoint: Endpoint, scope: str, challenge: str, refused: str | None) -> str | None:
        """Return a header that answers *challenge* (``WWW-Authenticate``), or ``None`` where there is none.

        *refused* is the header the registry has just turned down.
        """
        with self._lock:
            known = self.known(endpoint, scope)
            if known and known != refused:
                return known  # another thread was faster
            grant = self._grant(endpoint, scope, challenge)
            if grant is None or grant.header == refused:
                return None
            self._grants[endpoint.url, scope] = grant
            return grant.header

    def _grant(self, endpoint: Endpoint, scope: str, challenge: str) -> _Grant | None:
        offers = {offer.scheme: offer for offer in reversed(parse_challenges(challenge))}
        credentials = self._credentials_for(endpoint.account)
        if bearer := offers.get("bearer"):
            return self._token(endpoint, scope, bearer.parameters, credentials)
        if "basic" in offers and credentials and credentials.username:
            return _Grant(credentials.basic)
        return None

    def _token(
        self, endpoint: Endpoint, scope: str, parameters: Mapping[str, str], credentials: Credentials | None
    ) -> _Grant:
        realm = _checked_realm(endpoint, parameters.get("realm", ""))
        asked = {"service": parameters.get("service", ""), "scope": parameters.get("scope") or scope}
        asked = {key: value for key, value in asked.items() if value}
        if credentials and credentials.identity_token:
            form = {"grant_type": "refresh_token", "refresh_token": credentials.identity_token}
            response = self._send("POST", realm, data={**asked, **form, "client_id": _CLIENT_ID})
        else:
            headers = {"Authorization": credentials.basic} if credentials else {}
            response = self._send("GET", realm, params=asked, headers=headers)
        with response:
            return _read_token(response, endpoint)


def _checked_realm(endpoint: Endpoint, realm: str) -> str:
    """Refuse to send credentials in the clear, or to this machine on a stranger's word."""
    parts = urlsplit(realm)
    if parts.scheme == "https" or (parts.scheme == "http" and endpoint.is_loopback):
        return realm
    raise AuthenticationError(
        f"{endpoint.registry} sends to an unsafe place for tokens: {public_url(realm) or 'none'}",
        url=public_url(realm),
        hint="only https is trusted with credentials; tell whoever runs the registry",
    )


def _read_token(response: requests.Response, endpoint: Endpoint) -> _Grant:
    if response.status_code != 200:
        raise refusal(response, f"{endpoint.registry} gives no token", endpoint)
    try:
        fields: dict[str, Any] = response.json()
        token = fields.get("token") or fields["access_token"]
        lifetime = float(fields.get("expires_in") or _DEFAULT_LIFETIME)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise RegistryError(
            f"{endpoint.registry} answered with something else than a token",
            status=response.status_code,
            url=public_url(response.url),
        ) from None
    return _Grant(f"Bearer {token}", time.monotonic() + lifetime * (1 - _SPARE))
