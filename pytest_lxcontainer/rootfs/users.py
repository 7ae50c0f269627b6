"""Who a container's command runs as: an image's ``User`` looked up in the image's own passwd and group files.

https://github.com/opencontainers/image-spec/blob/main/conversion.md#configuser, and for what it leaves open
Docker's rules (https://github.com/moby/sys/blob/main/user/user.go).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from ..errors import InvalidSettingsError

_MAX_ID = 2**31 - 1


@dataclass(frozen=True, slots=True)
class User:
    """Ids as inside the container; *groups* are the supplementary ones, *name* is empty for a bare uid."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    home: str = "/"
    name: str = ""


@lru_cache(maxsize=64)
def resolve_user(spec: str, passwd: bytes | None, group: bytes | None) -> User:
    """Return the user that *spec* (``""``, ``name``, ``uid``, ``name:group``, ``uid:gid``) means.

    *passwd* and *group* are the container's files, ``None`` where it has none. The supplementary groups are
    those of a user who is in passwd, unless *spec* names a group. Raises `InvalidSettingsError` for an
    unknown name.
    """
    user_spec, colon, group_spec = spec.partition(":")
    user = _find_user(user_spec or "0", passwd)
    if user is None:
        user = User(_number(user_spec, "user", "/etc/passwd"), 0)
    if colon and group_spec:
        return User(user.uid, _find_group(group_spec, group), (), user.home, user.name)
    groups = tuple(_groups_of(user.name, group)) if user.name else ()
    return User(user.uid, user.gid, groups, user.home, user.name)


def _find_user(spec: str, passwd: bytes | None) -> User | None:
    """Return the first line of passwd that has *spec* as its name or, if it is a number, as its uid."""
    for fields in _lines(passwd, 7):
        name, _, uid, gid, _, home, _ = fields[:7]
        if spec in (name, uid) and name and uid.isdecimal() and gid.isdecimal():
            return User(int(uid), int(gid), (), home or "/", name)
    return None


def _find_group(spec: str, group: bytes | None) -> int:
    for name, _, gid, _ in _lines(group, 4):
        if spec in (name, gid) and gid.isdecimal():
            return int(gid)
    return _number(spec, "group", "/etc/group")


def _groups_of(user: str, group: bytes | None) -> Iterator[int]:
    for _, _, gid, members in _lines(group, 4):
        if gid.isdecimal() and user in members.split(","):
            yield int(gid)


def _lines(data: bytes | None, count: int) -> Iterator[list[str]]:
    """Yield the fields of each line, as many as there should be."""
    for line in (data or b"").decode("utf-8", "surrogateescape").splitlines():
        fields = line.strip().split(":")
        if fields[0] and not fields[0].startswith("#"):
            yield (fields + [""] * count)[:count]


def _number(spec: str, what: str, file: str) -> int:
    text = spec or "0"
    if not (text.isascii() and text.isdecimal()):
        raise InvalidSettingsError(
            f"the image has no {what} {spec!r} in its {file}", hint=f"use a {what} of the image, or a number"
        )
    if int(text) > _MAX_ID:
        raise InvalidSettingsError(f"{what} {spec} is no id: {_MAX_ID} is the largest")
    return int(text)
