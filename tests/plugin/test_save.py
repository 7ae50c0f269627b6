"""``--lxc-on-failure=save``: what failed tests had is there as images, for whoever wants to see or hand it over."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_lxcontainer.store.layout import Layout
from pytest_lxcontainer.store.saved import SavedStore, SavedTest

from ..fakes.person import Person
from ..system.command import Command
from ..system.leaks import Leaks
from .conftest import Inner, lines

FAILS = """
    from pytest_lxcontainer import wait

    def test_fails(containers):
        db = containers.run("busybox", "sleep 1000", name="db", env={"GREETING": "hello"})
        app = containers.run("busybox", "APP", name="app", ready=READY)
        db.exec("echo found > /evidence", check=True)
        assert 1 == 2
"""
ENDS = FAILS.replace("APP", "echo gone > /last; exit 3").replace("READY", "wait.exit(3)")
RUNS = FAILS.replace("APP", "sleep 1000").replace("READY", "[]")


class Saving:
    """Runs tests on a store of its own, and looks at what is saved there."""

    def __init__(self, inner: Inner, store: Path, mirror: str) -> None:
        self.inner = inner
        self.store = store
        self.lxcontainer = Command(store, mirror)

    def run(self, *options: str, **files: str) -> pytest.RunResult:
        options = ("--lxc-image=busybox", f"--lxc-store={self.store}", "--lxc-on-failure=save", *options)
        return self.inner.run(*options, **files)

    def list(self) -> list[SavedTest]:
        return SavedStore(Layout(self.store)).list()

    def person(self, *words: str) -> Person:
        return Person([sys.executable, "-m", "pytest_lxcontainer.cli", *words], env=self.lxcontainer.environment)


@pytest.fixture
def saving(inner: Inner, own_store: Path, mirror: str, leaks: Leaks) -> Iterator[Saving]:
    leaks.watch(own_store)
    saving = Saving(inner, own_store, mirror)
    yield saving
    saving.lxcontainer.clear()


def test_a_failed_tests_containers_are_saved_together(saving: Saving) -> None:
    result = saving.run(test_it=ENDS)
    result.assert_outcomes(failed=1)
    (saved,) = saving.list()
    assert saved.test == "test_it.py::test_fails"
    assert [(each.name, each.state, each.exit_code) for each in saved.containers] == [
        ("db", "RUNNING", None),
        ("app", "STOPPED", 3),
    ]
    place = f"LXCONTAINER_STORE={saving.store} lxcontainer enter {saved.id}"
    result.stdout.fnmatch_lines_random([f"{place} db", f"{place} app"])
    assert not any(Layout(saving.store).runs_dir.iterdir())


def test_one_walks_in_where_it_failed(saving: Saving) -> None:
    saving.run(test_it=RUNS)
    (saved,) = saving.list()
    person = saving.person("enter", saved.id[:6], "db")
    person.sees("In container db of test_it.py::test_fails")
    person.sees("Beside it: app.")
    person.sendline("cat /evidence; echo $GREETING; ping -c1 -W2 app > /dev/null && echo reached")
    person.sees("found\r\nhello\r\nreached\r\n")
    person.sendline("exit 5")
    assert person.leaves() == 5
    assert not any(Layout(saving.store).runs_dir.iterdir())
    assert [each.id for each in saving.list()] == [saved.id]


def test_what_had_ended_is_told_and_walked_into(saving: Saving) -> None:
    saving.run(test_it=ENDS)
    (saved,) = saving.list()
    person = saving.person("enter", saved.id, "app")
    person.sees("The command of app is not running")
    person.sendline("cat /last; exit")
    person.sees("gone\r\n")
    assert person.leaves() == 0


def test_ps_lists_it_and_rm_forgets_it(saving: Saving) -> None:
    saving.run(test_it="def test_fails(container): assert False")
    (saved,) = saving.list()
    assert "test_fails" not in saving.lxcontainer("ps")
    _, row = saving.lxcontainer("ps", "-a").splitlines()
    assert row.split()[0] == saved.id and row.split()[-1] == "test_it.py::test_fails"
    assert re.search(r" Saved \d+ seconds? ago ", row)
    assert saving.lxcontainer("ps", "-aq") == f"{saved.id}\n"
    assert f"localhost/saved/{saved.id}/" in saving.lxcontainer("images")
    assert saving.lxcontainer("rm", saved.id) == f"{saved.id}\n"
    assert saving.list() == [] and "localhost/saved" not in saving.lxcontainer("images")
    assert "no such container" in saving.lxcontainer.fails("enter", saved.id)


def test_a_colleague_replays_it_with_the_files_alone(saving: Saving, own_store: Path, tmp_path: Path) -> None:
    saving.run(
        test_it="""
        def test_fails(container):
            container.exec("echo found > /evidence", check=True)
            assert False
        """
    )
    (saved,) = saving.list()
    named = saving.lxcontainer("export", saved.id, f"oci:{tmp_path}/failed").strip()
    saving.lxcontainer("rm", saved.id)
    result = saving.inner.run(
        f"--lxc-store={saving.store}",
        f"--lxc-image={named}",
        test_it="""
        def test_replayed(container):
            assert container.read_text("/evidence") == "found\\n"
        """,
    )
    result.assert_outcomes(passed=1)


def test_what_was_kept_is_exported_and_committed_too(saving: Saving, tmp_path: Path) -> None:
    saving.run(
        "--lxc-on-failure=keep",
        test_it="""
        def test_fails(container):
            container.exec("echo found > /evidence", check=True)
            assert False
        """,
    )
    (kept,) = saving.lxcontainer.records()
    assert kept["state"] in ("FROZEN", "RUNNING")
    named = saving.lxcontainer("export", kept["id"], f"oci:{tmp_path}/failed").strip()
    saving.lxcontainer("commit", kept["id"], "localhost/kept:1")
    assert saving.lxcontainer.records()[0]["state"] == kept["state"]
    for image in (named, "localhost/kept:1"):
        saving.lxcontainer("run", "-d", "--name", "again", image, "sleep", "1000")
        assert saving.lxcontainer("exec", "again", "cat", "/evidence") == "found\n"
        saving.lxcontainer("rm", "-f", "again")


def test_with_xdist_every_workers_failures_are_saved(saving: Saving) -> None:
    pytest.importorskip("xdist")
    result = saving.run(
        "-n2",
        test_it="""
        import pytest
        @pytest.mark.parametrize("number", range(4))
        def test_fails(container, number):
            container.write_text("/number", str(number))
            assert number % 2
        """,
    )
    result.assert_outcomes(failed=2, passed=2)
    assert sorted(each.test for each in saving.list()) == [f"test_it.py::test_fails[{number}]" for number in (0, 2)]


def test_what_the_test_has_destroyed_is_not_saved(saving: Saving) -> None:
    result = saving.run(
        test_it="""
        def test_fails(container):
            container.destroy()
            assert "own" == "reason"
        def test_passes(container): pass
        """
    )
    result.assert_outcomes(failed=1, passed=1)
    assert "own" in lines(result) and "INTERNALERROR" not in lines(result)
    assert saving.list() == [] or saving.list()[0].containers == ()
