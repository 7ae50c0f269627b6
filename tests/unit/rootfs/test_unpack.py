from __future__ import annotations

import errno
import os
import stat
import tarfile
from pathlib import Path

import pytest

from pytest_lxcontainer.errors import (
    CorruptImageError,
    DigestMismatchError,
    UnsafeLayerError,
    UnsupportedImageError,
)
from pytest_lxcontainer.rootfs.limits import Limits
from pytest_lxcontainer.rootfs.removal import remove_entry

from .tars import (
    Layers,
    Member,
    device,
    directory,
    file,
    gz,
    hard_link,
    member,
    symlink,
    tar,
    tree,
    xattr,
)

pytestmark = pytest.mark.needs_root

OPAQUE = "user.overlay.opaque"


def is_opaque(path: Path) -> bool:
    return OPAQUE in os.listxattr(path)


def remove_directory(path: Path) -> None:
    fd = os.open(path.parent, os.O_RDONLY)
    remove_entry(path.name, fd)
    os.close(fd)


def test_files_directories_and_links_appear_with_owner_mode_and_time(layers: Layers) -> None:
    done = layers.add(
        directory("etc", mode=0o750, uid=5, gid=6, mtime=1_100_000_000),
        file("etc/passwd", "root", mode=0o4711, uid=7, gid=8, mtime=1_200_000_000),
        symlink("etc/link", "../nowhere", uid=9, gid=10),
    )
    assert tree(layers.top) == {"etc": "dir", "etc/passwd": "root", "etc/link": "-> ../nowhere"}
    etc, passwd = (layers.top / "etc").stat(), (layers.top / "etc/passwd").stat()
    assert (etc.st_mode & 0o7777, etc.st_uid, etc.st_gid, etc.st_mtime) == (0o750, 5, 6, 1_100_000_000)
    assert (passwd.st_mode & 0o7777, passwd.st_uid, passwd.st_mtime) == (0o4711, 7, 1_200_000_000)
    assert (layers.top / "etc/link").lstat().st_uid == 9
    assert (done.entries, done.size, done.self_contained) == (3, 4, True)


def test_root_entry_gives_the_layer_root_its_attributes(layers: Layers) -> None:
    layers.add(directory("./", mode=0o711, mtime=5), file("a"))
    assert layers.top.stat().st_mode & 0o777 == 0o711 and layers.top.stat().st_mtime == 5


def test_layer_without_root_entry_has_an_ordinary_root(layers: Layers) -> None:
    layers.add(file("a"))
    assert layers.top.stat().st_mode & 0o7777 == 0o755


@pytest.mark.parametrize("name", ["/etc/x", "./etc/x", "etc//x", "etc/./x", "//etc/x"])
def test_names_are_relative_to_the_root(layers: Layers, name: str) -> None:
    layers.add(directory("etc"), file(name, "x"))
    assert tree(layers.top) == {"etc": "dir", "etc/x": "x"}


def test_names_that_are_not_utf_8_keep_their_bytes(layers: Layers) -> None:
    layers.add(file("caf\udce9"))
    assert [path.name for path in layers.top.iterdir()] == ["caf\udce9"]


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_names_and_links_are_read_whole(layers: Layers, form: int) -> None:
    name = "/".join(["d" * 60] * 5)
    layers.add_stream(tar(file(name, "x"), symlink("l", name), form=form))
    assert (layers.top / name).read_text() == "x" and str((layers.top / "l").readlink()) == name


def test_fifo_is_made_and_global_pax_header_ignored(layers: Layers) -> None:
    layers.add(member("pax_global_header", tarfile.XGLTYPE, b"17 comment=12345\n"), member("f", tarfile.FIFOTYPE))
    assert [path.name for path in layers.top.iterdir()] == ["f"] and (layers.top / "f").is_fifo()


def test_real_device_is_made_where_it_may_be(layers: Layers) -> None:
    layers.add(device("null", 1, 3))
    assert (layers.top / "null").stat().st_rdev == os.makedev(1, 3)


# Type changes


@pytest.mark.parametrize("first", [file("x", "old"), symlink("x", "/etc"), directory("x")])
@pytest.mark.parametrize(
    ("second", "outcome"), [(file("x", "new"), "new"), (symlink("x", "to"), "-> to"), (directory("x"), "dir")]
)
def test_later_entry_replaces_an_earlier_one(layers: Layers, first, second, outcome) -> None:
    layers.add(first, second)
    assert tree(layers.top) == {"x": outcome}


def test_directory_that_becomes_a_file_loses_what_was_in_it(layers: Layers) -> None:
    layers.add(directory("x"), directory("x/y"), file("x/y/z"), file("x", "file"))
    assert tree(layers.top) == {"x": "file"}


def test_second_entry_of_a_directory_changes_its_attributes_only(layers: Layers) -> None:
    layers.add(directory("x"), file("x/y"), directory("x", mode=0o700))
    assert tree(layers.top) == {"x": "dir", "x/y": ""}
    assert (layers.top / "x").stat().st_mode & 0o777 == 0o700


def test_root_is_never_anything_but_a_directory(layers: Layers) -> None:
    with pytest.raises(UnsafeLayerError, match="root of the container"):
        layers.add(symlink("./", "/etc"))


def test_file_as_a_parent_is_refused(layers: Layers) -> None:
    with pytest.raises(CorruptImageError, match="'x'"):
        layers.add(file("x"), file("x/y"))


# Whiteouts


@pytest.mark.parametrize("whiteout_first", [True, False])
def test_whiteout_hides_lower_names_but_not_those_of_its_own_layer(layers: Layers, whiteout_first) -> None:
    layers.add(directory("d"), file("d/gone", "1"), file("d/new", "1"))
    entries = [file("d/.wh.gone"), file("d/.wh.new"), file("d/new", "2")]
    layers.add(directory("d"), *(entries if whiteout_first else reversed(entries)))
    assert tree(layers.top) == {"d": "dir", "d/gone": "whiteout", "d/new": "2"}


@pytest.mark.parametrize("marker_first", [True, False])
def test_opaque_marker_makes_the_directory_opaque_in_any_order(layers: Layers, marker_first) -> None:
    layers.add(directory("d"), file("d/old"))
    entries = [file("d/.wh..wh..opq"), file("d/new"), file("d/.wh.old")]
    done = layers.add(directory("d"), *(entries if marker_first else reversed(entries)))
    assert tree(layers.top) == {"d": "dir", "d/new": ""} and is_opaque(layers.top / "d")
    assert done.self_contained


def test_opaque_marker_without_its_directory_keeps_the_lower_attributes(layers: Layers) -> None:
    layers.add(directory("d", mode=0o700, uid=7), file("d/old"))
    done = layers.add(file("d/.wh..wh..opq"))
    status = (layers.top / "d").stat()
    assert (status.st_mode & 0o777, status.st_uid) == (0o700, 7) and is_opaque(layers.top / "d")
    assert not done.self_contained


def test_directory_that_replaces_a_whited_out_one_is_opaque(layers: Layers) -> None:
    layers.add(directory("d"), file("d/old"))
    layers.add(file(".wh.d"), directory("d"), file("d/new"))
    assert tree(layers.top) == {"d": "dir", "d/new": ""} and is_opaque(layers.top / "d")


def test_no_whiteout_lies_below_an_opaque_directory(layers: Layers) -> None:
    layers.add(directory("d"), directory("d/e"), file("d/e/f"))
    layers.add(directory("d"), directory("d/e"), file("d/e/.wh.f"), file("d/.wh..wh..opq"))
    assert tree(layers.top) == {"d": "dir", "d/e": "dir"}


def test_lowest_layer_has_no_use_for_whiteouts(layers: Layers) -> None:
    layers.add(directory("d"), file("d/.wh.x"))
    assert tree(layers.top) == {"d": "dir"}


def test_names_that_aufs_keeps_for_itself_are_skipped(layers: Layers) -> None:
    layers.add(directory(".wh..wh.plnk"), file(".wh..wh.plnk/1.2", "x"), file(".wh..wh.aufs"), file("a"))
    assert tree(layers.top) == {"a": ""}


@pytest.mark.parametrize("name", [".wh.", "d/.wh.", ".wh...", ".wh.x/y"])
def test_malformed_whiteout_is_refused(layers: Layers, name: str) -> None:
    with pytest.raises(UnsafeLayerError) as caught:
        layers.add(directory("d"), file(name))
    assert caught.value.entry == name


def test_whiteout_below_a_lower_link_hides_in_the_real_directory(layers: Layers) -> None:
    layers.add(directory("usr"), directory("usr/bin"), file("usr/bin/a"), symlink("bin", "usr/bin"))
    layers.add(file("bin/.wh.a"))
    assert tree(layers.top) == {"usr": "dir", "usr/bin": "dir", "usr/bin/a": "whiteout"}


def test_whiteout_in_a_directory_nobody_has_makes_none(layers: Layers) -> None:
    layers.add(file("a"))
    layers.add(file("d/e/.wh.x"), file("f/.wh..wh..opq"))
    assert tree(layers.top) == {}


def test_link_that_replaces_a_directory_leads_later_entries(layers: Layers) -> None:
    layers.add(directory("real"), directory("d"), file("d/old"), symlink("d", "real"), file("d/new"))
    assert tree(layers.top) == {"d": "-> real", "real": "dir", "real/new": ""}


# Parents that the layer leaves out


def test_missing_parents_are_as_the_topmost_lower_layer_has_them(layers: Layers) -> None:
    layers.add(directory("a", mode=0o777), directory("a/b", mode=0o777))
    layers.add(directory("a", mode=0o1730, uid=5, mtime=77))
    done = layers.add(file("a/b/c"))
    status = (layers.top / "a").stat()
    assert (status.st_mode & 0o7777, status.st_uid, status.st_mtime) == (0o1730, 5, 77)
    assert (layers.top / "a/b").stat().st_mode & 0o7777 == 0o777
    assert not done.self_contained


def test_parents_nobody_has_are_roots_and_readable(layers: Layers) -> None:
    layers.add(file("a/b/c"))
    assert (layers.top / "a/b").stat().st_mode & 0o7777 == 0o755


@pytest.mark.parametrize("target", ["usr/bin", "/usr/bin", "../../usr/bin", "x/../usr/./bin"])
def test_parent_that_is_a_lower_link_leads_to_the_real_directory(layers: Layers, target: str) -> None:
    layers.add(directory("x"), directory("usr"), directory("usr/bin", mode=0o711), symlink("bin", target))
    done = layers.add(file("bin/foo", "foo"))
    assert tree(layers.top) == {"usr": "dir", "usr/bin": "dir", "usr/bin/foo": "foo"}
    assert (layers.top / "usr/bin").stat().st_mode & 0o777 == 0o711
    assert not done.self_contained


def test_directory_entry_replaces_a_lower_link(layers: Layers) -> None:
    layers.add(directory("usr"), symlink("bin", "usr"))
    layers.add(directory("bin"), file("bin/foo"))
    assert tree(layers.top) == {"bin": "dir", "bin/foo": ""}


def test_parent_link_may_go_through_a_file_and_back(layers: Layers) -> None:
    layers.add(file("a/file"), symlink("b", "a/file/../c"))
    layers.add(file("b/new"))
    assert tree(layers.top) == {"a": "dir", "a/c": "dir", "a/c/new": ""}


@pytest.mark.parametrize("target", ["a/file", "a/file/c", "a/file/c/../d", "x/../a/file/."])
def test_parent_link_may_not_end_at_or_below_a_file(layers: Layers, target: str) -> None:
    layers.add(file("a/file"), symlink("b", target))
    with pytest.raises(CorruptImageError, match="'a/file' would be a directory"):
        layers.add(file("b/new"))


@pytest.mark.parametrize("between", [symlink("usr", "nowhere"), file("usr")])
def test_directory_that_replaces_what_had_replaced_a_lower_one_is_empty(layers: Layers, between: Member) -> None:
    layers.add(directory("usr"), file("usr/lib"), file("usr/bin/x"))
    layers.add(between, directory("usr"), file("usr/lib/new"), hard_link("usr/b", "usr/lib/new"))
    assert tree(layers.top) == {"usr": "dir", "usr/b": "", "usr/lib": "dir", "usr/lib/new": ""}
    assert is_opaque(layers.top / "usr")


def test_hard_link_to_what_the_layer_has_replaced_is_refused(layers: Layers) -> None:
    layers.add(directory("usr"), file("usr/lib", "x"))
    with pytest.raises(CorruptImageError, match="absent"):
        layers.add(symlink("usr", "nowhere"), directory("usr"), hard_link("b", "usr/lib"))


def test_endless_links_are_refused(layers: Layers) -> None:
    with pytest.raises(UnsafeLayerError, match="links"):
        layers.add(symlink("a", "b"), symlink("b", "a"), file("a/x"))


# Hard links


def test_hard_link_shares_its_file(layers: Layers) -> None:
    layers.add(directory("d"), file("d/a", "x"), hard_link("b", "/d/a"))
    assert (layers.top / "b").stat().st_ino == (layers.top / "d/a").stat().st_ino


def test_hard_link_to_a_link_is_that_link(layers: Layers) -> None:
    layers.add(symlink("a", "/etc/passwd"), hard_link("b", "a"))
    assert tree(layers.top) == {"a": "-> /etc/passwd", "b": "-> /etc/passwd"}


def test_hard_link_to_a_lower_file_copies_it_up(layers: Layers) -> None:
    layers.add(directory("d", mode=0o700), file("d/a", "text", uid=5, mode=0o6755, **xattr("user.x", "1")))
    done = layers.add(hard_link("b", "d/a"))
    copied = layers.top / "d/a"
    assert tree(layers.top) == {"b": "text", "d": "dir", "d/a": "text"}
    assert (copied.stat().st_uid, copied.stat().st_mode & 0o7777, copied.stat().st_nlink) == (5, 0o6755, 2)
    assert os.getxattr(copied, "user.x") == b"1" and copied.stat().st_mtime == 1_000_000_000
    assert (layers.top / "d").stat().st_mode & 0o777 == 0o700
    assert not done.self_contained


def test_hard_link_to_a_lower_link_copies_the_link(layers: Layers) -> None:
    layers.add(symlink("a", "/etc/passwd"))
    layers.add(hard_link("b", "a"))
    assert tree(layers.top) == {"a": "-> /etc/passwd", "b": "-> /etc/passwd"}


def test_hard_link_to_nothing_is_refused(layers: Layers) -> None:
    with pytest.raises(CorruptImageError, match=r"'b'.*'gone'"):
        layers.add(hard_link("b", "gone"))


def test_hard_link_to_a_directory_is_refused(layers: Layers) -> None:
    with pytest.raises(UnsafeLayerError):
        layers.add(directory("d"), hard_link("b", "d"))


def test_hard_link_to_itself_changes_nothing(layers: Layers) -> None:
    layers.add(file("a", "x"), hard_link("./a", "/a"))
    assert tree(layers.top) == {"a": "x"}


def test_hard_link_takes_the_place_of_a_directory(layers: Layers) -> None:
    layers.add(file("a", "x"), directory("d"), file("d/y"), hard_link("d", "a"))
    assert tree(layers.top) == {"a": "x", "d": "x"}


# Attributes


def test_file_capabilities_survive_the_change_of_owner(layers: Layers) -> None:
    capability = b"\x01\x00\x00\x02\x00\x04\x00\x00" + bytes(12)
    layers.add(file("ping", "x", uid=5, **xattr("security.capability", capability.decode("latin-1"))))
    assert os.getxattr(layers.top / "ping", "security.capability") == capability


def test_labels_of_the_building_host_are_left_out(layers: Layers) -> None:
    done = layers.add(file("a", **xattr("security.selinux", "system_u:object_r:x")))
    assert os.listxattr(layers.top / "a") == [] and done.skipped_xattrs == 0


def test_xattrs_the_file_system_does_not_take_are_counted(layers: Layers) -> None:
    done = layers.add(symlink("a", "b", **xattr("user.x", "1")))
    assert done.skipped_xattrs == 1


@pytest.mark.parametrize("name", ["user.overlay.opaque", "trusted.overlay.redirect"])
def test_overlay_xattrs_in_a_layer_are_refused(layers: Layers, name: str) -> None:
    with pytest.raises(UnsafeLayerError, match="overlay"):
        layers.add(directory("d", **xattr(name, "y")))


def test_overlay_whiteout_in_a_layer_is_refused(layers: Layers) -> None:
    with pytest.raises(UnsafeLayerError):
        layers.add(device("x", 0, 0))


def test_owner_beyond_all_ids_is_refused(layers: Layers) -> None:
    with pytest.raises(UnsupportedImageError, match=r"'x'.*4294967295"):
        layers.add(file("x", uid=2**32 - 1))


def test_nanoseconds_of_pax_times_are_kept(layers: Layers) -> None:
    layers.add(file("x", pax_headers={"mtime": "12.000000345"}), file("y", mtime=-1.5))
    assert (layers.top / "x").stat().st_mtime_ns == 12_000_000_345
    assert (layers.top / "y").stat().st_mtime_ns == -1_500_000_000


# Bytes that lie


def test_other_bytes_than_the_diff_id_says_are_refused(layers: Layers) -> None:
    with pytest.raises(DigestMismatchError):
        layers.add_stream(tar(file("a", "1")), blob=tar(file("a", "2")))


def test_bytes_after_the_end_mark_count_too(layers: Layers) -> None:
    stream = tar(file("a"))
    with pytest.raises(DigestMismatchError):
        layers.add_stream(stream, blob=stream + b"more")
    layers.add_stream(stream + bytes(10240))


def test_compressed_layer_is_unpacked(layers: Layers) -> None:
    stream = tar(file("a", "text" * 100_000))
    layers.add_stream(stream, blob=gz(stream))
    assert (layers.top / "a").read_text() == "text" * 100_000


def test_empty_blob_is_an_empty_layer(layers: Layers) -> None:
    assert layers.add_stream(b"").entries == 0


@pytest.mark.parametrize("keep", [100, 512, 700, 1500])
def test_truncated_stream_is_refused(layers: Layers, keep: int) -> None:
    with pytest.raises(CorruptImageError):
        layers.add_stream(tar(file("a", "x" * 2000))[:keep])


def test_no_tar_is_refused(layers: Layers) -> None:
    with pytest.raises(CorruptImageError, match="no tar"):
        layers.add_stream(b"<html>" * 1000)


@pytest.mark.parametrize(
    ("limits", "match"),
    [
        (Limits(entries=1), "1 entries"),
        (Limits(size=3), "3 bytes"),
        (Limits(ratio=2, ratio_from=10), "grows"),
    ],
)
def test_layer_beyond_the_limits_is_refused(layers: Layers, limits: Limits, match: str) -> None:
    stream = tar(file("a", "1"), file("b", "2" * 5000))
    with pytest.raises(UnsafeLayerError, match=match):
        layers.add_stream(stream, blob=gz(stream), limits=limits)


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/../x", "a/.."])
def test_name_with_dot_dot_is_refused_by_name(layers: Layers, name: str) -> None:
    with pytest.raises(UnsafeLayerError) as caught:
        layers.add(file(name))
    assert caught.value.entry == name


def test_name_no_file_system_can_hold_is_refused(layers: Layers) -> None:
    with pytest.raises(UnsupportedImageError):
        layers.add(file("n" * 300))
    with pytest.raises(UnsafeLayerError):
        layers.add(file("n/" * 3000))


def test_deep_tree_is_unpacked(layers: Layers) -> None:
    layers.add(file("/".join(["d"] * 1500), "deep"))
    fd = os.open(layers.top, os.O_RDONLY)
    for _ in range(1499):
        inner = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    assert stat.S_ISREG(os.stat("d", dir_fd=fd).st_mode)
    os.close(fd)
    # Deeper than pytest's own clean-up goes.
    remove_directory(layers.top)


def test_many_directories_need_few_descriptors(layers: Layers) -> None:
    names = [f"d{number}" for number in range(300)]
    layers.add(*(directory(name) for name in names), *(file(f"{name}/f") for name in names))
    assert len(list(layers.top.glob("*/f"))) == 300
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        os.fstat(200)


# What comparing with umoci brought to light


def test_opaque_root_hides_every_lower_name(layers: Layers) -> None:
    """Overlayfs reads no opaque mark on the root of a layer."""
    layers.add(file("a"), directory("d"), file("d/x"), directory("e"))
    done = layers.add(file(".wh..wh..opq"), directory("d"), file("d/y"))
    assert tree(layers.top) == {"a": "whiteout", "d": "dir", "d/y": "", "e": "whiteout"}
    assert is_opaque(layers.top / "d") and not done.self_contained


def test_second_entry_of_a_directory_takes_the_attributes_of_the_first_away(layers: Layers) -> None:
    layers.add(directory("d", **xattr("user.a", "1")), directory("d", **xattr("user.b", "1")))
    assert os.listxattr(layers.top / "d") == ["user.b"]


def test_entry_of_an_implied_directory_takes_its_lower_attributes_away(layers: Layers) -> None:
    layers.add(directory("d", **xattr("user.a", "1")))
    layers.add(file("d/x"), directory("d"))
    assert os.listxattr(layers.top / "d") == []


def test_directory_that_was_a_file_a_moment_ago_merges_with_nothing(layers: Layers) -> None:
    layers.add(directory("d"), file("d/old"))
    layers.add(file("d"), directory("d"))
    assert is_opaque(layers.top / "d")


def test_copied_special_file_keeps_its_set_id_bits(layers: Layers) -> None:
    layers.add(member("a", tarfile.FIFOTYPE, mode=0o6755, uid=5))
    layers.add(hard_link("b", "a"))
    assert (layers.top / "b").lstat().st_mode & 0o7777 == 0o6755


def test_source_of_a_hard_link_stays_hidden_where_its_layer_hides_it(layers: Layers) -> None:
    layers.add(directory("d"), directory("d/e"), file("d/e/a", "x"))
    layers.add(hard_link("b", "d/e/a"), file(".wh.d"))
    assert tree(layers.top) == {"b": "x", "d": "whiteout"}


def test_link_to_a_hidden_source_is_refused_a_second_time(layers: Layers) -> None:
    layers.add(file("a", "x"))
    with pytest.raises(CorruptImageError, match="absent"):
        layers.add(hard_link("b", "a"), file(".wh.a"), hard_link("c", "a"))


def test_entry_in_the_place_of_a_hidden_source_stays(layers: Layers) -> None:
    layers.add(file("a", "x"))
    layers.add(hard_link("b", "a"), file(".wh.a"), file("a", "y"))
    assert tree(layers.top) == {"a": "y", "b": "x"}


def test_directory_of_a_hidden_source_is_a_new_one_to_what_comes_later(layers: Layers) -> None:
    layers.add(directory("d", mode=0o700, uid=5, **xattr("user.a", "1")), file("d/a", "x"))
    layers.add(hard_link("b", "d/a"), file(".wh.d"), file("d/c"))
    status = (layers.top / "d").stat()
    assert (status.st_mode & 0o7777, status.st_uid) == (0o755, os.stat(layers.top).st_uid)
    assert "user.a" not in os.listxattr(layers.top / "d") and is_opaque(layers.top / "d")
    assert tree(layers.top) == {"b": "x", "d": "dir", "d/c": ""}


def test_whiteout_of_a_link_ends_what_led_through_it(layers: Layers) -> None:
    layers.add(directory("real"), symlink("l", "real"))
    layers.add(file("l/a"), file(".wh.l"), file("l/b"))
    assert tree(layers.top) == {"l": "dir", "l/b": "", "real": "dir", "real/a": ""}


def test_whiteout_below_a_link_is_where_the_link_led_when_it_was_read(layers: Layers) -> None:
    layers.add(directory("real"), file("real/a"), symlink("l", "real"))
    layers.add(file("l/.wh.a"), file(".wh.l"))
    assert tree(layers.top) == {"l": "whiteout", "real": "dir", "real/a": "whiteout"}


def test_whiteout_does_not_follow_what_took_the_place_of_its_directory(layers: Layers) -> None:
    layers.add(directory("d"), file("d/x"), directory("e"), file("e/x"))
    layers.add(file("d/.wh.x"), symlink("d", "e"))
    assert tree(layers.top) == {"d": "-> e"}


def test_file_in_the_place_of_a_lower_link_ends_what_led_through_it(layers: Layers) -> None:
    layers.add(symlink("l", "."))
    with pytest.raises(CorruptImageError, match="'l'"):
        layers.add(file("l/.wh.x"), file("l/l"), file("l/y"))


def test_parts_that_a_dangling_link_takes_back_are_not_made(layers: Layers) -> None:
    layers.add(symlink("l", "gone/../new"), file("l/x"))
    assert tree(layers.top) == {"l": "-> gone/../new", "new": "dir", "new/x": ""}


def test_what_lies_behind_a_dangling_link_is_found_again(layers: Layers) -> None:
    layers.add(symlink("l", "gone/../new"), file("l/x", "content"))
    layers.add(hard_link("y", "l/x"))
    assert tree(layers.top) == {"new": "dir", "new/x": "content", "y": "content"}


def test_layer_with_whiteouts_depends_on_what_is_below_it(layers: Layers) -> None:
    layers.add(directory("d"), file("d/x"))
    assert not layers.add(directory("d"), file("d/.wh.x")).self_contained


def test_times_beyond_our_century_are_kept(layers: Layers) -> None:
    layers.add(file("x", mtime=6_000_000_000))
    assert (layers.top / "x").stat().st_mtime == 6_000_000_000
