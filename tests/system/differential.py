"""One stack of layers three ways: by umoci, and by a `Sandbox` and the kernel's overlayfs; and what may differ.

Each rule below is a function that takes out of the comparison what umoci (or a user namespace) does otherwise than
this package has to, with the reason. Whatever is not named here has to be the same.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pytest_lxcontainer.image.digest import Digest, sha256_of
from pytest_lxcontainer.rootfs.idmap import IdMap
from pytest_lxcontainer.rootfs.sandbox import Sandbox

from ..fakes.images import BuiltImage, descriptor
from .trees import Node, Tree


def write_layout(where: Path, built: BuiltImage) -> None:
    """Write an image as the OCI layout *where*, tagged ``latest``."""
    blobs = where / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for blob in (*built.blobs, built.manifest):
        (blobs / sha256_of(blob).hex).write_bytes(blob)
    reference = descriptor(built.manifest, built.media_type)
    reference["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    (where / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (where / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [reference]}))


def umoci_unpack(layout: Path, tag: str, target: Path) -> str:
    """Unpack with umoci into *target*; return what it complained of, if it refused."""
    command = ["umoci", "raw", "unpack", "--image", f"{layout}:{tag}", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    return "" if done.returncode == 0 else done.stderr.strip() or "failed"


def sandbox_unpack(sandbox: Sandbox, blobs: Sequence[tuple[Path, Digest]], where: Path) -> list[Path]:
    """Unpack the layers *blobs* (base first) into directories of *where*."""
    layers: list[Path] = []
    for blob, diff_id in blobs:
        target = where / f"{len(layers)}"
        target.mkdir(parents=True)
        sandbox.unpack(blob, target, diff_id=diff_id, lower_dirs=tuple(layers))
        layers.append(target)
    return layers


def differences(expected: Tree, actual: Tree) -> list[str]:
    """What is not the same, one line for each path; hard links are left to `link_differences`."""
    lines = [f"{path!r} is only in umoci's tree" for path in expected.keys() - actual.keys()]
    lines += [f"{path!r} is only in ours" for path in actual.keys() - expected.keys()]
    for path in expected.keys() & actual.keys():
        theirs, ours = replace(expected[path], file=0), replace(actual[path], file=0)
        if theirs != ours:
            lines.append(f"{path!r} differs:\n    umoci {theirs}\n    ours  {ours}")
    return sorted(lines)


def link_differences(expected: Tree, actual: Tree, *, across_layers: bool) -> list[str]:
    """Names that share a file in one tree and not in the other.

    Overlayfs cannot link names of different layers: where an entry links *across_layers*, umoci's groups may fall
    apart here, as they do with Docker; but what is one file here always is one there.
    """
    theirs, ours = _links(expected), _links(actual)
    lines = [f"{sorted(group)} are one file in ours" for group in ours if not any(group <= one for one in theirs)]
    if not across_layers:
        lines += [f"{sorted(group)} are one file in umoci's" for group in theirs - ours]
    return lines


def _links(tree: Tree) -> set[frozenset[str]]:
    groups: dict[int, set[str]] = {}
    for path, node in tree.items():
        if node.file:
            groups.setdefault(node.file, set()).add(path)
    return {frozenset(group) for group in groups.values() if len(group) > 1}


def with_unrecorded_times(expected: Tree, actual: Tree, since: int) -> Tree:
    """Take the times that no layer recorded from *actual*.

    umoci gives a directory the present time that it made as a parent no layer has an entry for, and the directories
    above and around it where it removed something for a whiteout. Here an implied parent is as new, but what is
    around it keeps the time that its layer recorded, as a later unpacking into the mounted overlay would not show.
    """
    return {
        path: replace(node, mtime=actual[path].mtime) if node.mtime >= since and path in actual else node
        for path, node in expected.items()
    }


def is_link_to_itself(complaint: str) -> bool:
    """Whether umoci refused a hard link to itself, by a name that leads through a link.

    It removes what is there before it links to it; here, as for tar, such an entry changes nothing.
    """
    return complaint.endswith("link: no such file or directory")


def with_root_of(expected: Tree, actual: Tree) -> Tree:
    """Take the root's own attributes from *actual*, for stacks whose topmost layer has no entry for the root.

    umoci keeps what a layer below said; every layer here is a directory whose root overlayfs shows, as with Docker.
    """
    return {**expected, "": actual[""]}


def as_inside(tree: Tree, idmap: IdMap) -> Tree:
    """The host's view of *tree* as a container of *idmap* sees it: its own ids, and its own file capabilities."""
    return {path: _node_inside(node, idmap) for path, node in tree.items()}


def _node_inside(node: Node, idmap: IdMap) -> Node:
    xattrs = dict(node.xattrs)
    capability = bytes.fromhex(xattrs.get("security.capability", ""))
    # VFS_CAP_REVISION_3, in which the kernel keeps what a user namespace's root sets, ends in that root's uid.
    if capability[3:4] == b"\x03" and int.from_bytes(capability[20:], "little") == idmap.host_uid(0):
        xattrs["security.capability"] = (capability[:3] + b"\x02" + capability[4:20]).hex()
    uid, gid = node.uid - idmap.host_uid(0), node.gid - idmap.host_gid(0)
    return replace(node, uid=uid, gid=gid, xattrs=xattrs)


def with_implied_owners(expected: Tree, actual: Tree, since: int) -> Tree:
    """Take owner and mode of implied directories from *actual* below a set-group-ID directory.

    There umoci's mkdir(2) hands the group and the bit down; parents that no layer has an entry for are root's, 0755,
    here as in containerd.
    """

    def inherited(path: str, node: Node) -> bool:
        ours = actual.get(path)
        plain = ours is not None and (ours.mode, ours.uid, ours.gid) == (0o755, 0, 0)
        return plain and node.kind == "directory" and node.mtime >= since and node.mode == 0o2755

    return {
        path: replace(node, mode=0o755, gid=0) if inherited(path, node) else node for path, node in expected.items()
    }
