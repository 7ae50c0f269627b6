"""A layer that is packed and unpacked again is the same, here and for umoci."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from pytest_lxcontainer.errors import LxContainerError
from pytest_lxcontainer.image.digest import Digest, sha256_of
from pytest_lxcontainer.rootfs.idmap import IdMap
from pytest_lxcontainer.rootfs.sandbox import Sandbox

from ..fakes.images import image, layer_of_tar
from ..fakes.stacks import Stack, has_devices, stacks, streams
from .differential import (
    as_inside,
    differences,
    link_differences,
    sandbox_unpack,
    umoci_unpack,
    with_unrecorded_times,
    write_layout,
)
from .test_differential import before_now
from .trees import Viewer, read_tree

pytestmark = [pytest.mark.needs_root, pytest.mark.exhaustive]

EXAMPLES = 300
AT_LEAST = 150


@pytest.fixture(scope="module", params=["host", "userns"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with Sandbox(IdMap.identity() if request.param == "host" else IdMap.for_root()) as sandbox:
        yield sandbox


def packed(sandbox: Sandbox, layers: list[Path], where: Path) -> list[tuple[Path, Digest]]:
    blobs = []
    for number, layer in enumerate(layers):
        blob = where / f"packed-{number}.tar"
        told = sandbox.pack(layer, blob)
        assert (told.diff_id, told.size) == (sha256_of(blob.read_bytes()), blob.stat().st_size)
        blobs.append((blob, told.diff_id))
    return blobs


def compare(stack: Stack, sandbox: Sandbox, viewer: Viewer, where: Path) -> bool:
    """Whether the stack could be unpacked; it is then the same after it was packed and unpacked."""
    given_blobs = []
    for number, stream in enumerate(streams(stack)):
        (where / f"{number}.tar").write_bytes(stream)
        given_blobs.append((where / f"{number}.tar", sha256_of(stream)))
    try:
        layers = sandbox_unpack(sandbox, given_blobs, where / "first")
    except LxContainerError:
        return False
    since = before_now()
    blobs = packed(sandbox, layers, where)
    again = sandbox_unpack(sandbox, blobs, where / "again")
    before, after = viewer.show(layers), viewer.show(again)
    assert not differences(before, after) + link_differences(before, after, across_layers=False)
    write_layout(where / "oci", image([layer_of_tar(blob.read_bytes(), compression="") for blob, _ in blobs]))
    assert umoci_unpack(where / "oci", "latest", where / "umoci") == ""
    inside = before if sandbox.idmap.is_identity else as_inside(before, sandbox.idmap)
    theirs = with_unrecorded_times(read_tree(where / "umoci"), inside, since)
    assert not differences(theirs, inside) + link_differences(theirs, inside, across_layers=False)
    return True


def test_generated_stacks_are_the_same_after_packing(sandbox: Sandbox, viewer: Viewer, scratch: Path) -> None:
    compared = 0

    @settings(
        max_examples=EXAMPLES,
        phases=[Phase.generate],
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(stacks())
    def try_one(stack: Stack) -> None:
        nonlocal compared
        # A user namespace may make no devices: what is unpacked there has none.
        if has_devices(stack) and not sandbox.idmap.is_identity:
            return
        where = scratch / "one"
        where.mkdir()
        try:
            compared += compare(stack, sandbox, viewer, where)
        finally:
            shutil.rmtree(where)

    try_one()
    assert compared >= AT_LEAST
