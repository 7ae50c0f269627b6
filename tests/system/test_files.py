"""A container's files, read and written from the test."""

from __future__ import annotations

import errno
import filecmp
import os
import stat
import sys
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from pytest_lxcontainer import Container, GiB, MiB, wait
from pytest_lxcontainer.errors import ContainerFileError, InvalidSettingsError

from .conftest import Runner


def test_what_is_written_is_read_back_and_seen_inside(box: Container) -> None:
    data = os.urandom(300_000)
    box.write_bytes("/tmp/data", data)
    assert box.read_bytes("/tmp/data") == data
    box.write_text("/tmp/text", "grüße\n")
    assert box.check_output(["cat", "/tmp/text"]) == box.read_text("/tmp/text").rstrip() == "grüße"


def test_a_shorter_text_replaces_a_longer_one(box: Container) -> None:
    box.write_text("/tmp/text", "a long text")
    box.write_text("/tmp/text", "short")
    assert box.read_text("/tmp/text") == "short"


def test_a_new_file_is_roots_with_the_mode_asked_for(box: Container) -> None:
    box.write_text("/tmp/script", "#!/bin/sh\necho ran\n", mode=0o755)
    assert box.check_output(["stat", "-c", "%u:%g %a", "/tmp/script"]) == "0:0 755"
    assert box.check_output(["/tmp/script"]) == "ran"


def test_links_resolve_inside(box: Container) -> None:
    box.exec("ln -s /etc/passwd /tmp/absolute; ln -s ../../../../../../etc/passwd /tmp/climbing", check=True)
    inside = box.check_output(["cat", "/etc/passwd"]) + "\n"
    assert box.read_text("/tmp/absolute") == box.read_text("/tmp/climbing") == inside
    with open("/etc/passwd") as host:
        assert host.read() != inside


def test_writing_through_a_link_stays_inside(box: Container) -> None:
    target = f"/etc/written-{os.getpid()}"
    box.exec(["ln", "-s", target, "/tmp/link"], check=True)
    box.write_text("/tmp/link", "x")
    assert box.read_text(target) == "x"
    assert not os.path.exists(target)


def test_what_is_missing_says_so(box: Container) -> None:
    with pytest.raises(ContainerFileError, match="/no/such/file in container") as caught:
        box.read_text("/no/such/file")
    assert caught.value.errno == errno.ENOENT
    assert caught.value.path == "/no/such/file"
    with pytest.raises(OSError, match="No such file"):
        box.write_text("/no/such/directory/file", "x")


@pytest.mark.parametrize("write", [False, True])
def test_a_fifo_is_refused_before_it_blocks(box: Container, write: bool) -> None:
    box.exec(["mkfifo", "/tmp/fifo"], check=True)
    begin = time.monotonic()
    with pytest.raises(ContainerFileError):
        box.write_text("/tmp/fifo", "x") if write else box.read_text("/tmp/fifo")
    assert time.monotonic() - begin < 5


def test_a_directory_is_no_file(box: Container) -> None:
    with pytest.raises(ContainerFileError) as caught:
        box.read_text("/etc")
    assert caught.value.errno == errno.EISDIR


def test_directories_are_listed_in_order(box: Container) -> None:
    box.exec("mkdir /tmp/d && touch /tmp/d/b /tmp/d/a /tmp/d/.c", check=True)
    assert box.listdir("/tmp/d") == [".c", "a", "b"]
    assert box.exists("/tmp/d/a") and not box.exists("/tmp/d/x")


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        (lambda box, path: box.listdir("/tmp/nowhere"), FileNotFoundError),
        (lambda box, path: box.listdir("/etc/passwd"), NotADirectoryError),
        (lambda box, path: box.read_text("/tmp/nowhere"), FileNotFoundError),
        (lambda box, path: box.read_text("/etc"), IsADirectoryError),
        (lambda box, path: box.read_text("/etc/passwd/x"), NotADirectoryError),
        (lambda box, path: box.write_text("/tmp/nowhere/x", ""), FileNotFoundError),
        (lambda box, path: box.write_text("/proc/1/status", ""), PermissionError),
        (lambda box, path: box.copy_in(path, "/tmp/nowhere/x"), FileNotFoundError),
        (lambda box, path: box.copy_in(path, "/etc/passwd"), NotADirectoryError),
        (lambda box, path: box.copy_out("/tmp/nowhere", path), FileNotFoundError),
        (lambda box, path: box.mount(path, "/etc/passwd"), NotADirectoryError),
        (lambda box, path: box.mount(path / "file", "/etc"), IsADirectoryError),
    ],
)
def test_errors_are_of_the_kind_that_the_hosts_files_raise(
    box: Container, tmp_path: Path, operation: Callable[[Container, Path], object], kind: type[OSError]
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ContainerFileError) as caught:
        operation(box, tmp_path)
    assert isinstance(caught.value, kind)


def test_what_one_container_writes_no_other_sees(box: Container, run: Runner) -> None:
    box.write_text("/tmp/mine", "x")
    box.write_text("/etc/passwd", "")
    other = run()
    assert not other.exists("/tmp/mine")
    assert "root" in other.read_text("/etc/passwd")


class TestProc:
    @pytest.mark.parametrize("path", ["/proc/self/status", "/proc/mounts", "/proc/thread-self/comm"])
    def test_self_is_a_process_inside(self, box: Container, path: str) -> None:
        assert box.read_text(path)
        assert box.exists(path)

    def test_it_sees_the_containers_network(self, box: Container) -> None:
        assert box.read_text("/proc/net/route") == box.exec(["cat", "/proc/net/route"]).stdout

    @pytest.mark.parametrize("link", ["exe", "root/etc/passwd", "cwd", "fd/0", "fd/3", "fd/4", "fd/5", "fd/9"])
    def test_no_link_leads_to_what_the_worker_holds(self, box: Container, tmp_path: Path, link: str) -> None:
        box.exec(["ln", "-s", f"/proc/self/{link}", "/tmp/trap"], check=True)
        for attempt in (
            lambda: box.read_bytes("/tmp/trap"),
            lambda: box.write_bytes("/tmp/trap", b""),
            lambda: box.copy_out("/tmp/trap", tmp_path / "copy"),
            lambda: box.copy_in(__file__, "/tmp/trap/etc"),
        ):
            with pytest.raises(ContainerFileError):
                attempt()
        assert not (tmp_path / "copy").exists()


class TestNotRunning:
    @pytest.fixture(params=["never", "ended"])
    def resting(self, run: Runner, request: pytest.FixtureRequest) -> Container:
        if request.param == "never":
            return run.clone()
        box = run()
        box.stop(0)
        return box

    def test_its_files_are_read_and_written(self, resting: Container) -> None:
        resting.write_text("/tmp/before", "x", mode=0o600)
        assert resting.read_text("/tmp/before") == "x"
        assert "passwd" in resting.listdir("/etc")
        assert not resting.exists("/tmp/none")
        resting.start()
        assert resting.check_output("stat -c '%u:%g %a' /tmp/before; cat /tmp/before") == "0:0 600\nx"

    def test_trees_are_copied_both_ways(self, resting: Container, tree: Path, tmp_path: Path) -> None:
        resting.copy_in(tree, "/srv" if resting.exists("/srv") else "/tmp", owner="1000:1001")
        where = "/srv" if resting.exists("/srv") else "/tmp"
        assert described(resting.copy_out(f"{where}/tree", tmp_path / "back")) == described(tree)
        resting.start()
        assert resting.check_output(["stat", "-c", "%u:%g", f"{where}/tree/sub/file"]) == "1000:1001"

    def test_no_path_or_link_leads_out(self, resting: Container, tmp_path: Path) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "secret").write_text("secret")
        links = tmp_path / "links"
        links.mkdir()
        (links / "absolute").symlink_to(outside)
        (links / "climbing").symlink_to("../" * 40 + str(outside)[1:])
        (links / "file").symlink_to(outside / "secret")
        resting.copy_in(links, "/tmp/links")
        for path in (
            "/tmp/links/absolute/secret",
            "/tmp/links/climbing/secret",
            "/tmp/links/file",
            "../" * 40 + f"{outside}/secret"[1:],
            f"/tmp/../../../../..{outside}/secret",
        ):
            for attempt in (
                lambda path=path: resting.read_text(path),
                lambda path=path: resting.write_text(path, "overwritten"),
                lambda path=path: resting.copy_out(path, tmp_path / "stolen"),
                lambda path=path: resting.copy_in(__file__, f"{path}/x"),
            ):
                with pytest.raises(ContainerFileError):
                    attempt()
        assert [path.name for path in outside.iterdir()] == ["secret"]
        assert (outside / "secret").read_text() == "secret"
        assert not (tmp_path / "stolen").exists()

    def test_what_it_wrote_before_its_end_is_there(self, run: Runner) -> None:
        box = run(command="echo data > /tmp/left", ready=wait.exit())
        assert box.read_text("/tmp/left") == "data\n"

    def test_a_start_waits_for_work_on_the_files(self, run: Runner, tmp_path: Path) -> None:
        (tmp_path / "many").mkdir()
        for number in range(2000):
            (tmp_path / "many" / str(number)).touch()
        box = run.clone()
        with ThreadPoolExecutor(1) as pool:
            copied = pool.submit(box.copy_in, tmp_path / "many", "/tmp")
            box.start()
            copied.result()
        assert box.check_output("ls /tmp/many | wc -l") == "2000"


class TestCopies:
    def test_a_tree_comes_back_as_it_went(self, box: Container, tree: Path, tmp_path: Path) -> None:
        assert box.copy_in(tree, "/tmp") == "/tmp/tree"
        assert box.check_output("find /tmp/tree ! -user 0 -o ! -group 0") == ""
        assert box.check_output(["stat", "-c", "%a %Y", "/tmp/tree/sub/file"]) == "640 1000000000"
        assert described(box.copy_out("/tmp/tree", tmp_path / "back")) == described(tree)

    def test_set_id_bits_do_not_come_out(self, box: Container, tmp_path: Path) -> None:
        box.exec("cp /bin/busybox /tmp/su && chmod 6755 /tmp/su", check=True)
        copy = box.copy_out("/tmp/su", tmp_path)
        assert stat.S_IMODE(copy.stat().st_mode) == 0o755
        assert copy.stat().st_uid == os.geteuid()

    @pytest.mark.parametrize(
        ("owner", "seen"), [("0:0", "0:0"), ("nobody", None), (1000, "1000:0"), ("1000:50", "1000:50"), ("7:7", "7:7")]
    )
    def test_the_owner_is_chosen(self, box: Container, tree: Path, owner: str | int, seen: str | None) -> None:
        box.copy_in(tree, "/tmp", owner=owner)
        expected = seen or box.check_output("echo $(id -u nobody):$(id -g nobody)")
        owners = box.check_output("stat -c %u:%g /tmp/tree /tmp/tree/sub/file /tmp/tree/link").split()
        assert owners == [expected] * 3

    def test_the_hosts_ids_can_be_kept(self, run: Runner, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        box = run()
        box.copy_in(tmp_path / "file", "/tmp/file", owner=None)
        assert box.check_output(["stat", "-c", "%u:%g", "/tmp/file"]) == f"{os.geteuid()}:{os.getegid()}"

    def test_an_unknown_owner_is_named(self, box: Container, tree: Path) -> None:
        with pytest.raises(InvalidSettingsError, match="no user 'nemo'"):
            box.copy_in(tree, "/tmp", owner="nemo")

    @pytest.mark.parametrize(
        ("source", "target", "made"),
        [
            ("tree", "/tmp/there", "/tmp/there/tree"),
            ("tree", "/tmp/new", "/tmp/new"),
            ("tree/.", "/tmp/there", "/tmp/there"),
            ("tree/.", "/tmp/linked", "/tmp/linked"),
            ("tree/sub/file", "/tmp/there", "/tmp/there/file"),
            ("tree/sub/file", "/tmp/there/", "/tmp/there/file"),
            ("tree/sub/file", "/tmp/new", "/tmp/new"),
            ("tree/sub/file", "/tmp/full", "/tmp/full"),
            ("tree/sub/file", "/tmp/new/", errno.ENOENT),
            ("tree/sub/file", "/tmp/full/", errno.ENOTDIR),
            ("tree/sub/file", "/tmp/none/new", errno.ENOENT),
            ("tree", "/tmp/full", errno.ENOTDIR),
            ("tree", "/tmp/none/new", errno.ENOENT),
        ],
    )
    def test_destinations_are_docker_cps(
        self, box: Container, tree: Path, tmp_path: Path, source: str, target: str, made: str | int
    ) -> None:
        box.exec("mkdir /tmp/there; ln -s there /tmp/linked; echo full > /tmp/full", check=True)
        (tmp_path / "tmp/there").mkdir(parents=True)
        (tmp_path / "tmp/linked").symlink_to("there")
        (tmp_path / "tmp/full").write_text("full")
        box.copy_in(tree, "/")
        if isinstance(made, int):
            with pytest.raises(ContainerFileError) as refused:
                box.copy_in(f"{tree.parent}/{source}", target)
            assert refused.value.errno == made
            with pytest.raises(OSError, match=r"directory|file") as failed:
                box.copy_out(f"/{source}", f"{tmp_path}{target}")
            assert failed.value.errno == made
            return
        assert box.copy_in(f"{tree.parent}/{source}", target) == made or made == "/tmp/there"
        assert box.copy_out(f"/{source}", f"{tmp_path}{target}") == Path(f"{tmp_path}{made}")
        below = "" if source.endswith("file") else "/sub/file"
        assert box.read_text(made + below) == Path(f"{tmp_path}{made}{below}").read_text() == "content"

    def test_what_is_there_is_replaced_and_the_rest_kept(self, box: Container, tree: Path) -> None:
        box.exec("mkdir -p /tmp/tree/sub; echo other > /tmp/tree/sub/file; touch /tmp/tree/kept", check=True)
        box.copy_in(tree, "/tmp")
        assert box.read_text("/tmp/tree/sub/file") == "content"
        assert box.exists("/tmp/tree/kept")

    def test_a_file_that_is_a_mount_is_written_in_place(self, box: Container, tmp_path: Path) -> None:
        (tmp_path / "hosts").write_text("192.0.2.1 nobody\n")
        box.copy_in(tmp_path / "hosts", "/etc/hosts")
        assert box.check_output(["cat", "/etc/hosts"]) == "192.0.2.1 nobody"

    def test_pipes_in_a_tree_are_left_out_and_alone_refused(self, box: Container, tmp_path: Path) -> None:
        box.exec("mkdir /tmp/d && mkfifo /tmp/d/fifo && touch /tmp/d/file", check=True)
        copy = box.copy_out("/tmp/d", tmp_path / "d")
        assert os.listdir(copy) == ["file"]
        os.mkfifo(copy / "fifo")
        box.copy_in(copy, "/tmp/back")
        assert box.listdir("/tmp/back") == ["file"]
        with pytest.raises(ContainerFileError, match="/tmp/d/fifo"):
            box.copy_out("/tmp/d/fifo", tmp_path)
        with pytest.raises(OSError, match="neither a file nor a directory"):
            box.copy_in(copy / "fifo", "/tmp/back")

    def test_a_large_file_goes_through_little_memory(self, box: Container, tmp_path: Path) -> None:
        size = 100 * MiB
        with (tmp_path / "large").open("wb") as file:
            file.truncate(size)
            file.write(b"begin")
        tracemalloc.start()
        try:
            box.copy_in(tmp_path / "large", "/tmp/large")
            copy = box.copy_out("/tmp/large", tmp_path / "back")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert copy.stat().st_size == size
        assert filecmp.cmp(copy, tmp_path / "large", shallow=False)
        assert peak < 8 * MiB

    def test_holes_stay_holes(self, box: Container, tmp_path: Path) -> None:
        with (tmp_path / "sparse").open("wb") as file:
            file.truncate(1 * GiB)
            file.seek(GiB // 2)
            file.write(b"middle")
        box.copy_in(tmp_path / "sparse", "/tmp")
        size, blocks, unit = map(int, box.check_output("stat -c '%s %b %B' /tmp/sparse").split())
        assert size == GiB
        assert blocks * unit < MiB
        copy = box.copy_out("/tmp/sparse", tmp_path / "back")
        assert copy.stat().st_size == GiB
        assert copy.stat().st_blocks * 512 < MiB
        with copy.open("rb") as file:
            file.seek(GiB // 2)
            assert file.read(8) == b"middle\0\0"

    def test_a_file_of_two_names_becomes_two_files(self, box: Container, tmp_path: Path) -> None:
        box.exec("mkdir /tmp/d; echo same > /tmp/d/one; ln /tmp/d/one /tmp/d/two", check=True)
        copy = box.copy_out("/tmp/d", tmp_path / "d")
        assert (copy / "one").read_text() == (copy / "two").read_text() == "same\n"
        assert (copy / "one").stat().st_ino != (copy / "two").stat().st_ino
        # What a name in the way is linked with is left alone.
        box.exec("ln /tmp/d/one /tmp/kept", check=True)
        box.copy_in(tmp_path / "d" / "two", "/tmp/d/one")
        box.exec("echo changed > /tmp/d/one", check=True)
        assert box.read_text("/tmp/kept") == "same\n"

    def test_an_empty_directory_is_a_copy_too(self, box: Container, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir(mode=0o711)
        assert box.copy_in(tmp_path / "empty", "/tmp") == "/tmp/empty"
        assert box.check_output("stat -c '%a %F' /tmp/empty; ls -A /tmp/empty") == "711 directory"
        copy = box.copy_out("/tmp/empty", tmp_path / "back")
        assert os.listdir(copy) == []
        assert stat.S_IMODE(copy.stat().st_mode) == 0o711
        # Only what is in it, which is nothing.
        assert box.copy_in(f"{tmp_path}/empty/.", "/tmp") == "/tmp"

    @pytest.mark.parametrize("place", ["/proc", "/sys", "/mnt", "/mnt/new"])
    def test_what_is_read_only_says_so(self, run: Runner, tree: Path, place: str) -> None:
        box = run(mounts=[(tree, "/mnt", "ro")] if place.startswith("/mnt") else ())
        for source in (tree, tree / "sub" / "file"):
            with pytest.raises(ContainerFileError) as caught:
                box.copy_in(source, place)
            assert caught.value.errno in (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT)
            assert place in str(caught.value)

    def test_owners_of_every_id_are_kept_inside(self, box: Container, tmp_path: Path) -> None:
        box.exec("mkdir /tmp/d; touch /tmp/d/f; chown -R 1234:5678 /tmp/d; chmod 2750 /tmp/d", check=True)
        copy = box.copy_out("/tmp/d", tmp_path)
        assert {path.stat().st_uid for path in (copy, copy / "f")} == {os.geteuid()}
        box.copy_in(copy, "/tmp/e", owner="1234:5678")
        assert box.check_output("stat -c '%u:%g %a' /tmp/e /tmp/e/f").splitlines() == [
            "1234:5678 750",
            "1234:5678 644",
        ]

    def test_a_full_container_says_so(self, run: Runner, tmp_path: Path) -> None:
        box = run(tmpfs={"/small": "size=64k"})
        (tmp_path / "large").write_bytes(bytes(4 * MiB))
        with pytest.raises(ContainerFileError) as caught:
            box.copy_in(tmp_path / "large", "/small")
        assert caught.value.errno == errno.ENOSPC
        assert box.exists("/small/large")

    @pytest.mark.needs_cgroups
    def test_a_frozen_container_has_files_too(self, box: Container, tree: Path, tmp_path: Path) -> None:
        box.freeze()
        box.copy_in(tree, "/tmp")
        assert box.read_text("/tmp/tree/sub/file") == "content"
        assert described(box.copy_out("/tmp/tree", tmp_path / "back")) == described(tree)
        box.unfreeze()


class TestHostileCopies:
    def test_links_are_copied_and_not_followed(self, box: Container, tmp_path: Path) -> None:
        secret = tmp_path / "secret"
        secret.write_text("secret")
        box.exec(f"mkdir /tmp/d; ln -s {secret} /tmp/d/file; ln -s {tmp_path} /tmp/d/dir", check=True)
        copy = box.copy_out("/tmp/d", tmp_path / "copy")
        assert (copy / "file").is_symlink() and (copy / "dir").is_symlink()
        # What has been copied is now in the way of the next copy, and must not lead it out.
        box.exec("rm /tmp/d/*; mkdir /tmp/d/dir; echo bad > /tmp/d/dir/secret; echo bad > /tmp/d/file", check=True)
        with pytest.raises(OSError, match="dir"):
            box.copy_out("/tmp/d/.", copy)
        assert secret.read_text() == "secret"

    @pytest.mark.parametrize("moment", ["out", "in"])
    def test_directories_swapped_for_links_lead_nowhere(
        self, box: Container, tmp_path: Path, tree: Path, moment: str
    ) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "host").write_text("untouched")
        box.exec("mkdir -p /tmp/d/a /tmp/real; for i in $(seq 50); do echo inside > /tmp/d/a/f$i; done", check=True)
        swap = f"""
            while :; do
                mv /tmp/d/a /tmp/real/a; ln -s {outside} /tmp/d/a; rm /tmp/d/a; ln -s / /tmp/d/a; rm /tmp/d/a
                mv /tmp/real/a /tmp/d/a
            done"""
        with box.popen(swap) as racer:
            for number in range(60):
                copy = tmp_path / f"copy{number}"
                # What vanishes just then is an error as well as a race.
                with suppress(ContainerFileError):
                    box.copy_out("/tmp/d", copy) if moment == "out" else box.copy_in(tree, "/tmp/d/a")
                for file in copy.rglob("*"):
                    assert file.is_symlink() or file.is_dir() or file.read_text() in ("inside\n", "")
            racer.kill()
        assert os.listdir(outside) == ["host"]
        assert (outside / "host").read_text() == "untouched"

    def test_no_python_module_of_the_image_is_loaded(self, box: Container, tmp_path: Path) -> None:
        library = Path(os.__file__).parent
        modules = tmp_path / "modules"
        modules.mkdir()
        for name in sys.stdlib_module_names:
            (modules / f"{name}.py").write_text("open('/tmp/loaded', 'w')\n")
        box.exec(["mkdir", "-p", str(library.parent)], check=True)
        box.copy_in(modules, str(library))
        box.copy_in(modules, "/tmp/again", owner="nobody")
        box.copy_out("/tmp/again", tmp_path / "again")
        box.listdir("/tmp")
        box.exec("true", check=True)
        with pytest.raises(ContainerFileError):
            box.read_text("/none")
        assert box.exists(f"{library}/os.py")
        assert not box.exists("/tmp/loaded")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files of every kind that is copied."""
    root = tmp_path / "host" / "tree"
    (root / "sub" / "empty").mkdir(parents=True)
    (root / "sub" / "file").write_text("content")
    (root / "sub" / "file").chmod(0o640)
    (root / "gr\u00fc\u00dfe \n").write_bytes(bytes(range(256)))
    (root / os.fsdecode(b"latin\xe9")).touch(mode=0o600)
    (root / "link").symlink_to("sub/file")
    (root / "dangling").symlink_to("/no/such/file")
    (root / "sub").chmod(0o711)
    for path in (*root.rglob("*"), root):
        os.utime(path, (10**9, 10**9), follow_symlinks=False)
    return root


def described(root: Path) -> dict[str, object]:
    """Everything of a tree that a copy keeps."""
    found: dict[str, object] = {}
    for path in (root, *root.rglob("*")):
        status = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        mode = None if path.is_symlink() else stat.S_IMODE(status.st_mode)
        found[str(path.relative_to(root))] = (mode, status.st_mtime_ns, content)
    return found
