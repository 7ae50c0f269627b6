"""A tiny builder of layers, with nothing of `tarfile` that would refuse a hostile one."""

from __future__ import annotations

import gzip
import hashlib
import os
import tarfile
from pathlib import Path
from typing import Any

from pytest_lxcontainer.image.digest import Digest
from pytest_lxcontainer.rootfs.unpack import unpack
from pytest_lxcontainer.rootfs.unpacked import Unpacked

Member = tuple[tarfile.TarInfo, bytes]


def member(name: str, kind: bytes = tarfile.REGTYPE, data: bytes = b"", **fields: Any) -> Member:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.mode, info.mtime = kind, len(data), 0o644, 1_000_000_000
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


def file(name: str, data: bytes | str = b"", **fields: Any) -> Member:
    return member(name, data=data.encode() if isinstance(data, str) else data, **fields)


def directory(name: str, **fields: Any) -> Member:
    return member(name, tarfile.DIRTYPE, **{"mode": 0o755, **fields})


def symlink(name: str, target: str, **fields: Any) -> Member:
    return member(name, tarfile.SYMTYPE, linkname=target, **fields)


def hard_link(name: str, target: str, **fields: Any) -> Member:
    return member(name, tarfile.LNKTYPE, linkname=target, **fields)


def device(name: str, major: int, minor: int, kind: bytes = tarfile.CHRTYPE, **fields: Any) -> Member:
    return member(name, kind, devmajor=major, devminor=minor, **fields)


def xattr(name: str, value: str) -> dict[str, Any]:
    return {"pax_headers": {f"SCHILY.xattr.{name}": value}}


def tar(*members: Member, form: int = tarfile.PAX_FORMAT) -> bytes:
    """The members as a tar stream; names go in as they are, which `tarfile` would not do with all of them."""
    stream = b"".join(
        info.tobuf(form, "utf-8", "surrogateescape") + data + bytes(-len(data) % 512) for info, data in members
    )
    return stream + bytes(1024)


def digest(data: bytes) -> Digest:
    return Digest("sha256", hashlib.sha256(data).hexdigest())


class Layers:
    """Unpacks layers into directories of *where*, each over those before it."""

    def __init__(self, where: Path) -> None:
        self.where = where
        self.dirs: list[Path] = []

    def add(self, *members: Member, **options: Any) -> Unpacked:
        return self.add_stream(tar(*members), **options)

    def add_stream(self, stream: bytes, blob: bytes | None = None, **options: Any) -> Unpacked:
        target = self.where / f"layer{len(self.dirs)}"
        target.mkdir()
        (self.where / "blob").write_bytes(stream if blob is None else blob)
        fds = [os.open(path, os.O_RDONLY) for path in (self.where / "blob", target, *self.dirs)]
        try:
            return unpack(fds[0], fds[1], diff_id=digest(stream), lower_fds=fds[2:], **options)
        finally:
            self.dirs.append(target)
            for fd in fds:
                os.close(fd)

    @property
    def top(self) -> Path:
        return self.dirs[-1]


def tree(root: Path) -> dict[str, str]:
    """Every path below *root* with what it is: ``dir``, ``-> target``, ``whiteout`` or its content."""
    found: dict[str, str] = {}
    for path in sorted(root.rglob("*")):
        if path.is_symlink():
            text = f"-> {os.readlink(path)}"
        elif path.is_dir():
            text = "dir"
        elif path.is_file():
            text = path.read_text()
        else:
            text = "whiteout" if path.lstat().st_rdev == 0 and path.is_char_device() else "special"
        found[str(path.relative_to(root))] = text
    return found


def gz(data: bytes) -> bytes:
    return gzip.compress(data, 1, mtime=0)
