"""Containers beside what else people run their tests with: doctests, unittest, reruns, another order, early ends."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from ..system.leaks import Leaks
from .conftest import Inner, lines

pytestmark = pytest.mark.usefixtures("mirror")

CHOICES = [pytest.param([], id="alone")] + [pytest.param(["-n", "2"], id="xdist")] * bool(find_spec("xdist"))
WORKERS = pytest.mark.parametrize("workers", CHOICES)

BOXES = """
    from pytest_lxcontainer import lxc_container

    box = lxc_container("busybox", name="box")
    for_class = lxc_container("busybox", scope="class")
    for_module = lxc_container("busybox", scope="module")
    for_run = lxc_container("busybox", scope="run")
"""


def test_doctests_ask_for_containers_by_name(inner: Inner) -> None:
    text = '''
        """A module.

        >>> box = getfixture("box")
        >>> box.check_output("hostname")
        'box'
        >>> getfixture("container").running, getfixture("for_module").running
        (True, True)
        >>> getfixture("containers").run("busybox", name="other").name
        'other'
        """
    '''
    result = inner.run("--doctest-modules", "--lxc-image=busybox", "--lxc-image=debian:bookworm-slim",
                       conftest=BOXES, documented=text)  # fmt: skip
    result.assert_outcomes(passed=1)


def test_an_autouse_container_serves_doctests_and_shows_with_their_failures(inner: Inner) -> None:
    conftest = """
        import pytest
        from pytest_lxcontainer import lxc_container, wait

        box = lxc_container("busybox", command="echo heard; sleep 1000", ready=wait.log("heard"))

        @pytest.fixture(autouse=True)
        def named(doctest_namespace, box): doctest_namespace["box"] = box
    """
    (inner.path / "test_text.txt").write_text(">>> box.check_output('echo 1')\n'2'\n")
    result = inner.run("--doctest-glob=*.txt", conftest=conftest)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*- lxc container busybox (busybox:latest) -*", "heard"])


def test_cases_of_unittest_use_fixtures(inner: Inner) -> None:
    test = """
        import unittest
        import pytest

        @pytest.mark.usefixtures("for_run")
        @pytest.mark.container("busybox", hostname="marked")
        class TestCase(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def _containers(self, container, for_class):
                self.container, self.shared = container, for_class

            def test_one(self):
                self.shared.write_text("/one", self.container.id)
                self.assertEqual(self.container.hostname, "marked")

            def test_two(self):
                self.assertNotEqual(self.shared.read_text("/one"), self.container.id)

        class TestAsync(unittest.IsolatedAsyncioTestCase):
            @pytest.fixture(autouse=True)
            def _box(self, box): self.box = box

            async def test_it(self): self.assertTrue(self.box.running)
    """
    inner.run(conftest=BOXES, test_it=test).assert_outcomes(passed=3)


def test_used_fixtures_need_no_name(inner: Inner, leaks: Leaks) -> None:
    test = """
        import pytest
        from pytest_lxcontainer import lxc_container
        made = []
        counted = lxc_container("busybox", scope="class", ready=lambda container: made.append(container) or True)

        @pytest.mark.usefixtures("counted")
        class TestIt:
            def test_one(self): assert len(made) == 1 and made[0].running
            def test_two(self): assert len(made) == 1 and made[0].running

        def test_after(): assert made[0].state == "STOPPED"
    """
    inner.run(test_it=test).assert_outcomes(passed=3)
    leaks.assert_nothing_new()


def test_parameters_may_carry_marks(inner: Inner) -> None:
    result = inner.run(
        "-v",
        test_it="""
            import pytest
            from pytest_lxcontainer import lxc_container
            from pytest_lxcontainer.errors import StartFailedError

            xfail = pytest.mark.xfail(raises=StartFailedError, strict=True)
            box = lxc_container(params=[
                "busybox",
                pytest.param("no/such:1", marks=pytest.mark.skip(reason="not today")),
                pytest.param({"image": "busybox", "command": ["no-such"]}, marks=xfail, id="bad"),
            ])
            def test_it(box): assert box.running
        """,
    )
    result.assert_outcomes(passed=1, skipped=1, xfailed=1)


RERUN = """
    from pathlib import Path
    import pytest

    def times(name):
        path = Path(name)
        path.write_text(path.read_text() + "x" if path.exists() else "x")
        return len(path.read_text())

    def test_call(container, for_module, for_run):
        assert not container.exists("/mark")
        container.write_text("/mark", "")
        for_module.write_text(f"/{times('call')}", "")
        assert len([each for each in for_module.listdir("/") if each.isdigit()]) == times("again")
        assert for_run.running and times("last") == 3

    @pytest.fixture
    def fails_first(container):
        assert times("set-up") > 1
        return container

    def test_set_up(fails_first): assert fails_first.running
"""


@WORKERS
def test_a_test_that_is_run_again_has_a_fresh_container(inner: Inner, leaks: Leaks, workers: list[str]) -> None:
    options = ("--reruns=2", "--lxc-image=busybox", *workers)
    result = inner.run(*options, conftest=BOXES, test_it=RERUN)
    result.assert_outcomes(passed=2)
    assert "3 rerun" in lines(result)
    leaks.assert_nothing_new()


def test_a_container_that_did_not_start_is_started_anew_when_its_test_is_run_again(inner: Inner) -> None:
    test = """
        from pathlib import Path
        from pytest_lxcontainer import lxc_container, wait

        def second_time(container):
            path = Path(container.image.title[:3])
            if path.exists():
                return True
            path.write_text("x")
            raise OSError("not yet")

        def made(scope):
            return lxc_container("busybox", scope=scope, ready=second_time, timeout=0.5)

        box = made("SCOPE")
        def test_it(box): assert box.running
    """
    # What retries within the container's time is ready in the end: only a start that fails is tried by others.
    for scope in ("function", "module"):
        result = inner.run("--reruns=1", test_it=test.replace("SCOPE", scope))
        result.assert_outcomes(passed=1)


SHUFFLED = """
    import random

    def pytest_collection_modifyitems(items):
        random.Random(SEED).shuffle(items)

    def pytest_runtest_setup(item):
        random.seed(0)
"""


@pytest.mark.parametrize("seed", [1, 2])
def test_any_order_of_tests_serves(inner: Inner, leaks: Leaks, seed: int) -> None:
    test = """
        import pytest

        @pytest.mark.parametrize("number", range(6))
        class TestIt:
            def test_own(self, box, for_module, number): assert box.running and for_module.running
            def test_class(self, for_class, for_run, number): assert for_class.running and for_run.running
    """
    conftest = BOXES + SHUFFLED.replace("SEED", str(seed))
    inner.run(conftest=conftest, test_1=test, test_2=test).assert_outcomes(passed=24)
    leaks.assert_nothing_new()


@pytest.mark.parametrize("option", ["-x", "--maxfail=2"])
@WORKERS
def test_an_early_end_leaves_nothing(inner: Inner, leaks: Leaks, option: str, workers: list[str]) -> None:
    test = """
        import pytest

        @pytest.mark.parametrize("number", range(10))
        def test_it(box, for_module, for_run, number): assert number < 3
    """
    result = inner.run(option, *workers, conftest=BOXES, test_it=test)
    assert result.ret == pytest.ExitCode.TESTS_FAILED if not workers else result.ret != pytest.ExitCode.OK
    leaks.assert_nothing_new()
