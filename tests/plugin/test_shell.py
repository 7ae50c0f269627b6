"""``--lxc-shell`` as somebody at a terminal has it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ..fakes.person import Person
from .conftest import Inner, lines

pytestmark = pytest.mark.usefixtures("mirror")

CONTAINERS = """
    import pytest
    from pytest_lxcontainer import lxc_container

    box = lxc_container("busybox", command=["sleep", "100"], name="box")
    shared = lxc_container("busybox", command=["sleep", "100"], name="shared", scope="module")
"""

Spawn = Callable[..., Person]


@pytest.fixture
def at_terminal(inner: Inner) -> Iterator[Spawn]:
    """Runs pytest with ``--lxc-shell`` on a terminal."""
    people: list[Person] = []

    def spawn(*options: str, tests: str, **given: Any) -> Person:
        inner.write(conftest=CONTAINERS, test_it=tests)
        command = [sys.executable, "-m", "pytest", *inner.options, "--lxc-shell", *options]
        people.append(Person(command, cwd=str(inner.path), **given))
        return people[-1]

    yield spawn
    for person in people:
        person.close(force=True)


def test_a_failed_test_leads_to_a_shell_in_its_container(at_terminal: Spawn) -> None:
    person = at_terminal(
        tests="""
            def test_it(box):
                print("captured words")
                box.write_text("/tmp/note", "found it")
                assert 1 == 2

            def test_next(box): pass
        """
    )
    person.sees(r">+ lxc shell: test_it.py::test_it \(call\) >+")
    person.sees("assert 1 == 2")
    person.sees("captured words")
    person.sees(r"container box \(busybox:latest, RUNNING\); leave with exit or Ctrl-D")
    person.sees("# ")
    person.sendline("cat /tmp/note; hostname; tty")
    person.sees("found itbox\r\n/dev/pts/0")
    person.sendcontrol("d")
    person.sees("going on with the teardown")
    person.sees("1 failed, 1 passed")
    assert person.leaves() == 1


def test_the_tests_after_it_are_captured_again(at_terminal: Spawn) -> None:
    person = at_terminal(
        tests="""
            def test_it(box): assert 0
            def test_next(): print("not to be " + "seen")
        """
    )
    person.sees("# ")
    person.sendline("exit 3")
    person.sees("going on")
    assert "not to be seen" not in person.read()


@pytest.mark.parametrize(
    ("tests", "when"),
    [
        (
            """
            import pytest

            @pytest.fixture
            def broken(box): assert 0

            def test_it(broken): pass
            """,
            "setup",
        ),
        (
            """
            import pytest

            @pytest.fixture
            def broken(box):
                yield
                assert 0

            def test_it(broken): pass
            def test_next(box): pass
            """,
            "teardown",
        ),
    ],
)
@pytest.mark.parametrize("scope", ["box", "shared"])
def test_so_does_a_failed_set_up_or_teardown(at_terminal: Spawn, tests: str, when: str, scope: str) -> None:
    person = at_terminal(tests=tests.replace("box", scope))
    if (when, scope) == ("teardown", "box"):
        # When its teardown has failed, what only this test had is gone.
        person.sees("1 error")
        return
    person.sees(rf">+ lxc shell: test_it.py::test_it \({when}\) >+")
    person.sees("# ")
    person.sendline("hostname")
    person.sees(f"\n{scope}\r\n")
    person.sendline("exit")
    person.sees("1 error")


def test_skips_xfails_and_passes_do_not(at_terminal: Spawn) -> None:
    person = at_terminal(
        tests="""
            import pytest
            def test_skip(box): pytest.skip("now")
            @pytest.mark.xfail
            def test_xfail(box): assert 0
            def test_pass(box): pass
            def test_without_containers(): assert 0
        """
    )
    person.sees("1 failed, 1 passed, 1 skipped, 1 xfailed")
    assert "lxc shell:" not in str(person.before)


def test_of_several_containers_each_can_be_visited(at_terminal: Spawn) -> None:
    person = at_terminal(
        tests="""
            def test_it(containers):
                containers.run("busybox", ["sleep", "100"], name="db")
                containers.run("busybox", ["sleep", "100"], name="app")
                gone = containers.run("busybox", ["sleep", "100"], name="gone")
                gone.kill()
                gone.wait("STOPPED")
                assert 0
        """
    )
    person.sees(r"1  gone \(busybox:latest, STOPPED, exit code 137\)\r\n")
    person.sees(r"2  app \(busybox:latest, RUNNING\)\r\n")
    person.sees(r"3  db \(busybox:latest, RUNNING\)\r\n")
    person.sees("shell in which")
    person.sendline("")
    person.sees("no shell in container gone .*: it does not run")
    person.sees("shell in which")
    person.sendline("3")
    person.sees("# ")
    person.sendline("hostname; exit")
    person.sees("\ndb\r\n")
    person.sees("shell in which")
    person.sendline("nobody")
    person.sees("there is no 'nobody'")
    person.sendline("app")
    person.sees("# ")
    person.sendline("hostname; exit")
    person.sees("\napp\r\n")
    person.sees("shell in which")
    person.sendline("q")
    person.sees("going on with the teardown")
    person.sees("1 failed")


def test_ctrl_d_at_the_question_goes_on(at_terminal: Spawn) -> None:
    person = at_terminal(tests="def test_it(box, shared): assert 0")
    person.sees("shell in which")
    person.sendcontrol("d")
    person.sees("going on with the teardown")
    person.sees("1 failed")


def test_ctrl_c_in_the_shell_is_the_shells(at_terminal: Spawn) -> None:
    person = at_terminal(tests="def test_it(box): assert 0")
    person.sees("# ")
    person.sendline("sh -c 'echo ready; sleep 999'")
    person.sees("\r\nready\r\n")
    person.sendcontrol("c")
    person.sees("# ")
    person.sendline("exit")
    person.sees("1 failed")


def test_a_test_that_has_run_out_of_time_does_not_end_the_shell(at_terminal: Spawn) -> None:
    person = at_terminal(
        "--timeout=2", "--timeout-method=signal",
        tests="""
            import time
            def test_it(box): time.sleep(100)
        """,
    )  # fmt: skip
    person.sees(r"Timeout \(>2")
    person.sees("# ")
    person.sendline("sleep 3; echo still $((40 + 2))")
    person.sees("still 42")
    person.sendline("exit")
    person.sees("1 failed")


@pytest.mark.needs_cgroups
def test_a_frozen_container_is_thawed_meanwhile(at_terminal: Spawn, inner: Inner) -> None:
    person = at_terminal(
        tests="""
            from pathlib import Path
            import pytest

            @pytest.fixture
            def watched(shared):
                yield shared

            def test_it(watched):
                watched.freeze()
                assert 0

            def test_next(shared):
                Path("state").write_text(shared.state)
                shared.unfreeze()
        """
    )
    person.sees("FROZEN")
    person.sees("# ")
    person.sendline("echo up")
    person.sees("up\r\n")
    person.sendline("exit")
    person.sees("1 failed")
    assert (inner.path / "state").read_text() == "FROZEN"


@pytest.mark.parametrize("options", [["-s"], ["--capture=sys"], ["--pdb"]])
def test_it_goes_with_other_options(at_terminal: Spawn, options: list[str]) -> None:
    person = at_terminal(*options, tests="def test_it(box): assert 0")
    if options == ["--pdb"]:
        left = {r"\(Pdb\) ": "c", "# ": "exit"}
        while left:
            number = person.expect(list(left))
            person.sendline(left.pop(list(left)[number]))
    else:
        person.sees("# ")
        person.sendline("exit")
    person.sees("1 failed")


def test_without_a_terminal_it_says_so_once(inner: Inner) -> None:
    result = inner.run(
        "--lxc-shell",
        conftest=CONTAINERS,
        test_it="""
            def test_one(box): assert 0
            def test_two(box): assert 0
        """,
    )
    result.assert_outcomes(failed=2)
    assert lines(result).count("--lxc-shell: stdin is no terminal") == 1


@pytest.mark.needs_xdist
@pytest.mark.parametrize("options", [["-n1"], ["-n", "auto"], ["-d", "--tx=popen"]])
def test_with_workers_it_is_refused(inner: Inner, options: list[str]) -> None:
    result = inner.run("--lxc-shell", *options, test_it="def test_it(): pass")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "cannot be used with -n" in lines(result)


@pytest.mark.needs_xdist
def test_without_workers_it_is_not(inner: Inner) -> None:
    inner.run("--lxc-shell", "-n0", test_it="def test_it(): pass").assert_outcomes(passed=1)
