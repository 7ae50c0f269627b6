"""Images and settings that come from other fixtures."""

from __future__ import annotations

import pytest

from .conftest import Inner, lines

pytestmark = pytest.mark.usefixtures("mirror")


def test_a_setting_may_be_a_function_of_fixtures(inner: Inner) -> None:
    inner.run(
        test_it="""
            import pytest
            from pytest_lxcontainer import lxc_container, wait

            db = lxc_container("busybox", scope="module", name="db")
            app = lxc_container(
                "busybox",
                scope="module",
                name="app",
                env=lambda db, secret, port=5432: {"DB": f"{db.ip}:{port}", "SECRET": secret},
                command=["sleep", "1000"],
                ready=lambda container: container.name == "app",
            )

            @pytest.fixture(scope="session")
            def secret(): return "xyz"

            def test_it(app, db):
                assert app.check_output("echo $DB $SECRET") == f"{db.ip}:5432 xyz"

            @pytest.fixture
            def secret_of_app(app): return app.env["SECRET"]

            def test_that_names_no_other(secret_of_app): assert secret_of_app == "xyz"
        """
    ).assert_outcomes(passed=2)


def test_the_image_may_be_one_that_a_fixture_prepares(inner: Inner) -> None:
    inner.run(
        test_it="""
            import pytest
            from pytest_lxcontainer import lxc_container

            @pytest.fixture(scope="module")
            def prepared(first):
                first.write_text("/prepared", "yes")
                return first.snapshot()

            first = lxc_container("busybox", scope="module")
            box = lxc_container(lambda prepared: prepared)

            @pytest.mark.parametrize("turn", range(2))
            def test_it(box, turn):
                assert box.read_text("/prepared") == "yes"
                box.write_text("/prepared", "changed")
        """
    ).assert_outcomes(passed=2)


def test_who_uses_it_runs_for_each_parameter_of_what_it_asks_for(inner: Inner) -> None:
    result = inner.run(
        "-v",
        conftest="""
            import pytest
            from pytest_lxcontainer import lxc_container

            @pytest.fixture(scope="module", params=["busybox", "debian:bookworm-slim"])
            def base(request): return request.param

            box = lxc_container(lambda base: base, scope="module", hostname=lambda base: f"on-{base[:3]}")
        """,
        test_it="""
            class TestIt:
                def test_one(self, box): assert box.hostname in ("on-bus", "on-deb")
                def test_two(self, box, base): assert box.hostname == f"on-{base[:3]}"
        """,
    )
    result.assert_outcomes(passed=4)
    assert "test_two[debian:bookworm-slim] PASSED" in lines(result)


def test_so_it_is_in_classes_parameters_and_markers(inner: Inner) -> None:
    inner.run(
        test_it="""
            import pytest
            from pytest_lxcontainer import lxc_container

            @pytest.fixture
            def word(request): return request.node.name[:8]

            class Base:
                box = lxc_container("busybox", env=lambda word: {"WORD": word})

            class TestHeir(Base):
                def test_heir(self, box): assert box.env["WORD"] == "test_hei"

            either = lxc_container("busybox", params=[{"env": lambda word: {"W": word}}, {"env": {"W": "plain"}}],
                                   ids=["asked", "plain"])

            def test_params(either, request):
                assert either.env["W"] == ("plain" if "plain" in request.node.name else "test_par")

            @pytest.mark.container("busybox", env=lambda word: {"W": word})
            class TestMarked:
                def test_marked(self, container): assert container.env["W"] == "test_mar"
        """
    ).assert_outcomes(passed=4)


def test_what_is_not_there_or_too_narrow_is_pytests_own_error_and_names_the_place(inner: Inner) -> None:
    result = inner.run(
        conftest="""
            import pytest
            from pytest_lxcontainer import lxc_container

            @pytest.fixture
            def narrow(): return "x"

            wide = lxc_container("busybox", scope="module", env=lambda narrow: {"A": narrow})
            lost = lxc_container("busybox", env=lambda no_such: {})
        """,
        test_it="def test_wide(wide): pass\ndef test_lost(lost): pass",
    )
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["ScopeMismatch: *function scoped fixture narrow with a module scoped*"])
    result.stdout.fnmatch_lines(["conftest.py:8:  def lxc_container(*narrow)"])
    result.stdout.fnmatch_lines(["file *conftest.py, line 9", "E *fixture 'no_such' not found"])


def test_what_fails_in_the_function_is_shown_where_it_is(inner: Inner) -> None:
    result = inner.run(
        test_it="""
            from pytest_lxcontainer import lxc_container
            box = lxc_container("busybox", env=lambda request: {"A": request.no_such})
            def test_it(box): pass
        """
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["E *AttributeError*no_such*", "*test_it.py:3: AttributeError"])
