"""Runs that are dead, made up from files, processes and cgroups as a killed supervisor leaves them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_lxcontainer.container.cgroups import cgroups_of, host_hierarchies
from pytest_lxcontainer.supervisor.owner import Owner
from pytest_lxcontainer.supervisor.sweep import OWNER_FILE, sweep, view_path

ME = Owner.of(os.getpid())
DEAD = replace(ME, start_time=ME.start_time - 1)


@pytest.fixture
def leftover() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def make_run(runs_dir: Path, name: str, owner: Owner | str | None = DEAD, age: float = 0) -> Path:
    directory = runs_dir / name
    (directory / "box-1" / "upper").mkdir(parents=True)
    (directory / "box-1" / "upper" / "file").touch()
    if owner is not None:
        (directory / OWNER_FILE).write_text(str(owner))
    if age:
        past = directory.stat().st_mtime - age
        os.utime(directory, (past, past))
    return directory


def test_the_dead_goes_and_the_living_stays(tmp_path: Path) -> None:
    dead, alive = make_run(tmp_path, "dead"), make_run(tmp_path, "alive", ME)
    (tmp_path / "dead.log").touch()
    assert sweep(tmp_path, shutil.rmtree) == ["dead"]
    assert not dead.exists()
    assert (alive / "box-1" / "upper" / "file").exists()
    assert not (tmp_path / "dead.log").exists()


def test_what_a_supervisor_wrote_that_never_had_a_directory_goes_after_a_while(tmp_path: Path) -> None:
    old, young = tmp_path / "old.log", tmp_path / "young.log"
    for log in (old, young):
        log.touch()
    os.utime(old, (0, 0))
    assert sweep(tmp_path, shutil.rmtree) == []
    assert not old.exists() and young.exists()


def test_the_living_stays_though_its_process_is_in_another_pid_namespace(tmp_path: Path) -> None:
    directory = make_run(tmp_path, "elsewhere", None, age=3600)
    program = (
        "import sys, time; from pathlib import Path; from pytest_lxcontainer.supervisor.sweep import occupy;"
        "occupy(Path(sys.argv[1])); print('ready', flush=True); time.sleep(60)"
    )
    apart = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"]
    command = [*apart, sys.executable, "-c", program, str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert not Owner.parse((directory / OWNER_FILE).read_text()).alive
        assert sweep(tmp_path, shutil.rmtree) == []
        process.kill()
    deadline = time.monotonic() + 5
    while not (swept := sweep(tmp_path, shutil.rmtree)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert swept == ["elsewhere"]


def test_a_run_that_is_being_made_stays(tmp_path: Path) -> None:
    make_run(tmp_path, "young", None)
    make_run(tmp_path, "torn", "123:4")
    assert sweep(tmp_path, shutil.rmtree) == []


def test_a_run_that_never_got_an_owner_goes_in_time(tmp_path: Path) -> None:
    make_run(tmp_path, "old", None, age=3600)
    assert sweep(tmp_path, shutil.rmtree) == ["old"]


def test_a_process_that_was_left_is_killed(tmp_path: Path, leftover: subprocess.Popen[bytes]) -> None:
    run = make_run(tmp_path, "dead")
    (run / "box-1" / "init").write_text(str(Owner.of(leftover.pid)))
    sweep(tmp_path, shutil.rmtree)
    assert leftover.wait(20) == -signal.SIGKILL


@pytest.mark.parametrize("text", ["", "nonsense", "1:2"])
def test_a_process_that_only_has_the_id_is_left_alone(
    tmp_path: Path, leftover: subprocess.Popen[bytes], text: str
) -> None:
    run = make_run(tmp_path, "dead")
    for number, content in enumerate((str(replace(Owner.of(leftover.pid), start_time=1)), text)):
        (run / f"box-{number + 2}").mkdir()
        (run / f"box-{number + 2}" / "init").write_text(content)
    assert sweep(tmp_path, shutil.rmtree) == ["dead"]
    assert leftover.poll() is None


@pytest.mark.needs_root
def test_its_mount_point_goes(tmp_path: Path) -> None:
    name = f"test{os.urandom(4).hex()}"
    view_path(name).mkdir()
    make_run(tmp_path, name)
    sweep(tmp_path, shutil.rmtree)
    assert not view_path(name).exists()


@pytest.mark.needs_root
@pytest.mark.needs_cgroups
def test_its_cgroups_go_with_the_processes_in_them(tmp_path: Path, leftover: subprocess.Popen[bytes]) -> None:
    name = f"lxt-test{os.urandom(4).hex()}"
    hierarchies = host_hierarchies()
    bases = {path for path in cgroups_of(os.getpid(), hierarchies).values() if os.access(path, os.W_OK)}
    made = []
    for base in bases:
        inner = base / name / "box-1"
        try:
            inner.mkdir(parents=True)
            (inner / "cgroup.procs").write_text(str(leftover.pid))
        except OSError:
            continue  # cpuset wants to be set up first, and v2 processes in leaves only
        finally:
            made.append(base / name)
    (make_run(tmp_path, "dead") / "cgroups").write_text(json.dumps([str(path) for path in made]))
    sweep(tmp_path, shutil.rmtree)
    assert made
    assert leftover.wait(20) == -signal.SIGKILL
    assert [path for path in made if path.exists()] == []


@pytest.mark.parametrize("text", ["", "{", "null", "[1]"])
def test_notes_that_cannot_be_read_do_not_keep_a_run(tmp_path: Path, text: str) -> None:
    (make_run(tmp_path, "dead") / "cgroups").write_text(text)
    assert sweep(tmp_path, shutil.rmtree) == ["dead"]
