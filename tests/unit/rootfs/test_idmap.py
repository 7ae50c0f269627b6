from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_lxcontainer.errors import HostNotReadyError
from pytest_lxcontainer.rootfs.idmap import ROOT_BASE, IdMap, IdRange


@pytest.fixture
def ids(tmp_path: Path):
    def write(subuid: str, subgid: str | None = None) -> dict[str, Path]:
        (tmp_path / "subuid").write_text(subuid)
        (tmp_path / "subgid").write_text(subuid if subgid is None else subgid)
        return {"subuid": tmp_path / "subuid", "subgid": tmp_path / "subgid"}

    return write


@pytest.mark.parametrize("owner", ["ann", "1000"])
def test_ordinary_user_is_root_inside_and_everybody_else_subordinate(ids, owner: str) -> None:
    idmap = IdMap.for_user(1000, 50, "ann", **ids(f"bob:1:65536\n{owner}:100000:65536\n"))
    assert idmap.lxc_items() == (
        ("lxc.idmap", "u 0 1000 1"),
        ("lxc.idmap", "u 1 100000 65536"),
        ("lxc.idmap", "g 0 50 1"),
        ("lxc.idmap", "g 1 100000 65536"),
    )
    assert (idmap.host_uid(0), idmap.host_uid(1), idmap.host_gid(0)) == (1000, 100000, 50)
    assert (idmap.host_uid(65536), idmap.host_gid(34)) == (165535, 100033)


def test_first_range_that_suffices_is_taken(ids) -> None:
    idmap = IdMap.for_user(1000, 50, "ann", **ids("ann:5:10\nann:200000:65535\nann:300000:65536\n"))
    assert idmap.uid_ranges[1] == IdRange(1, 200000, 65535)


@pytest.mark.parametrize(
    ("subuid", "subgid"),
    [("", ""), ("ann:100000:65534", "ann:100000:65534"), ("ann:100000:65536", ""), ("ann:x:y\n#", "ann")],
)
def test_user_without_enough_ids_is_told_the_command(ids, subuid: str, subgid: str) -> None:
    with pytest.raises(HostNotReadyError, match=r"usermod --add-subuids .* ann"):
        IdMap.for_user(1000, 50, "ann", **ids(subuid, subgid))


def test_absent_files_give_no_ids(tmp_path: Path) -> None:
    with pytest.raises(HostNotReadyError):
        IdMap.for_user(1000, 50, "ann", subuid=tmp_path / "a", subgid=tmp_path / "b")


def test_root_takes_its_own_subordinate_ids(ids) -> None:
    idmap = IdMap.for_root(**ids("root:500000:70000", "root:600000:65536"))
    assert (idmap.uid_ranges, idmap.gid_ranges) == (
        (IdRange(0, 500000, 65536),),
        (IdRange(0, 600000, 65536),),
    )


def test_root_needs_no_subordinate_ids(ids) -> None:
    idmap = IdMap.for_root(**ids("ann:100000:65536\nroot:100000:65535"))
    assert (idmap.host_uid(0), idmap.host_gid(65535)) == (ROOT_BASE, ROOT_BASE + 65535)


def test_ids_outside_the_map_have_no_host_id(ids) -> None:
    idmap = IdMap.for_root(**ids(""))
    for inside in (-1, 65536):
        with pytest.raises(ValueError, match=str(inside)):
            idmap.host_uid(inside)


def test_identity_maps_everything_to_itself() -> None:
    idmap = IdMap.identity()
    assert idmap.is_identity and idmap.lxc_items() == ()
    assert (idmap.host_uid(12345678), idmap.host_gid(0)) == (12345678, 0)


def test_variant_tells_maps_apart_and_is_stable(ids) -> None:
    files = ids("ann:100000:65536")
    maps = [
        IdMap.identity(),
        IdMap.for_root(**files),
        IdMap.for_user(1000, 50, "ann", **files),
        IdMap.for_user(1001, 50, "ann", **files),
    ]
    assert len({idmap.variant for idmap in maps}) == 4
    assert IdMap.for_root(**files).variant == maps[1].variant
    assert all(idmap.variant.isalnum() and len(idmap.variant) <= 8 for idmap in maps)


def test_map_of_the_host_is_that_of_its_user(ids) -> None:
    files = ids(f"root:700000:65536\n{os.geteuid()}:700000:65536")
    inside = 0 if os.geteuid() == 0 else 1
    assert IdMap.for_host(**files).host_uid(inside) == 700000
