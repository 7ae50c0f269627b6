"""Transport: one authorised request to a registry, tried again where that can help."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter

from ..errors import RegistryError, RegistryUnreachableError
from .auth import Authenticator, TokenRequest
from .credentials import Secret, find_credentials
from .failures import CONNECTION_ERRORS, discard, public_url, unreachable
from .mirrors import Endpoint, may_lead_to
from .notices import retry_after, warnings
from .trust import TrustAdapter, context_for

TRIES = 3
CONNECTIONS = 8
MAX_REDIRECTS = 10
MAX_WARNINGS = 20

_TRANSIENT = (429, 500, 502, 503, 504)
_MAX_PAUSE = 6.0  # seconds: a server that asks for more is not waited for
_FIRST_PAUSE = 0.25
_LOOPBACK = "localhost,127.0.0.0/8,::1"


class _Session(requests.Session):
    """A session that sends what it is told and nothing of its own accord."""

    def __init__(self, user_agent: str) -> None:
        super().__init__()
        # Registries speak of bytes as they are: nothing may be compressed on the way.
        self.headers.update({"User-Agent": user_agent, "Accept-Encoding": "identity"})
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        # An `auth` of its own keeps requests from sending what ~/.netrc has for the host instead.
        self.auth = lambda request: request
        self.mount("http://", HTTPAdapter(pool_connections=CONNECTIONS, pool_maxsize=CONNECTIONS))
        self._trusted: set[str] = set()
        self._mounting = threading.Lock()

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Say that there is none: to find it, requests reads a redirect's body however long."""

    def trust(self, url: str) -> None:
        """Prepare TLS with the host of *url*, the first time it is asked."""
        parts = urlsplit(url)
        host = parts.netloc.lower()
        if parts.scheme != "https" or host in self._trusted:
            return
        with self._mounting:
            if host not in self._trusted:
                self.mount(f"https://{host}/", TrustAdapter(context_for(host), CONNECTIONS))
                self._trusted.add(host)


class Transport:
    """Sends requests to endpoints; safe to use from several threads, which share its connections."""

    def __init__(self, *, timeout: float, user_agent: str, sleep: Callable[[float], None]) -> None:
        self._timeout = timeout
        self._sleep = sleep
        self._session = _Session(user_agent)
        self._auth = Authenticator(self._send_for_token, find_credentials)
        self._warnings: dict[str, None] = {}

    @property
    def warnings(self) -> list[str]:
        """What registries warned of, each once, in the order it came."""
        return list(self._warnings)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def request(
        self, method: str, endpoint: Endpoint, repository: str, what: str, headers: dict[str, str] | None = None
    ) -> requests.Response:
        """Return the answer to *method* on *what* of *repository*, whatever its status; its body is not read yet.

        What may pass is tried `TRIES` times. Raises `RegistryUnreachableError` when there is no answer.
        """
        url = f"{endpoint.url}/v2/{repository}/{what}"

        def send() -> requests.Response:
            return self._authorized(method, url, endpoint, repository, headers or {})

        response = self._persistently(endpoint, url, send)
        if _origin(response.url) == _origin(url):
            self._note(response)
        return response

    def fetch(self, endpoint: Endpoint, url: str, headers: dict[str, str]) -> requests.Response:
        """Return the answer of a place that *endpoint* named, which sees no credentials and may ask for none."""
        if not may_lead_to(endpoint.url, url):
            raise RegistryError(f"{endpoint.registry} names an unsafe place for a blob", url=public_url(url))
        return self._persistently(endpoint, url, lambda: self._following("GET", url, headers, None))

    def _persistently(self, endpoint: Endpoint, url: str, send: Callable[[], requests.Response]) -> requests.Response:
        for tried in range(1, TRIES + 1):
            pause = _FIRST_PAUSE * 3 ** (tried - 1)
            try:
                response = send()
            except CONNECTION_ERRORS as error:
                if tried == TRIES or not is_interruption(error):
                    raise unreachable(error, endpoint, url) from None
            else:
                asked = retry_after(response.headers)
                pause = pause if asked is None else asked
                if response.status_code not in _TRANSIENT or tried == TRIES or pause > _MAX_PAUSE:
                    return response
                discard(response)
            self._sleep(pause)
        raise AssertionError("the last try returns or raises")

    def _authorized(
        self, method: str, url: str, endpoint: Endpoint, repository: str, headers: dict[str, str]
    ) -> requests.Response:
        known = self._auth.known(endpoint, repository)
        response = self._following(method, url, headers, known)
        # Only the registry itself may ask for its credentials, not a host it redirects to.
        if response.status_code not in (401, 403) or _origin(response.url) != _origin(url):
            return response
        challenge = response.headers.get("WWW-Authenticate", "")
        if response.status_code == 403 and "insufficient_scope" not in challenge:
            return response
        try:
            header = self._auth.answer(endpoint, repository, challenge, refused=known)
        except BaseException:
            response.close()
            raise
        if header is None:
            return response
        discard(response)
        return self._following(method, url, headers, header)

    def _following(
        self, method: str, url: str, headers: dict[str, str], authorization: str | None
    ) -> requests.Response:
        """Follow redirects, with the credentials for as long as they stay at the origin they are for."""
        start = _origin(url)
        for _ in range(MAX_REDIRECTS):
            if _origin(url) != start:
                authorization = None  # for good: what is asked for on the way back, another has chosen
            own = {"Authorization": authorization} if authorization else {}
            response = self._send_once(method, url, {**headers, **own})
            if not (target := _location(response)):
                return response
            discard(response)
            url = _redirected(url, target)
        raise RegistryUnreachableError(
            f"{urlsplit(url).netloc} redirects more than {MAX_REDIRECTS} times", url=public_url(url)
        )

    def _send_for_token(self, endpoint: Endpoint, request: TokenRequest) -> requests.Response:
        """Send what answers a challenge, and follow no redirect: it goes nowhere else."""

        def send() -> requests.Response:
            headers = {"Authorization": request.authorization} if request.authorization else {}
            return self._send_once(request.method, request.realm, headers, request.query, request.form)

        return self._persistently(endpoint, request.realm, send)

    def _send_once(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        query: Sequence[tuple[str, str]] = (),
        form: Sequence[tuple[str, str]] = (),
    ) -> requests.Response:
        self._session.trust(url)
        return self._session.request(
            method,
            url,
            headers=headers,
            params=list(query),
            data=list(form),
            stream=True,
            timeout=self._timeout,
            allow_redirects=False,
            proxies=_no_proxy_for_loopback(),
        )

    def _note(self, response: requests.Response) -> None:
        for text in warnings(response.headers):
            if len(self._warnings) < MAX_WARNINGS:
                self._warnings.setdefault(text)


def is_interruption(error: Exception) -> bool:
    """Tell whether a connection that stood was lost: one that could not be made is not tried again."""
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return True
    lost = isinstance(error, requests.exceptions.ConnectionError)
    return lost and "Connection aborted" in str(error) and not isinstance(error, requests.exceptions.SSLError)


def _location(response: requests.Response) -> Secret:
    """Return where a redirect leads to, ``""`` where an answer is none; it is UTF-8, whatever HTTP says."""
    if not response.is_redirect:
        return Secret()
    return Secret(response.headers["Location"].encode("latin-1", "replace").decode("utf-8", "replace"))


def _redirected(source: str, target: str) -> Secret:
    """Return the URL a redirect leads to, or raise `RegistryError` where it must not lead there.

    It is as good as a credential where storage has signed it.
    """
    try:
        url = Secret(urljoin(source, target))
    except ValueError:
        url = Secret()
    if not may_lead_to(source, url):
        raise RegistryError(
            f"{urlsplit(source).netloc} redirects to an unsafe place, which is not followed",
            url=public_url(url),
            hint="a redirect may lead to https at a public host, and on this machine to this machine",
        )
    return url


def _no_proxy_for_loopback() -> dict[str, str]:
    """Return requests' settings that add this machine to the hosts no proxy is asked for."""
    named = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    return {"no_proxy": f"{named},{_LOOPBACK}" if named else _LOOPBACK}


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()
