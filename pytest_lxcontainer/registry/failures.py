"""Failures: what goes wrong with a registry, as errors that say what to do."""

from __future__ import annotations

import email.utils
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests

from ..errors import (
    AuthenticationError,
    ImageNotFoundError,
    RateLimitedError,
    RegistryError,
    RegistryUnreachableError,
)
from ..image.reference import DOCKER_HUB, Reference
from .mirrors import Endpoint

_MAX_DETAIL = 300  # characters of a server's own words
_MAX_BODY = 64 * 1024


def public_url(url: str) -> str:
    """Return *url* without user, password, query and fragment, any of which may hold a secret."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def unreachable(error: requests.RequestException, endpoint: Endpoint, url: str) -> RegistryError:
    """Say why nobody answered."""
    host = urlsplit(url).netloc
    message, hint = _reason(error, host, endpoint)
    return RegistryUnreachableError(message, url=public_url(url), hint=hint)


def _reason(error: requests.RequestException, host: str, endpoint: Endpoint) -> tuple[str, str]:
    text = _causes(error)
    offline = "check the network; what was pulled before runs with --lxc-pull never"
    if isinstance(error, requests.exceptions.SSLError):
        return (
            f"the TLS certificate of {host} is not trusted",
            "REQUESTS_CA_BUNDLE may name your own authority",
        )
    if isinstance(error, requests.exceptions.ProxyError):
        return f"the proxy on the way to {host} does not work", "see HTTPS_PROXY and NO_PROXY"
    if isinstance(error, requests.exceptions.Timeout):
        return f"{host} does not answer in time", offline
    if "NameResolutionError" in text or "gaierror" in text:
        return f"there is no host {host}, or its name cannot be resolved", offline
    if "ConnectionRefusedError" in text or "refused" in text:
        mirror = f" --lxc-mirror {endpoint.registry}={endpoint.url} names it." if _is_mirror(endpoint) else ""
        return f"nobody listens at {host}", f"is the registry running?{mirror}"
    return f"the connection to {host} broke", offline


def _is_mirror(endpoint: Endpoint) -> bool:
    return endpoint.account != endpoint.registry


def _causes(error: BaseException) -> str:
    """Name the exceptions behind *error*: urllib3's types tell more plainly than its texts."""
    names: list[str] = []
    current: BaseException | None = error
    while current is not None and len(names) < 10:
        names.append(type(current).__name__)
        inner = next((arg for arg in current.args if isinstance(arg, BaseException)), None)
        reason = getattr(current, "reason", None)
        current = reason if isinstance(reason, BaseException) else inner or current.__cause__ or current.__context__
    return " ".join(names)


def refusal(response: requests.Response, what: str, endpoint: Endpoint) -> RegistryError:
    """Return the error for an answer that is none: *what* says what did not happen."""
    details = "\n".join(_said(response))
    known: dict[str, Any] = {"status": response.status_code, "url": public_url(response.url)}
    if response.status_code == 429:
        return _rate_limited(response, details, endpoint, known)
    if response.status_code in (401, 403):
        return AuthenticationError(what, details=details, hint=_login_hint(endpoint), **known)
    kind = ImageNotFoundError if response.status_code == 404 else RegistryError
    return kind(f"{what} (HTTP {response.status_code})", details=details, **known)


def no_access(response: requests.Response, reference: Reference, endpoint: Endpoint) -> RegistryError:
    """Return the error for a 401 or 403, which is how Docker Hub says "no such repository", too."""
    what = f"{endpoint.registry} has no repository {reference.repository}, or it is private"
    return refusal(response, what, endpoint)


def not_found(
    response: requests.Response, reference: Reference, endpoint: Endpoint, tags: list[str] | None
) -> ImageNotFoundError:
    """Return the error for a 404; *tags* are some the repository has, ``None`` where it is unknown itself."""
    known: dict[str, Any] = {"status": 404, "url": public_url(response.url)}
    place = endpoint.registry + (f" (asked at {endpoint.url})" if _is_mirror(endpoint) else "")
    if tags is None:
        return ImageNotFoundError(
            f"{place} has no repository {reference.repository}", hint="check the spelling", **known
        )
    kind = "digest" if reference.digest else "tag"
    return ImageNotFoundError(
        f"{place} has no such {kind}: {reference.familiar}",
        details=f"tags are: {', '.join(tags)}" if tags else "",
        hint="choose one of its tags" if tags else "",
        **known,
    )


def codes(response: requests.Response) -> set[str]:
    """Return the error codes of the distribution specification that an answer holds."""
    return {str(entry.get("code")) for entry in _errors(response)}


def retry_after(response: requests.Response) -> float | None:
    """Return the seconds a server asks to wait, or ``None`` (RFC 9110, section 10.2.3)."""
    text = response.headers.get("Retry-After", "")
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, IndexError):
        return None


def _rate_limited(
    response: requests.Response, details: str, endpoint: Endpoint, known: dict[str, Any]
) -> RateLimitedError:
    limits = [
        f"{name}: {response.headers[name]}"
        for name in ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset")
        if name in response.headers
    ]
    seconds = retry_after(response)
    when = f" for {seconds:.0f} s" if seconds else ""
    return RateLimitedError(
        f"{endpoint.registry} allows no more pulls{when}",
        retry_after=seconds,
        details="\n".join([*limits, details]),
        hint=f"{_login_hint(endpoint)}; or use a mirror with --lxc-mirror {endpoint.registry}=URL",
        **known,
    )


def _login_hint(endpoint: Endpoint) -> str:
    account = "" if endpoint.account == DOCKER_HUB else f" {endpoint.account}"
    return f"check the spelling, or log in: docker login{account}"


def _said(response: requests.Response) -> Iterator[str]:
    for entry in _errors(response):
        yield f"{entry.get('code', '')}: {entry.get('message', '')}"[:_MAX_DETAIL]


def _errors(response: requests.Response) -> list[dict[str, Any]]:
    try:
        # A page of a proxy may be long; `response.content` is read in whole.
        if int(response.headers.get("Content-Length", 0)) > _MAX_BODY:
            return []
        errors = json.loads(response.content)["errors"]
    except (ValueError, KeyError, TypeError, requests.RequestException):
        return []
    return [entry for entry in errors if isinstance(entry, dict)] if isinstance(errors, list) else []
