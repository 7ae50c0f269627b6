"""`--lxc-durations` and `--lxc-report`: what a run's containers took, in the terminal and as a page."""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from .conftest import Inner, Project, lines

pytestmark = pytest.mark.usefixtures("mirror")

TESTS = """
    import pytest
    from pytest_lxcontainer import lxc_container, wait

    shared = lxc_container("busybox", scope="session", name="shared")

    @pytest.mark.parametrize("number", range(3))
    @pytest.mark.container("busybox", command="sleep 0.05; echo up; sleep 100", ready=wait.log("up"))
    def test_it(container, number):
        container.exec("sleep 0.02")
        assert number != 1

    def test_shared(shared):
        shared.exec("sleep 0.3")

    def test_alone(): pass
"""


def model_in(path: Path) -> dict[str, Any]:
    """The data of a page."""
    text = path.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    model: dict[str, Any] = json.loads(found[1])
    return model


def operations_of(model: dict[str, Any], test: str) -> list[tuple[str, str]]:
    """Name and phase of each operation that a test waited for."""
    (place,) = (place for place, each in enumerate(model["tests"]) if each["id"].endswith(test))
    phases = ("setup", "call", "teardown")
    return [(model["names"][each[0]], phases[each[5]]) for each in model["operations"] if each[4] == place]


def test_the_slowest_operations_are_listed_with_who_paid_for_them(inner: Inner) -> None:
    result = inner.run("--lxc-durations=1", test_it=TESTS.replace("sleep 0.3", "sleep 2"))
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*= slowest 1 container operations =*",
            "2.*s exec     shared-* (busybox:latest)*test_it.py::test_shared (call)",
        ]
    )
    assert len([line for line in result.outlines if re.match(r"\d+\.\d\ds ", line)]) == 1


def test_all_are_listed_when_asked_for(inner: Inner) -> None:
    result = inner.run("--lxc-durations=0", "-vv", test_it=TESTS)
    listed = [line.split()[1] for line in result.outlines if re.match(r"\d+\.\d\ds ", line)]
    assert {"start", "ready", "exec", "destroy"} <= set(listed)
    assert {"clone", "pool"} & set(listed)
    assert "operations < 0.005s hidden" not in lines(result)
    assert "operations < 0.005s hidden" in lines(inner.run("--lxc-durations=0", test_it=TESTS))


def test_a_pull_and_what_it_unpacked_are_listed(project: Project) -> None:
    result = project.run("--lxc-durations=0", "-vv", test_it='def test_it(containers): containers.run("BOX:1")')
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines_random(
        ["*s pull     *box:1 *test_it.py::test_it (call)", "*s unpack   *box:1 *test_it.py::test_it (call)"]
    )


def test_a_template_is_listed(inner: Inner) -> None:
    test = """
        from pytest_lxcontainer import lxc_container, lxc_template

        made = lxc_container(lxc_template("busybox", prepare=lambda box: box.exec("sleep 0.1"), key="TIMES"))

        def test_it(made): pass
    """
    result = inner.run("--lxc-durations=0", test_it=test.replace("TIMES", str(time.time())))
    result.stdout.fnmatch_lines(["*s template busybox:latest+<lambda>*test_it.py::test_it (setup)"])


def test_nothing_is_listed_where_nothing_was_done(inner: Inner) -> None:
    assert "container operations" not in lines(inner.run("--lxc-durations=5", test_it="def test_it(): pass"))


def test_nothing_is_listed_unless_asked_for(inner: Inner) -> None:
    assert "container operations" not in lines(inner.run(test_it=TESTS))


@pytest.mark.parametrize("value", ["-1", "many", "1.5"])
def test_what_is_no_number_is_a_usage_error(inner: Inner, value: str) -> None:
    result = inner.run(f"--lxc-durations={value}", test_it=TESTS)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"'{value}' is no number of operations" in lines(result) and "Traceback" not in lines(result)


def test_the_options_may_be_in_the_environment_and_the_ini_file(inner: Inner, monkeypatch: pytest.MonkeyPatch) -> None:
    inner.pytester.makeini("[pytest]\nlxc_durations = 1\nlxc_report = pages/run.html\n")
    assert "slowest 1 container operations" in lines(inner.run(test_it=TESTS))
    assert model_in(inner.path / "pages" / "run.html")["tests"]
    monkeypatch.setenv("LXCONTAINER_DURATIONS", "2")
    monkeypatch.setenv("LXCONTAINER_REPORT", "other.html")
    assert "slowest 2 container operations" in lines(inner.run(test_it=TESTS))
    assert (inner.path / "other.html").exists()


def test_the_page_has_tests_containers_images_and_what_was_waited_for(inner: Inner) -> None:
    result = inner.run("--lxc-report=new/run.html", test_it=TESTS)
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines([f"*- lxc report: {inner.path}/new/run.html -*"])
    model = model_in(inner.path / "new" / "run.html")
    outcomes = {each["id"].rpartition("::")[2]: each["outcome"] for each in model["tests"]}
    assert outcomes == {
        "test_it[0]": "passed", "test_it[1]": "failed", "test_it[2]": "passed", "test_shared": "passed",
        "test_alone": "passed",
    }  # fmt: skip
    assert len(model["containers"]) == 4 and model["workers"] == [""]
    (image,) = model["images"]
    assert image["title"] == "busybox:latest" and image["digest"].startswith("sha256:") and image["containers"] == 4
    assert len(image["layers"]) == 1 and image["size"] > 100_000
    first = operations_of(model, "test_it[0]")
    assert [each for each in first if each[0] != "pull"] == [
        ("clone", "setup"), ("start", "setup"), ("ready", "setup"), ("exec", "call"), ("destroy", "teardown"),
    ]  # fmt: skip
    assert operations_of(model, "test_alone") == [("destroy", "teardown")]
    waits = {each["id"].rpartition("::")[2]: each["waits"] for each in model["tests"]}
    assert waits["test_shared"][str(model["names"].index("exec"))] > 290
    test = model["tests"][0]
    assert sum(test["waits"].values()) <= sum(test["phases"]) + 1


def test_the_page_has_memory_and_processor_time_of_each_container(inner: Inner) -> None:
    inner.run("--lxc-report=run.html", test_it=TESTS)
    for container in model_in(inner.path / "run.html")["containers"]:
        moments, memory, cpu = container["samples"]
        assert len(moments) == len(memory) == len(cpu) >= 2
        assert container["begin"] <= moments[0] <= moments[-1] <= container["end"] + 1
        assert container["peak"] > 0 and container["cpu"] > 0


def test_times_are_those_of_the_run(inner: Inner) -> None:
    begin = time.time()
    inner.run("--lxc-report=run.html", test_it=TESTS)
    model = model_in(inner.path / "run.html")
    assert begin <= model["began_at"] <= time.time()
    assert 300 < model["length"] < (time.time() - begin) * 1000
    test = model["tests"][0]
    for each in model["operations"]:
        if each[4] == 0:
            assert test["begin"] - 1 <= each[1] <= test["begin"] + sum(test["phases"]) + 20


GATHERS = """
    import pytest

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(item):
        report = yield
        if report.failed:
            report.lxcontainer = [{
                "name": "box", "id": "box-1", "image": "busybox:latest", "digest": "sha256:00", "command": ["sh"],
                "state": "RUNNING", "exit_code": None, "reason": "", "log": "</script><b>log", "log_left_out": 0,
                "commands": [], "commands_left_out": 0, "changes": [], "changes_left_out": 0, "memory_peak": None,
                "cpu_time": None, "faults": [], "ips": [], "started_at": 0.0, "kept": "abc123",
            }]
        return report
"""


@pytest.mark.parametrize(
    "workers", [[], pytest.param(["-n", "2"], marks=pytest.mark.needs_xdist)], ids=["alone", "xdist"]
)
def test_a_failure_has_what_its_report_has_of_containers(inner: Inner, workers: list[str]) -> None:
    inner.run("--lxc-report=run.html", *workers, conftest=GATHERS, test_it=TESTS)
    model = model_in(inner.path / "run.html")
    (failure,) = model["failures"]
    assert model["tests"][failure["test"]]["id"] == "test_it.py::test_it[1]"
    assert failure["message"].startswith("assert 1 != 1") and "assert number != 1" in failure["text"]
    (container,) = failure["containers"]
    assert (container["log"], container["kept"]) == ("</script><b>log", "abc123")


@pytest.mark.needs_xdist
def test_workers_hand_theirs_to_the_controller(inner: Inner) -> None:
    result = inner.run("-n", "2", "--lxc-report=run.html", "--lxc-durations=0", "-vv", test_it=TESTS)
    result.assert_outcomes(passed=4, failed=1)
    model = model_in(inner.path / "run.html")
    assert model["workers"] == ["gw0", "gw1"]
    assert {each["worker"] for each in model["tests"]} == {0, 1}
    assert len(model["containers"]) >= 4 and all(each["samples"][0] for each in model["containers"])
    assert ("exec", "call") in operations_of(model, "test_shared")
    assert lines(result).count("lxc report: ") == 1 and lines(result).count("slowest container operations") == 1
    assert re.search(r"s exec +shared-\d+ ", lines(result))


CRASHES = """
    import os, time

    def test_before(containers): containers.run("busybox", name="before")

    def test_crash(containers):
        containers.run("busybox", name="lost")
        os._exit(1)
"""


@pytest.mark.needs_xdist
def test_of_a_worker_that_crashes_the_test_under_way_is_lost_and_that_is_said(inner: Inner) -> None:
    options = ("-n", "1", "--max-worker-restart=0", "--lxc-report=run.html", "--lxc-durations=3")
    result = inner.run(*options, test_it=CRASHES)
    assert "(gw0 crashed: what it did in its last test is not known.)" in lines(result)
    model = model_in(inner.path / "run.html")
    assert model["crashed"] == ["gw0"]
    assert [each["name"] for each in model["containers"]] == ["before"]
    assert {each["id"]: each["outcome"] for each in model["tests"]} == {
        "test_it.py::test_before": "passed",
        "test_it.py::test_crash": "failed",
    }


INTERRUPTED = """
    import time
    from pathlib import Path

    def test_before(container): container.exec("true")

    def test_it(container):
        Path("running").write_text("yes")
        time.sleep(60)
"""


@pytest.mark.parametrize(
    "workers", [[], pytest.param(["-n", "1"], marks=pytest.mark.needs_xdist)], ids=["alone", "xdist"]
)
def test_an_interrupted_run_has_its_page(inner: Inner, workers: list[str]) -> None:
    process = inner.start("--lxc-image=busybox", "--lxc-report=run.html", *workers, test_it=INTERRUPTED)
    inner.reached("running")
    process.send_signal(signal.SIGINT)
    process.wait(30)
    model = model_in(inner.path / "run.html")
    assert model["ending"] == "interrupted"
    assert model["tests"][0]["outcome"] == "passed"
    assert ("exec", "call") in operations_of(model, "test_before")


def test_a_run_that_stops_at_the_first_failure_has_its_page(inner: Inner) -> None:
    inner.run("-x", "--lxc-report=run.html", test_it=TESTS)
    model = model_in(inner.path / "run.html")
    assert [each["outcome"] for each in model["tests"]] == ["passed", "failed"]
    assert all(each["samples"][0] for each in model["containers"])


def test_a_run_whose_collection_fails_has_its_page(inner: Inner) -> None:
    inner.run("--lxc-report=run.html", test_it="import nothing_like_it")
    assert model_in(inner.path / "run.html")["tests"] == []


@pytest.mark.parametrize("path", ["/proc/run.html", "conftest.py/run.html", "."])
def test_a_path_that_cannot_be_written_is_a_usage_error_before_anything_is_run(inner: Inner, path: str) -> None:
    result = inner.run(f"--lxc-report={path}", conftest="", test_it=TESTS)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "the page of the run cannot be written to" in lines(result)
    assert "Traceback" not in lines(result) and "test_it" not in lines(result)


@pytest.mark.needs_xdist
def test_so_it_is_once_with_workers(inner: Inner) -> None:
    result = inner.run("-n", "2", "--lxc-report=/proc/run.html", test_it=TESTS)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert lines(result).count("the page of the run cannot be written to") == 1


def test_an_old_page_is_replaced_and_nothing_else_is_left(inner: Inner) -> None:
    page = inner.path / "pages" / "run.html"
    page.parent.mkdir()
    page.write_text("old")
    inner.run("--lxc-report=pages/run.html", test_it="def test_it(): pass")
    assert model_in(page)["tests"][0]["outcome"] == "passed"
    assert list(page.parent.iterdir()) == [page]


def test_a_home_directory_is_understood(inner: Inner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(inner.path / "home"))
    inner.run("--lxc-report=~/run.html", test_it="def test_it(): pass")
    assert (inner.path / "home" / "run.html").exists()


def test_collecting_writes_no_page(inner: Inner) -> None:
    inner.run("--collect-only", "--lxc-report=run.html", test_it=TESTS)
    assert not (inner.path / "run.html").exists()


def test_without_containers_nothing_of_ours_is_imported_before_the_end(inner: Inner) -> None:
    test = """
        import sys

        def test_it():
            rooms = {name.split(".")[1] for name in sys.modules if name.startswith("pytest_lxcontainer.")}
            assert rooms == {"plugin"}
    """
    inner.run("--lxc-report=run.html", "--lxc-durations=3", test_it=test).assert_outcomes(passed=1)


def test_the_time_of_subtests_is_the_tests(inner: Inner) -> None:
    if not hasattr(pytest, "Subtests"):
        pytest.skip("this pytest has no subtests")
    test = """
        import time

        def test_it(subtests):
            for number in range(2):
                with subtests.test(number=number):
                    time.sleep(0.5)
                    assert number != 1
    """
    inner.run("--lxc-report=run.html", test_it=test)
    model = model_in(inner.path / "run.html")
    (record,) = model["tests"]
    assert record["outcome"] == "failed"
    assert 1000 <= record["phases"][1] < 1900
    assert "assert 1 != 1" in model["failures"][0]["text"]


def test_a_test_that_is_run_again_is_one_test(inner: Inner) -> None:
    pytest.importorskip("pytest_rerunfailures")
    test = """
        from pathlib import Path

        def test_it(containers):
            containers.run("busybox")
            tried = Path("tried")
            before = tried.exists()
            tried.write_text("")
            assert before
    """
    inner.run("--reruns=1", "--lxc-report=run.html", test_it=test)
    model = model_in(inner.path / "run.html")
    (record,) = model["tests"]
    assert (record["outcome"], record["reruns"], len(model["containers"])) == ("passed", 1, 2)
