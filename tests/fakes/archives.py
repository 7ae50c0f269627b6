"""Images written as files, in every form that tools have for them.

::

    oci_layout(path, {"1": image([...]), "2": index([...])})
    tarred(oci_layout(...), tmp_path / "app.tar")
    docker_archive(path, {"app:1": image([...])}, form="old")      # or "new", "oldest"
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_lxcontainer.image.digest import sha256_of

from .images import BuiltImage, BuiltIndex, descriptor

REF_NAME = "org.opencontainers.image.ref.name"

Built = BuiltImage | BuiltIndex


def oci_layout(where: Path, images: Mapping[str | None, Built], **extra: Any) -> Path:
    """Write an OCI layout; *extra* goes into each descriptor of ``index.json``."""
    entries = []
    for tag, built in images.items():
        for data in documents(built):
            write_blob(where, data)
        entry = {**descriptor(built.manifest, built.media_type), **extra}
        if tag is not None:
            entry["annotations"] = {REF_NAME: tag}
        entries.append(entry)
    write_index(where, entries)
    return where


def write_index(where: Path, entries: list[dict[str, Any]], version: str = "1.0.0") -> None:
    where.mkdir(parents=True, exist_ok=True)
    (where / "oci-layout").write_text(json.dumps({"imageLayoutVersion": version}))
    (where / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))


def write_blob(where: Path, data: bytes) -> Path:
    path = where / "blobs" / "sha256" / sha256_of(data).hex
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def documents(built: Built) -> list[bytes]:
    """Every blob of an image or index, its own document first."""
    if isinstance(built, BuiltImage):
        return [built.manifest, *built.blobs]
    return [built.manifest, *(data for each in built.images for data in documents(each))]


def skopeo_directory(where: Path, built: BuiltImage) -> Path:
    """What ``skopeo copy ... dir:`` writes."""
    where.mkdir(parents=True)
    (where / "version").write_bytes(b"Directory Transport Version: 1.1\n")
    (where / "manifest.json").write_bytes(built.manifest)
    for data in built.blobs:
        (where / sha256_of(data).hex).write_bytes(data)
    return where


def tarred(directory: Path, target: Path, prefix: str = "") -> Path:
    """The files of *directory* as a tar; *prefix* is how ``tar -C directory .`` writes names."""
    with tarfile.open(target, "w") as archive:
        for path in sorted(directory.rglob("*")):
            archive.add(path, prefix + str(path.relative_to(directory)), recursive=False)
    return target


def docker_archive(where: Path, images: Mapping[str, BuiltImage], form: str = "new") -> Path:
    """Write what ``docker save`` of version 25 and later ("new"), 1.10 to 24 ("old") or before ("oldest") writes.

    The images' layers are to be uncompressed. An image whose name is empty has none.
    """
    writers = {"new": _new, "old": _old, "oldest": _oldest}
    members: list[tuple[str, bytes | str]] = []
    listed, repositories = [], {}
    for name, built in images.items():
        entry, top = writers[form](built, members)
        listed.append({**entry, "RepoTags": [name] if name else None})
        if name:
            repository, _, tag = name.rpartition(":")
            repositories.setdefault(repository, {})[tag] = top
    if form != "oldest":
        members.append(("manifest.json", json.dumps(listed).encode()))
    members.append(("repositories", json.dumps(repositories).encode()))
    where.write_bytes(tar_of(members))
    return where


def tar_of(members: list[tuple[str, bytes | str]]) -> bytes:
    """A tar of files (bytes) and symbolic links (text), in this order."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _new(built: BuiltImage, members: list[tuple[str, bytes | str]]) -> tuple[dict[str, Any], str]:
    for data in built.blobs:
        members.append((f"blobs/sha256/{sha256_of(data).hex}", data))
    layers = [f"blobs/sha256/{layer.digest.hex}" for layer in built.layers]
    return {"Config": f"blobs/sha256/{built.config_digest.hex}", "Layers": layers}, layers[-1]


def _old(built: BuiltImage, members: list[tuple[str, bytes | str]]) -> tuple[dict[str, Any], str]:
    """A repeated layer is a link to where it is first; so is one of another image."""
    names, first = [], {name: content for name, content in members if isinstance(content, bytes)}
    for number, layer in enumerate(built.layers):
        own = sha256_of(built.config_digest.hex.encode() + b"%d" % number).hex
        names.append(f"{own}/layer.tar")
        there = next((name for name, content in first.items() if content == layer.blob), None)
        members += [(f"{own}/VERSION", b"1.0"), (f"{own}/json", b"{}")]
        members.append((names[-1], f"../{there}" if there else layer.blob))
        first.setdefault(names[-1], layer.blob)
    members.append((f"{built.config_digest.hex}.json", built.config))
    return {"Config": f"{built.config_digest.hex}.json", "Layers": names}, names[-1].partition("/")[0]


def _oldest(built: BuiltImage, members: list[tuple[str, bytes | str]]) -> tuple[dict[str, Any], str]:
    parent, config = "", json.loads(built.config)
    for number, layer in enumerate(built.layers):
        own = sha256_of(built.config_digest.hex.encode() + b"%d" % number).hex
        document: dict[str, Any] = {"id": own, "config": config.get("config"), "os": "linux"}
        document["architecture"] = config["architecture"]
        if parent:
            document["parent"] = parent
        members += [(f"{own}/json", json.dumps(document).encode()), (f"{own}/layer.tar", layer.blob)]
        parent = own
    return {}, parent
