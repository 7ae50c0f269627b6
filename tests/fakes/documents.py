"""Documents as hypothesis makes them: any JSON, and good documents with something wrong in them."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**63, -(2**63), 10**400, 0, 1, 2])
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["sha256:", "sha256:" + "a" * 64, "application/vnd.oci.image.index.v1+json", "\ud800", "\x1b[2J"])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return where something stands in *value*: the keys and positions that lead to it."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, child in inner for place in places(child, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Return *value* with *new* at *path*."""
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = replaced(copy[path[0]], path[1:], new)
    return copy


@st.composite
def mutations(draw: st.DrawFn, *originals: bytes) -> bytes:
    """Draw one of the JSON documents *originals* with up to three of its parts replaced, or cut off somewhere."""
    document = json.loads(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(document)))
        document = replaced(document, path, draw(JSON))
    data = json.dumps(document).encode()
    return data[: draw(st.integers(0, len(data)))] if draw(st.integers(0, 9)) == 0 else data


def nested(depth: int, *, key: str = "") -> bytes:
    """Return JSON that is *depth* lists deep, or objects with *key*."""
    opened = f'{{"{key}":' if key else "["
    return (opened * depth + "0" + ("}" if key else "]") * depth).encode()
