"""Scopes, parameters and settings of fixtures."""

from __future__ import annotations

import pytest

from .conftest import Inner, lines

pytestmark = pytest.mark.usefixtures("mirror")


def test_a_scope_may_be_chosen_when_the_run_begins(inner: Inner) -> None:
    inner.run(
        "--one-each=class",
        conftest="""
            from pytest_lxcontainer import lxc_container

            def pytest_addoption(parser):
                parser.addoption("--one-each")

            def chosen(*, fixture_name, config):
                assert fixture_name == "box"
                return config.getoption("--one-each")

            box = lxc_container("busybox", scope=chosen)
        """,
        test_it="""
            seen = []

            class TestOne:
                def test_a(self, box): seen.append(box.id)
                def test_b(self, box): seen.append(box.id)

            def test_c(box):
                assert len(set(seen)) == 1 and box.id not in seen
        """,
    ).assert_outcomes(passed=3)


def test_a_scope_may_be_chosen_to_be_the_run(inner: Inner) -> None:
    inner.run(
        test_it="""
            from pytest_lxcontainer import lxc_container
            box = lxc_container("busybox", scope=lambda fixture_name, config: "run")
            seen = []
            def test_a(box): seen.append(box.id)
            def test_b(box): assert seen == [box.id]
        """
    ).assert_outcomes(passed=2)


def test_an_unknown_scope_says_which_there_are(inner: Inner) -> None:
    result = inner.run(test_it="from pytest_lxcontainer import lxc_container\nbox = lxc_container('x', scope='day')")
    result.assert_outcomes(errors=1)
    assert "no scope 'day'; one of: function, class, module, package, session, run" in lines(result)


def test_containers_of_a_scope_resolve_one_another(inner: Inner) -> None:
    inner.run(
        test_it="""
            import pytest
            from pytest_lxcontainer import lxc_container

            a1, b1 = lxc_container("busybox", name="a1"), lxc_container("busybox", name="b1")
            a2, b2 = (lxc_container("busybox", scope="module", name=name) for name in ("a2", "b2"))
            a3, b3 = (lxc_container("busybox", scope="session", name=name) for name in ("a3", "b3"))

            @pytest.mark.parametrize("scope", [1, 2, 3])
            def test_it(request, scope):
                one, other = (request.getfixturevalue(f"{name}{scope}") for name in "ab")
                assert one.ip in other.check_output(["ping", "-c", "1", "-W", "5", one.name])
                assert other.ip in one.check_output(["ping", "-c", "1", "-W", "5", other.name])
        """
    ).assert_outcomes(passed=3)


def test_one_that_ended_between_tests_is_a_clear_error(inner: Inner) -> None:
    result = inner.run(
        test_it="""
            from pytest_lxcontainer import lxc_container
            db = lxc_container("busybox", command="echo out of memory; sleep 1000", scope="module", name="db")

            def test_kills(db):
                db.kill("SIGKILL")
                db.wait("STOPPED")

            def test_next(db):
                db.check_output("true")

            def test_starts_it_again(db):
                assert db.start().check_output("echo back") == "back"
        """
    )
    result.assert_outcomes(passed=2, failed=1)
    assert "NotRunningError: container db-1: it is not running; it ended with exit code 137" in lines(result)
    result.stdout.fnmatch_lines(
        ["*- lxc container db (busybox:latest) -*", "state: STOPPED, exit code 137*", "out of*"]
    )


def test_params_are_images_or_settings(inner: Inner) -> None:
    result = inner.run(
        "-v",
        test_it="""
            import pytest
            from pytest_lxcontainer import lxc_container

            either = lxc_container(params=["busybox", "debian:bookworm-slim"])
            two = {"image": "debian:bookworm-slim", "name": "two"}
            named = lxc_container("busybox", name="plain", params=[{"name": "one"}, pytest.param(two)])
            called = lxc_container("busybox", params=["busybox", "debian:bookworm-slim"], ids=["small", "other"])

            def test_either(either): print(either.image.reference.familiar)
            def test_named(named, request): assert named.hostname in request.node.name
            def test_called(called): pass
        """,
    )
    result.assert_outcomes(passed=6)
    for name in (
        "test_either[busybox]", "test_either[debian:bookworm-slim]", "test_named[name=one]",
        "test_named[debian:bookworm-slim-name=two]", "test_called[small]", "test_called[other]",
    ):  # fmt: skip
        assert f"::{name} PASSED" in lines(result)


def test_a_fixture_takes_the_images_of_an_indirect_parameter(inner: Inner) -> None:
    result = inner.run(
        "-v",
        test_it="""
            import pytest
            from pytest_lxcontainer import Reference, lxc_container

            box = lxc_container("busybox", scope="module", name="box")
            open_ = lxc_container()
            both = pytest.mark.parametrize("box", ["busybox", "debian:bookworm-slim"], indirect=True)

            @both
            def test_one(box): assert (box.image.reference.familiar == "busybox:latest") == box.exists("/bin/busybox")

            @both
            def test_two(box): assert box.name == "box"

            @pytest.mark.parametrize("container", ["busybox", Reference.parse("debian:bookworm-slim")], indirect=True)
            @pytest.mark.container("redis:7", hostname="mine")
            def test_three(container):
                assert container.hostname == "mine" and container.image.reference.repository != "library/redis"

            @pytest.mark.parametrize("open_", ["busybox"], indirect=True)
            def test_four(open_): assert open_.running

            def test_five(open_): pass
        """,
    )
    result.assert_outcomes(passed=7, errors=1)
    assert "fixture 'open_': neither lxc_container nor a parameter names an image" in lines(result)
    for name in ("test_one[busybox]", "test_two[debian:bookworm-slim]", "test_three[debian:bookworm-slim]"):
        assert f"::{name} PASSED" in lines(result)


def test_options_multiply_only_tests_that_leave_their_image_open(inner: Inner) -> None:
    result = inner.run(
        "--lxc-image=busybox",
        "--lxc-image=debian:bookworm-slim",
        conftest="import pytest",
        test_it="""
            import pytest
            from pytest_lxcontainer import lxc_container

            def test_open(container): pass

            @pytest.mark.container(hostname="mine")
            def test_settings(container): assert container.hostname == "mine"

            @pytest.mark.container("busybox")
            def test_marked(container): pass

            @pytest.mark.parametrize("other, container", [(1, "busybox")], indirect=["container"])
            def test_parametrized(container, other): pass

            class TestOwn:
                container = lxc_container("busybox")
                def test_own(self, container): assert container.exists("/bin/busybox")
        """,
    )
    result.assert_outcomes(passed=2 + 2 + 1 + 1 + 1)


def test_a_marker_without_an_image_adds_to_the_one_outside_it(inner: Inner) -> None:
    inner.run(
        test_it="""
            import pytest
            pytestmark = pytest.mark.container("debian:bookworm-slim", hostname="outer", env={"A": "outer"})

            def test_module(container):
                assert (container.hostname, container.env["A"]) == ("outer", "outer")

            @pytest.mark.container(hostname="inner")
            def test_added(container):
                assert (container.hostname, container.env["A"]) == ("inner", "outer")
                assert not container.exists("/bin/busybox")

            @pytest.mark.container("busybox")
            def test_alone(container):
                assert (container.hostname, container.env.get("A")) == ("busybox", None)

            @pytest.mark.container(env={"B": "class"})
            class TestIt:
                @pytest.mark.container(hostname="function")
                def test_all(self, container):
                    assert container.hostname == "function" and "A" not in container.env
                    assert container.env["B"] == "class" and not container.exists("/bin/busybox")
        """
    ).assert_outcomes(passed=4)


def test_a_container_may_be_used_without_being_named(inner: Inner) -> None:
    inner.run(
        test_it="""
            from pytest_lxcontainer import lxc_container
            made = []
            box = lxc_container("busybox", autouse=True, ready=lambda container: made.append(container.id) or True)
            def test_it(): assert len(made) == 1
        """
    ).assert_outcomes(passed=1)


def test_the_header_names_what_fixtures_and_parameters_use(inner: Inner) -> None:
    result = inner.run(
        "--collect-only",
        conftest="from pytest_lxcontainer import lxc_container\nbox = lxc_container('not/this:0')",
        **{
            "sub/conftest": "from pytest_lxcontainer import lxc_container\nbox = lxc_container('is/this:1')",
            "sub/test_it": """
                import pytest
                def test_one(box): pass
                @pytest.mark.parametrize("container", ["is/that:2"], indirect=True)
                def test_two(container): pass
            """,
            "other/conftest": "from pytest_lxcontainer import lxc_container\nbox = lxc_container('nor/this:0')",
        },
    )
    told = [line for line in result.outlines if line.startswith("lxc image: ")]
    assert told == ["lxc image: is/this:1 (not pulled yet)", "lxc image: is/that:2 (not pulled yet)"]


def test_threads_of_a_test_use_one_container(inner: Inner) -> None:
    inner.run(
        test_it="""
            from concurrent.futures import ThreadPoolExecutor
            from pytest_lxcontainer import lxc_container

            box = lxc_container("busybox", scope="module")

            def work(box, number):
                box.write_text(f"/tmp/{number}", str(number) * 1000)
                assert box.check_output(f"cat /tmp/{number}") == str(number) * 1000
                assert box.running and box.stats().pids and number in range(40)
                return box.read_text(f"/tmp/{number}")

            def test_box(box):
                with ThreadPoolExecutor(8) as threads:
                    assert list(threads.map(lambda n: work(box, n), range(40))) == [str(n) * 1000 for n in range(40)]

            def test_containers(containers):
                with ThreadPoolExecutor(4) as threads:
                    made = list(threads.map(lambda n: containers.run("busybox", name=f"box{n}"), range(4)))
                assert [each.check_output("hostname") for each in made] == [f"box{n}" for n in range(4)]
        """
    ).assert_outcomes(passed=2)
