"""A registry on loopback, in a thread, that can be told to misbehave.

::

    with FakeRegistry() as registry:
        registry.push(image([...]), "library/alpine", "latest")
        registry.fail(2, status=500)          # the next two requests for blobs or manifests
        RegistryClient({"docker.io": registry.url})
"""

from __future__ import annotations

import json
import os
import re
import ssl
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pytest_lxcontainer.image.digest import Digest, sha256_of

from .images import BuiltImage, BuiltIndex

_CHUNK = 1 << 16
_ROUTE = re.compile(r"/v2/(?P<repository>.+?)/(?P<kind>manifests|blobs|tags)/(?P<target>.+)")


@dataclass
class Repository:
    """*manifests* by tag and digest, each with its media type."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)

    @property
    def tags(self) -> list[str]:
        return sorted(target for target in self.manifests if ":" not in target)


@dataclass
class Failure:
    """An answer instead of the true one, *times* more times."""

    times: int
    status: int
    headers: dict[str, str] = field(default_factory=dict)


class FakeRegistry:
    """Serves what is pushed to it; every switch below may be set at any time."""

    connections = 0
    """How many were made."""
    bytes_sent = 0
    """How many bytes of blobs."""
    stall_blobs = 0
    """Send half of that many blob answers, and then nothing for as long as the registry lives."""
    chunked = False
    """Send blobs without saying how long they are."""
    content_range: str | None = None
    """The ``Content-Range`` of parts to send instead of the true one; "416" for that status."""
    head_status = 200
    """What every HEAD is answered with, if it is not the true answer."""
    headers: Mapping[str, str] = MappingProxyType({})
    """Sent with every manifest and blob."""
    answer: tuple[int, bytes, Mapping[str, str]] | None = None
    """What every request is answered with: status, body and headers."""
    token_body: bytes | None = None
    """What ``/token`` answers instead of JSON."""
    token_status: int | None = None
    """What every GET for a token is answered with, if it is not the true answer, and with which headers."""
    token_headers: Mapping[str, str] = MappingProxyType({})

    def __init__(self, tls: ssl.SSLContext | None = None, address: str = "") -> None:
        self.repositories: dict[str, Repository] = {}
        self.requests: Counter[tuple[str, str]] = Counter()
        self.authorizations: list[tuple[str, str | None]] = []
        """Path and ``Authorization`` of every request, in order."""

        self.token: str | None = None
        """Ask for this bearer token; it is got at ``/token``."""
        self.token_answer: dict[str, Any] | None = None
        """What ``/token`` answers instead of ``{"token": ...}``."""
        self.basic: tuple[str, str] | None = None
        """User and password: with `token` for ``/token``, else for everything."""
        self.challenge: str | None = None
        """The ``WWW-Authenticate`` header to send instead of the true one."""
        self.token_forms: list[dict[str, list[str]]] = []
        """The parameters of each request for a token."""

        self.redirect_blobs_to: str | None = None
        """Redirect blobs to the same path under this URL."""
        self.truncate_blobs: int = 0
        """Break off that many blob answers half-way."""
        self.seconds_per_chunk = 0.0
        """How long to take over each 64 KiB of a blob."""
        self.honour_range = True
        self.content_digest: str | None = None
        """The ``Docker-Content-Digest`` to send instead of the true one; "" for none."""
        self.content_type: str | None = None
        """The ``Content-Type`` of manifests to send instead of the true one."""
        self._failures: list[Failure] = []
        self._lock = threading.Lock()
        self.ended = threading.Event()
        self._server = _Server((address or _own_address(), 0), _Handler)
        self._server.registry = self
        self._tls = tls
        if tls:
            # The handshake is left to the connection's own thread.
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> FakeRegistry:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def host(self) -> str:
        address, port = self._server.server_address[:2]
        return f"{address!s}:{port}"

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.host}"

    def repository(self, name: str) -> Repository:
        return self.repositories.setdefault(name, Repository())

    def push(self, built: BuiltImage | BuiltIndex, repository: str, tag: str) -> Digest:
        """Take an image or index with all it consists of, without HTTP."""
        kept = self.repository(repository)
        kept.manifests[tag] = kept.manifests[str(built.digest)] = (built.media_type, built.manifest)
        if isinstance(built, BuiltIndex):
            for one in built.images:
                self.push(one, repository, str(one.digest))
        else:
            kept.blobs.update({str(sha256_of(blob)): blob for blob in built.blobs})
        return built.digest

    def fail(self, times: int, *, status: int, **headers: str) -> None:
        """Answer the next *times* requests for manifests or blobs with *status* (0: drop the connection)."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        self._failures.append(Failure(times, status, names))

    def count(self, method: str, kind: str) -> int:
        """Return how many requests for *kind* ("manifests", "blobs", "tags", "token") there were."""
        return sum(n for (verb, path), n in self.requests.items() if verb == method and kind in path)

    def next_failure(self) -> Failure | None:
        with self._lock:
            for failure in self._failures:
                if failure.times > 0:
                    failure.times -= 1
                    return failure
        return None

    def takes_stall(self) -> bool:
        with self._lock:
            self.stall_blobs -= 1
            return self.stall_blobs >= 0

    def takes_truncation(self) -> bool:
        with self._lock:
            self.truncate_blobs -= 1
            return self.truncate_blobs >= 0

    def note(self, method: str, path: str, authorization: str | None) -> None:
        with self._lock:
            self.requests[method, path] += 1
            self.authorizations.append((path, authorization))


def _own_address() -> str:
    """A port comes round again, and with it, in a store that tests share, another's image."""
    octets = os.urandom(3)
    return f"127.{octets[0]}.{octets[1]}.{octets[2] % 254 + 1}"


class _Server(ThreadingHTTPServer):
    registry: FakeRegistry
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients of this registry hang up when they have seen enough."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.registry.connections += 1

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        registry = self.server.registry
        path = urlsplit(self.path).path
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        registry.note(self.command, path, self.headers.get("Authorization"))
        if registry.answer or path == "/token":
            return self._send(*registry.answer) if registry.answer else self._token()
        match = _ROUTE.fullmatch(path)
        if not match:
            return self._error(404, "UNSUPPORTED")
        if failure := registry.next_failure():
            return self._fail(failure)
        if not self._is_authorized():
            return self._error(401, "UNAUTHORIZED", {"WWW-Authenticate": self._challenge(match["repository"])})
        if self.command == "HEAD" and registry.head_status != 200:
            return self._error(registry.head_status, "UNSUPPORTED", registry.headers)
        return self._route(**match.groupdict())

    def _route(self, repository: str, kind: str, target: str) -> None:
        if self.command in ("POST", "PUT"):
            return self._take(self.server.registry.repository(repository), repository, kind, target)
        kept = self.server.registry.repositories.get(repository)
        if kept is None:
            return self._error(404, "NAME_UNKNOWN")
        if kind == "tags":
            return self._send(200, json.dumps({"name": repository, "tags": kept.tags}).encode())
        return self._manifest(kept, target) if kind == "manifests" else self._blob(kept, target)

    def _manifest(self, kept: Repository, target: str) -> None:
        if target not in kept.manifests:
            return self._error(404, "MANIFEST_UNKNOWN")
        registry = self.server.registry
        media_type, data = kept.manifests[target]
        headers = {"Content-Type": registry.content_type or media_type, **registry.headers}
        said = str(sha256_of(data)) if registry.content_digest is None else registry.content_digest
        if said:
            headers["Docker-Content-Digest"] = said
        return self._send(200, data, headers)

    def _blob(self, kept: Repository, target: str) -> None:
        registry = self.server.registry
        if registry.redirect_blobs_to:
            return self._send(307, b"", {"Location": registry.redirect_blobs_to + self.path})
        if target not in kept.blobs:
            return self._error(404, "BLOB_UNKNOWN")
        data, status, headers = (
            kept.blobs[target],
            200,
            {"Content-Type": "application/octet-stream", **registry.headers},
        )
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if wanted and registry.honour_range:
            first = int(wanted[1])
            if registry.content_range == "416":
                return self._error(416, "RANGE_INVALID")
            headers["Content-Range"] = registry.content_range or f"bytes {first}-{len(data) - 1}/{len(data)}"
            data, status = data[first:], 206
        if self.command == "GET" and registry.takes_truncation():
            return self._send(status, data, headers, only=len(data) // 2)
        if self.command == "GET" and registry.takes_stall():
            self._send(status, data, headers, only=len(data) // 2)
            registry.ended.wait()
            return None
        return self._send(status, data, headers)

    def _take(self, kept: Repository, repository: str, kind: str, target: str) -> None:
        if self.command == "POST":
            return self._send(202, b"", {"Location": f"/v2/{repository}/blobs/uploads/1?state=x"})
        if kind == "blobs":
            kept.blobs[parse_qs(urlsplit(self.path).query)["digest"][0]] = self.body
        else:
            entry = (self.headers["Content-Type"], self.body)
            kept.manifests[target] = kept.manifests[str(sha256_of(self.body))] = entry
        return self._send(201, b"")

    def _token(self) -> None:
        registry = self.server.registry
        query = self.body.decode() if self.command == "POST" else urlsplit(self.path).query
        registry.token_forms.append(parse_qs(query))
        if registry.token_status and self.command == "GET":
            return self._error(registry.token_status, "UNSUPPORTED", registry.token_headers)
        if registry.basic and self.command == "GET" and not self._has_basic():
            return self._error(401, "UNAUTHORIZED")
        answer = registry.token_answer or {"token": registry.token}
        return self._send(200, json.dumps(answer).encode() if registry.token_body is None else registry.token_body)

    def _is_authorized(self) -> bool:
        registry = self.server.registry
        if registry.token:
            return self.headers.get("Authorization") == f"Bearer {registry.token}"
        return registry.basic is None or self._has_basic()

    def _has_basic(self) -> bool:
        wanted = b64encode(":".join(self.server.registry.basic or ()).encode()).decode()
        return self.headers.get("Authorization") == f"Basic {wanted}"

    def _challenge(self, repository: str) -> str:
        registry = self.server.registry
        if registry.challenge is not None:
            return registry.challenge
        if not registry.token:
            return 'Basic realm="fake"'
        return f'Bearer realm="{registry.url}/token",service="fake",scope="repository:{repository}:pull"'

    def _fail(self, failure: Failure) -> None:
        if failure.status:
            return self._error(failure.status, "TOOMANYREQUESTS", failure.headers)
        self.close_connection = True
        return None

    def _error(self, status: int, code: str, headers: Mapping[str, str] | None = None) -> None:
        body = json.dumps({"errors": [{"code": code, "message": code.lower()}]}).encode()
        self._send(status, body, {"Content-Type": "application/json", **(headers or {})})

    def _send(
        self, status: int, body: bytes, headers: Mapping[str, str] | None = None, *, only: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        chunked = self.server.registry.chunked and "/blobs/" in self.path
        if "Content-Length" not in (headers or {}):
            self.send_header(*("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(len(body))))
        self.end_headers()
        if self.command != "HEAD" and chunked:
            self._write(b"%x\r\n" % len(body) + body[:only] + (b"\r\n0\r\n\r\n" if only is None else b""))
        elif self.command != "HEAD":
            self._write(body if only is None else body[:only])
        if only is not None:
            self.close_connection = True

    def _write(self, body: bytes) -> None:
        self.server.registry.bytes_sent += len(body) if "/blobs/" in self.path else 0
        delay = self.server.registry.seconds_per_chunk
        if not delay or "/blobs/" not in self.path:
            self.wfile.write(body)
            return
        for first in range(0, len(body), _CHUNK):
            time.sleep(delay)
            self.wfile.write(body[first : first + _CHUNK])
