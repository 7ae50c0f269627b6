"""Networks of tests: who is on them, and that what a test breaks is whole for the next."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .conftest import Inner, lines

pytestmark = pytest.mark.usefixtures("mirror")

SHARED = """
    from pytest_lxcontainer import lxc_container
    db = lxc_container("busybox", scope="module", name="db")
"""


def test_a_container_of_a_test_reaches_those_of_its_module_and_session(inner: Inner) -> None:
    result = inner.run(
        "--lxc-image=busybox",
        conftest="""
            from pytest_lxcontainer import lxc_container
            db = lxc_container("busybox", scope="session", name="db")
            cache = lxc_container("busybox", scope="module", name="cache")
            other = lxc_container("busybox", scope="class", name="other")
        """,
        test_it="""
            def test_one(db, cache, containers):
                app = containers.run("busybox", name="app")
                for one, name in ((app, "db"), (app, "cache"), (db, "app"), (cache, "db")):
                    assert one.exec(["ping", "-c", "1", "-W", "2", name]).exit_code == 0

            class TestOther:
                def test_two(self, db, cache, other, container):
                    assert other.exec(["ping", "-c", "1", "-W", "2", "cache"]).exit_code == 0
                    assert container.exec(["ping", "-c", "1", "-W", "2", "other"]).exit_code == 0
                    assert "app" not in db.read_text("/etc/hosts").split()
        """,
    )
    result.assert_outcomes(passed=2)


def test_further_networks_and_partitions_of_a_test(inner: Inner) -> None:
    result = inner.run(
        test_it="""
            def reaches(one, other):
                return one.exec(["ping", "-c", "1", "-W", "1", other.ip]).exit_code == 0

            def test_it(containers):
                back = containers.network("back")
                assert back == containers.network("back")
                web, db = containers.run("busybox", name="web"), containers.run("busybox", name="db", network="back")
                app = containers.run("busybox", name="app", network=["default", back])
                assert reaches(web, app) and reaches(app, db) and not reaches(web, db)
                with containers.partition([web], [app, db]):
                    assert not reaches(web, app) and reaches(app, db)
                assert reaches(web, app)
        """,
    )
    result.assert_outcomes(passed=1)


def test_what_a_test_breaks_is_whole_for_the_next(inner: Inner) -> None:
    result = inner.run(
        conftest=SHARED,
        test_it="""
            import pytest

            @pytest.fixture
            def slow(db):
                db.network.delay("10ms")

            def test_one(db, slow):
                db.network.loss(50)
                assert len(db.network.faults) == 2
                assert 0

            def test_two(db):
                assert db.network.faults == ()
        """,
    )
    result.assert_outcomes(passed=1, failed=1)
    assert "network faults: delay 10 ms, out; loss 50 %, out" in lines(result)


def test_what_a_fixture_of_a_wider_scope_breaks_stays_so(inner: Inner) -> None:
    result = inner.run(
        conftest=SHARED,
        test_it="""
            import pytest

            @pytest.fixture(scope="module")
            def slow(db):
                with db.network.delay("10ms"):
                    yield

            def test_one(db, slow):
                db.network.loss(50)

            def test_two(db, slow):
                assert [fault.kind for fault in db.network.faults] == ["delay"]
        """,
    )
    result.assert_outcomes(passed=2)


@pytest.mark.parametrize("outcome", ["passed", "failed"])
def test_a_recording_is_kept_if_its_test_fails(inner: Inner, tmp_path: Path, outcome: str) -> None:
    result = inner.run(
        "--lxc-image=busybox",
        test_it=f"""
            import tempfile

            def test_it(container, monkeypatch):
                monkeypatch.setattr(tempfile, "tempdir", {str(tmp_path)!r})
                with container.network.capture() as capture:
                    container.exec(["ping", "-c", "1", "-W", "1", "127.0.0.1"])
                assert capture.path.exists()
                assert {outcome == "passed"}
        """,
    )
    result.assert_outcomes(**{outcome: 1})
    kept = list(tmp_path.rglob("*.pcap"))
    shown = re.findall(r"packets: (\S+)", lines(result))
    assert [str(path) for path in kept] == shown
    assert len(kept) == (outcome == "failed")
    assert list(tmp_path.iterdir()) == [path.parent for path in kept]
