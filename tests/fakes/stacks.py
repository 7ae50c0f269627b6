"""Stacks of layers as images have them, and as only a generator would make them.

The generator keeps a rough idea of the tree so far (`_Model`), so that most of what it draws can be unpacked; what
links make of its paths it does not know, and does not need to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import strategies as st

from . import tar_writer
from .tar_writer import BLOCK_DEVICE, CHARACTER, DIRECTORY, FIFO, FILE, HARD_LINK, SECOND, SYMLINK, Item

Layer = tuple[Item, ...]
Stack = tuple[Layer, ...]

NAMES = ["a", "b", "c", "lib", "usr"]
ODD_NAMES = [
    "caf\udce9",
    "\u00fcml\u00e4ut",
    "n" * 120,
    "with space",
    "-dash",
    ".hidden",
    "line\nbreak",
    "back\\slash",
    "wh.x",
]
CAPABILITY = b"\x01\x00\x00\x02\x00\x04\x00\x00" + bytes(12)

ids = st.one_of(st.sampled_from([0, 0, 1, 1000, 65534]), st.integers(0, 65535))
modes = st.one_of(st.sampled_from([0o644, 0o755, 0o4755, 0o2755, 0o1777, 0]), st.integers(0, 0o7777))
# What ext4 keeps, and nothing near the present: a time of today is one that nobody recorded.
times = st.one_of(
    st.sampled_from([0, 1_000_000_000 * SECOND, -SECOND // 2]),
    st.integers(-(2**31) + 1, 10**9).map(lambda number: number * SECOND),
    st.integers((-(2**31) + 1) * SECOND, 2**30 * SECOND),
    st.integers(2**31, 2**32).map(lambda number: number * SECOND),
)
values = st.binary(min_size=1, max_size=40)
names = st.one_of(st.sampled_from(NAMES), st.sampled_from(NAMES), st.sampled_from(NAMES + ODD_NAMES))
KINDS = (
    ["file"] * 5
    + ["directory"] * 5
    + ["symlink"] * 3
    + ["whiteout"] * 4
    + ["hard link"] * 3
    + ["opaque"] * 2
    + ["sparse", "fifo", "device", "root", "again"]
)


@dataclass
class _Model:
    """What is there by path, links not followed; *own* is what this layer has an entry for."""

    kinds: dict[str, str] = field(default_factory=dict)
    own: set[str] = field(default_factory=set)

    def put(self, path: str, kind: str) -> None:
        parent = path.rpartition("/")[0]
        if parent and parent not in self.kinds:
            self.put(parent, DIRECTORY)
        if kind != DIRECTORY:
            self.remove(path)
        self.kinds[path] = kind
        self.own.add(path)

    def remove(self, path: str) -> None:
        for known in [known for known in self.kinds if known == path or known.startswith(f"{path}/")]:
            del self.kinds[known]

    def can_hold(self, path: str) -> bool:
        """Whether *path* may be a parent: neither it nor one above it is a file."""
        parts = path.split("/")
        above = ("/".join(parts[: end + 1]) for end in range(len(parts)))
        return all(self.kinds.get(one, DIRECTORY) in (DIRECTORY, SYMLINK) for one in above)

    def of_kind(self, *kinds: str) -> list[str]:
        return sorted(path for path, kind in self.kinds.items() if kind in kinds)


@st.composite
def stacks(draw: Any) -> Stack:
    model = _Model()
    return tuple(draw(_layers(model)) for _ in range(draw(st.integers(1, 4))))


@st.composite
def _layers(draw: Any, model: _Model) -> Layer:
    model.own.clear()
    items: list[Item] = []
    for kind in draw(st.lists(st.sampled_from(KINDS), max_size=9)):
        if kind == "again" and items:
            items.append(replace(draw(st.sampled_from(items)), mode=draw(modes), mtime=draw(times)))
        elif kind in _MAKERS:
            item = _MAKERS[kind](draw, model)
            if item is not None:
                items.append(item)
    return tuple(items)


def _path(draw: Any, model: _Model) -> str:
    parents = ["", *model.of_kind(DIRECTORY, SYMLINK)]
    parent = draw(st.sampled_from(parents))
    depth = draw(st.sampled_from([1, 1, 1, 2, 3]))
    parts = [*([parent] if parent and model.can_hold(parent) else []), *(draw(names) for _ in range(depth))]
    path = "/".join(parts)
    return path if model.can_hold(path.rpartition("/")[0]) else parts[-1]


def _common(draw: Any, path: str, kind: str) -> Item:
    prefix = draw(st.sampled_from(["", "", "", "./", "/"]))
    suffix = draw(st.sampled_from(["", "/"])) if kind == DIRECTORY else ""
    return Item(
        kind,
        prefix + path + suffix,
        mode=draw(modes),
        uid=draw(ids),
        gid=draw(ids),
        mtime=draw(times),
        form=draw(st.sampled_from(["pax", "gnu", "ustar"])),
    )


def _file(draw: Any, model: _Model) -> Item | None:
    path = _path(draw, model)
    model.put(path, FILE)
    xattrs = draw(st.sampled_from([{}, {}, {"user.a": b"1"}, {"security.capability": CAPABILITY}]))
    data = draw(values) * draw(st.sampled_from([0, 1, 1, 40]))
    return replace(_common(draw, path, FILE), data=data, xattrs=xattrs)


def _sparse(draw: Any, model: _Model) -> Item | None:
    path = _path(draw, model)
    model.put(path, FILE)
    gaps = draw(st.lists(st.tuples(st.integers(1, 9000), values), min_size=1, max_size=6))
    segments, end = [], 0
    for gap, data in gaps:
        segments.append((end + gap, data))
        end += gap + len(data)
    sparse = draw(st.sampled_from(["gnu", "0.0", "0.1", "1.0"]))
    item = replace(
        _common(draw, path, FILE), sparse=sparse, segments=tuple(segments), size=end + draw(st.integers(0, 9000))
    )
    return replace(item, form="gnu" if sparse == "gnu" else "pax")


def _directory(draw: Any, model: _Model) -> Item | None:
    path = _path(draw, model)
    model.put(path, DIRECTORY)
    xattrs = draw(st.sampled_from([{}, {}, {"user.b": b"\0\xff"}]))
    return replace(_common(draw, path, DIRECTORY), xattrs=xattrs)


def _root(draw: Any, model: _Model) -> Item | None:
    return replace(_common(draw, "", DIRECTORY), name=draw(st.sampled_from(["./", ".", "/"])))


def _symlink(draw: Any, model: _Model) -> Item | None:
    path = _path(draw, model)
    known = draw(st.sampled_from([*(model.of_kind(DIRECTORY, SYMLINK, FILE) or ["a"])]))
    targets = [
        known,
        known.rpartition("/")[2],
        f"/{known}",
        f"../{known}",
        f"./{known}/",
        "nowhere",
        "/no/where",
        "..",
        ".",
        "/",
    ]
    target = draw(
        st.sampled_from([*targets, f"{known}/../{known}", "../../../../usr", path.rpartition("/")[2], "t" * 150])
    )
    model.put(path, SYMLINK)
    return replace(_common(draw, path, SYMLINK), link=target)


def _hard_link(draw: Any, model: _Model) -> Item | None:
    path = _path(draw, model)
    targets = [one for one in model.of_kind(FILE, SYMLINK, FIFO) if not f"{one}/".startswith(f"{path}/")]
    if not targets:
        return None
    target = draw(st.sampled_from(targets))
    model.put(path, model.kinds[target])
    prefix = draw(st.sampled_from(["", "/", "./"]))
    return replace(_common(draw, path, HARD_LINK), link=prefix + target)


def _fifo(draw: Any, model: _Model) -> Item | None:
    path = _path(draw, model)
    model.put(path, FIFO)
    return _common(draw, path, FIFO)


def _device(draw: Any, model: _Model) -> Item | None:
    path = _path(draw, model)
    kind = draw(st.sampled_from([CHARACTER, BLOCK_DEVICE]))
    model.put(path, kind)
    return replace(_common(draw, path, kind), device=(draw(st.integers(1, 4095)), draw(st.integers(0, 2**20 - 1))))


def _whiteout(draw: Any, model: _Model) -> Item | None:
    known = sorted(model.kinds)
    path = draw(st.sampled_from(known)) if known and draw(st.integers(0, 4)) else _path(draw, model)
    parent, slash, name = path.rpartition("/")
    if path not in model.own:
        model.remove(path)
    return _common(draw, f"{parent}{slash}.wh.{name}", FILE)


def _opaque(draw: Any, model: _Model) -> Item | None:
    path = draw(st.sampled_from(["", *model.of_kind(DIRECTORY, DIRECTORY, SYMLINK)]))
    for known in sorted(model.kinds):
        if known.startswith(f"{path}/") and known not in model.own:
            model.remove(known)
    return _common(draw, f"{path}/.wh..wh..opq" if path else ".wh..wh..opq", FILE)


_MAKERS = {
    "file": _file,
    "directory": _directory,
    "symlink": _symlink,
    "whiteout": _whiteout,
    "hard link": _hard_link,
    "opaque": _opaque,
    "sparse": _sparse,
    "fifo": _fifo,
    "device": _device,
    "root": _root,
}


def has_devices(stack: Stack) -> bool:
    return any(item.kind in (CHARACTER, BLOCK_DEVICE) for layer in stack for item in layer)


def streams(stack: Sequence[Layer]) -> list[bytes]:
    """The stack as tar streams, base first."""
    return [tar_writer.tar(layer) for layer in stack]


def without_old_sparse(stack: Stack) -> Stack:
    """The same stack with all sparse files in the newest format: umoci 0.4 takes none of GNU's old one."""
    return tuple(
        tuple(replace(item, sparse="1.0", form="pax") if item.sparse == "gnu" else item for item in layer)
        for layer in stack
    )


def names_root(layer: Layer) -> bool:
    """Whether *layer* has an entry for the root."""
    return any(not item.name.strip("./") and item.kind == DIRECTORY for item in layer)


def links_across_layers(stack: Stack) -> bool:
    """Whether a hard link may lead into a layer below its own: whether any is to what its own has no entry for."""
    for layer in stack[1:]:
        own = {_plain(item.name) for item in layer}
        if any(item.kind == HARD_LINK and _plain(item.link) not in own for item in layer):
            return True
    return False


def _plain(name: str) -> str:
    return name.removeprefix("./").strip("/")
