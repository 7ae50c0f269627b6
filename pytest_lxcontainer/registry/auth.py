"""Authentication: answering a registry's challenge.

https://distribution.github.io/distribution/spec/auth/token/ and
https://distribution.github.io/distribution/spec/auth/oauth/
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

from ..errors import AuthenticationError, RegistryError
from .credentials import Credentials, Secret
from .failures import CONNECTION_ERRORS, body, discard, public_url, refusal, unreachable
from .mirrors import Endpoint, may_lead_to

_CLIENT_ID = "pytest-lxcontainer"
_DEFAULT_LIFETIME = 60.0  # seconds, by the token specification
_MAX_ANSWER = 1024 * 1024
_BEARER = re.compile(r"[\x21-\x7e]+")
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
class TokenRequest:
    """What is sent to *realm* for a token; whatever is secret in it does not show in a repr."""

    method: str
    realm: str
    query: tuple[tuple[str, str], ...] = ()
    form: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    authorization: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class _Grant:
    """An ``Authorization`` header and until when it may be used, by the monotonic clock."""

    header: Secret = field(repr=False)
    expires: float = float("inf")


class Authenticator:
    """Finds and keeps the ``Authorization`` header for each endpoint and repository; safe to use from threads.

    *send* makes one request for a token, which follows no redirect; *credentials_for* looks up an account and
    repository.
    """

    def __init__(
        self,
        send: Callable[[Endpoint, TokenRequest], requests.Response],
        credentials_for: Callable[[str, str], Credentials | None],
    ) -> None:
        self._send = send
        self._credentials_for = credentials_for
        self._grants: dict[tuple[str, str], _Grant] = {}
        self._lock = threading.Lock()

    def known(self, endpoint: Endpoint, repository: str) -> Secret | None:
        """Return the header to begin with, if an earlier request found one that still holds."""
        grant = self._grants.get((endpoint.url, repository))
        return grant.header if grant and time.monotonic() < grant.expires else None

    def answer(self, endpoint: Endpoint, repository: str, challenge: str, refused: str | None) -> Secret | None:
        """Return a header that answers *challenge* (``WWW-Authenticate``), or ``None`` where there is none.

        *refused* is the header the registry has just turned down.
        """
        with self._lock:
            known = self.known(endpoint, repository)
            if known and known != refused:
                return known  # another thread was faster
            grant = self._grant(endpoint, repository, challenge)
            if grant is None or grant.header == refused:
                return None
            self._grants[endpoint.url, repository] = grant
            return grant.header

    def _grant(self, endpoint: Endpoint, repository: str, challenge: str) -> _Grant | None:
        offers = {offer.scheme: offer for offer in reversed(parse_challenges(challenge))}
        credentials = self._credentials_for(endpoint.account, repository)
        if bearer := offers.get("bearer"):
            if credentials and credentials.registry_token:
                return _Grant(credentials.bearer)
            return self._token(endpoint, repository, bearer.parameters, credentials)
        if "basic" in offers and credentials and credentials.username:
            return _Grant(credentials.basic)
        return None

    def _token(
        self, endpoint: Endpoint, repository: str, parameters: Mapping[str, str], credentials: Credentials | None
    ) -> _Grant:
        realm = _checked_realm(endpoint, parameters.get("realm", ""))
        scopes = parameters.get("scope") or f"repository:{repository}:pull"
        response = self._send(endpoint, token_request(realm, parameters.get("service", ""), scopes, credentials))
        if response.status_code in (404, 405) and credentials and credentials.password:
            # Some token servers know the specification's other form alone.
            discard(response)
            form = _by_password(parameters.get("service", ""), scopes, credentials)
            response = self._send(endpoint, TokenRequest("POST", realm, form=form))
        with response:
            return _read_token(response, endpoint)


def token_request(realm: str, service: str, scopes: str, credentials: Credentials | None) -> TokenRequest:
    """Return the request for a token that holds for *scopes* (parted by spaces), with *credentials* if any."""
    asked = (("service", service),) * bool(service)
    if credentials and credentials.identity_token:
        grant = (("grant_type", "refresh_token"), ("refresh_token", credentials.identity_token))
        return TokenRequest("POST", realm, form=(*asked, ("scope", scopes), ("client_id", _CLIENT_ID), *grant))
    query = (*asked, *(("scope", scope) for scope in scopes.split()))
    if not credentials:
        return TokenRequest("GET", realm, query)
    return TokenRequest("GET", realm, (*query, ("account", credentials.username)), authorization=credentials.basic)


def _by_password(service: str, scopes: str, credentials: Credentials) -> tuple[tuple[str, str], ...]:
    return (
        ("grant_type", "password"),
        ("username", credentials.username),
        ("password", credentials.password),
        ("service", service),
        ("scope", scopes),
        ("client_id", _CLIENT_ID),
    )


def _checked_realm(endpoint: Endpoint, realm: str) -> str:
    """Refuse to send credentials in the clear, or to this machine on a stranger's word."""
    if may_lead_to(endpoint.url, realm):
        return realm
    raise AuthenticationError(
        f"{endpoint.registry} sends to an unsafe place for tokens: {public_url(realm) or 'none'}",
        url=public_url(realm),
        hint="only https at a public host is trusted with credentials; tell whoever runs the registry",
    )


def _read_token(response: requests.Response, endpoint: Endpoint) -> _Grant:
    if response.status_code != 200:
        moved = ": it redirects, which is not followed" if response.is_redirect else ""
        raise refusal(response, f"{endpoint.registry} gives no token{moved}", endpoint)
    try:
        token, lifetime = _token_in(body(response, _MAX_ANSWER))
    except CONNECTION_ERRORS as error:
        raise unreachable(error, endpoint, response.url) from None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise RegistryError(
            f"{endpoint.registry} answered with something else than a token",
            status=response.status_code,
            url=public_url(response.url),
        ) from None
    return _Grant(Secret(f"Bearer {token}"), time.monotonic() + lifetime * (1 - _SPARE))


def _token_in(answer: bytes) -> tuple[Secret, float]:
    fields: dict[str, Any] = json.loads(answer)
    token = fields.get("token") or fields["access_token"]
    if not _BEARER.fullmatch(token):
        raise ValueError("what is in it cannot be sent in a header")
    return Secret(token), float(fields.get("expires_in") or _DEFAULT_LIFETIME)
