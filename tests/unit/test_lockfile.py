"""The file of pins by itself; what a run does with it is in test_pinning.py."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_lxcontainer.errors import LockFileError
from pytest_lxcontainer.image import Digest, Reference
from pytest_lxcontainer.lockfile import LockFile, Mode

REDIS, BOX = Reference.parse("redis:7"), Reference.parse("127.0.0.1:5000/box")
ONE, TWO = Digest("sha256", "1" * 64), Digest("sha256", "2" * 64)
PINS = f"docker.io/library/redis:7 {ONE}\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lxc.lock"


def saved(path: Path, mode: Mode, **used: Digest) -> None:
    lock = LockFile(path, mode)
    for name, digest in used.items():
        lock.note(Reference.parse(name), digest)
    lock.save()


def pins(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if not line.startswith("#")]


def test_what_was_noted_is_pinned_the_next_time(path: Path) -> None:
    saved(path, "new", redis=ONE, box=TWO)
    lock = LockFile(path, LockFile.mode_of(path, update=False))
    assert lock.pin(Reference.parse("redis")) == Reference.parse("redis").with_digest(ONE)
    assert lock.pin(Reference.parse("docker.io/library/box:latest")).digest == TWO


def test_lines_are_sorted_and_the_same_pins_make_the_same_file(path: Path) -> None:
    saved(path, "new", redis=ONE, box=TWO)
    first = path.read_bytes()
    path.unlink()
    saved(path, "new", box=TWO, redis=ONE)
    assert path.read_bytes() == first
    assert pins(path) == [f"docker.io/library/box:latest {TWO}", f"docker.io/library/redis:latest {ONE}"]


def test_an_update_keeps_the_tags_that_the_run_did_not_use(path: Path) -> None:
    saved(path, "new", redis=ONE, box=ONE)
    saved(path, "update", redis=TWO)
    assert pins(path) == [f"docker.io/library/box:latest {ONE}", f"docker.io/library/redis:latest {TWO}"]


def test_a_locked_run_never_writes(path: Path) -> None:
    path.write_text(PINS)
    saved(path, "locked", redis=TWO, box=TWO)
    assert path.read_text() == PINS


def test_a_locked_run_refuses_what_is_not_pinned(path: Path) -> None:
    path.write_text(PINS)
    with pytest.raises(LockFileError, match=r"redis:8 is not in the lock file") as raised:
        LockFile(path, "locked").pin(Reference.parse("redis:8"))
    assert str(path) in raised.value.message
    assert "--lxc-lock-update" in raised.value.hint


def test_a_digest_of_its_own_needs_no_pin_and_gets_none(path: Path) -> None:
    reference = BOX.with_digest(TWO)
    path.write_text(PINS)
    assert LockFile(path, "locked").pin(reference) == reference
    lock = LockFile(path, "update")
    lock.note(reference, TWO)
    lock.save()
    assert path.read_text() == PINS


def test_a_run_that_used_nothing_makes_no_file(path: Path) -> None:
    saved(path, "new")
    assert not path.exists()


def test_the_file_may_be_written_by_hand(path: Path) -> None:
    path.write_text(f"\n  # ours\nredis:7   {ONE}\r\n{BOX} {TWO}")
    lock = LockFile(path, "locked")
    assert (lock.pin(REDIS).digest, lock.pin(BOX).digest) == (ONE, TWO)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{PINS}<<<<<<< ours\n", "line 2"),
        ("redis:7\n", "line 1"),
        ("redis:7 sha256:123\n", "'sha256:123' is no digest"),
        (f"Not/A/Name {ONE}\n", "is no image reference"),
        (f"redis:7@{ONE} {ONE}\n", "has a digest already"),
        (f"{PINS}redis:7 {TWO}\n", "docker.io/library/redis:7 is pinned to two digests"),
        (f"redis:7 {ONE} {TWO}\n", "is no digest"),
    ],
)
def test_what_is_no_pin_is_refused_with_its_line(path: Path, text: str, said: str) -> None:
    path.write_text(text)
    for mode in ("locked", "update"):
        with pytest.raises(LockFileError) as raised:
            LockFile(path, mode)  # type: ignore[arg-type]
        assert said in str(raised.value) and str(path) in str(raised.value)
        assert "REFERENCE DIGEST" in raised.value.hint


def test_what_is_no_text_is_refused(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\0")
    with pytest.raises(LockFileError, match="is no lock file"):
        LockFile(path, "locked")


def test_a_directory_is_no_lock_file(tmp_path: Path) -> None:
    with pytest.raises(LockFileError, match="cannot be read: Is a directory"):
        LockFile(tmp_path, LockFile.mode_of(tmp_path, update=False))


def test_a_file_that_could_not_be_written_is_refused_before_the_run(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "lxc.lock"
    with pytest.raises(LockFileError, match="cannot be written"):
        LockFile(path, LockFile.mode_of(path, update=False))


def test_a_directory_that_goes_meanwhile_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    lock = LockFile(tmp_path / "sub" / "lxc.lock", "new")
    lock.note(REDIS, ONE)
    (tmp_path / "sub").rmdir()
    with pytest.raises(LockFileError, match="cannot be written: No such file"):
        lock.save()


def test_only_the_first_process_of_a_run_finds_out_its_mode(path: Path) -> None:
    assert LockFile.mode_of(path, update=False) == "new"
    saved(path, "new", redis=ONE)
    assert LockFile.mode_of(path, update=False) == "locked"
    assert LockFile.mode_of(path, update=True) == "update"
    saved(path, "new", box=TWO)
    assert len(pins(path)) == 2


def test_pins_that_stay_leave_the_file_alone(path: Path) -> None:
    saved(path, "new", redis=ONE)
    before = path.stat()
    saved(path, "update", redis=ONE)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_link_stays_and_so_does_the_mode(tmp_path: Path, path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.write_text("")
    target.chmod(0o664)
    path.symlink_to(target)
    saved(path, "update", redis=ONE)
    assert path.is_symlink()
    assert pins(target) == [f"docker.io/library/redis:latest {ONE}"]
    assert target.stat().st_mode & 0o777 == 0o664


_WRITER = """
import sys
from pathlib import Path
from pytest_lxcontainer.image import Digest, Reference
from pytest_lxcontainer.lockfile import LockFile

path, name = Path(sys.argv[1]), sys.argv[2]
for number in range(int(sys.argv[3])):
    lock = LockFile(path, "new")
    lock.note(Reference.parse(f"{name}:{number}"), Digest("sha256", "a" * 64))
    lock.save()
"""


def writer(path: Path, name: str, count: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _WRITER, str(path), name, str(count)])


def test_processes_that_write_at_once_make_the_union_and_leave_nothing_beside_it(path: Path) -> None:
    writers = [writer(path, f"box{number}", 25) for number in range(4)]
    assert [each.wait() for each in writers] == [0] * 4
    assert len(pins(path)) == 100
    assert os.listdir(path.parent) == ["lxc.lock"]


def test_a_writer_that_is_killed_leaves_the_file_whole(path: Path) -> None:
    count = 0
    for attempt in range(8):
        process = writer(path, f"box{attempt}", 1_000_000)
        deadline = time.monotonic() + 30
        while not path.exists() or len(pins(path)) < count + 3 + 7 * attempt:
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGKILL)
        process.wait()
        read = len(LockFile(path, "locked").pins)
        assert read == len(pins(path)) > count
        count = read
    saved(path, "update", last=ONE)
    assert os.listdir(path.parent) == ["lxc.lock"]
