"""Runs that are interrupted, time out or are killed leave nothing, and end at once."""

from __future__ import annotations

import os
import signal
import time

import pytest

from ..system.leaks import Leaks
from .conftest import Inner, lines

pytestmark = pytest.mark.usefixtures("mirror")

SITS = """
    from pathlib import Path

    def test_sits(container):
        Path("reached").write_text("x")
        container.exec("sleep 4321")
"""


def test_ctrl_c_ends_an_exec_at_once(inner: Inner, leaks: Leaks) -> None:
    process = inner.start("--lxc-image=busybox", test_it=SITS)
    inner.reached("reached")
    time.sleep(0.1)
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == pytest.ExitCode.INTERRUPTED
    assert time.monotonic() - begin < 3
    assert "KeyboardInterrupt" in inner.log.read_text()
    leaks.assert_nothing_new()


def test_ctrl_c_of_a_terminal_reaches_every_process_and_still_clears_up(inner: Inner, leaks: Leaks) -> None:
    # In a terminal the whole process group gets it: the supervisor must not end before pytest has.
    test = """
        import os, signal
        from pathlib import Path

        os.setpgid(0, 0)

        def test_sits(container):
            Path("reached").write_text("x")
            container.exec("sleep 4321")
    """
    process = inner.start("--lxc-image=busybox", test_it=test)
    inner.reached("reached")
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(10) == pytest.ExitCode.INTERRUPTED
    leaks.assert_nothing_new()


def test_ctrl_c_while_a_container_becomes_ready(inner: Inner, leaks: Leaks) -> None:
    test = """
        from pathlib import Path
        from pytest_lxcontainer import lxc_container

        def never(container):
            Path("reached").write_text("x")

        box = lxc_container("busybox", ready=never)

        def test_it(box): pass
    """
    process = inner.start(test_it=test)
    inner.reached("reached")
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == pytest.ExitCode.INTERRUPTED
    leaks.assert_nothing_new()


def test_pytest_timeout_interrupts_an_exec(inner: Inner) -> None:
    begin = time.monotonic()
    result = inner.run("--lxc-image=busybox", "--timeout=1", "--timeout-method=signal", test_it=SITS)
    assert time.monotonic() - begin < 10
    result.assert_outcomes(failed=1)
    assert "Timeout (>1.0s)" in lines(result)
    # The interrupted command ended with its container, and the report still tells of that.
    assert "lxc container busybox" in lines(result)


def test_pytest_timeout_by_thread_ends_everything(inner: Inner, leaks: Leaks) -> None:
    result = inner.run("--lxc-image=busybox", "--timeout=1", "--timeout-method=thread", test_it=SITS)
    assert result.ret != 0
    assert "Timeout" in result.stdout.str() + result.stderr.str()
    leaks.assert_nothing_new()


def test_after_a_timeout_the_container_goes_on_without_the_command(inner: Inner) -> None:
    result = inner.run(
        "--timeout-method=signal",
        conftest="""
            from pytest_lxcontainer import lxc_container
            box = lxc_container("busybox", scope="module")
        """,
        test_it="""
            import time
            import pytest

            @pytest.mark.timeout(1)
            def test_sits(box):
                box.exec("sleep 4321")

            def test_next(box):
                box.wait_for(lambda each: "sleep 4321" not in each.check_output("ps"), timeout=5)
        """,
    )
    result.assert_outcomes(failed=1, passed=1)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_pytest_leaves_nothing(inner: Inner, leaks: Leaks, number: signal.Signals) -> None:
    process = inner.start("--lxc-image=busybox", test_it=SITS)
    inner.reached("reached")
    process.send_signal(number)
    process.wait(10)
    leaks.assert_nothing_new()


def test_a_test_that_ends_the_process_leaves_nothing(inner: Inner, leaks: Leaks) -> None:
    result = inner.run("--lxc-image=busybox", test_it="import os\ndef test_it(container): os._exit(9)")
    assert result.ret == 9
    leaks.assert_nothing_new()


def test_a_test_that_forks_keeps_its_container(inner: Inner) -> None:
    test = """
        import os

        def test_it(container):
            pid = os.fork()
            if pid == 0:
                os._exit(0)
            os.waitpid(pid, 0)
            assert container.check_output("echo here") == "here"
    """
    inner.run("--lxc-image=busybox", "-W", "ignore", test_it=test).assert_outcomes(passed=1)


def test_exit_first_and_pdb_free_ends_clear_up(inner: Inner, leaks: Leaks) -> None:
    test = """
        def test_one(container): assert 0
        def test_two(container): pass
    """
    inner.run("-x", "--lxc-image=busybox", test_it=test).assert_outcomes(failed=1)
    leaks.assert_nothing_new()
