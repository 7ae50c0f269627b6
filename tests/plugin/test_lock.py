"""``--lxc-lock``: what a run used is what later runs use."""

from __future__ import annotations

import pytest

from .conftest import Project, lines

OTHER = "sha256:" + "0" * 64

ONE = """
    import pytest

    @pytest.mark.container("BOX:1")
    def test_one(container): pass
"""
BOTH = (
    ONE
    + """
    def test_two(containers): containers.run("BOX:2")
"""
)


def test_the_first_run_writes_the_file_and_the_next_is_locked(project: Project) -> None:
    result = project.run("--lxc-lock=lxc.lock", test_it=BOTH)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines([f"lxc lock: {project.lock}: to be written", f"*lxc images, pinned in {project.lock}*"])
    assert project.pins == project.pinned("1", "2")
    written = project.lock.read_bytes()
    project.registry.requests.clear()
    result = project.run("--lxc-lock=lxc.lock", test_it=BOTH)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines([f"lxc lock: {project.lock}: pins 2 tags"])
    assert project.lock.read_bytes() == written
    assert not project.registry.requests


def test_a_tag_that_is_not_pinned_fails_the_tests_that_ask_for_it(project: Project) -> None:
    project.lock.write_text(project.pinned("1"))
    result = project.run("--lxc-lock=lxc.lock", test_it=BOTH)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*LockFileError: *box:2 is not in the lock file*", "*hint: *--lxc-lock-update*"])
    assert project.lock.read_text() == project.pinned("1")


def test_the_pinned_digest_is_the_one_that_is_used(project: Project) -> None:
    project.lock.write_text(project.pinned("1").replace(str(project.digest), OTHER))
    result = project.run("--lxc-lock=lxc.lock", test_it=ONE)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*no such digest: *box:1@{OTHER}", f"*from the lock file {project.lock}"])


def test_an_update_pins_what_the_tag_names_now(project: Project) -> None:
    kept = f"docker.io/library/redis:7 {OTHER}\n"
    project.lock.write_text(kept + project.pinned("1").replace(str(project.digest), OTHER))
    result = project.run("--lxc-lock=lxc.lock", "--lxc-lock-update", test_it=ONE)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"lxc lock: {project.lock}: pins 2 tags, to be updated", "*lxc images, pinned in*"])
    assert sorted(project.pins.splitlines(True)) == sorted([kept, project.pinned("1")])


def test_a_file_that_is_none_is_one_usage_error(project: Project) -> None:
    project.lock.write_text("nonsense\n")
    for options in ((), ("--lxc-lock-update",)):
        result = project.run("--lxc-lock=lxc.lock", *options, test_it=BOTH)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        assert lines(result).count(f"{project.lock}, line 1: this is no pin") == 1
        assert "hint: " in lines(result) and "Traceback" not in lines(result)


def test_it_does_not_matter_where_no_test_has_a_container(project: Project) -> None:
    project.lock.write_text("nonsense\n")
    project.run("--lxc-lock=lxc.lock", test_it="def test_it(): pass").assert_outcomes(passed=1)


def test_a_path_in_an_ini_file_begins_beside_it(project: Project) -> None:
    (project.inner.path / "pytest.ini").write_text("[pytest]\nlxc_lock = my lxc.lock\n")
    sub = project.inner.path / "sub"
    project.run("sub", f"--rootdir={project.inner.path}", **{"sub/test_it": ONE}).assert_outcomes(passed=1)
    assert (project.inner.path / "my lxc.lock").exists()
    assert {path.name for path in sub.iterdir()} <= {"test_it.py", "__pycache__"}


def test_a_variable_names_it_too(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LXCONTAINER_LOCK", "lxc.lock")
    project.run(test_it=ONE).assert_outcomes(passed=1)
    monkeypatch.setenv("LXCONTAINER_LOCK_UPDATE", "1")
    project.run(test_it=BOTH).assert_outcomes(passed=2)
    assert project.pins == project.pinned("1", "2")
