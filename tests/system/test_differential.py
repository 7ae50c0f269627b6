"""Trees mounted here are those that umoci makes of the same layers, entry by entry.

Everything about an entry counts: type, mode, owner, size, content, link target, extended attributes, time to the
nanosecond, and which names share a file. What may differ all the same is said in `differential`, a function a rule.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings

from pytest_lxcontainer.errors import LxContainerError
from pytest_lxcontainer.image.digest import Digest, sha256_of
from pytest_lxcontainer.rootfs.idmap import IdMap
from pytest_lxcontainer.rootfs.sandbox import Sandbox

from ..fakes.images import image, layer_of_tar
from ..fakes.stacks import Stack, has_devices, links_across_layers, names_root, stacks, streams, without_old_sparse
from .differential import (
    as_inside,
    differences,
    is_link_to_itself,
    link_differences,
    sandbox_unpack,
    umoci_unpack,
    with_implied_owners,
    with_root_of,
    with_unrecorded_times,
    write_layout,
)
from .trees import Tree, Viewer, read_tree

# umoci gives every file its owner, which only root may.
pytestmark = [pytest.mark.needs_root, pytest.mark.exhaustive]

EXAMPLES = 750
AT_LEAST = 500


@pytest.fixture(scope="module")
def host() -> Iterator[Sandbox]:
    with Sandbox(IdMap.identity()) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def userns() -> Iterator[Sandbox]:
    with Sandbox(IdMap.for_root()) as sandbox:
        yield sandbox


def before_now() -> int:
    """A time in nanoseconds that files made from now on are younger than: the kernel's stamps lag by a tick."""
    return time.time_ns() - 1_000_000_000


@dataclass
class Comparison:
    """Unpacks stacks in all three ways; *equal* and *refused* are the digests of those on which all agreed."""

    scratch: Path
    viewer: Viewer
    host: Sandbox
    userns: Sandbox

    def __post_init__(self) -> None:
        self.equal: set[Digest] = set()
        self.refused: set[Digest] = set()
        self.equal_in_namespace = 0

    def compare(self, stack: Stack) -> None:
        tars = streams(stack)
        digest = sha256_of(b"".join(str(sha256_of(stream)).encode() for stream in tars))
        if digest in self.equal or digest in self.refused:
            return
        where = self.scratch / digest.hex
        where.mkdir()
        try:
            self._compare(stack, tars, digest, where)
        finally:
            shutil.rmtree(where)

    def _compare(self, stack: Stack, tars: list[bytes], digest: Digest, where: Path) -> None:
        write_layout(
            where / "oci", image([layer_of_tar(one, compression="") for one in streams(without_old_sparse(stack))])
        )
        blobs = []
        for number, stream in enumerate(tars):
            (where / f"{number}.tar").write_bytes(stream)
            blobs.append((where / f"{number}.tar", sha256_of(stream)))
        since = before_now()
        complaint = umoci_unpack(where / "oci", "latest", where / "umoci")
        try:
            layers = sandbox_unpack(self.host, blobs, where / "host")
        except LxContainerError:
            if not complaint:
                raise
            self.refused.add(digest)
            return
        if complaint:
            assert is_link_to_itself(complaint), complaint
            return
        ours = self.viewer.show(layers)
        theirs = self._umoci_tree(stack, where, ours, since)
        across = links_across_layers(stack)
        assert not differences(theirs, ours) + link_differences(theirs, ours, across_layers=across)
        self.equal.add(digest)
        # A user namespace may make none.
        if not has_devices(stack):
            self._compare_in_namespace(ours, blobs, where, since)

    def _umoci_tree(self, stack: Stack, where: Path, ours: Tree, since: int) -> Tree:
        theirs = with_implied_owners(read_tree(where / "umoci"), ours, since)
        theirs = with_unrecorded_times(theirs, ours, since)
        return theirs if names_root(stack[-1]) else with_root_of(theirs, ours)

    def _compare_in_namespace(self, ours: Tree, blobs: list[tuple[Path, Digest]], where: Path, since: int) -> None:
        layers = sandbox_unpack(self.userns, blobs, where / "userns")
        inside = as_inside(self.viewer.show(layers), self.userns.idmap)
        ours = with_unrecorded_times(ours, inside, since)
        assert not differences(ours, inside) + link_differences(ours, inside, across_layers=False)
        self.equal_in_namespace += 1


@pytest.fixture
def comparison(scratch: Path, viewer: Viewer, host: Sandbox, userns: Sandbox) -> Comparison:
    return Comparison(scratch, viewer, host, userns)


def test_generated_stacks_are_as_umoci_unpacks_them(comparison: Comparison) -> None:
    @settings(
        max_examples=EXAMPLES,
        # A stack that differs is shown as it is: making it smaller takes minutes.
        phases=[Phase.generate],
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(stacks())
    def compare(stack: Stack) -> None:
        for number, layer in enumerate(stack):
            note(f"layer {number}:" + "".join(f"\n    {item}" for item in layer))
        comparison.compare(stack)

    compare()
    assert len(comparison.equal) >= AT_LEAST
    assert comparison.equal_in_namespace >= AT_LEAST // 2
    # The generator is worth little if most of what it makes is nonsense.
    assert len(comparison.refused) < EXAMPLES // 5


def copied_image(mirror: str, repository: str, tag: str, layout: Path) -> list[tuple[Path, Digest]]:
    """Copy an image of the registry into *layout*; return its layers' blobs and diff ids, base first."""
    host = mirror.partition("=")[2].partition("://")[2].rstrip("/")
    source = f"docker://{host}/library/{repository}:{tag}"
    command = ["skopeo", "copy", "--quiet", "--src-tls-verify=false", source, f"oci:{layout}:{repository}"]
    subprocess.run(command, check=True)
    index = json.loads((layout / "index.json").read_text())
    names = {one["annotations"]["org.opencontainers.image.ref.name"]: one["digest"] for one in index["manifests"]}
    blobs = layout / "blobs" / "sha256"
    manifest = json.loads((blobs / names[repository].partition(":")[2]).read_text())
    config = json.loads((blobs / manifest["config"]["digest"].partition(":")[2]).read_text())
    files = [blobs / one["digest"].partition(":")[2] for one in manifest["layers"]]
    return list(zip(files, map(Digest.parse, config["rootfs"]["diff_ids"]), strict=True))


IMAGES = [("busybox", "latest"), ("nginx", "1"), ("postgres", "15")]


@pytest.mark.parametrize(("repository", "tag"), IMAGES, ids=[repository for repository, _ in IMAGES])
def test_real_images_are_as_umoci_unpacks_them(
    scratch: Path, viewer: Viewer, userns: Sandbox, mirror: str, repository: str, tag: str
) -> None:
    layout, where = scratch / "oci", scratch / repository
    # One layout for all, as they share their base.
    blobs = copied_image(mirror, repository, tag, layout)
    where.mkdir()
    since = before_now()
    assert umoci_unpack(layout, repository, where / "umoci") == ""
    layers = sandbox_unpack(userns, blobs, where / "layers")
    ours = as_inside(viewer.show(layers), userns.idmap)
    theirs = read_tree(where / "umoci")
    devices = {path for path, node in theirs.items() if "device" in node.kind}
    assert not devices & ours.keys()
    theirs = {path: node for path, node in theirs.items() if path not in devices}
    theirs = with_root_of(with_unrecorded_times(theirs, ours, since), ours)
    assert not differences(theirs, ours) + link_differences(theirs, ours, across_layers=False)
    assert len(ours) > 200
    shutil.rmtree(where)
