"""Tests find the same with the pool and without it."""

from __future__ import annotations

import signal

import pytest

from .conftest import Inner, lines

pytestmark = pytest.mark.usefixtures("mirror")

TWENTY = """
    import os
    import time
    from pathlib import Path

    import pytest
    from pytest_lxcontainer import lxc_container, wait

    web = lxc_container(
        "busybox", command="mkdir /tmp/web; echo served; httpd -p 8080 -h /tmp/web; exec sleep 1000",
        ready=wait.http("/", port=8080, status=404), hostname="web", env={"GREETING": "hello"},
    )
    either = lxc_container(params=["busybox", {"image": "busybox", "hostname": "other"}])

    def note(container):
        words = [container.id, container.ip, str(getattr(container, "was_started", False))]
        (Path(os.environ["NOTES"]) / container.id).write_text(" ".join(words))

    def is_new(container):
        note(container)
        own = [line.split() for line in container.read_text("/etc/hosts").splitlines() if "::" not in line]
        assert [container.ip, container.hostname] in own
        assert {line[0] for line in own} == {"127.0.0.1", container.ip}
        assert container.check_output("hostname") == container.hostname
        assert container.ip in container.check_output("ip -4 addr show eth0")
        assert container.running and not container.exists("/mine")
        container.write_text("/mine", "")

    @pytest.mark.parametrize("number", range(8))
    @pytest.mark.container("busybox", command="echo up; exec sleep 1000", ready=wait.log("up"))
    def test_marked(container, number):
        is_new(container)
        assert container.logs() == "up\\n"

    @pytest.mark.parametrize("number", range(8))
    def test_fixture(web, number):
        begin = time.time() - 60
        is_new(web)
        assert web.hostname == "web" and web.env["GREETING"] == "hello"
        assert web.logs(since=begin) == web.logs() == "served\\n"
        assert web.check_output("echo $GREETING") == "hello"

    @pytest.mark.parametrize("number", range(2))
    def test_params(either, number):
        is_new(either)
"""

WORKERS = [
    pytest.param((), id="one process"),
    pytest.param(("-n", "2"), id="two workers", marks=pytest.mark.needs_xdist),
]
COUNT = 8 + 8 + 4


class Notes:
    """What each test noted of its container."""

    def __init__(self, inner: Inner, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self._directory = inner.path / name
        self._directory.mkdir()
        monkeypatch.setenv("NOTES", str(self._directory))

    def read(self) -> list[list[str]]:
        return [path.read_text().split() for path in self._directory.iterdir()]

    def check(self) -> None:
        """No id and no address came twice."""
        ids, ips, _ = (set(column) for column in zip(*self.read(), strict=True))
        assert (len(ids), len(ips)) == (COUNT, COUNT)

    @property
    def pooled(self) -> int:
        return sum(words[2] == "True" for words in self.read())


@pytest.mark.parametrize("workers", WORKERS)
def test_twenty_tests_find_the_same_with_a_pool_and_without(
    inner: Inner, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...]
) -> None:
    outcomes = []
    for options in (("--lxc-pool=0",), ("--lxc-pool=2",), ()):
        notes = Notes(inner, "".join(options) or "auto", monkeypatch)
        result = inner.run("-v", *workers, *options, test_it=TWENTY)
        result.assert_outcomes(passed=COUNT)
        outcomes.append(sorted(line.split("[")[0] for line in lines(result).splitlines() if "PASSED" in line))
        notes.check()
        assert (notes.pooled == 0) == (options == ("--lxc-pool=0",))
    assert outcomes[0] == outcomes[1] == outcomes[2] or workers


def test_clones_of_a_template_are_pooled(inner: Inner, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = Notes(inner, "notes", monkeypatch)
    test = """
        import os
        from pathlib import Path
        import pytest
        from pytest_lxcontainer import lxc_container, lxc_template

        box = lxc_container(lxc_template("busybox", prepare=lambda box: box.write_text("/seed", "KEY")))

        @pytest.mark.parametrize("number", range(6))
        def test_it(box, number):
            assert box.read_text("/seed") == "KEY"
            (Path(os.environ["NOTES"]) / box.id).write_text(f"- - {box.was_started}")
            box.write_text("/seed", "spoilt")
    """
    inner.run(test_it=test.replace("KEY", str(inner.path))).assert_outcomes(passed=6)
    assert notes.pooled > 0


def test_a_suite_that_ends_early_leaves_nothing(inner: Inner) -> None:
    test = """
        import pytest

        @pytest.mark.parametrize("number", range(20))
        @pytest.mark.container("busybox")
        def test_it(container, number):
            assert number != 3
    """
    inner.run("-x", "--lxc-pool=4", test_it=test).assert_outcomes(passed=3, failed=1)


def test_an_interrupt_leaves_nothing(inner: Inner) -> None:
    test = """
        import time
        from pathlib import Path
        import pytest

        @pytest.mark.parametrize("number", range(20))
        @pytest.mark.container("busybox")
        def test_it(container, number):
            if number == 2:
                Path("reached").write_text("here")
                time.sleep(60)
    """
    process = inner.start("--lxc-pool=4", test_it=test)
    inner.reached("reached")
    process.send_signal(signal.SIGINT)
    process.wait(30)
    assert "KeyboardInterrupt" in inner.log.read_text()


def test_the_last_tests_find_their_containers_failing_as_any(inner: Inner) -> None:
    test = """
        import pytest

        @pytest.mark.parametrize("number", range(4))
        @pytest.mark.container("busybox", command="echo because; exit 3")
        def test_it(container, number):
            pass
    """
    result = inner.run(test_it=test)
    result.assert_outcomes(errors=4)
    assert lines(result).count("ended as soon as it was started, with exit code 3") >= 4
    assert lines(result).count("STOPPED, exit code 3") == 4


@pytest.mark.parametrize("value", ["some", "-1", "1.5"])
def test_a_pool_has_a_number_of_clones(inner: Inner, value: str) -> None:
    result = inner.run(f"--lxc-pool={value}", test_it="def test_it(container): pass")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"'{value}' is no size of a pool" in lines(result)


@pytest.mark.parametrize("place", ["option", "environment", "ini"])
def test_it_is_switched_off_anywhere(inner: Inner, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    notes = Notes(inner, "notes", monkeypatch)
    if place == "environment":
        monkeypatch.setenv("LXCONTAINER_POOL", "0")
    inner.pytester.makeini(f"[pytest]\nlxc_pool = {0 if place == 'ini' else 'auto'}\n")
    inner.run(*(["--lxc-pool=0"] if place == "option" else []), test_it=TWENTY).assert_outcomes(passed=COUNT)
    assert notes.pooled == 0


MODULE = """
    import os
    from pathlib import Path
    import pytest
    from pytest_lxcontainer import lxc_container, wait

    command = "echo MODULE; exec sleep 1000"
    box = lxc_container("busybox", env={"WHO": "MODULE"}, command=command, ready=wait.log("MODULE"))

    def check(container, who):
        (Path(os.environ["NOTES"]) / container.id).write_text(f"- - {container.was_started}")
        assert (container.env["WHO"], container.check_output("echo $WHO"), container.logs()) == (who, who, f"{who}\\n")

    @pytest.mark.parametrize("number", range(4))
    class TestIt:
        def test_fixture(self, box, number):
            check(box, "MODULE")

        @pytest.mark.container(
            "busybox", env={"WHO": "marked"}, command="echo marked; exec sleep 1000", ready=wait.log("marked")
        )
        def test_marker(self, container, number):
            check(container, "marked")
"""


@pytest.mark.parametrize("workers", WORKERS)
def test_modules_that_ask_otherwise_have_their_own(
    inner: Inner, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...]
) -> None:
    notes = Notes(inner, "notes", monkeypatch)
    modules = {f"test_{name}": MODULE.replace("MODULE", name) for name in ("one", "other")}
    inner.run(*workers, **modules).assert_outcomes(passed=16)
    assert notes.pooled > 0


def test_tests_that_fail_before_between_and_after_leave_the_next_ones_theirs(
    inner: Inner, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = Notes(inner, "notes", monkeypatch)
    test = """
        import os
        from pathlib import Path
        import pytest
        from pytest_lxcontainer import lxc_container

        box = lxc_container("busybox", env={"A": "b"})

        @pytest.fixture
        def before(request):
            assert request.node.callspec.params["number"] != 2

        @pytest.fixture
        def after(box, request):
            box.write_text("/mine", "")
            assert request.node.callspec.params["number"] != 4
            yield
            assert request.node.callspec.params["number"] != 6

        @pytest.mark.parametrize("number", range(10))
        @pytest.mark.container("busybox")
        def test_it(before, box, after, container, number):
            for each in (box, container):
                (Path(os.environ["NOTES"]) / each.id).write_text(f"- - {each.was_started}")
            assert box.listdir("/").count("mine") == 1 and not container.exists("/mine")
            assert box.id != container.id and container.hostname in box.read_text("/etc/hosts")
            if number == 8:
                container.kill()
            assert number != 8
    """
    result = inner.run(test_it=test)
    result.assert_outcomes(passed=7, failed=1, errors=3)
    assert len(notes.read()) == 2 * 8
    assert notes.pooled > 0


def test_an_interrupt_of_who_waits_for_one_leaves_nothing(inner: Inner) -> None:
    test = """
        from pathlib import Path
        import pytest
        from pytest_lxcontainer import wait

        @pytest.fixture
        def before(number):
            if number == 1:
                Path("reached").write_text("here")

        @pytest.mark.parametrize("number", range(5))
        @pytest.mark.container("busybox", command="sleep 1.5; touch /up; exec sleep 1000", ready=wait.file("/up"))
        def test_it(before, container, number):
            pass
    """
    process = inner.start("--lxc-pool=4", test_it=test)
    inner.reached("reached")
    process.send_signal(signal.SIGINT)
    process.wait(30)
    assert "KeyboardInterrupt" in inner.log.read_text()
