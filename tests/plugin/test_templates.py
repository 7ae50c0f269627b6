"""Templates and resets as tests use them."""

from __future__ import annotations

import pytest

from .conftest import Inner, lines

pytestmark = pytest.mark.usefixtures("mirror")

SEEDED = """
    import uuid
    from pathlib import Path

    import pytest
    from pytest_lxcontainer import lxc_container, lxc_template

    def seed(container):
        with open("prepared", "a") as file:
            file.write("once\\n")
        container.write_text("/seed", "KEY")

    seeded = lxc_template("busybox", prepare=seed, env={"SEEDED": "yes"})
    box = lxc_container(seeded)
"""


def seeded(inner: Inner) -> str:
    """A conftest with a template that no other test has."""
    return SEEDED.replace("KEY", str(inner.path))


def prepared(inner: Inner) -> int:
    return (inner.path / "prepared").read_text().count("once")


def test_every_test_has_a_fresh_clone(inner: Inner) -> None:
    test = """
        import pytest

        @pytest.mark.parametrize("number", range(3))
        def test_it(box, number):
            assert box.exists("/seed") and box.env["SEEDED"] == "yes"
            assert not box.exists("/mine")
            box.write_text("/mine", "")
    """
    inner.run(conftest=seeded(inner), test_it=test).assert_outcomes(passed=3)
    inner.run(conftest=seeded(inner), test_it=test).assert_outcomes(passed=3)
    assert prepared(inner) == 1


@pytest.mark.parametrize(
    ("old", "new", "count"),
    [
        ('"once\\n"', '"once more, once\\n"', 3),
        ('env={"SEEDED": "yes"}', 'env={"SEEDED": "no"}', 2),
        ("prepare=seed,", "prepare=seed, key='KEY',", 2),
        ("import uuid", "import base64", 1),
        ("def seed(", "# How it begins.\n    def seed(", 1),
    ],
    ids=["its source", "a setting", "a key", "what it does not name", "a comment beside it"],
)
def test_an_edit_between_two_runs_prepares_anew_where_it_counts(inner: Inner, old: str, new: str, count: int) -> None:
    test = "def test_it(box): assert box.exists('/seed')"
    assert old in seeded(inner)
    inner.run(conftest=seeded(inner), test_it=test).assert_outcomes(passed=1)
    edited = seeded(inner).replace(old, new.replace("KEY", str(inner.path)))
    inner.run(conftest=edited, test_it=test).assert_outcomes(passed=1)
    assert prepared(inner) == count


@pytest.mark.needs_xdist
def test_eight_workers_prepare_once(inner: Inner) -> None:
    test = """
        import pytest

        @pytest.mark.parametrize("number", range(16))
        def test_it(box, number):
            assert box.exists("/seed")
    """
    inner.run("-n", "8", conftest=seeded(inner), test_it=test).assert_outcomes(passed=16)
    assert prepared(inner) == 1


@pytest.mark.needs_xdist
def test_a_template_wherever_an_image_is_asked_for(inner: Inner) -> None:
    test = """
        import pytest
        from conftest import seeded
        from pytest_lxcontainer import lxc_container

        several = lxc_container(params=["busybox", seeded, {"image": seeded, "hostname": "other"}])
        shared = lxc_container(seeded, scope="run")

        @pytest.mark.container(seeded)
        def test_marker(container):
            assert container.exists("/seed")

        def test_containers(containers):
            assert containers.run(seeded, name="a").exists("/seed")
            assert containers.run_all({"b": {"image": seeded}})["b"].exists("/seed")

        def test_params(several):
            pass

        def test_shared(shared):
            assert shared.exists("/seed")
    """
    result = inner.run("-v", "-n", "2", conftest=seeded(inner), test_it=test)
    result.assert_outcomes(passed=6)
    assert "test_params[busybox+seed]" in lines(result) and "[busybox+seed-hostname=other]" in lines(result)
    assert prepared(inner) == 1


def test_what_prepare_raises_fails_the_tests_that_ask(inner: Inner) -> None:
    test = """
        from pytest_lxcontainer import lxc_container, lxc_template

        def load_schema(container):
            container.exec("echo about to fail")
            raise LookupError("no such table")

        db = lxc_container(lxc_template("busybox", prepare=load_schema, command="echo booted; sleep 1000"))

        def test_one(db):
            pass

        def test_other(db):
            pass

        def test_without():
            pass
    """
    result = inner.run(test_it=test)
    result.assert_outcomes(errors=2, passed=1)
    text = lines(result)
    assert text.count('>       raise LookupError("no such table")') == 2
    assert text.count("test_it.py:6: LookupError") == 2


def test_misuse_is_one_clear_error(inner: Inner) -> None:
    test = """
        from pytest_lxcontainer import lxc_template
        seeded = lxc_template("busybox", prepare="create table")
    """
    assert "prepare='create table' cannot be called" in lines(inner.run(test_it=test))


RESET = """
    import pytest
    from pytest_lxcontainer import lxc_container, wait

    box = lxc_container("busybox", scope="SCOPE", reset="test", command="echo up; sleep 1000", ready=wait.log("up"))
    seen = set()
"""


@pytest.mark.parametrize("scope", ["class", "module", "package", "session"])
def test_a_wider_container_is_as_new_for_each_test(inner: Inner, scope: str) -> None:
    test = (
        RESET.replace("SCOPE", scope)
        + """
    @pytest.fixture
    def indirectly(box):
        return box

    class TestIt:
        @pytest.mark.parametrize("number", range(3))
        def test_it(self, box, number):
            seen.add((box.id, box.ip))
            assert box.running and not box.exists("/mine")
            box.write_text("/mine", "")

        def test_without(self):
            pass

        def test_by_way_of_another_fixture(self, indirectly):
            assert not indirectly.exists("/mine")
            indirectly.kill()

        def test_after_its_end(self, box):
            assert box.running
            box.stop()

        def test_after_a_stop(self, box):
            assert box.running

        def test_it_was_one(self):
            assert len(seen) == 1
    """
    )
    inner.run(test_it=test).assert_outcomes(passed=8)


def test_what_a_reset_cannot_do_is_an_error(inner: Inner) -> None:
    for scope, reason in (("function", "as fresh"), ("run", "other workers")):
        text = lines(inner.run(test_it=RESET.replace("SCOPE", scope)))
        assert "reset='test' is for scopes class to session" in text and reason in text
    assert "reset='module' is not known" in lines(
        inner.run(test_it=RESET.replace("SCOPE", "module").replace('"test"', '"module"'))
    )


POSTGRES = """
    import pytest
    from pytest_lxcontainer import lxc_container, lxc_template, wait

    SCHEMA = "create table fruit (name text); insert into fruit values ('apple')"

    def load(db):
        db.exec(["psql", "-U", "postgres", "-c", SCHEMA], check=True)

    migrated = lxc_template(
        "postgres:15",
        env={"POSTGRES_PASSWORD": "secret", "POSTGRES_HOST_AUTH_METHOD": "trust"},
        ready=[wait.port(5432), wait.exec(["psql", "-h", "127.0.0.1", "-U", "postgres", "-c", "select 1"])],
        prepare=load,
    )
    db = lxc_container(migrated)

    @pytest.mark.parametrize("number", range(3))
    def test_it(db, number):
        def query(text):
            return db.check_output(["psql", "-U", "postgres", "-Atc", text])

        assert query("select name from fruit") == "apple"
        query("delete from fruit")
        assert "database system was shut down at" in db.logs()
        assert "recovery" not in db.logs() and "interrupted" not in db.logs()
"""


def test_a_database_comes_up_as_after_a_clean_stop(inner: Inner) -> None:
    inner.run(test_it=POSTGRES).assert_outcomes(passed=3)
