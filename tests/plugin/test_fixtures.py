"""`containers`, `lxc_container`, `lxc_images`."""

from __future__ import annotations

import pytest

from .conftest import Inner

pytestmark = pytest.mark.usefixtures("mirror")


def test_containers_of_a_test_resolve_one_another_both_ways_also_after_a_restart(inner: Inner) -> None:
    result = inner.run(
        test_it="""
            def reaches(one, name, ip):
                return f"({ip})" in one.check_output(["ping", "-c", "1", "-W", "5", name])

            def test_run(containers):
                db = containers.run("busybox", name="db")
                app = containers.run("busybox", ["sleep", "100"], name="app")
                assert reaches(app, "db", db.ip) and reaches(db, "app", app.ip)
                db.restart(timeout=0)
                assert reaches(app, "db", db.ip) and reaches(db, "app", app.ip)

            def test_run_all(containers):
                made = containers.run_all({
                    "one": {"image": "busybox"},
                    "two": {"image": "busybox", "command": ["sleep", "100"]},
                    "three": {"image": "debian:bookworm-slim", "env": {"A": "b"}},
                })
                assert list(made) == ["one", "two", "three"]
                assert [each.name for each in made.values()] == ["one", "two", "three"]
                assert reaches(made["one"], "two", made["two"].ip)
                assert made["three"].check_output("getent hosts one").split()[0] == made["one"].ip
                made["two"].restart(timeout=0)
                assert reaches(made["one"], "two", made["two"].ip) and reaches(made["two"], "one", made["one"].ip)

            def test_a_test_sees_nothing_of_another(containers):
                assert "db" not in containers.run("busybox").read_text("/etc/hosts")
        """
    )
    result.assert_outcomes(passed=3)


def test_run_all_starts_in_parallel_and_shows_the_one_that_fails(inner: Inner) -> None:
    result = inner.run(
        test_it="""
            from pytest_lxcontainer import wait

            def test_it(containers):
                containers.run_all({
                    "good": {"image": "busybox"},
                    "bad": {"image": "busybox", "command": "echo a reason; exit 4", "ready": wait.log("never")},
                })
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*lxc container good (busybox:latest)*", "*lxc container bad*", "a reason"])


SCOPES = """
    import pytest
    from pytest_lxcontainer import lxc_container

    for_function = lxc_container("busybox")
    for_class = lxc_container("busybox", scope="class")
    for_module = lxc_container("busybox", scope="module", hostname="shared")
    for_session = lxc_container("busybox", scope="session")
    NAMES = ("function", "class", "module", "package", "session")

    @pytest.fixture
    def note(request):
        containers = {name: request.getfixturevalue(f"for_{name}") for name in NAMES}
        assert all(each.running for each in containers.values())
        print("ids:", *[each.id for each in containers.values()])
"""

PACKAGE = """
    from pytest_lxcontainer import lxc_container
    for_package = lxc_container("busybox", scope="package")
"""

TWO_CLASSES = """
    class TestOne:
        def test_a(self, note): pass
        def test_b(self, note): pass

    class TestTwo:
        def test_c(self, note): pass
"""


def test_each_scope_has_one_container(inner: Inner) -> None:
    for package in ("p", "q"):
        (inner.path / package).mkdir()
        (inner.path / package / "__init__.py").touch()
    # For pytest a fixture's package is where it is defined.
    files = {"conftest": SCOPES, "p/conftest": PACKAGE, "q/conftest": PACKAGE}
    files |= {"p/test_1": TWO_CLASSES, "p/test_2": TWO_CLASSES, "q/test_3": TWO_CLASSES}
    result = inner.run("-s", **files)
    result.assert_outcomes(passed=9)
    ids = [line.partition("ids: ")[2].split() for line in result.outlines if "ids: " in line]
    assert [len(set(column)) for column in zip(*ids, strict=True)] == [9, 6, 3, 2, 1]


def test_a_fixture_is_overridden_in_a_folder(inner: Inner) -> None:
    files = {
        "conftest": """
            from pytest_lxcontainer import lxc_container
            service = lxc_container("busybox", hostname="outer")
        """,
        "test_outer": "def test_it(service): assert service.hostname == 'outer'",
        "sub/conftest": """
            from pytest_lxcontainer import lxc_container
            service = lxc_container("busybox", hostname="inner")
        """,
        "sub/test_inner": "def test_it(service): assert service.check_output('hostname') == 'inner'",
        "sub/below/test_below": "def test_it(service): assert service.hostname == 'inner'",
    }
    inner.run(**files).assert_outcomes(passed=3)


def test_a_fixture_may_build_on_another(inner: Inner) -> None:
    result = inner.run(
        test_it="""
            import pytest
            from pytest_lxcontainer import lxc_container, wait

            redis = lxc_container("redis:7", scope="module", ready=wait.port(6379))

            @pytest.fixture
            def empty(redis):
                redis.check_output(["redis-cli", "flushall"])
                return redis

            def test_one(empty):
                assert empty.check_output(["redis-cli", "incr", "n"]) == "1"

            def test_two(empty):
                assert empty.check_output(["redis-cli", "incr", "n"]) == "1"
        """
    )
    result.assert_outcomes(passed=2)


def test_each_test_has_a_container_as_the_image_made_it(inner: Inner) -> None:
    result = inner.run(
        "--lxc-image=busybox",
        test_it="""
            import pytest

            @pytest.mark.parametrize("turn", range(3))
            def test_it(container, turn):
                assert not container.exists("/tmp/mark")
                container.write_text("/tmp/mark", "x")
                container.exec("rm -rf /etc/*")
        """,
    )
    result.assert_outcomes(passed=3)


def test_images_are_pulled_and_listed(inner: Inner) -> None:
    result = inner.run(
        test_it="""
            def test_it(lxc_images, containers):
                image = lxc_images.pull("busybox")
                assert image.reference.familiar == "busybox:latest"
                assert image.digest in [record.digest for record in lxc_images.list()]
                assert containers.run(image).image is image
        """
    )
    result.assert_outcomes(passed=1)


def test_the_containers_of_a_test_are_gone_when_the_next_begins(inner: Inner) -> None:
    result = inner.run(
        "--lxc-image=busybox",
        test_it="""
            kept = []

            def test_one(container):
                kept.append(container)

            def test_two(container):
                assert kept[0].state == "STOPPED" and kept[0].pid is None
                assert kept[0].ip != container.ip
        """,
    )
    result.assert_outcomes(passed=2)
