from __future__ import annotations

import pytest

from pytest_lxcontainer.rootfs import whiteout


@pytest.mark.parametrize(
    ("name", "is_whiteout", "is_meta", "hidden"),
    [
        (".wh.a", True, False, "a"),
        (".wh.", True, False, ""),
        (".wh..a", True, False, ".a"),
        (".wh..wh..opq", True, True, ".wh..opq"),
        (".wh..wh.plnk", True, True, ".wh.plnk"),
        (".whale", False, False, None),
        ("a.wh.b", False, False, None),
    ],
)
def test_names_are_told_apart(name: str, is_whiteout: bool, is_meta: bool, hidden: str | None) -> None:
    assert whiteout.is_oci_whiteout(name) == is_whiteout
    assert whiteout.is_oci_meta(name) == is_meta
    if hidden is not None:
        assert whiteout.hidden_name(name) == hidden


def test_overlay_xattrs_are_known_in_both_spellings() -> None:
    names = ["user.overlay.opaque", "trusted.overlay.origin", "user.overlayish", "security.capability"]
    assert [whiteout.is_overlay_xattr(name) for name in names] == [True, True, False, False]
