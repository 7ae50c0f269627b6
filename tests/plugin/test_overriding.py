"""Fixtures redefined for a part of the tests, as pytest's users do."""

from __future__ import annotations

import pytest

from .conftest import Inner, lines

pytestmark = pytest.mark.usefixtures("mirror")

OUTER = """
    from pytest_lxcontainer import lxc_container
    db = lxc_container("busybox", scope="SCOPE", name="outer")
"""


@pytest.mark.parametrize("scope", ["function", "session", "run"])
def test_a_folders_fixture_may_build_on_the_one_it_hides(inner: Inner, scope: str) -> None:
    files = {
        "conftest": OUTER.replace("SCOPE", scope),
        "test_outer": "def test_it(db): assert db.name == 'outer'",
        "sub/conftest": f"""
            import pytest

            @pytest.fixture(scope="{scope.replace("run", "session")}")
            def db(db):
                db.write_text("/seeded", db.name)
                return db
        """,
        "sub/test_sub": "def test_it(db): assert db.read_text('/seeded') == 'outer'",
        "sub/below/conftest": """
            import pytest

            @pytest.fixture
            def db(db):
                return db.read_text("/seeded")
        """,
        "sub/below/test_below": "def test_it(db): assert db == 'outer'",
    }
    inner.run(**files).assert_outcomes(passed=3)


def test_a_folder_module_and_class_may_each_have_their_own(inner: Inner) -> None:
    own = """
        from pytest_lxcontainer import lxc_container
        db = lxc_container("busybox", scope="run", name="NAME")
        def test_it(db): assert db.name == "NAME"
    """
    files = {
        "conftest": OUTER.replace("SCOPE", "run"),
        "test_outer": "def test_it(db): assert db.name == 'outer'",
        "sub/conftest": own.replace("NAME", "folder"),
        "sub/test_sub": "def test_it(db): assert db.name == 'folder'",
        "sub/test_module": own.replace("NAME", "module")
        + """
        class TestOne:
            db = lxc_container("busybox", scope="run", name="class")
            def test_it(self, db): assert db.name == "class"
        class TestTwo:
            db = lxc_container("busybox", scope="run", name="other")
            def test_it(self, db): assert db.name == "other"
        """,
    }
    inner.run(**files).assert_outcomes(passed=5)


def test_a_folder_may_replace_container(inner: Inner) -> None:
    files = {
        "test_outer": "def test_it(container): assert container.exists('/bin/busybox')",
        "sub/conftest": """
            from pytest_lxcontainer import lxc_container
            container = lxc_container("debian:bookworm-slim", name="own")
        """,
        "sub/test_sub": """
            def test_it(container): assert container.name == "own" and container.exists("/etc/debian_version")
        """,
        "added/conftest": """
            import pytest

            @pytest.fixture
            def container(container):
                container.write_text("/seeded", "x")
                return container
        """,
        "added/test_added": """
            def test_it(container): assert container.exists("/bin/busybox") and container.exists("/seeded")
        """,
    }
    result = inner.run("--lxc-image=busybox", **files)
    result.assert_outcomes(passed=3)
    # Of several images, only those that the options have a say in run several times.
    result = inner.run("--lxc-image=busybox", "--lxc-image=busybox:latest", "-v")
    result.assert_outcomes(passed=5)
    assert "test_sub.py::test_it PASSED" in lines(result)


def test_a_folders_conftest_may_mark_its_tests(inner: Inner) -> None:
    files = {
        "sub/conftest": """
            from pathlib import Path
            import pytest

            def pytest_itemcollected(item):
                if Path(__file__).parent in item.path.parents:
                    item.add_marker(pytest.mark.container(hostname="folder", env={"A": "b"}), append=True)
        """,
        "sub/test_sub": """
            import pytest

            def test_folder(container): assert (container.name, container.env["A"]) == ("folder", "b")

            @pytest.mark.container(hostname="own")
            def test_own(container): assert (container.name, container.env["A"]) == ("own", "b")
        """,
        "test_outer": "def test_it(container): assert 'A' not in container.env",
    }
    inner.run("--lxc-image=busybox", **files).assert_outcomes(passed=3)


def test_a_wider_fixture_serves_several_that_hide_it(inner: Inner) -> None:
    inner.run(
        conftest=OUTER.replace("SCOPE", "session"),
        test_it="""
            import pytest

            @pytest.fixture(params=["a", "b"])
            def db(db, request):
                path = f"/{request.param}"
                db.write_text(path, "")
                yield db
                db.check_output(["rm", path])

            def test_it(db): assert len({"a", "b"} & set(db.listdir("/"))) == 1
        """,
    ).assert_outcomes(passed=2)
