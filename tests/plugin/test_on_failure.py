"""``--lxc-on-failure``: failed tests' containers stay for whoever wants to know why."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pytest_lxcontainer.provision import Provisioner, Settings, parse_mirrors
from pytest_lxcontainer.running import Running
from pytest_lxcontainer.store.layout import Layout
from pytest_lxcontainer.supervisor.record import Listed

from ..system.command import Command
from ..system.leaks import Leaks
from .conftest import Inner, lines

FAILS = """
    def test_fails(container):
        container.exec("echo found > /evidence")
        assert False
"""


class Kept:
    """Runs tests on a store of its own, and looks at what is kept there."""

    def __init__(self, inner: Inner, store: Path, mirror: str) -> None:
        self.inner = inner
        self.store = store
        self.lxcontainer = Command(store, mirror)
        self.running = Running(Layout(store))

    def run(self, *options: str, **files: str) -> pytest.RunResult:
        return self.inner.run("--lxc-image=busybox", f"--lxc-store={self.store}", *options, **files)

    def list(self) -> list[Listed]:
        return self.running.list()

    def close(self) -> None:
        self.running.close()
        self.lxcontainer.clear()


@pytest.fixture
def kept(inner: Inner, own_store: Path, mirror: str, leaks: Leaks) -> Iterator[Kept]:
    leaks.watch(own_store)
    kept = Kept(inner, own_store, mirror)
    yield kept
    kept.close()


def test_a_failed_tests_container_is_kept_frozen(kept: Kept) -> None:
    result = kept.run("--lxc-on-failure=keep", test_it=FAILS)
    result.assert_outcomes(failed=1)
    (found,) = kept.list()
    assert (found.status.state, found.record.test) == ("FROZEN", "test_it.py::test_fails")
    result.stdout.fnmatch_lines([f"LXCONTAINER_STORE={kept.store} lxcontainer enter {found.id}"])
    container = kept.running.container(found)
    assert container.read_text("/evidence") == "found\n"
    container.unfreeze()
    assert container.check_output("cat /evidence") == "found"


def test_the_line_to_paste_is_as_short_as_can_be(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LXCONTAINER_STORE", str(kept.store))
    result = kept.run("--lxc-on-failure=keep", test_it=FAILS)
    (found,) = kept.list()
    result.stdout.fnmatch_lines([f"lxcontainer enter {found.id}"])


def test_files_for_machines_have_the_line_too(kept: Kept) -> None:
    kept.run("--lxc-on-failure=keep", "--junit-xml=out.xml", test_it=FAILS)
    (found,) = kept.list()
    tree = ElementTree.parse(kept.inner.path / "out.xml")
    values = [each.get("value") for each in tree.iter("property") if each.get("name") == "lxcontainer.busybox.kept"]
    assert values == [f"LXCONTAINER_STORE={kept.store} lxcontainer enter {found.id}"]


def test_what_cannot_be_kept_fails_no_run(kept: Kept) -> None:
    test = """
        import os, signal
        def test_it(container, _lxc_provisioner):
            run = _lxc_provisioner.layout.runs_dir / _lxc_provisioner.identity.run_id
            os.kill(int((run / "supervisor").read_text().split(":")[0]), signal.SIGKILL)
            assert False
        def test_passes(): pass
    """
    result = kept.run("--lxc-on-failure=keep", test_it=test)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["lxc notice: container busybox of test_it.py::test_it: *"])
    kept.run(test_it="def test_passes(container): pass").assert_outcomes(passed=1)


def test_ps_lists_it_with_test_and_age_until_it_is_removed(kept: Kept) -> None:
    kept.run("--lxc-on-failure=keep", test_it=FAILS)
    assert "test_fails" not in kept.lxcontainer("ps")
    heading, row = kept.lxcontainer("ps", "-a").splitlines()
    assert heading.split()[-1] == "TEST"
    assert row.split()[-1] == "test_it.py::test_fails" and re.search(r" Kept \d+ seconds? ago ", row)
    kept.lxcontainer("rm", kept.list()[0].id)
    assert kept.list() == []


def test_what_passed_is_destroyed(kept: Kept) -> None:
    result = kept.run("--lxc-on-failure=keep", test_it="def test_passes(container): pass")
    result.assert_outcomes(passed=1)
    assert not any(Layout(kept.store).runs_dir.iterdir())


def test_without_the_option_nothing_is_kept(kept: Kept) -> None:
    result = kept.run(test_it=FAILS)
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*lxcontainer enter*")
    assert not any(Layout(kept.store).runs_dir.iterdir())


@pytest.mark.parametrize("phase", ["setup", "teardown"])
def test_a_fixture_that_fails_keeps_it_too(kept: Kept, phase: str) -> None:
    fixture = f"""
        import pytest
        @pytest.fixture
        def bad(container):
            container.exec("echo {phase} > /evidence")
            {"assert False" if phase == "setup" else "yield; assert False"}
        def test_it(bad): pass
    """
    kept.run("--lxc-on-failure=keep", test_it=fixture)
    (found,) = kept.list()
    assert kept.running.container(found).read_text("/evidence") == f"{phase}\n"


def test_all_that_the_test_had_is_kept_with_its_network(kept: Kept) -> None:
    kept.run(
        "--lxc-on-failure=keep",
        test_it="""
        def test_fails(containers):
            containers.run("busybox", "sleep 1000", name="db")
            containers.run("busybox", "sleep 1000", name="app")
            assert False
        """,
    )
    by_name = {each.name: each for each in kept.list()}
    assert by_name.keys() == {"db", "app"}
    containers = {name: kept.running.container(each) for name, each in by_name.items()}
    assert {each.name for each in kept.running.peers(by_name["db"])} == {"db", "app"}
    for each in containers.values():
        each.unfreeze()
    assert containers["app"].exec("ping -c1 -W3 db").exit_code == 0


def test_a_wider_one_serves_the_other_tests_first(kept: Kept) -> None:
    result = kept.run(
        "--lxc-on-failure=keep",
        test_it="""
        from pytest_lxcontainer import lxc_container
        box = lxc_container("busybox", scope="module")
        def test_fails(box):
            assert False
        def test_goes_on(box):
            box.exec("touch /later", check=True)
        """,
    )
    result.assert_outcomes(passed=1, failed=1)
    (found,) = kept.list()
    assert found.record.test == "test_it.py::test_fails"
    assert kept.running.container(found).exists("/later")


def test_one_of_the_whole_run_is_kept(kept: Kept) -> None:
    kept.run(
        "--lxc-on-failure=keep",
        test_it="""
        from pytest_lxcontainer import lxc_container
        box = lxc_container("busybox", scope="run")
        def test_fails(box):
            assert False
        """,
    )
    assert [each.record.test for each in kept.list()] == ["test_it.py::test_fails"]


def test_what_the_test_has_destroyed_is_gone(kept: Kept) -> None:
    result = kept.run(
        "--lxc-on-failure=keep",
        test_it="""
        def test_fails(container):
            container.destroy()
            assert False
        """,
    )
    result.assert_outcomes(failed=1)
    assert kept.list() == []


def test_one_that_has_ended_is_kept_as_it_is(kept: Kept) -> None:
    kept.run(
        "--lxc-on-failure=keep",
        test_it="""
        def test_fails(container):
            container.kill()
            container.wait("STOPPED")
            assert False
        """,
    )
    (found,) = kept.list()
    assert (found.status.state, found.status.exit_code) == ("STOPPED", 137)


@pytest.mark.needs_xdist
def test_under_xdist(kept: Kept) -> None:
    test = FAILS + "\n    def test_passes(container): pass\n    def test_fails_too(container): assert False"
    result = kept.run("-n2", "--lxc-on-failure=keep", test_it=test)
    result.assert_outcomes(passed=1, failed=2)
    assert {each.record.test for each in kept.list()} == {"test_it.py::test_fails", "test_it.py::test_fails_too"}
    for each in kept.list():
        assert each.id in lines(result)


def test_later_runs_are_none_the_worse(kept: Kept) -> None:
    for _ in range(2):
        kept.run("--lxc-on-failure=keep", test_it=FAILS).assert_outcomes(failed=1)
    kept.run(test_it="def test_passes(container): assert container.ip").assert_outcomes(passed=1)
    assert len({each.run_id for each in kept.list()}) == 2


def test_no_more_than_the_most_are_kept(kept: Kept, mirror: str) -> None:
    for number in range(3):
        kept.run("--lxc-on-failure=keep", **{f"test_{number}": FAILS}, test_it="")
        (kept.inner.path / f"test_{number}.py").unlink()
    with Provisioner(Settings(store=kept.store, mirrors=parse_mirrors(mirror))) as provisioner:
        provisioner.forget_kept(2)
    deadline = time.monotonic() + 10
    while len(kept.list()) > 2:
        assert time.monotonic() < deadline
    assert {each.record.test for each in kept.list()} == {"test_1.py::test_fails", "test_2.py::test_fails"}


def test_of_many_failures_the_first_are_kept(kept: Kept) -> None:
    result = kept.run(
        "--lxc-on-failure=keep",
        test_it="""
        import pytest
        @pytest.mark.parametrize("number", range(12))
        def test_fails(container, number): assert False
        """,
    )
    result.assert_outcomes(failed=12)
    assert {each.record.test for each in kept.list()} == {f"test_it.py::test_fails[{number}]" for number in range(10)}
    result.stdout.fnmatch_lines(["not kept: 10 tests' containers have been kept already"])


def test_a_killed_run_leaves_what_it_had_kept_until_then(kept: Kept) -> None:
    tests = FAILS + "\n    def test_hangs(container):\n        import os\n        os.kill(os.getpid(), 9)"
    kept.run("--lxc-on-failure=keep", test_it=tests)
    assert [each.record.test for each in kept.list()] == ["test_it.py::test_fails"]


def test_it_is_chosen_in_the_ini_file_and_the_environment(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.inner.pytester.makeini("[pytest]\nlxc_on_failure = keep")
    kept.run(test_it=FAILS)
    assert len(kept.list()) == 1
    monkeypatch.setenv("LXCONTAINER_ON_FAILURE", "destroy")
    kept.run(test_it=FAILS)
    assert len(kept.list()) == 1


def test_another_word_is_refused(kept: Kept) -> None:
    result = kept.run("--lxc-on-failure=burn", test_it=FAILS)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--lxc-on-failure: 'burn' is none of: destroy, keep, save*"])
