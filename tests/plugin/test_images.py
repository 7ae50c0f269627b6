"""The header says which images a run will use, the summary which it has used."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..fakes.registry import FakeRegistry
from ..system.leaks import Leaks
from .conftest import Inner, lines

USES = "def test_it(container): pass"


@pytest.fixture
def box(busybox_registry: FakeRegistry, own_store: Path, leaks: Leaks, monkeypatch: pytest.MonkeyPatch) -> str:
    """An image that is not pulled yet."""
    leaks.watch(own_store)
    monkeypatch.setenv("LXCONTAINER_STORE", str(own_store))
    return f"{busybox_registry.host}/box:1"


@pytest.fixture
def full(box: str, busybox_registry: FakeRegistry) -> str:
    """Its name with its digest."""
    (digest,) = (target for target in busybox_registry.repository("box").manifests if ":" in target)
    return f"{box}@{digest}"


def told(result: pytest.RunResult) -> list[str]:
    """Lines about images, and where the tests' own lines are among them."""
    found = [line for line in result.outlines if line.startswith("lxc image: ") or line.startswith("test_it.py ")]
    return [
        line.removeprefix("lxc image: ").split(" ")[0] + " (not pulled yet)" * ("not pulled" in line) for line in found
    ]


def test_what_is_pulled_is_in_the_summary_then_in_the_header(inner: Inner, box: str, full: str) -> None:
    first = inner.run(f"--lxc-image={box}", test_it=USES)
    assert told(first) == [f"{box} (not pulled yet)", "test_it.py", full]
    assert "= lxc images =" in lines(first)
    then = inner.run(f"--lxc-image={box}", test_it=USES)
    assert told(then) == [full, "test_it.py"]
    assert "= lxc images =" not in lines(then)


def test_the_header_knows_markers_and_fixtures_of_all_homes(inner: Inner, box: str) -> None:
    images = ["mark:1", "module:1", "class:1", "conftest:1"]
    result = inner.run(
        "--collect-only",
        conftest="""
            from pytest_lxcontainer import lxc_container
            in_conftest = lxc_container("conftest:1", scope="session")
        """,
        test_it="""
            import pytest
            from pytest_lxcontainer import Reference, lxc_container
            in_module = lxc_container(Reference.parse("module:1"))

            class TestIt:
                in_class = lxc_container("class:1")

                @pytest.mark.container("mark:1", command="true")
                def test_mark(self, container): pass

                def test_fixtures(self, in_module, in_class, indirect): pass

            @pytest.fixture
            def indirect(in_conftest): pass
        """,
    )
    assert sorted(told(result)) == sorted(f"{image} (not pulled yet)" for image in images)


def test_an_image_is_told_of_once(inner: Inner, box: str) -> None:
    tests = """
        import pytest

        @pytest.mark.parametrize("number", range(3))
        def test_it(container, number): pass

        @pytest.mark.container("docker.io/library/busybox:latest")
        def test_other(container): pass
    """
    result = inner.run("--collect-only", "--lxc-image=busybox", "--lxc-image=redis:7", test_it=tests)
    assert told(result) == ["busybox:latest (not pulled yet)", "redis:7 (not pulled yet)"]


def test_verbose_tells_all_again_and_quiet_nothing(inner: Inner, box: str, full: str) -> None:
    assert told(inner.run("-q", f"--lxc-image={box}", test_it=USES)) == []
    result = inner.run("-v", f"--lxc-image={box}", test_it=USES)
    assert [line for line in told(result) if "test_it.py" not in line] == [full, full]


def test_where_no_image_is_used_none_is_told_of(inner: Inner, box: str) -> None:
    result = inner.run(test_it="def test_it(): pass")
    assert "lxc image" not in lines(result) and "lxc lock" not in lines(result)


def test_what_is_no_reference_is_said_and_left_to_the_test(inner: Inner, box: str) -> None:
    result = inner.run("--lxc-image=No/Reference", test_it=USES)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["lxc image: No/Reference ('No/Reference' is no image reference)"])


def test_telling_makes_no_store(inner: Inner, monkeypatch: pytest.MonkeyPatch) -> None:
    store = inner.path / "store"
    monkeypatch.setenv("LXCONTAINER_STORE", str(store))
    result = inner.run("--collect-only", "--lxc-image=busybox", test_it=USES)
    assert told(result) == ["busybox:latest (not pulled yet)"]
    assert not store.exists()


def test_what_a_registry_has_to_say_is_in_the_summary(inner: Inner, box: str, busybox_registry: FakeRegistry) -> None:
    busybox_registry.headers = {
        "Warning": '299 - "box:1 ends soon"',
        "ratelimit-limit": "100;w=21600",
        "ratelimit-remaining": "3;w=21600",
    }
    try:
        result = inner.run(f"--lxc-image={box}", test_it=USES)
    finally:
        busybox_registry.headers = {}
    notices = [line for line in result.outlines if line.startswith("lxc notice: ")]
    assert notices == [
        f"lxc notice: {box}: box:1 ends soon",
        f"lxc notice: {box}: few pulls are left: 3 of 100 pulls per 6 h left",
    ]
