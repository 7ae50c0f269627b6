"""A project that does not use the plugin hardly notices it."""

from __future__ import annotations

import pytest

from .conftest import Inner

SHOWS = """
    import sys

    def test_it():
        heavy = {"lxc", "requests", "urllib3", "filelock"}
        ours = {name for name in sys.modules if name.startswith("pytest_lxcontainer.")}
        print("heavy:", *sorted(name for name in heavy if name in sys.modules))
        print("ours:", *sorted(name for name in ours if not name.startswith("pytest_lxcontainer.plugin")))
"""


def test_unused_it_loads_nothing_but_itself(inner: Inner) -> None:
    result = inner.run("-s", "-p", "no:xdist", test_it=SHOWS)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*heavy:", "ours:"])


def test_unused_it_starts_no_process_and_makes_no_store(inner: Inner, monkeypatch: pytest.MonkeyPatch) -> None:
    store = inner.path / "store"
    monkeypatch.setenv("LXCONTAINER_STORE", str(store))
    inner.run(test_it="def test_it(): pass").assert_outcomes(passed=1)
    assert not store.exists()


def test_it_can_be_left_out(inner: Inner) -> None:
    result = inner.run("-p", "no:lxcontainer", test_it="def test_it(): pass\ndef test_two(container): pass")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*fixture 'container' not found*"])


def test_collecting_starts_nothing(inner: Inner, monkeypatch: pytest.MonkeyPatch) -> None:
    store = inner.path / "store"
    monkeypatch.setenv("LXCONTAINER_STORE", str(store))
    inner.run("--collect-only", test_it="def test_it(container): pass").stdout.fnmatch_lines(["*test_it*"])
    assert not store.exists()


def test_tests_that_are_deselected_start_nothing(inner: Inner, monkeypatch: pytest.MonkeyPatch) -> None:
    store = inner.path / "store"
    monkeypatch.setenv("LXCONTAINER_STORE", str(store))
    result = inner.run("-k", "other", test_it="def test_it(container): pass\ndef test_other(): pass")
    result.assert_outcomes(passed=1, deselected=1)
    assert not store.exists()


@pytest.mark.usefixtures("mirror")
@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "xdist"])
def test_what_has_started_for_tests_that_are_skipped_then_ends_too(inner: Inner, workers: list[str]) -> None:
    if workers:
        pytest.importorskip("xdist")
    skipped = """
        import pytest

        @pytest.mark.skip
        @pytest.mark.parametrize("number", range(3))
        def test_it(container, number): pass
    """
    inner.run(*workers, test_it=skipped).assert_outcomes(skipped=3)
