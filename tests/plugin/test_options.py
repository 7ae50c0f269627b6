"""Options that cannot be used end a run with one clear error."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..fakes.registry import FakeRegistry
from ..system.leaks import Leaks
from .conftest import Inner, lines

USES = """
    def test_one(container): pass
    def test_two(container): pass
    def test_three(containers): containers.run("busybox")
"""


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--lxc-mirror=nonsense", "'nonsense' is no mirror"),
        ("--lxc-mirror=docker.io=ftp://127.0.0.1", "'ftp://127.0.0.1' is no mirror's URL"),
        ("--lxc-timeout=soon", "'soon' is no timeout"),
        ("--lxc-timeout=-1", "'-1' is no timeout"),
        ("--lxc-pull=sometimes", "'sometimes' is no pull policy"),
        ("--lxc-platform=linux", "'linux' is no platform"),
        ("--lxc-lock-update", "there is no lock file to update"),
        ("--lxc-lock=/missing/lxc.lock", "the lock file /missing/lxc.lock cannot be written"),
        ("--lxc-store=/var/tmp/a,b", "the store cannot be in '/var/tmp/a,b'"),
    ],
)
def test_a_bad_option_is_one_usage_error(inner: Inner, option: str, said: str) -> None:
    result = inner.run(option, test_it=USES)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert said in lines(result)
    assert "hint: " in lines(result)
    assert "Traceback" not in lines(result) and "test_three" not in lines(result)
    assert lines(result).count(said) == 1


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("TIMEOUT", "soon", "'soon' is no timeout"),
        ("PULL", "x", "'x' is no pull policy"),
        ("LOCK_UPDATE", "maybe", "'maybe' is neither yes nor no"),
    ],
)
def test_so_is_a_bad_variable(inner: Inner, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str) -> None:
    monkeypatch.setenv(f"LXCONTAINER_{name}", value)
    result = inner.run(test_it=USES)
    assert (result.ret, lines(result).count(said)) == (pytest.ExitCode.USAGE_ERROR, 1)


def test_a_bad_option_does_not_matter_where_no_test_has_a_container(inner: Inner) -> None:
    inner.run("--lxc-timeout=300", test_it="def test_it(): pass").assert_outcomes(passed=1)


def test_an_unknown_setting_names_the_nearest_one(inner: Inner, mirror: str) -> None:
    result = inner.run(
        test_it="""
            import pytest

            @pytest.mark.container("busybox", comand="true")
            def test_it(container): pass
        """
    )
    result.assert_outcomes(errors=1)
    assert "no container setting is called 'comand'" in lines(result)
    assert "did you mean 'command'?" in lines(result)


@pytest.mark.parametrize("arguments", ['"a", "b"', '"a", image="b"'])
def test_a_marker_with_two_images_is_refused(inner: Inner, arguments: str) -> None:
    test = f"""
        import pytest

        @pytest.mark.container({arguments})
        def test_it(container): pass
    """
    assert "takes one image" in lines(inner.run(test_it=test))


def test_an_unknown_scope_is_one_usage_error(inner: Inner) -> None:
    test = """
        from pytest_lxcontainer import lxc_container
        box = lxc_container("busybox", scope="modul")
        def test_it(box): pass
    """
    result = inner.run(test_it=test)
    assert "no scope 'modul'" in lines(result)


def test_never_pulling_says_what_is_missing_and_asks_nobody(inner: Inner, own_store: Path, leaks: Leaks) -> None:
    leaks.watch(own_store)
    options = ("--lxc-pull=never", f"--lxc-store={own_store}", "--lxc-mirror=docker.io=http://127.0.0.1:1")
    result = inner.run(*options, "--lxc-image=busybox", test_it="def test_it(container): pass")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*ImageNotCachedError: image busybox:latest is not in the store*"])
    assert not list((own_store / "blobs").rglob("*/*"))


def test_never_pulling_runs_what_is_there(inner: Inner, mirror: str) -> None:
    test = "def test_it(container): assert container.running"
    inner.run("--lxc-image=busybox", test_it=test).assert_outcomes(passed=1)
    options = ("--lxc-pull=never", "--lxc-mirror=docker.io=http://127.0.0.1:1")
    inner.run(*options, "--lxc-image=busybox", test_it=test).assert_outcomes(passed=1)


def test_always_pulling_asks_and_fetches_nothing_twice(
    inner: Inner, own_store: Path, leaks: Leaks, busybox_registry: FakeRegistry
) -> None:
    leaks.watch(own_store)
    options = ("--lxc-pull=always", f"--lxc-store={own_store}", f"--lxc-image={busybox_registry.host}/box:1")
    for _ in range(2):
        inner.run(*options, test_it="def test_it(container): pass").assert_outcomes(passed=1)
    assert busybox_registry.count("GET", "blobs") == 2


def test_the_help_tells_of_every_option(inner: Inner) -> None:
    result = inner.run("--help")
    assert "--lxc-lock-update" in lines(result)
    for name in ("image", "pull", "mirror", "platform", "lock", "store", "timeout", "durations", "report"):
        assert f"--lxc-{name}" in lines(result)
        assert f"lxc_{name} (" in lines(result)
    assert "@pytest.mark.container(image, **settings)" in lines(inner.run("--markers"))


def test_a_store_may_be_relative(inner: Inner, mirror: str, monkeypatch: pytest.MonkeyPatch, own_store: Path) -> None:
    result = inner.run(
        f"--lxc-store={'../' * 12}{str(own_store)[1:]}", "--collect-only", "-q", test_it="def test_it(container): pass"
    )
    assert result.ret == 0
