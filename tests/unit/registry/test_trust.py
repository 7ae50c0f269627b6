"""TLS with authorities of one's own, and proxies: everything real, on loopback."""

from __future__ import annotations

import re
import select
import socket
import ssl
import subprocess
import threading
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer

import pytest

from pytest_lxcontainer.errors import InvalidSettingsError, RegistryUnreachableError
from pytest_lxcontainer.image import Platform, Reference
from pytest_lxcontainer.registry.client import RegistryClient
from tests.fakes.images import image, layer
from tests.fakes.registry import FakeRegistry

ALPINE = Reference.parse("alpine")
AMD64 = Platform.parse("linux/amd64")
BUILT = image([layer({"a": "1"})])
NAMES = "DNS:registry.example,IP:127.0.0.1"


def openssl(*args: object, cwd: Path) -> None:
    subprocess.run(["openssl", *map(str, args)], cwd=cwd, check=True, capture_output=True)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an authority (ca.pem), and what it signed: server.pem and client.pem with their keys.

    It is as careless as private ones are: its certificate has no key usage, which OpenSSL minds when it is strict.
    """
    directory = tmp_path_factory.mktemp("pki")
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for name in ("ca", "stranger"):
        files = ("-keyout", f"{name}.key", "-out", f"{name}.pem")
        openssl("req", "-x509", *new_key, *files, "-subj", f"/CN={name}", cwd=directory)
    for name in ("server", "client"):
        files = ("-keyout", f"{name}.key", "-out", f"{name}.csr")
        openssl("req", *new_key, *files, "-subj", f"/CN={name}", "-addext", f"subjectAltName={NAMES}", cwd=directory)
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-copy_extensions", "copy")
        openssl("x509", "-req", "-in", f"{name}.csr", *signed, "-out", f"{name}.pem", cwd=directory)
    return directory


@pytest.fixture
def server_context(pki: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki / "server.pem", pki / "server.key")
    return context


@pytest.fixture
def secure(server_context: ssl.SSLContext) -> Iterator[FakeRegistry]:
    with FakeRegistry(server_context) as registry:
        registry.push(BUILT, "library/alpine", "latest")
        yield registry


class Proxy:
    """A proxy that knows CONNECT, and takes every tunnel to *target*."""

    def __init__(self, target: tuple[str, int], user: str = "") -> None:
        self.asked: list[str] = []
        self.refused = 0
        proxy = self

        class Handler(StreamRequestHandler):
            def handle(self) -> None:
                request = b"".join(iter(self.rfile.readline, b"\r\n")).decode()
                if user and f"Basic {b64encode(user.encode()).decode()}" not in request:
                    proxy.refused += 1
                    self.wfile.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                    return
                proxy.asked.append(re.sub(r" HTTP/1.\d\r\n(?s:.*)", "", request))
                with socket.create_connection(target) as onward:
                    self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    join(self.connection, onward)

        self._server = ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Proxy:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def join(one: socket.socket, other: socket.socket) -> None:
    """Pass on what either sends until one of them ends."""
    while True:
        for ready in select.select([one, other], [], [])[0]:
            if not (data := ready.recv(65536)):
                return
            (other if ready is one else one).sendall(data)


@pytest.fixture
def proxy(secure: FakeRegistry) -> Iterator[Proxy]:
    host, _, port = secure.host.partition(":")
    with Proxy((host, int(port))) as proxy:
        yield proxy


def here(registry: FakeRegistry) -> RegistryClient:
    """A client that asks for Docker Hub's images at *registry*, by a name its certificate has."""
    return RegistryClient({"docker.io": f"https://127.0.0.1:{registry.host.partition(':')[2]}"}, timeout=5)


@pytest.fixture
def at_loopback(server_context: ssl.SSLContext) -> Iterator[FakeRegistry]:
    """A registry at the address that its certificate has."""
    with FakeRegistry(server_context, "127.0.0.1") as registry:
        registry.push(BUILT, "library/alpine", "latest")
        yield registry


def pull(client: RegistryClient) -> None:
    with client:
        assert client.resolve(ALPINE) == BUILT.digest
        fetched = client.fetch_manifest(ALPINE, AMD64)
        with client.open_blob(ALPINE, fetched.manifest.layers[0]) as chunks:
            assert b"".join(chunks) == BUILT.layers[0].blob


def test_a_registry_of_an_unknown_authority_is_not_trusted(at_loopback: FakeRegistry) -> None:
    with pytest.raises(RegistryUnreachableError, match=r"certificate of 127\.0\.0\.1:[0-9]+ is not trusted") as caught:
        pull(here(at_loopback))
    assert "certificate verify failed" in caught.value.details
    assert "SSL_CERT_FILE" in caught.value.hint


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_the_environment_names_authorities(
    at_loopback: FakeRegistry, pki: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(pki / "ca.pem"))
    pull(here(at_loopback))


def test_the_environment_names_a_directory_of_authorities(
    at_loopback: FakeRegistry, pki: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs" / "ca.pem").write_bytes((pki / "ca.pem").read_bytes())
    openssl("rehash", "certs", cwd=tmp_path)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "certs"))
    pull(here(at_loopback))


@pytest.mark.parametrize("tool", ["docker", "containers"])
def test_a_host_has_authorities_of_its_own(at_loopback: FakeRegistry, pki: Path, home: Path, tool: str) -> None:
    host = f"127.0.0.1:{at_loopback.host.partition(':')[2]}"
    directory = home / ".config" / tool / "certs.d" / host
    directory.mkdir(parents=True)
    (directory / "stranger.crt").write_bytes((pki / "stranger.pem").read_bytes())
    (directory / "ca.crt").write_bytes((pki / "ca.pem").read_bytes())
    pull(here(at_loopback))


def test_a_hosts_authorities_are_not_anothers(at_loopback: FakeRegistry, pki: Path, home: Path) -> None:
    directory = home / ".config/docker/certs.d/127.0.0.1:1"
    directory.mkdir(parents=True)
    (directory / "ca.crt").write_bytes((pki / "ca.pem").read_bytes())
    with pytest.raises(RegistryUnreachableError, match="not trusted"):
        pull(here(at_loopback))


def test_a_host_is_shown_the_certificate_that_is_for_it(
    at_loopback: FakeRegistry, server_context: ssl.SSLContext, pki: Path, home: Path
) -> None:
    server_context.verify_mode = ssl.CERT_REQUIRED
    server_context.load_verify_locations(pki / "ca.pem")
    directory = home / ".config/docker/certs.d" / f"127.0.0.1:{at_loopback.host.partition(':')[2]}"
    directory.mkdir(parents=True)
    (directory / "ca.crt").write_bytes((pki / "ca.pem").read_bytes())
    with pytest.raises(RegistryUnreachableError):
        pull(here(at_loopback))
    (directory / "client.cert").write_bytes((pki / "client.pem").read_bytes())
    (directory / "client.key").write_bytes((pki / "client.key").read_bytes())
    pull(here(at_loopback))


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_authorities_that_cannot_be_read_are_told(
    at_loopback: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    (tmp_path / "empty.pem").touch()
    for path in (tmp_path / "nothing.pem", tmp_path / "empty.pem"):
        monkeypatch.setenv(variable, str(path))
        with pytest.raises(InvalidSettingsError, match=f"{variable} names cannot be read"):
            pull(here(at_loopback))


def test_a_certificate_for_another_name_or_address_is_not_trusted(
    secure: FakeRegistry, proxy: Proxy, pki: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(pki / "ca.pem"))
    monkeypatch.setenv("https_proxy", f"http://{proxy.address}")
    for url in (secure.url, "https://other.example"):
        with pytest.raises(RegistryUnreachableError, match="not trusted"):
            pull(RegistryClient({"docker.io": url}, timeout=5))
    assert not secure.requests


def test_a_registry_is_reached_through_a_proxy(proxy: Proxy, pki: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(pki / "ca.pem"))
    monkeypatch.setenv("https_proxy", f"http://{proxy.address}")
    pull(RegistryClient({"docker.io": "https://registry.example"}, timeout=5))
    assert proxy.asked == ["CONNECT registry.example:443"]


def test_a_proxy_wants_a_password_and_gets_it(secure: FakeRegistry, pki: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(pki / "ca.pem"))
    host, _, port = secure.host.partition(":")
    with Proxy((host, int(port)), user="someone:pa55word") as proxy:
        monkeypatch.setenv("https_proxy", f"http://someone:pa55word@{proxy.address}")
        pull(RegistryClient({"docker.io": "https://registry.example"}, timeout=5))
        monkeypatch.setenv("https_proxy", f"http://someone:wr0ng@{proxy.address}")
        with pytest.raises(RegistryUnreachableError, match="the proxy on the way") as caught:
            pull(RegistryClient({"docker.io": "https://registry.example"}, timeout=5))
    assert "407" in caught.value.details
    assert "wr0ng" not in str(caught.value)
    assert {header for _, header in secure.authorizations} == {None}


def test_a_proxy_is_not_asked_for_hosts_that_need_none(
    at_loopback: FakeRegistry, proxy: Proxy, pki: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(pki / "ca.pem"))
    monkeypatch.setenv("https_proxy", f"http://{proxy.address}")
    pull(here(at_loopback))
    monkeypatch.setenv("no_proxy", "registry.invalid")
    with pytest.raises(RegistryUnreachableError, match=r"no host registry\.invalid"):
        pull(RegistryClient({"docker.io": "https://registry.invalid"}, timeout=5))
    assert proxy.asked == []


def test_a_proxy_that_is_down_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{unused.getsockname()[1]}")
    with pytest.raises(RegistryUnreachableError, match=r"the proxy on the way to registry\.example") as caught:
        pull(RegistryClient({"docker.io": "https://registry.example"}, timeout=5))
    assert "HTTPS_PROXY" in caught.value.hint
