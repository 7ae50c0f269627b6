"""Workers use one lock file, tell the controller what they used, and draw nothing."""

from __future__ import annotations

import os
import sys

import pytest

from ..fakes.terminal import Terminal
from .conftest import Project, lines

LATE = """
    import time
    from pathlib import Path

    def test_early(containers): containers.run("BOX:1")

    def test_late(request):
        deadline = time.monotonic() + 60
        while WAIT and not Path("lxc.lock").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        request.getfixturevalue("containers").run("BOX:2")
"""


CRASH = """
    import os, time
    from pathlib import Path

    def test_crash():
        deadline = time.monotonic() + 60
        while "box:1" not in (Path("lxc.lock").read_text() if Path("lxc.lock").exists() else ""):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os._exit(1)

    def test_early(containers): containers.run("BOX:1")

    def test_after(containers): containers.run("BOX:2")
"""


def test_a_worker_that_begins_when_the_file_is_written_still_writes(project: Project) -> None:
    result = project.run("-n", "2", "--lxc-lock=lxc.lock", test_it=CRASH)
    result.assert_outcomes(passed=2, failed=1)
    assert "crashed while running" in lines(result)
    assert project.pins == project.pinned("1", "2")


@pytest.mark.parametrize("update", [(), ("--lxc-lock-update",)])
def test_workers_write_the_union_however_late_one_begins(project: Project, update: tuple[str, ...]) -> None:
    """The second worker's first container is asked for when the first worker has written the file."""
    result = project.run("-n", "2", "--lxc-lock=lxc.lock", *update, test_it=LATE.replace("WAIT", "True"))
    result.assert_outcomes(passed=2)
    assert project.pins == project.pinned("1", "2")
    assert lines(result).count(f"box:1@{project.digest}") == 1
    assert lines(result).count(f"box:2@{project.digest}") == 1


def test_a_file_that_is_none_is_one_usage_error(project: Project) -> None:
    project.lock.write_text("nonsense\n")
    result = project.run("-n", "2", "--lxc-lock=lxc.lock", test_it=LATE.replace("WAIT", "False"))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert lines(result).count("line 1: this is no pin") == 1


def test_workers_are_locked_too(project: Project) -> None:
    project.lock.write_text(project.pinned("1"))
    result = project.run("-n", "2", "--lxc-lock=lxc.lock", test_it=LATE.replace("WAIT", "False"))
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*LockFileError: *box:2 is not in the lock file*"])
    assert project.lock.read_text() == project.pinned("1")


FOUR = """
    import pytest

    @pytest.mark.parametrize("number", range(4))
    def test_it(containers, number): containers.run("BOX:1")
"""


def test_workers_tell_the_controller_what_they_used(project: Project) -> None:
    result = project.run("-n", "2", test_it=FOUR)
    result.assert_outcomes(passed=4)
    assert [line for line in result.outlines if line.startswith("lxc image: ")] == [
        f"lxc image: {project.registry.host}/box:1@{project.digest}"
    ]


def test_workers_draw_nothing_on_the_terminal(project: Project) -> None:
    project.registry.seconds_per_chunk = 0.05
    project.inner.write(test_it=FOUR.replace("BOX", f"{project.registry.host}/box"))
    options = ["-p", "no:cacheprovider", f"--lxc-store={project.store}", "-n", "1"]
    with Terminal() as terminal:
        assert terminal.run([sys.executable, "-m", "pytest", *options], project.inner.path, os.environ) == 0
    assert "4 passed" in terminal.raw and " layers" not in terminal.raw
