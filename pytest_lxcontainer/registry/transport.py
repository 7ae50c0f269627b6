"""Transport: one authorised request to a registry, tried again where that can help."""

from __future__ import annotations

import os
from collections.abc import Callable
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from ..errors import RegistryError
from .auth import Authenticator
from .credentials import find_credentials
from .failures import public_url, retry_after, unreachable
from .mirrors import Endpoint

TRIES = 3
CONNECTIONS = 8

_TRANSIENT = (429, 500, 502, 503, 504)
_MAX_PAUSE = 6.0  # seconds: a server that asks for more is not waited for
_FIRST_PAUSE = 0.25
_LOOPBACK = "localhost,127.0.0.0/8,::1"


class _Session(requests.Session):
    """A session that sends credentials to the host they are for and nowhere else."""

    def __init__(self, user_agent: str) -> None:
        super().__init__()
        # Registries speak of bytes as they are: nothing may be compressed on the way.
        self.headers.update({"User-Agent": user_agent, "Accept-Encoding": "identity"})
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        # An `auth` of its own keeps requests from sending what ~/.netrc has for the host instead.
        self.auth = lambda request: request
        for scheme in ("http://", "https://"):
            self.mount(scheme, HTTPAdapter(pool_connections=CONNECTIONS, pool_maxsize=CONNECTIONS))

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Drop the credentials when a redirect leaves the host, and refuse to leave https."""
        old, new = str(response.request.url), str(prepared_request.url)
        if urlsplit(old).scheme == "https" and urlsplit(new).scheme != "https":
            raise RegistryError(
                f"{urlsplit(old).netloc} redirects to plain HTTP, which is not followed", url=public_url(new)
            )
        if _origin(old) != _origin(new):
            prepared_request.headers.pop("Authorization", None)


class Transport:
    """Sends requests to endpoints; safe to use from several threads, which share its connections."""

    def __init__(self, *, timeout: float, user_agent: str, sleep: Callable[[float], None]) -> None:
        self._timeout = timeout
        self._sleep = sleep
        self._session = _Session(user_agent)
        self._auth = Authenticator(self._send_once, find_credentials)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def request(
        self, method: str, endpoint: Endpoint, path: str, *, scope: str, headers: dict[str, str] | None = None
    ) -> requests.Response:
        """Return the answer to *method* on ``/v2/`` *path*, whatever its status; its body is not read yet.

        What may pass is tried `TRIES` times. Raises `RegistryUnreachableError` when there is no answer.
        """
        url = f"{endpoint.url}/v2/{path}"
        for tried in range(1, TRIES + 1):
            pause = _FIRST_PAUSE * 3 ** (tried - 1)
            try:
                response = self._authorized(method, url, endpoint, scope, headers or {})
            except requests.RequestException as error:
                if tried == TRIES or not is_interruption(error):
                    raise unreachable(error, endpoint, url) from error
            else:
                asked = retry_after(response)
                pause = pause if asked is None else asked
                if response.status_code not in _TRANSIENT or tried == TRIES or pause > _MAX_PAUSE:
                    return response
                response.close()
            self._sleep(pause)
        raise AssertionError("the last try returns or raises")

    def _authorized(
        self, method: str, url: str, endpoint: Endpoint, scope: str, headers: dict[str, str]
    ) -> requests.Response:
        known = self._auth.known(endpoint, scope)
        response = self._send(method, url, headers, known)
        # Only the registry itself may ask for its credentials, not a host it redirects to.
        if response.status_code != 401 or _origin(response.url) != _origin(url):
            return response
        challenge = response.headers.get("WWW-Authenticate", "")
        header = self._auth.answer(endpoint, scope, challenge, refused=known)
        if header is None:
            return response
        response.close()
        return self._send(method, url, headers, header)

    def _send(self, method: str, url: str, headers: dict[str, str], authorization: str | None) -> requests.Response:
        if authorization:
            headers = {**headers, "Authorization": authorization}
        return self._send_once(method, url, headers=headers, allow_redirects=True)

    def _send_once(
        self,
        method: str,
        url: str,
        *,
        headers: dict[str, str] | None = None,
        params: dict[str, str] | None = None,
        data: dict[str, str] | None = None,
        allow_redirects: bool = False,
    ) -> requests.Response:
        return self._session.request(
            method,
            url,
            headers=headers,
            params=params,
            data=data,
            stream=True,
            timeout=self._timeout,
            allow_redirects=allow_redirects,
            proxies=_no_proxy_for_loopback(),
        )


def is_interruption(error: requests.RequestException) -> bool:
    """Tell whether a connection that stood was lost: one that could not be made is not tried again."""
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return True
    lost = isinstance(error, requests.exceptions.ConnectionError)
    return lost and "Connection aborted" in str(error) and not isinstance(error, requests.exceptions.SSLError)


def _no_proxy_for_loopback() -> dict[str, str]:
    """Return requests' settings that add this machine to the hosts no proxy is asked for."""
    named = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    return {"no_proxy": f"{named},{_LOOPBACK}" if named else _LOOPBACK}


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc
