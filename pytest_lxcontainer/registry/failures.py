"""Failures: what goes wrong with a registry, as errors that say what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
import urllib3

from ..errors import (
    AuthenticationError,
    ImageNotFoundError,
    RateLimitedError,
    RegistryError,
    RegistryUnreachableError,
)
from ..image.document import printable
from ..image.reference import DOCKER_HUB, Reference
from .mirrors import Endpoint
from .notices import RateLimit, duration, retry_after

CONNECTION_ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError)
"""What a connection's failure is raised as: where bodies are read as they come, urllib3's own are."""

_MAX_DETAIL = 300  # characters of a server's own words
_MAX_BODY = 64 * 1024
_MAX_ERRORS = 5


def public_url(url: str) -> str:
    """Return *url* without user, password, query and fragment, any of which may hold a secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return printable(urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "")), _MAX_DETAIL)


def body(response: requests.Response, limit: int) -> bytes:
    """Return an answer's body as it was sent, or raise `ValueError` for one of more than *limit* bytes."""
    data: bytes = response.raw.read(limit + 1, decode_content=False)
    if len(data) > limit:
        raise ValueError(f"more than {limit} bytes")
    return data


def discard(response: requests.Response) -> None:
    """Leave a body unread, yet keep the connection where reading it is cheaper than a new one."""
    try:
        # An answer to HEAD has the length of what it is about, and no body; yet only reading it says that it ended.
        if response.request.method == "HEAD" or int(response.headers.get("Content-Length", _MAX_BODY)) < _MAX_BODY:
            body(response, _MAX_BODY)
    except (ValueError, *CONNECTION_ERRORS):
        pass  # it is closed all the same
    response.close()


def unreachable(error: Exception, endpoint: Endpoint, url: str) -> RegistryError:
    """Say why nobody answered; raise it ``from None``, since a library's own text may hold a URL with secrets."""
    url = getattr(getattr(error, "request", None), "url", None) or url
    message, hint = _reason(error, urlsplit(public_url(url)).netloc, endpoint)
    return RegistryUnreachableError(message, url=public_url(url), hint=hint, details=_innermost(error))


def _reason(error: Exception, host: str, endpoint: Endpoint) -> tuple[str, str]:
    text = _causes(error)
    offline = "check the network; what was pulled before runs with --lxc-pull never"
    if isinstance(error, requests.exceptions.SSLError | urllib3.exceptions.SSLError):
        authority = f"name your own authority in SSL_CERT_FILE, or put it into /etc/docker/certs.d/{host}/ca.crt"
        return f"the TLS certificate of {host} is not trusted", authority
    if isinstance(error, requests.exceptions.ProxyError):
        return f"the proxy on the way to {host} does not work", "see HTTPS_PROXY and NO_PROXY"
    if isinstance(error, requests.exceptions.Timeout | urllib3.exceptions.TimeoutError):
        return f"{host} does not answer in time", offline
    if "NameResolutionError" in text or "gaierror" in text:
        return f"there is no host {host}, or its name cannot be resolved", offline
    if "ConnectionRefusedError" in text or "refused" in text:
        mirror = f" --lxc-mirror {endpoint.registry}={endpoint.address} names it." if endpoint.is_mirror else ""
        return f"nobody listens at {host}", f"is the registry running?{mirror}"
    return f"the connection to {host} broke", offline


def _innermost(error: BaseException) -> str:
    """Return what the system or OpenSSL said, which names no URL."""
    system = [one for one in _chain(error) if isinstance(one, OSError) and not isinstance(one, CONNECTION_ERRORS)]
    return printable(str(system[-1]), _MAX_DETAIL) if system else ""


def _causes(error: BaseException) -> str:
    """Name the exceptions behind *error*: urllib3's types tell more plainly than its texts."""
    return " ".join(type(one).__name__ for one in _chain(error))


def _chain(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    for _ in range(10):
        if current is None:
            return
        yield current
        inner = next((arg for arg in current.args if isinstance(arg, BaseException)), None)
        reason = getattr(current, "reason", None)
        current = reason if isinstance(reason, BaseException) else inner or current.__cause__ or current.__context__


def refusal(response: requests.Response, what: str, endpoint: Endpoint) -> RegistryError:
    """Return the error for an answer that is none: *what* says what did not happen."""
    details = "\n".join(_said(response))
    known: dict[str, Any] = {"status": response.status_code, "url": public_url(response.url)}
    if response.status_code == 429:
        return _rate_limited(response, details, endpoint, known)
    if response.status_code in (401, 403):
        if "insufficient_scope" in response.headers.get("WWW-Authenticate", ""):
            details = f"{details}\nthe login there is does not allow this".strip()
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
    place = endpoint.registry + (f" (asked at {endpoint.address})" if endpoint.is_mirror else "")
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


def _rate_limited(
    response: requests.Response, details: str, endpoint: Endpoint, known: dict[str, Any]
) -> RateLimitedError:
    limit, seconds = RateLimit.read(response.headers), retry_after(response.headers)
    if seconds is not None:
        when = f" for {duration(seconds)}"
    elif limit and limit.window:
        when = f"; they return within {duration(limit.window)}"
    else:
        when = ""
    return RateLimitedError(
        f"{endpoint.registry} allows no more pulls{when}",
        retry_after=seconds,
        details="\n".join(filter(None, (str(limit or ""), details))),
        hint=f"who is logged in has more: {_login(endpoint)}; or use a mirror: --lxc-mirror {endpoint.registry}=URL",
        **known,
    )


def _login_hint(endpoint: Endpoint) -> str:
    return f"check the spelling, or log in: {_login(endpoint)}"


def _login(endpoint: Endpoint) -> str:
    return "docker login" + ("" if endpoint.account == DOCKER_HUB else f" {endpoint.account}")


def _said(response: requests.Response) -> Iterator[str]:
    for entry in _errors(response)[:_MAX_ERRORS]:
        yield printable(f"{_text(entry.get('code'))}: {_text(entry.get('message'))}", _MAX_DETAIL)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _errors(response: requests.Response) -> list[dict[str, Any]]:
    """Read an answer's errors, once; a proxy's page in their place is none."""
    try:
        errors = json.loads(body(response, _MAX_BODY))["errors"]
    except (ValueError, KeyError, TypeError, RecursionError, *CONNECTION_ERRORS):
        return []
    return [entry for entry in errors if isinstance(entry, dict)] if isinstance(errors, list) else []
