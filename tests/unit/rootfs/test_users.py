from __future__ import annotations

import pytest

from pytest_lxcontainer.errors import InvalidSettingsError
from pytest_lxcontainer.rootfs.users import User, resolve_user

PASSWD = b"""root:x:0:0:root:/root:/bin/sh
# a comment:x:1:1::/:
daemon:x:1:1::/usr/sbin:/usr/sbin/nologin

redis:x:999:1000::/home/redis:/bin/sh
nohome:x:7:8
broken:x:notanumber:5::/:/bin/sh
1000:x:42:43::/home/number:/bin/sh
"""
GROUP = b"""root:x:0:
daemon:x:1:redis,root
redis:x:1000:
tty:x:5:redis
gone:x:nan:redis
1234:x:77:
"""


@pytest.mark.parametrize(
    ("spec", "user"),
    [
        ("", User(0, 0, (1,), "/root", "root")),
        ("root", User(0, 0, (1,), "/root", "root")),
        ("redis", User(999, 1000, (1, 5), "/home/redis", "redis")),
        ("999", User(999, 1000, (1, 5), "/home/redis", "redis")),
        ("redis:tty", User(999, 5, (), "/home/redis", "redis")),
        ("999:1000", User(999, 1000, (), "/home/redis", "redis")),
        ("redis:4242", User(999, 4242, (), "/home/redis", "redis")),
        ("redis:1234", User(999, 77, (), "/home/redis", "redis")),
        ("redis:", User(999, 1000, (1, 5), "/home/redis", "redis")),
        ("12345", User(12345, 0, (), "/", "")),
        ("12345:5", User(12345, 5, (), "/", "")),
        (":tty", User(0, 5, (), "/root", "root")),
        ("nohome", User(7, 8, (), "/", "nohome")),
        ("1000", User(42, 43, (), "/home/number", "1000")),
    ],
)
def test_user_is_resolved_as_docker_does(spec: str, user: User) -> None:
    assert resolve_user(spec, PASSWD, GROUP) == user


@pytest.mark.parametrize("spec", ["", "0", "0:0"])
def test_image_without_user_files_runs_as_root(spec: str) -> None:
    assert resolve_user(spec, None, None) == User(0, 0)


@pytest.mark.parametrize(
    ("spec", "match"),
    [("nobody", "user 'nobody'"), ("redis:nogroup", "group 'nogroup'"), ("broken", "user"), ("-1", "user")],
)
def test_unknown_name_is_an_error(spec: str, match: str) -> None:
    with pytest.raises(InvalidSettingsError, match=match):
        resolve_user(spec, PASSWD, GROUP)


@pytest.mark.parametrize("spec", ["2147483648", "0:2147483648"])
def test_number_that_is_no_id_is_an_error(spec: str) -> None:
    with pytest.raises(InvalidSettingsError, match="2147483648"):
        resolve_user(spec, PASSWD, GROUP)
