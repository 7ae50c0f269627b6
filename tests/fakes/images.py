"""Images made in the process, and pushed to any registry over HTTP.

::

    base = layer({"etc/hostname": "box\\n", "bin": Symlink("usr/bin"), "tmp": Dir(0o1777)})
    top = layer({"etc/hostname": Whiteout()})
    push(image([base, top], Cmd=["/bin/true"]), "http://127.0.0.1:5000", "library/box", "1")
"""

from __future__ import annotations

import gzip
import importlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

import requests

from pytest_lxcontainer.image.digest import Digest, sha256_of

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True)
class File:
    content: bytes | str = b""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    xattrs: Mapping[str, bytes] = field(default_factory=dict)
    mtime: float = 0


@dataclass(frozen=True)
class Dir:
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    xattrs: Mapping[str, bytes] = field(default_factory=dict)
    mtime: float = 0


@dataclass(frozen=True)
class Symlink:
    target: str
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True)
class Hardlink:
    target: str


@dataclass(frozen=True)
class Fifo:
    mode: int = 0o644


@dataclass(frozen=True)
class Device:
    kind: str  # "c" or "b"
    major: int
    minor: int
    mode: int = 0o600


@dataclass(frozen=True)
class Whiteout:
    """Hides its path in the layers below (``.wh.NAME``)."""


@dataclass(frozen=True)
class Opaque:
    """Hides all that the layers below have in its path, a directory (``.wh..wh..opq``)."""


Entry = bytes | str | File | Dir | Symlink | Hardlink | Fifo | Device | Whiteout | Opaque


@dataclass(frozen=True)
class Layer:
    """*blob* as transferred, *diff_id* of the tar in it."""

    blob: bytes
    diff_id: Digest
    media_type: str

    @property
    def digest(self) -> Digest:
        return sha256_of(self.blob)

    @property
    def descriptor(self) -> dict[str, Any]:
        return descriptor(self.blob, self.media_type)


@dataclass(frozen=True)
class BuiltImage:
    """An image's documents and layers, base first; *architecture* as in its config."""

    manifest: bytes
    config: bytes
    layers: tuple[Layer, ...]
    media_type: str = OCI_MANIFEST

    @property
    def digest(self) -> Digest:
        return sha256_of(self.manifest)

    @property
    def config_digest(self) -> Digest:
        return sha256_of(self.config)

    @property
    def platform(self) -> dict[str, str]:
        fields = json.loads(self.config)
        return {key: fields[key] for key in ("os", "architecture", "variant") if key in fields}

    @property
    def blobs(self) -> tuple[bytes, ...]:
        return (self.config, *(layer.blob for layer in self.layers))


@dataclass(frozen=True)
class BuiltIndex:
    """An index and the images (or indexes) it lists."""

    manifest: bytes
    images: tuple[BuiltImage | BuiltIndex, ...]
    media_type: str = OCI_INDEX

    @property
    def digest(self) -> Digest:
        return sha256_of(self.manifest)


def layer(entries: Mapping[str, Entry], *, compression: str = "gzip") -> Layer:
    """Build a layer; *compression* is "gzip", "zstd" or ""."""
    return layer_of_tar(tar(entries), compression=compression)


def layer_of_tar(data: bytes, *, compression: str = "gzip") -> Layer:
    """Build a layer of a tar made elsewhere, however malicious."""
    suffix = f"+{compression}" if compression else ""
    return Layer(compress(data, compression), sha256_of(data), OCI_LAYER + suffix)


def compress(data: bytes, compression: str) -> bytes:
    if compression == "gzip":
        return gzip.compress(data, mtime=0)
    if compression == "zstd":
        zstd = importlib.import_module("backports.zstd")
        return bytes(zstd.compress(data))
    return data


def tar(entries: Mapping[str, Entry]) -> bytes:
    """Build a tar with *entries* in their order and nothing implied."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, entry in entries.items():
            info, content = tar_entry(path, entry)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def tar_entry(path: str, entry: Entry) -> tuple[tarfile.TarInfo, bytes]:
    if isinstance(entry, str | bytes):
        entry = File(entry)
    if isinstance(entry, Whiteout):
        parent, slash, name = path.rpartition("/")
        return tarfile.TarInfo(f"{parent}{slash}.wh.{name}"), b""
    if isinstance(entry, Opaque):
        return tarfile.TarInfo(f"{path}/.wh..wh..opq"), b""
    info = tarfile.TarInfo(path)
    info.mode = getattr(entry, "mode", 0o777)
    info.uid, info.gid = getattr(entry, "uid", 0), getattr(entry, "gid", 0)
    info.mtime = getattr(entry, "mtime", 0)
    info.pax_headers = {
        f"SCHILY.xattr.{name}": value.decode("utf-8", "surrogateescape")
        for name, value in getattr(entry, "xattrs", {}).items()
    }
    return info, _specifics(info, entry)


def _specifics(info: tarfile.TarInfo, entry: Entry) -> bytes:
    if isinstance(entry, File):
        content = entry.content.encode() if isinstance(entry.content, str) else entry.content
        info.size = len(content)
        return content
    if isinstance(entry, Symlink | Hardlink):
        info.type = tarfile.SYMTYPE if isinstance(entry, Symlink) else tarfile.LNKTYPE
        info.linkname = entry.target
    elif isinstance(entry, Device):
        info.type = tarfile.CHRTYPE if entry.kind == "c" else tarfile.BLKTYPE
        info.devmajor, info.devminor = entry.major, entry.minor
    else:
        info.type = tarfile.FIFOTYPE if isinstance(entry, Fifo) else tarfile.DIRTYPE
    return b""


def image(
    layers: Sequence[Layer],
    *,
    os: str = "linux",
    architecture: str = "amd64",
    variant: str = "",
    **config: Any,
) -> BuiltImage:
    """Build an image of *layers* (base first); *config* is the config's own: ``Cmd=[...], Env=[...]``."""
    platform = {"os": os, "architecture": architecture, **({"variant": variant} if variant else {})}
    document = {
        **platform,
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [str(layer.diff_id) for layer in layers]},
    }
    config_blob = json.dumps(document).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(config_blob, OCI_CONFIG),
        "layers": [layer.descriptor for layer in layers],
    }
    return BuiltImage(json.dumps(manifest).encode(), config_blob, tuple(layers))


def index(*images: BuiltImage | BuiltIndex, attestation: bool = False) -> BuiltIndex:
    """Build an index of *images*, as BuildKit does with an attestation beside them."""
    entries = [_index_entry(one) for one in images]
    if attestation:
        extra = descriptor(b"{}", OCI_MANIFEST)
        extra["platform"] = {"os": "unknown", "architecture": "unknown"}
        extra["annotations"] = {"vnd.docker.reference.type": "attestation-manifest"}
        entries.insert(0, extra)
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    return BuiltIndex(json.dumps(document).encode(), images)


def _index_entry(one: BuiltImage | BuiltIndex) -> dict[str, Any]:
    platform = {"platform": one.platform} if isinstance(one, BuiltImage) else {}
    return {**descriptor(one.manifest, one.media_type), **platform}


def descriptor(data: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": str(sha256_of(data)), "size": len(data)}


def push(built: BuiltImage | BuiltIndex, base_url: str, repository: str, tag: str) -> Digest:
    """Push an image or index and what it consists of, and return its digest."""
    with requests.Session() as session:
        session.trust_env = False
        _push(session, built, f"{base_url}/v2/{repository}", tag)
    return built.digest


def _push(session: requests.Session, built: BuiltImage | BuiltIndex, url: str, target: str) -> None:
    if isinstance(built, BuiltIndex):
        for one in built.images:
            _push(session, one, url, str(one.digest))
    else:
        for blob in built.blobs:
            _push_blob(session, blob, url)
    headers = {"Content-Type": built.media_type}
    session.put(f"{url}/manifests/{target}", data=built.manifest, headers=headers).raise_for_status()


def _push_blob(session: requests.Session, blob: bytes, url: str) -> None:
    digest = str(sha256_of(blob))
    if session.head(f"{url}/blobs/{digest}").status_code == 200:
        return
    started = session.post(f"{url}/blobs/uploads/")
    started.raise_for_status()
    place = urljoin(url, started.headers["Location"])
    headers = {"Content-Type": "application/octet-stream"}
    session.put(place, params={"digest": digest}, data=blob, headers=headers).raise_for_status()
