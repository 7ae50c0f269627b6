"""Layers made to break out of their directory, to exhaust the host, or to mean something else to another reader.

Each says where the attack is from, and what has to become of it: *refused* with an error that holds these words (the
entry's name among them, where an entry is to blame), or contained, the topmost layer being *tree* in the end. The cases
are told anew after the suites named; no code is theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from . import tar_writer
from .tar_writer import (
    BLOCK_DEVICE,
    CHARACTER,
    DIRECTORY,
    END,
    FIFO,
    FILE,
    HARD_LINK,
    SYMLINK,
    Item,
    extension,
    header,
    pax,
    pax_record,
)

OUT = "/OUTSIDE"
"""Stands for a directory outside, which holds the file ``victim`` and the directory ``sub``."""
UP = "../../../../../../../.."

Part = Item | bytes


@dataclass(frozen=True)
class Hostile:
    source: str
    layers: Sequence[Sequence[Part]]
    refused: str = ""
    tree: Mapping[str, str] | None = None

    def streams(self, outside: str) -> list[bytes]:
        """The layers, base first, with *outside* for `OUT`."""
        return [b"".join(_fitted(part, outside) for part in layer) + END for layer in self.layers]


def _fitted(part: Part, outside: str) -> bytes:
    if isinstance(part, bytes):
        return part
    fitted = replace(part, name=part.name.replace(OUT, outside), link=part.link.replace(OUT, outside))
    return tar_writer.entry(fitted)


def d(name: str, **fields: Any) -> Item:
    return Item(DIRECTORY, name, **{"mode": 0o755, **fields})


def f(name: str, data: str = "", **fields: Any) -> Item:
    return Item(FILE, name, data=data.encode(), **fields)


def s(name: str, target: str, **fields: Any) -> Item:
    return Item(SYMLINK, name, link=target, **fields)


def h(name: str, target: str, **fields: Any) -> Item:
    return Item(HARD_LINK, name, link=target, **fields)


def refused(source: str, words: str, *layers: Sequence[Part]) -> Hostile:
    return Hostile(source, layers, refused=words)


def contained(source: str, tree: Mapping[str, str], *layers: Sequence[Part]) -> Hostile:
    return Hostile(source, layers, tree=tree)


PASSWD: list[Part] = [d("etc"), f("etc/passwd", "inside")]
PASSWD_TREE = {"etc": "dir", "etc/passwd": "inside"}
LONG = "n" * 200
CHAIN = "d" * 240
"""A name, many of which make a path longer than PATH_MAX."""


def made_of(path: str, last: str) -> dict[str, str]:
    """A tree of the directories of *path*, and *last* at its end."""
    parts = path.strip("/").split("/")
    return {"/".join(parts[:end]): "dir" for end in range(1, len(parts))} | {"/".join(parts): last}


def record(key: bytes, value: bytes, *following: bytes) -> bytes:
    return extension(b"x", pax_record(key, value)) + b"".join(following)


CONTAINERD = "containerd TestBreakouts/"
ESCAPES: dict[str, Hostile] = {
    # Parents that are links
    "SymlinkAbsolute": contained(
        CONTAINERD,
        {"etc": "dir", "localetc": "-> /etc", "etc/unbroken": "inside"},
        [d("etc"), s("localetc", "/etc"), f("/localetc/unbroken", "inside")],
    ),
    "SymlinkUpAndOut": contained(
        CONTAINERD,
        {"etc": "dir", "dummy": "dir", "localetc": "-> /dummy/../etc", "etc/unbroken": "inside"},
        [d("etc"), d("dummy"), s("localetc", "/dummy/../etc"), f("/localetc/unbroken", "inside")],
    ),
    "SymlinkMultipleAbsolute": contained(
        CONTAINERD,
        {"etc": "dir", "dummy": "dir", "dummy/etc": "-> /etc", "localetc": "-> /dummy/etc", "etc/unbroken": "inside"},
        [d("etc"), d("dummy"), s("/dummy/etc", "/etc"), s("localetc", "/dummy/etc"), f("/localetc/unbroken", "inside")],
    ),
    "SymlinkMultipleRelative": contained(
        CONTAINERD,
        {"etc": "dir", "dummy": "dir", "dummy/etc": "-> /etc", "localetc": "-> ./dummy/etc", "etc/unbroken": "inside"},
        [d("etc"), d("dummy"), s("/dummy/etc", "/etc"), s("localetc", "./dummy/etc"), f("localetc/unbroken", "inside")],
    ),
    "SymlinkEmptyFile": contained(
        CONTAINERD,
        {"etc": "dir", "etc/emptied": "", "localetc": "-> /etc"},
        [d("etc"), f("etc/emptied", "notempty"), s("localetc", "/etc"), f("/localetc/emptied")],
    ),
    "HardlinkRelative": contained(
        CONTAINERD,
        {**PASSWD_TREE, "b": "dir", "b/d1": "-> ../../etc", "b/mypasswd": "inside"},
        [*PASSWD, d("b"), s("b/d1", "../../etc"), h("b/mypasswd", "/b/d1/passwd")],
    ),
    "HardlinkDownAndOut": contained(
        CONTAINERD,
        {**PASSWD_TREE, "b": "dir", "down": "dir", "b/d1": "-> ../down/../../etc", "b/mypasswd": "inside"},
        [*PASSWD, d("b"), d("down"), s("b/d1", "../down/../../etc"), h("b/mypasswd", "/b/d1/passwd")],
    ),
    "HardlinkAbsolute": contained(
        CONTAINERD,
        {**PASSWD_TREE, "localetc": "-> /etc", "localpasswd": "inside"},
        [*PASSWD, s("localetc", "/etc"), h("localpasswd", "/localetc/passwd")],
    ),
    "HardlinkRelativeLong": contained(
        CONTAINERD,
        {**PASSWD_TREE, "localetc": f"-> {UP}/etc", "localpasswd": "inside"},
        [*PASSWD, s("localetc", f"{UP}/etc"), h("localpasswd", "/localetc/passwd")],
    ),
    "HardlinkRelativeUpAndOut": contained(
        CONTAINERD,
        {**PASSWD_TREE, "localetc": "-> upandout/../../../etc", "localpasswd": "inside"},
        [*PASSWD, s("localetc", "upandout/../../../etc"), h("localpasswd", "/localetc/passwd")],
    ),
    "HardlinkDirectRelative": refused(CONTAINERD, "'localpasswd'", [*PASSWD, h("localpasswd", f"{UP}/etc/passwd")]),
    "HardlinkDirectAbsolute": contained(
        CONTAINERD, {**PASSWD_TREE, "localpasswd": "inside"}, [*PASSWD, h("localpasswd", "/etc/passwd")]
    ),
    "SymlinkParentDirectory": refused(CONTAINERD, "'..'", [*PASSWD, s("..", "/etc/"), h("local", "/etc/passwd")]),
    "SymlinkEmptyFilename": refused(CONTAINERD, "root of the container", [*PASSWD, s("", "/etc/")]),
    "SymlinkParentRelative": refused(CONTAINERD, "'localetc/sub/..'", [*PASSWD, s("localetc/sub/..", "/etc/")]),
    "SymlinkSlashEnded": contained(
        CONTAINERD,
        {**PASSWD_TREE, "localetc": "dir", "localetc/localpasswd": "inside"},
        [*PASSWD, d("localetc/"), h("/localetc/localpasswd", "/etc/passwd")],
    ),
    "SymlinkOverrideDirectory": contained(
        CONTAINERD,
        {**PASSWD_TREE, "localetc": "-> /etc", "etc/localpasswd": "inside"},
        [*PASSWD, d("localetc")],
        [s("localetc", "/etc"), h("/localetc/localpasswd", "/etc/passwd")],
    ),
    "SymlinkOverrideDirectoryRelative": contained(
        CONTAINERD,
        {**PASSWD_TREE, "localetc": "-> ../../etc", "etc/localpasswd": "inside"},
        [*PASSWD, d("localetc")],
        [s("localetc", "../../etc"), h("/localetc/localpasswd", "/etc/passwd")],
    ),
    "DirectoryOverrideSymlink": contained(
        CONTAINERD,
        {**PASSWD_TREE, "localetc": "dir", "localetc/localpasswd": "inside"},
        [*PASSWD, s("localetc", "/etc")],
        [d("/localetc/"), h("/localetc/localpasswd", "/etc/passwd")],
    ),
    "DirectoryOverrideSymlinkAndHardlink": contained(
        CONTAINERD,
        {"localetc": "dir", "localetc/localpasswd": "different"},
        [*PASSWD, s("localetc", "etc"), h("/localetc/localpasswd", "/etc/passwd")],
        [d("/localetc/"), f("/localetc/localpasswd", "different")],
    ),
    "WhiteoutRootParent": refused(CONTAINERD, "'.wh...'", PASSWD, [f(".wh...")]),
    "WhiteoutParent": refused(CONTAINERD, "'etc/.wh...'", PASSWD, [f("etc/.wh...")]),
    "WhiteoutRoot": refused(CONTAINERD, "'.wh..'", PASSWD, [f(".wh..")]),
    "WhiteoutCurrentDirectory": refused(CONTAINERD, "'etc/.wh..'", PASSWD, [f("etc/.wh..")]),
    "WhiteoutSymlink": contained(
        CONTAINERD, {"localetc": "whiteout"}, [*PASSWD, s("localetc", "/etc")], [f(".wh.localetc")]
    ),
    "WhiteoutSymlinkPath": contained(
        CONTAINERD,
        {"etc": "dir", "etc/passwd": "whiteout"},
        [*PASSWD, s("localetc", "/etc")],
        [f("localetc/.wh.passwd")],
    ),
    # There the name is taken for an ordinary directory's.
    "WhiteoutDirectoryName": refused(CONTAINERD, "'.wh.etc/some'", PASSWD, [f(".wh.etc/some", "text")]),
    "WhiteoutDeadSymlinkParent": contained(CONTAINERD, {}, [*PASSWD, s("l", "/dne")], [f("l/.wh.etc")]),
    "WhiteoutRelativePath": refused(CONTAINERD, "'dne/../.wh.etc'", PASSWD, [f("dne/../.wh.etc")]),
    "HardlinkSymlinkBeforeCreateTarget": contained(
        CONTAINERD,
        {"etc": "dir", "etc/passwd": "after", "local": "-> /etc/passwd", "dup": "-> /etc/passwd"},
        [d("etc"), s("local", "/etc/passwd"), h("dup", "local"), f("/etc/passwd", "after")],
    ),
    "HardlinkSymlinkRelative": contained(
        CONTAINERD,
        {**PASSWD_TREE, "link": f"-> {UP}/etc/passwd", "local": f"-> {UP}/etc/passwd"},
        [*PASSWD, s("link", f"{UP}/etc/passwd"), h("local", "/link")],
    ),
    "HardlinkSymlinkAbsolute": contained(
        CONTAINERD,
        {**PASSWD_TREE, "link": "-> /etc/passwd", "local": "-> /etc/passwd"},
        [*PASSWD, s("link", "/etc/passwd"), h("local", "/link")],
    ),
    "HardlinkSymlinkChmod": refused(
        CONTAINERD + " CVE-2021-32760",
        "'sketchy'",
        [s("link", f"{OUT}/victim"), h("sketchy", f"{OUT}/victim", mode=0o777, uid=5)],
    ),
    "mode through a hard link to a link": contained(
        "CVE-2021-32760",
        {"x": f"-> {OUT}/victim", "y": f"-> {OUT}/victim"},
        [s("x", f"{OUT}/victim"), h("y", "x", mode=0o777, uid=5)],
    ),
    "absolute link as parent": contained(
        "CVE-2014-9356",
        {"x": f"-> {OUT}", f"{OUT}/pwned": "p"},
        [s("x", OUT), f("x/pwned", "p")],
    ),
    "relative link as parent": contained(
        "CVE-2014-6407",
        {"x": f"-> {UP}{OUT}", f"{OUT}/pwned": "p"},
        [s("x", UP + OUT), f("x/pwned", "p")],
    ),
    "link as parent from the layer below": contained(
        "CVE-2014-9356", {f"{OUT}/pwned": "p"}, [s("x", OUT)], [f("x/pwned", "p")]
    ),
    "relative link as parent from the layer below": contained(
        "CVE-2014-6407", {f"{OUT}/pwned": "p"}, [s("x", UP + OUT)], [f("x/pwned", "p")]
    ),
    "link to a link": contained(
        "go-archive SymlinkBreakout",
        {"y": f"-> {OUT}", "x": "-> y", f"{OUT}/sub/pwned": "p"},
        [s("y", OUT), s("x", "y"), f("x/sub/pwned", "p")],
    ),
    "write through a link": contained("CVE-2014-9357", {"x": "pwned"}, [s("x", f"{OUT}/victim"), f("x", "pwned")]),
    "write through a hard link to a link": contained(
        "go-archive HardlinkToSymlink",
        {"x": f"-> {OUT}/victim", "y": "pwned"},
        [s("x", f"{OUT}/victim"), h("y", "x"), f("y", "pwned")],
    ),
    "link exchanged for a directory": contained(
        "CVE-2018-15664",
        {"d": f"-> {OUT}", f"{OUT}/pwned": "p"},
        [d("d"), f("d/a"), s("d", OUT), f("d/pwned", "p")],
    ),
    "directory over a link": contained(
        "CVE-2026-11940",
        {"x": "dir", "x/pwned": "p"},
        [s("x", OUT), d("x", mode=0o777), f("x/pwned", "p")],
    ),
    "directory time through a link": contained(
        "CVE-2024-12718", {"d": f"-> {OUT}"}, [d("d/sub", mtime=1), s("d", OUT)]
    ),
    "root entry's time and mode through a link": refused(
        "CVE-2021-29136", "root of the container", [s("./", OUT), d("./", mode=0o777, mtime=1)]
    ),
    "root as a link": refused("CVE-2021-29136", "root of the container", [s(".", OUT), f("pwned")]),
    "root as a link with a slash": refused("CVE-2021-29136", "root of the container", [s("/", OUT), f("pwned")]),
    "root as a file": refused("CVE-2021-29136", "root of the container", [f("././")]),
    "root as a hard link": refused("CVE-2021-29136", "root of the container", [h("/.", f"{OUT}/victim")]),
    "link through proc": contained(
        "runc CVE-2026-41579",
        {"x": "-> /proc/self/cwd", "proc": "dir", "proc/self": "dir", "proc/self/cwd": "dir", "proc/self/cwd/p": ""},
        [s("x", "/proc/self/cwd"), f("x/p")],
    ),
    "link through an open directory": contained(
        "runc CVE-2026-41579",
        {"x": "-> /proc/self/fd/4/..", "proc": "dir", "proc/self": "dir", "proc/self/fd": "dir", "proc/self/fd/p": ""},
        [s("x", "/proc/self/fd/4/.."), f("x/p")],
    ),
    "dev as a link": contained(
        "runc CVE-2026-41579", {"dev": f"-> {OUT}", f"{OUT}/null": "p"}, [s("dev", OUT), f("dev/null", "p")]
    ),
    "metadata as a link": contained(
        "Incus CVE-2026-63125 and CVE-2026-63343",
        {"metadata.yaml": f"-> {OUT}/victim", "backup.yaml": "text"},
        [s("metadata.yaml", f"{OUT}/victim"), s("backup.yaml", f"{OUT}/victim"), f("backup.yaml", "text")],
    ),
    "library as a link": contained(
        "CVE-2019-14271", {"lib": f"-> {OUT}", f"{OUT}/nss.so": "p"}, [s("lib", OUT), f("lib/nss.so", "p")]
    ),
    "chain of links that takes turns": refused("filepath-securejoin", "links", [s("a", "b"), s("b", "a"), f("a/x")]),
    "chain of links without end": refused(
        "filepath-securejoin", "links", [*(s(f"l{n}", f"l{n + 1}") for n in range(60)), f("l0/x")]
    ),
    # A path longer than PATH_MAX, at which os.path.realpath stopped expanding links.
    "links beyond PATH_MAX": contained(
        "CVE-2025-4517, CVE-2025-4330, CVE-2025-4138",
        {
            **{"/".join([CHAIN] * n): "dir" for n in range(1, 3)},
            **{"/".join([*[CHAIN] * n, "l"]): f"-> {CHAIN}" for n in range(2)},
            "out": f"-> {'l/' * 2}{UP}{OUT}",
            f"{OUT}/pwned": "p",
        },
        [
            d(CHAIN),
            s("l", CHAIN),
            d(f"{CHAIN}/{CHAIN}"),
            s(f"{CHAIN}/l", CHAIN),
            s("out", f"{'l/' * 2}{UP}{OUT}"),
            f("out/pwned", "p"),
        ],
    ),
    "links that grow beyond PATH_MAX": refused(
        "CVE-2025-4517", "links", [d("a"), *(s(f"l{n}", f"{'a/../' * 200}l{n + 1}") for n in range(50)), f("l0/x")]
    ),
    # Names
    "name that climbs": refused("go-archive ParentTraversalContained", "/pwned'", [f(f"{UP}{OUT}/pwned")]),
    "name that climbs after a slash": refused("go-archive InvalidFilenames", "'/../victim/x'", [f("/../victim/x")]),
    "name of a sibling that starts alike": refused(
        "go-archive SiblingPrefixContained", "'../layer00/x'", [f("../layer00/x")]
    ),
    "absolute name": contained("CVE-2014-9356", {f"{OUT}/pwned": "p"}, [f(f"{OUT}/pwned", "p")]),
    "absolute name with many slashes": contained(
        "go-containerregistry #2227", {f"{OUT}/pwned": "p"}, [f(f"//.//{OUT}/pwned", "p")]
    ),
    "directory that climbs": refused("apko CVE-2026-42574", "/pwned'", [d(f"a/{UP}/..{OUT}/pwned")]),
    "link name that climbs": refused("go-archive InvalidSymlink", "'../x'", [s("../x", "/etc")]),
    "device that climbs": refused("go-archive InvalidFilenames", "'../x'", [Item(CHARACTER, "../x", device=(1, 3))]),
    "name of dots alone": contained("go-archive InvalidFilenames", {"...": "x"}, [f("...", "x")]),
    "name with backslashes": contained(
        "go-containerregistry RejectsUnsafeArchivePaths", {"..\\..\\x": "x"}, [f("..\\..\\x", "x")]
    ),
    "drive letter": contained(
        "go-containerregistry RejectsUnsafeArchivePaths", {"C:": "dir", "C:/x": "x"}, [f("C:/x", "x")]
    ),
    "climbing name in a pax record": refused(
        "go-archive InvalidFilenames", "'../x'", [record(b"path", b"../x", header(b"harmless"))]
    ),
    "climbing name in a GNU record": refused(
        "go-archive InvalidFilenames", "'../x'", [extension(b"L", b"../x\0"), header(b"harmless")]
    ),
    "climbing name of a sparse file": refused(
        "CVE-2026-82049",
        "'../x'",
        [
            extension(b"x", pax([("GNU.sparse.name", b"../x"), ("GNU.sparse.size", b"0"), ("GNU.sparse.map", b"0,0")]))
            + header(b"harmless")
        ],
    ),
    "names that differ in case": contained(
        "go-archive, and file systems without case",
        {"Link": f"-> {OUT}", "link": "dir", "link/pwned": "p"},
        [s("Link", OUT), d("link"), f("link/pwned", "p")],
    ),
    "names that differ in composition": contained(
        "git CVE-2021-21300", {"e\u0301": f"-> {OUT}", "\u00e9": "p"}, [s("e\u0301", OUT), f("\u00e9", "p")]
    ),
    # Hard links
    "hard link to an absolute path": refused(
        "go-archive AbsoluteHardlink", "'x'", [h("x", f"{OUT}/victim"), f("x", "pwned")]
    ),
    "hard link that climbs": refused(
        "go-archive InvalidHardlink", "'x'", [h("x", f"{UP}{OUT}/victim"), f("x", "pwned")]
    ),
    "hard link below a link": refused(
        "CVE-2026-17106, GHSA-hfg8-hc9c-6c3h", "'x'", [s("d", OUT), h("x", "d/victim"), f("x", "p")]
    ),
    "hard link below a link of the layer below": refused(
        "CVE-2026-17106", "'x'", [s("d", OUT)], [h("x", "d/victim"), f("x", "p")]
    ),
    "hard link to a directory": refused("go-archive InvalidHardlink", "'x'", [d("d"), h("x", "d")]),
    "hard link to the root": refused("go-archive InvalidHardlink", "'x'", [h("x", "/")]),
    "hard link to a whiteout": refused("umoci hardening", "'x'", [f("a")], [f(".wh.a"), h("x", ".wh.a")]),
    "hard link to what is whited out": refused("umoci hardening", "'x'", [f("a")], [f(".wh.a"), h("x", "a")]),
    "hard link to what is opaque": refused("umoci hardening", "'x'", [f("d/a")], [f("d/.wh..wh..opq"), h("x", "d/a")]),
    "hard link named as a whiteout": contained("umoci hardening", {"a": "whiteout"}, [f("a")], [h(".wh.a", "a")]),
    "hard link to what it replaces": refused("umoci hardening", "'d'", [f("d/a"), h("d", "d/a")]),
    "hard link to nothing": refused("go-archive InvalidHardlink", "'x'", [h("x", "")]),
    # Whiteouts
    "whiteout below a link": contained("umoci Whiteout", {}, [s("x", OUT)], [f("x/.wh.victim")]),
    "whiteout below a link of the same layer": contained(
        "umoci Whiteout", {"x": f"-> {OUT}"}, [s("x", OUT), f("x/.wh.victim")]
    ),
    "whiteout that climbs": refused("umoci Whiteout", ".wh.victim'", [f(f"{UP}{OUT}/.wh.victim")]),
    "whiteout of no name": refused("umoci Whiteout", "'.wh.'", [f(".wh.")]),
    "whiteout as a directory": contained("umoci hardening", {"a": "whiteout"}, [f("a")], [d(".wh.a")]),
    "whiteout with something below": refused("umoci hardening", "'.wh.a/x'", [f("a")], [d(".wh.a"), f(".wh.a/x")]),
    "whiteout as a link": contained("umoci hardening", {"a": "whiteout"}, [f("a")], [s(".wh.a", OUT)]),
    "whiteout with data": contained("umoci hardening", {"a": "whiteout"}, [f("a")], [f(".wh.a", "data" * 500)]),
    "whiteout of a whiteout": contained("go-archive OverlayUntarInvalidWhiteoutNames", {}, [f("a")], [f(".wh..wh.a")]),
    "opaque marker below a link": contained("umoci OpaqueWhiteout", {}, [s("x", OUT)], [f("x/.wh..wh..opq")]),
    "opaque marker that climbs": refused("umoci OpaqueWhiteout", ".wh..wh..opq'", [f(f"{UP}{OUT}/.wh..wh..opq")]),
    "opaque marker through a climbing link": contained(
        "umoci OpaqueWhiteout",
        {"l": f"-> {UP}{OUT}"},
        [s("l", f"{UP}{OUT}"), f("l/.wh..wh..opq")],
    ),
    "opaque marker below a whiteout": refused(
        "umoci OpaqueWhiteout", "'.wh.d/.wh..wh..opq'", [d("d")], [f(".wh.d/.wh..wh..opq")]
    ),
    "opaque marker as a parent": contained("AUFS", {}, [d(".wh..wh..opq"), f(".wh..wh..opq/x")]),
    # What overlayfs takes for its own
    "whiteout device": refused("containers/storage NestedOverlayWhiteouts", "'x'", [Item(CHARACTER, "x")]),
    "opaque attribute for users": refused("umoci xattr_test", "'d'", [d("d", xattrs={"user.overlay.opaque": b"y"})]),
    "opaque attribute for root": refused("umoci xattr_test", "'d'", [d("d", xattrs={"trusted.overlay.opaque": b"y"})]),
    "redirect attribute": refused("umoci xattr_test", "'d'", [d("d", xattrs={"trusted.overlay.redirect": b"/etc"})]),
    "metacopy attribute": refused("umoci xattr_test", "'x'", [f("x", xattrs={"user.overlay.metacopy": b""})]),
    "escaped overlay attribute": refused(
        "umoci xattr_test", "'d'", [d("d", xattrs={"user.overlay.overlay.opaque": b"y"})]
    ),
    "overlay attribute in libarchive's spelling": refused(
        "umoci xattr_test", "'d'", [record(b"LIBARCHIVE.xattr.user%2Eoverlay.opaque", b"eQ==", header(b"d", flag=b"5"))]
    ),
    "overlay attribute of a whiteout": contained(
        "umoci xattr_test", {"a": "whiteout"}, [f("a")], [f(".wh.a", xattrs={"user.overlay.opaque": b"y"})]
    ),
    # Kinds
    "device instead of a file": contained(
        "go-archive", {"x": "pwned"}, [Item(BLOCK_DEVICE, "x", device=(8, 0)), f("x", "pwned")]
    ),
    "fifo instead of a file": contained("go-archive", {"x": "text"}, [Item(FIFO, "x"), f("x", "text")]),
    "file below a fifo": refused("go-archive", "'x'", [Item(FIFO, "x"), f("x/y")]),
    "file below a device": refused("go-archive", "'x", [f("x"), f("x/y")]),
    "device of impossible numbers": refused(
        "go-archive BlockCharDeviceRange", "'x'", [Item(CHARACTER, "x", device=(2**33, 0))]
    ),
    "device that wraps around to 0:0": refused(
        "go-archive BlockCharDeviceRange", "'x'", [Item(CHARACTER, "x", device=(2**12, 2**20))]
    ),
    "unknown type": refused("umoci", "'x'", [header(b"x", flag=b"Z")]),
    "socket": refused("go-archive", "'x'", [header(b"x", flag=b"s")]),
    "many links in a circle of directories": contained(
        "CVE-2018-15664",
        {"a": "dir", "a/l": "-> ../b", "b": "dir", "b/l": "-> ../a", "b/x": "x"},
        [d("a"), d("b"), s("a/l", "../b"), s("b/l", "../a"), f("a/l/l/l/x", "x")],
    ),
}

LIES: dict[str, Hostile] = {
    # Numbers
    "negative size": refused("numbers at the edge", "'x'", [header(b"x", size=-512)]),
    "negative size of what is skipped": refused("tar loops", "-512", [header(b"g", flag=b"g", size=-512)]),
    "negative size of a volume label": refused("tar loops", "-1024", [header(b"v", flag=b"V", size=-1024)]),
    "negative size of a long name": refused("tar loops", "-5", [header(b"l", flag=b"L", size=-5)]),
    "negative size in a pax record": refused("numbers at the edge", "'x'", [record(b"size", b"-1", header(b"x"))]),
    "size beyond 2^63": refused("numbers at the edge", "'x'", [header(b"x", size=2**90)]),
    "size beyond 2^63 in a pax record": refused(
        "numbers at the edge", "'x'", [record(b"size", b"9" * 30, header(b"x"))]
    ),
    "size of thousands of digits": refused("CVE-2020-10735", "pax", [record(b"size", b"9" * 9000, header(b"x"))]),
    "size that is none": refused("go-archive", "pax", [record(b"size", b"many", header(b"x"))]),
    "number that is none": refused(
        "numbers that are none",
        "number",
        [tar_writer.checked(header(b"x")[:124] + b"twelve\0     " + header(b"x")[136:])],
    ),
    "size larger than the stream": refused("umoci hardening", "ends", [header(b"x", size=10**6)]),
    "pax size that leaves data to be read as headers": refused(
        "readers that differ in where an entry ends",
        "tar stream",
        [record(b"size", b"0", header(b"x", size=512), b"rubbish!" * 64)],
    ),
    "time of thousands of digits": refused("CVE-2020-10735", "pax", [record(b"mtime", b"9" * 9000, header(b"x"))]),
    "time beyond all time": contained("go-archive", {"x": ""}, [f("x", mtime=2**70)]),
    "time before all time": contained("go-archive", {"x": ""}, [f("x", mtime=-(2**70))]),
    "owner beyond all ids": refused("umoci", "'x'", [f("x", uid=2**40)]),
    "owner below all ids": refused("umoci", "'x'", [record(b"uid", b"-1", header(b"x"))]),
    "owner that chown leaves alone": refused("chown(2)", "'x'", [f("x", uid=2**32 - 1)]),
    # Sparse files
    "sparse file of an exabyte": refused("tar bombs", "'x'", [f("x", sparse="1.0", segments=((0, b"x"),), size=2**60)]),
    "old sparse file of an exabyte": refused(
        "tar bombs", "'x'", [f("x", sparse="gnu", form="gnu", segments=((0, b"x"),), size=2**60)]
    ),
    "sparse file of negative size": refused(
        "CVE-2018-20482", "'x'", [f("x", sparse="gnu", form="gnu", segments=((0, b"x"),), size=-1)]
    ),
    "data beyond the end of a sparse file": refused(
        "CVE-2018-20482", "'x'", [f("x", sparse="0.1", segments=((5000, b"x"),), size=10)]
    ),
    "data before the start of a sparse file": refused(
        "CVE-2018-20482", "sparse", [f("x", sparse="1.0", segments=((-1, b"x"),), size=10)]
    ),
    "sparse map without end": refused(
        "go archive/tar CVE-2022-2879",
        "sparse",
        [
            extension(
                b"x", pax([("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"9")])
            )
            + header(b"x", size=1024)
            + b"1" * 1024
        ],
    ),
    "sparse map of a million segments": refused(
        "go archive/tar CVE-2022-2879",
        "sparse",
        [
            extension(
                b"x", pax([("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"9")])
            )
            + header(b"x", size=512)
            + b"1000000\n".ljust(512, b"\0")
        ],
    ),
    "old sparse map without end": refused(
        "CVE-2018-20482",
        "sparse",
        [header(b"x", flag=b"S", tail=bytes(41 + 96) + b"\1" + bytes(12)) + (bytes(504) + b"\1" + bytes(7)) * 30_000],
    ),
    # Headers
    "checksum of nothing": refused("tar readers", "checksum", [b"x".ljust(512, b"\0")]),
    "wrong checksum": refused("tar readers", "checksum", [header(b"x")[:148] + b"000000\0 " + header(b"x")[156:]]),
    "entries after a block of zeros": refused("tar readers that differ", "zeros", [f("a"), bytes(512), f("b")]),
    "long names without end": refused(
        "go archive/tar CVE-2022-2879", "headers", [extension(b"L", b"x" * 400) * 2000, header(b"x")]
    ),
    "pax headers without end": refused(
        "go archive/tar CVE-2022-2879", "headers", [extension(b"x", pax([("comment", b"x")])) * 2000, header(b"x")]
    ),
    "global headers without end": refused(
        "go archive/tar CVE-2022-2879", "headers", [extension(b"g", pax([("comment", b"x")])) * 2000, header(b"x")]
    ),
    "pax header of a gigabyte": refused(
        "go archive/tar CVE-2022-2879", "1073741824", [header(b"x", flag=b"x", size=2**30)]
    ),
    "long name of a gigabyte": refused(
        "go archive/tar CVE-2022-2879", "1073741824", [header(b"x", flag=b"L", size=2**30)]
    ),
    "pax record longer than its header": refused(
        "CVE-2019-20907", "pax", [extension(b"x", b"99 path=x\n"), header(b"x")]
    ),
    "pax record of length zero": refused("CVE-2019-20907", "pax", [extension(b"x", b"0 path=x\n"), header(b"x")]),
    "pax record without a value": refused("CVE-2019-20907", "pax", [extension(b"x", b"7 path\n"), header(b"x")]),
    "name with a NUL in a pax record": refused(
        "go archive/tar", "nonsense", [record(b"path", b"ok\0/../../x", header(b"x"))]
    ),
    "link with a NUL in a pax record": refused(
        "go archive/tar", "'x'", [record(b"linkpath", b"ok\0/etc", header(b"x", flag=b"2"))]
    ),
    "attribute with a NUL in its name": refused(
        "go archive/tar", "'x'", [record(b"SCHILY.xattr.user.a\0b", b"1", header(b"x"))]
    ),
    "attribute with no name": refused("go archive/tar", "'x'", [record(b"SCHILY.xattr.", b"1", header(b"x"))]),
    "attribute with a long name": refused(
        "absurd counts", "'x'", [record(b"SCHILY.xattr.user." + b"n" * 300, b"1", header(b"x"))]
    ),
    "attribute of a megabyte": refused(
        "absurd counts", "'x'", [record(b"SCHILY.xattr.user.a", b"1" * 2**20, header(b"x"))]
    ),
    "malformed file capabilities": refused(
        "umoci xattr_test", "'x'", [f("x", xattrs={"security.capability": b"rubbish"})]
    ),
    "name of 300 bytes": refused("absurd counts", "name no file system", [f("n" * 300)]),
    "name of 8000 bytes": refused("absurd counts", "characters", [f("n/" * 4000)]),
    "link of 8000 bytes": refused("absurd counts", "'x'", [s("x", "n/" * 4000)]),
    "link to nothing": refused("go-archive", "'x'", [s("x", "")]),
    "no tar at all": refused("umoci hardening", "no tar", [b"<html>".ljust(512)]),
}
