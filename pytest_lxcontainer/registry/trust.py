"""Trust: which certificate authorities vouch for a host, and which certificate we show it.

As for Docker, it is the system's authorities, or those that the environment names instead, and beside them what
lies in ``certs.d/HOST[:PORT]/`` (https://docs.docker.com/engine/security/certificates/).
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from ..errors import InvalidSettingsError

_DIRECTORIES = ("/etc/containers/certs.d", "/etc/docker/certs.d")


class TrustAdapter(HTTPAdapter):
    """Makes TLS connections with one context, where requests reads its authorities for each connection anew."""

    def __init__(self, context: ssl.SSLContext, connections: int) -> None:
        self._context = context
        super().__init__(pool_connections=connections, pool_maxsize=connections)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Give the context to connections made directly."""
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Give it to those made through a proxy."""
        return super().proxy_manager_for(proxy, ssl_context=self._context, **kwargs)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Demand a certificate, and leave the authorities to the context."""
        conn.cert_reqs = "CERT_REQUIRED"


def context_for(host: str) -> ssl.SSLContext:
    """Return the context for TLS with *host* (with its port, where it is not 443), or raise `InvalidSettingsError`."""
    context = _authorities()
    for directory in _host_directories(host):
        for path in sorted(directory.glob("*.crt")):
            _load(context, path, f"the certificate {path} cannot be used")
        for path in sorted(directory.glob("*.cert")):
            _show(context, path)
    return context


def _authorities() -> ssl.SSLContext:
    # Not ssl's default context, which from Python 3.13 on refuses what many a private authority signs and Docker takes.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # urllib3's first version compares names itself, as OpenSSL cannot where it is not told of an address.
    context.check_hostname = not version("urllib3").startswith("1.")
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if place := os.environ.get(name):
            _load(context, Path(place), f"the certificates that {name} names cannot be read: {place}")
            return context
    # OpenSSL heeds the next two itself, and says nothing where they lead nowhere.
    context.load_default_certs()
    if place := os.environ.get("SSL_CERT_FILE"):
        _load(context, Path(place), f"the certificates that SSL_CERT_FILE names cannot be read: {place}")
    elif not os.environ.get("SSL_CERT_DIR"):
        # A system without certificates of its own has those that requests brings.
        context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
    return context


def _load(context: ssl.SSLContext, path: Path, problem: str) -> None:
    try:
        if path.is_dir():
            context.load_verify_locations(capath=path)
        else:
            context.load_verify_locations(cafile=path)
    except (OSError, ValueError) as error:
        raise _unusable(problem, error) from None


def _show(context: ssl.SSLContext, path: Path) -> None:
    try:
        # Without a password of our own, OpenSSL would ask for a key's on the terminal.
        context.load_cert_chain(path, path.with_suffix(".key"), password="")
    except (OSError, ValueError) as error:
        raise _unusable(f"the certificate {path} and its .key cannot be used", error) from None


def _unusable(problem: str, error: Exception) -> InvalidSettingsError:
    return InvalidSettingsError(problem, details=str(error), hint="it must be a readable file in PEM format")


def _host_directories(host: str) -> Iterator[Path]:
    if not host.strip("."):
        return
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111 - never fails
    for place in (f"{config}/containers/certs.d", f"{config}/docker/certs.d", *_DIRECTORIES):
        if (directory := Path(place) / host).is_dir():
            yield directory
