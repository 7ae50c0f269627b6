"""Containers find one another by name, whatever looks the name up."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from pytest_lxcontainer import Container

from ..fakes.images import File
from .conftest import Runner

LOOKUP = Path(__file__).with_name("lookup.c")
GO_PROGRAM = "docker-registry"
"""A server, which is on every host that can build the tests' images."""
GO_SETTINGS = "version: 0.1\nstorage: {inmemory: {}}\nhttp: {secret: none}\n"

Build = Callable[..., str]


class Resolver(NamedTuple):
    """What looks names up in a container; *address_of* has it do so."""

    box: Container
    address_of: Callable[[Container, str], str]


@pytest.fixture(params=["glibc", "musl", "go"])
def resolver(request: pytest.FixtureRequest, run: Runner) -> Resolver:
    if request.param == "glibc":
        return Resolver(run("debian:bookworm-slim", "sleep 1000", group="g"), by_glibc)
    scratch = request.getfixturevalue("scratch")
    if request.param == "musl":
        return Resolver(run(scratch, group="g"), by_musl)
    return Resolver(run(scratch, group="g", mounts=mounts_of_go_program()), by_go)


def by_glibc(box: Container, name: str) -> str:
    return box.check_output(["getent", "ahostsv4", name]).split()[0]


def by_musl(box: Container, name: str) -> str:
    return box.check_output(["/lookup", name])


def by_go(box: Container, name: str) -> str:
    """The server says where it cannot listen: at the peer's address."""
    environment = {"REGISTRY_HTTP_ADDR": f"{name}:80", "GODEBUG": "netdns=go+1"}
    said = box.exec(["/registry", "serve", "/settings"], env=environment, timeout=20).stderr
    assert "Go's resolver" in said
    (address,) = re.findall(r"listen tcp ([0-9.]+):80: bind: cannot assign", said)
    return str(address)


@pytest.fixture
def scratch(build: Build, musl_lookup: File) -> str:
    """An image of nothing but what the tests run in it: there is no /etc either."""
    return build({"lookup": musl_lookup, "settings": File(GO_SETTINGS)}, base=False, Entrypoint=["/lookup"])


@pytest.fixture(scope="session")
def musl_lookup(tmp_path_factory: pytest.TempPathFactory) -> File:
    """A static program that asks musl's resolver."""
    compiler, program = installed("musl-gcc"), tmp_path_factory.mktemp("musl") / "lookup"
    subprocess.run([compiler, "-static", "-O2", "-o", program, LOOKUP], check=True)
    return File(program.read_bytes(), 0o755)


def mounts_of_go_program() -> list[str]:
    """The program and the libraries that it wants, for an image that has none."""
    program = installed(GO_PROGRAM)
    wanted = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return [f"{program}:/registry:ro", *(f"{path}:{path}:ro" for path in re.findall(r"/\S+", wanted))]


def installed(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        reason = f"{program} is not installed; run: scripts/host-setup"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return path


def test_names_and_aliases_lead_to_peers_however_often_either_is_restarted(run: Runner, resolver: Resolver) -> None:
    box, address_of = resolver
    db = run(name="db", aliases=["database", "db.internal"], group="g")
    expected = dict.fromkeys(["db", "database", "db.internal"], db.ip)
    for restart in (lambda: None, db.restart, box.restart, db.restart):
        restart()
        assert {name: address_of(box, name) for name in expected} == expected


def test_who_comes_later_is_found_by_who_was_there(run: Runner, resolver: Resolver) -> None:
    for _ in range(2):
        db = run(name="db", group="g")
        assert resolver.address_of(resolver.box, "db") == db.ip
        db.destroy()
