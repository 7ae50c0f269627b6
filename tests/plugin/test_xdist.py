"""Workers share one run: images are pulled once, containers never collide, and nothing stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..fakes.registry import FakeRegistry
from ..system.leaks import Leaks
from .conftest import Inner, lines

pytestmark = pytest.mark.usefixtures("mirror")

TWELVE = """
    import os, time
    from pathlib import Path

    import pytest

    @pytest.mark.parametrize("number", range(12))
    def test_it(container, request, number):
        run = request.getfixturevalue("_lxc_provisioner").identity.run_id
        Path(f"note-{number}").write_text(f"{container.ip} {container.id} {run} {os.getpid()}")
        time.sleep(0.1)
        assert container.check_output(f"echo {number}") == str(number)
"""


def notes(inner: Inner) -> list[list[str]]:
    return [path.read_text().split() for path in inner.path.glob("note-*")]


def test_four_workers_pull_once_and_never_collide(
    inner: Inner, own_store: Path, busybox_registry: FakeRegistry
) -> None:
    options = ("-n", "4", f"--lxc-store={own_store}", f"--lxc-image={busybox_registry.host}/box:1")
    with Leaks(own_store) as leaks:
        leaks.snapshot()
        inner.run(*options, test_it=TWELVE).assert_outcomes(passed=12)
        leaks.assert_nothing_new()
    # A config and a layer.
    assert busybox_registry.count("GET", "blobs") == 2
    ips, ids, runs, workers = (set(column) for column in zip(*notes(inner), strict=True))
    # An address given back is the last to be handed out again.
    assert (len(ids), len(ips)) == (12, 12)
    assert leaks.run_ids == runs and len(runs) == 1
    assert 2 <= len(workers) <= 4


def test_a_worker_that_crashes_leaves_nothing_and_the_others_go_on(inner: Inner, leaks: Leaks) -> None:
    test = """
        import os
        import pytest

        @pytest.mark.parametrize("number", range(6))
        def test_it(container, number):
            if number == 2:
                os._exit(1)
            assert container.running
    """
    result = inner.run("-n", "2", "--lxc-image=busybox", test_it=test)
    result.assert_outcomes(passed=5, failed=1)
    assert "crashed while running" in lines(result)
    leaks.assert_nothing_new()


def test_a_failure_in_a_worker_shows_the_console(inner: Inner) -> None:
    test = """
        import pytest
        from pytest_lxcontainer import wait

        @pytest.mark.container("busybox", command="echo this is the console; sleep 100", ready=wait.log("console"))
        def test_it(container): assert 0
    """
    result = inner.run("-n", "1", test_it=test)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*- lxc container busybox (busybox:latest) -*", "this is the console"])


def test_a_bad_option_ends_the_run_with_one_usage_error(inner: Inner) -> None:
    result = inner.run("-n", "2", "--lxc-timeout=soon", "--lxc-image=busybox", test_it=TWELVE)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert lines(result).count("'soon' is no timeout") == 1


def test_workers_that_use_no_container_start_no_supervisor(inner: Inner, own_store: Path, leaks: Leaks) -> None:
    leaks.watch(own_store)
    inner.run("-n", "2", f"--lxc-store={own_store}", test_it="def test_it(): pass").assert_outcomes(passed=1)
    assert list((own_store / "runs").iterdir()) == []
