from __future__ import annotations

from pathlib import Path

import pytest

from pytest_lxcontainer.errors import HostNotReadyError
from pytest_lxcontainer.network.bridge import existing_bridge, links_of, permitted_bridge, permitted_bridge_names

USERNET = """\
# user  type  bridge  count
ann veth lxcbr0 10
  # bob veth commented 10
@dev veth devbr 5
ann veth  second\t2
ann ovs0 ovsbr 10
bob veth bobbr
bob veth bobbr 1 2

carol veth carolbr many
"""


@pytest.mark.parametrize(
    ("user", "groups", "names"),
    [
        ("ann", (), ["lxcbr0", "second"]),
        ("ann", ("dev",), ["lxcbr0", "devbr", "second"]),
        ("dave", ("users", "dev"), ["devbr"]),
        ("dev", (), []),
        ("bob", (), []),
        ("nobody", ("nogroup",), []),
    ],
)
def test_bridges_are_those_of_the_user_and_of_its_groups(
    tmp_path: Path, user: str, groups: tuple[str, ...], names: list[str]
) -> None:
    (tmp_path / "usernet").write_text(USERNET)
    assert permitted_bridge_names(user, groups, tmp_path / "usernet") == names


def test_without_the_file_nobody_may(tmp_path: Path) -> None:
    assert permitted_bridge_names("ann", (), tmp_path / "none") == []


def test_who_may_use_none_is_told_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(HostNotReadyError, match="ann") as caught:
        permitted_bridge("ann", (), tmp_path / "none")
    assert "doctor --fix --user ann" in caught.value.hint


def test_a_bridge_that_does_not_exist_is_named(tmp_path: Path) -> None:
    (tmp_path / "usernet").write_text("ann veth lxtnosuch 1\n")
    with pytest.raises(HostNotReadyError, match="lxtnosuch"):
        permitted_bridge("ann", (), tmp_path / "usernet")


def test_what_is_no_bridge_is_none() -> None:
    assert existing_bridge("lo") is None
    assert existing_bridge("lxtnosuch") is None


def test_a_run_that_never_was_has_no_interfaces() -> None:
    assert links_of("nosuchrun") == []
