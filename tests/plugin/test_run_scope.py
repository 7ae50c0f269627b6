"""``scope="run"``: one container for all of xdist's workers."""

from __future__ import annotations

import re

import pytest

from ..system.leaks import Leaks
from .conftest import Inner, lines

pytestmark = pytest.mark.usefixtures("mirror")

DB = """
    from pytest_lxcontainer import lxc_container, wait

    # What starts it takes a while, and is seen to have happened: a line in a file that outlives the container.
    db = lxc_container(
        "busybox",
        scope="run",
        name="db",
        mounts="counted:/counted",
        command="echo start >> /counted/starts; sleep 0.3; echo ready; sleep 1000",
        ready=wait.log("ready"),
    )
"""

EIGHT = """
    import os, pytest
    from pathlib import Path

    @pytest.mark.parametrize("number", range(8))
    def test_it(db, number):
        Path(f"note-{number}-{os.getpid()}").write_text(f"{db.id} {db.ip} {os.getpid()}")
        db.check_output(f"echo {__name__}-{number} >> /tmp/seen")
        assert db.read_text("/tmp/seen").splitlines().count(f"{__name__}-{number}") == 1
        assert db.running and "ready" in db.logs() and db.stats().pids
"""


@pytest.fixture
def counted(inner: Inner) -> Inner:
    """The directory that counts starts, where a container's root may write."""
    (inner.path / "counted").mkdir()
    (inner.path / "counted").chmod(0o777)
    for path in (inner.path, *inner.path.parents):
        if path.stat().st_mode & 0o1 == 0:
            path.chmod(path.stat().st_mode | 0o11)
    return inner


def starts(inner: Inner) -> int:
    return (inner.path / "counted" / "starts").read_text().count("start")


def noted(inner: Inner) -> list[set[str]]:
    """Ids, addresses and process ids."""
    return [
        set(column) for column in zip(*(each.read_text().split() for each in inner.path.glob("note-*")), strict=True)
    ]


def test_workers_have_one_container_that_is_started_once(counted: Inner, leaks: Leaks) -> None:
    counted.run("-n", "3", conftest=DB, test_it=EIGHT).assert_outcomes(passed=8)
    ids, ips, workers = noted(counted)
    assert (len(ids), len(ips), starts(counted)) == (1, 1, 1)
    assert len(workers) == 3
    leaks.assert_nothing_new()


AT_ONCE = """
    import os, pytest, time
    from concurrent.futures import ThreadPoolExecutor
    from pathlib import Path

    @pytest.mark.parametrize("number", range(8))
    def test_it(db, number):
        Path(f"note-{number}-{os.getpid()}").write_text(f"{db.id} {db.ip} {os.getpid()}")
        text = f"{os.getpid()}-{number}-"
        with ThreadPoolExecutor(4) as threads:
            echoed = threads.map(lambda n: db.check_output(f"sleep 0.05; echo {text}{n}"), range(8))
        assert list(echoed) == [f"{text}{n}" for n in range(8)]
"""


@pytest.mark.parametrize("dist", ["load", "loadfile", "loadscope", "loadgroup", "worksteal", "each", "no"])
def test_however_tests_are_dealt_out_they_use_one_at_once(counted: Inner, leaks: Leaks, dist: str) -> None:
    result = counted.run("-n", "4", "--dist", dist, conftest=DB, test_1=AT_ONCE, test_2=AT_ONCE)
    result.assert_outcomes(passed=16 * (4 if dist == "each" else 1))
    ids, ips, workers = noted(counted)
    assert (len(ids), len(ips), starts(counted)) == (1, 1, 1)
    assert len(workers) == 4 if dist in ("load", "worksteal", "each") else len(workers) >= 1
    leaks.assert_nothing_new()


def test_without_workers_it_is_the_sessions(counted: Inner) -> None:
    counted.run(conftest=DB, test_it=EIGHT, test_more=EIGHT).assert_outcomes(passed=16)
    assert starts(counted) == 1


def test_one_who_is_done_leaves_it_to_who_comes_later(counted: Inner) -> None:
    late = """
        import time
        from pathlib import Path

        def test_slow():
            deadline = time.monotonic() + 30
            while not Path("first-is-done").exists():
                assert time.monotonic() < deadline
                time.sleep(0.01)

        def test_late(db): assert db.read_text("/tmp/mark") == "x"
    """
    early = "def test_early(db): db.write_text('/tmp/mark', 'x')"
    # The worker that has nothing left to do ends its session before the other one has begun with the container.
    conftest = (
        DB
        + """
    import os, pytest
    from pathlib import Path

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_teardown(item, nextitem):
        if item.name == "test_early":
            assert nextitem is None
            item.session._setupstate.teardown_exact(None)
            Path("first-is-done").touch()
    """
    )
    result = counted.run("-n", "2", "--dist", "loadfile", conftest=conftest, test_early=early, test_late=late)
    result.assert_outcomes(passed=3)
    assert starts(counted) == 1


@pytest.mark.parametrize("when", ["number == 2", "number == 0"], ids=["later", "first"])
def test_a_worker_that_crashes_leaves_it_to_the_others(counted: Inner, leaks: Leaks, when: str) -> None:
    crash = EIGHT.replace("        assert db.running", f"        if {when}: os._exit(1)\n        assert db.running")
    result = counted.run("-n", "3", conftest=DB, test_it=crash)
    result.assert_outcomes(passed=7, failed=1)
    assert starts(counted) == 1
    leaks.assert_nothing_new()


def test_one_who_crashes_while_starting_it_leaves_a_fresh_start_to_the_next(counted: Inner, leaks: Leaks) -> None:
    conftest = (
        (
            DB.replace('ready=wait.log("ready")', "ready=die_once")
            + """
    import os

    def die_once(container):
        try:
            os.close(os.open("died", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return "ready" in container.logs()
        container.write_text("/half", "x")
        os._exit(1)
    """
        )
        .replace("    # What", "    def die_once(container): return _die_once(container)\n\n    # What")
        .replace("def die_once(container):\n        try", "def _die_once(container):\n        try")
    )
    test = EIGHT.replace("assert db.running", "assert not db.exists('/half') and db.running")
    result = counted.run("-n", "2", conftest=conftest, test_it=test)
    result.assert_outcomes(passed=7, failed=1)
    assert starts(counted) == 2
    leaks.assert_nothing_new()


def test_a_failed_start_is_every_tests_error_and_not_tried_again(counted: Inner, leaks: Leaks) -> None:
    conftest = DB.replace("echo ready; sleep 1000", "echo no disk left; exit 3")
    result = counted.run("-n", "3", conftest=conftest, test_it=EIGHT)
    result.assert_outcomes(errors=8)
    assert starts(counted) == 1
    messages = re.findall(r"^E .*Error: (container db .*)$", lines(result), re.M)
    assert len(messages) == 8 and len(set(messages)) == 1
    assert lines(result).count("no disk left") >= 8
    leaks.assert_nothing_new()


def test_an_error_of_the_users_own_reaches_those_who_wait(counted: Inner) -> None:
    conftest = DB.replace('ready=wait.log("ready")', "ready=lambda container: __import__('pytest').fail('not today')")
    result = counted.run("-n", "2", conftest=conftest, test_it=EIGHT)
    result.assert_outcomes(errors=8)
    assert starts(counted) == 1
    assert "not today" in lines(result)
    result.stdout.fnmatch_lines(["*container db was not made ready by the process that started it", "*not today*"])


def test_every_worker_shows_it_with_a_failure(counted: Inner) -> None:
    test = EIGHT.replace("assert db.running", "assert 0, 'no'")
    result = counted.run("-n", "2", conftest=DB, test_it=test)
    result.assert_outcomes(failed=8)
    assert lines(result).count("- lxc container db (busybox:latest) -") == 8


def test_settings_that_differ_between_workers_are_an_error(counted: Inner) -> None:
    conftest = DB.replace('name="db"', 'name="db", env={"SECRET": __import__("secrets").token_hex()}')
    result = counted.run("-n", "2", "--dist", "each", conftest=conftest, test_it="def test_it(db): assert db.running")
    result.assert_outcomes(passed=1, errors=1)
    assert "is shared by the whole run, and was started with other settings: env" in lines(result)


def test_fixtures_of_one_name_in_two_places_are_two(inner: Inner) -> None:
    made = """
        from maker import made
        db = made("NAME")
        def test_it(db): assert db.hostname == "NAME"
    """
    inner.run(
        "-n",
        "2",
        maker="""
            from pytest_lxcontainer import lxc_container
            def made(name): return lxc_container("busybox", scope="run", name=name)
        """,
        test_one=made.replace("NAME", "one"),
        test_two=made.replace("NAME", "two"),
    ).assert_outcomes(passed=2)


def test_each_parameter_has_its_own(counted: Inner) -> None:
    conftest = DB.replace('name="db",', 'params=[{"name": "one"}, {"name": "two"}],')
    test = EIGHT.replace("assert db.running", "assert db.name in request.node.name and db.running")
    result = counted.run(
        "-n", "2", "-v", conftest=conftest, test_it=test.replace("db, number)", "db, number, request)")
    )
    result.assert_outcomes(passed=16)
    assert len(noted(counted)[0]) == 2
    assert "name=one" in lines(result)


def test_containers_of_the_run_resolve_one_another(inner: Inner) -> None:
    inner.run(
        "-n",
        "2",
        conftest="""
            from pytest_lxcontainer import lxc_container
            db = lxc_container("busybox", scope="run", name="db")
            app = lxc_container("busybox", scope="run", name="app")
        """,
        test_one="def test_it(app, db): assert db.ip in app.check_output('ping -c 1 -W 5 db')",
        test_two="def test_it(db, app): assert app.ip in db.check_output('ping -c 1 -W 5 app')",
    ).assert_outcomes(passed=2)


def test_one_that_a_test_has_stopped_can_be_started_by_any_other(counted: Inner) -> None:
    test = """
        def test_stop(db):
            db.stop(timeout=0)

        def test_start(db):
            assert not db.running
            db.start()
            assert db.running
    """
    counted.run(conftest=DB, test_it=test).assert_outcomes(passed=2)
    assert starts(counted) == 2


def test_interrupted_runs_leave_nothing(counted: Inner, leaks: Leaks) -> None:
    import signal

    test = EIGHT + "        Path('reached').write_text('x')\n        __import__('time').sleep(100)\n"
    process = counted.start("-n", "2", conftest=DB, test_it=test)
    counted.reached("reached")
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == pytest.ExitCode.INTERRUPTED
    leaks.assert_nothing_new()
