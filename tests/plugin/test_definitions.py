"""Fixtures that are defined wrongly: one error, which names their place."""

from __future__ import annotations

import pytest

from .conftest import Inner, lines

DEFINES = """
    from pytest_lxcontainer import lxc_container


    box = lxc_container(ARGUMENTS)
"""
THREE = "".join(f"def test_{name}(box): pass\n" for name in "abc")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("'busybox', comand='true'", ["no container setting is called 'comand'", "did you mean 'command'?"]),
        ("'busybox', group='mine'", ["no container setting is called 'group'"]),
        ("'busybox', scope='modul'", ["no scope 'modul'", "one of: function, class, module, package, session, run"]),
    ],
)
def test_a_name_that_there_is_not_ends_the_run_once(inner: Inner, arguments: str, said: list[str]) -> None:
    result = inner.run(conftest=DEFINES.replace("ARGUMENTS", arguments), test_it=THREE)
    assert result.ret in (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.INTERRUPTED)
    for each in said:
        assert lines(result).count(each) == 1
    assert "conftest.py:5" in lines(result)


def test_a_scope_that_there_is_not_chosen_by_a_function_is_pytests_own_error(inner: Inner) -> None:
    module = (
        DEFINES.replace("ARGUMENTS", "'busybox', scope=lambda fixture_name, config: 'day'")
        + "\n    def test_it(box): pass"
    )
    result = inner.run(test_it=module)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["Fixture * from test_it.py got an unexpected scope value 'day'"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("'busybox', ports=70000", "InvalidSettingsError: ports=70000: a port is a number from 1 to 65535"),
        ("'Busy/BOX'", "InvalidReferenceError: 'Busy/BOX' is no image reference"),
        ("'busybox', env=lambda: 3", "InvalidSettingsError: env=3 must be a mapping of names to values"),
        ("params=['busybox', {'image': 'busybox', 'user': 'no-one'}]", "InvalidSettingsError: *'no-one'*"),
    ],
)
def test_a_value_that_cannot_be_used_is_shown_with_the_fixture_alone(
    inner: Inner, mirror: str, arguments: str, said: str
) -> None:
    result = inner.run(conftest=DEFINES.replace("ARGUMENTS", arguments), test_it="def test_it(box): pass")
    result.assert_outcomes(errors=1, passed=1 if "params" in arguments else 0)
    result.stdout.fnmatch_lines([f"E *{said}", f"*fixture 'box' of {inner.path / 'conftest.py'}:5"])
    assert "pytest_lxcontainer/" not in lines(result)


@pytest.mark.parametrize("scope", ["function", "class", "module", "package", "session", "run"])
def test_one_that_does_not_start_names_its_fixture_to_each_test(inner: Inner, mirror: str, scope: str) -> None:
    arguments = f"'busybox', command='echo last words; exit 3', ready=lambda _: False, scope='{scope}'"
    test = f"class TestIt:\n    {THREE.replace('box', 'self, box').replace(chr(10), chr(10) + '    ')}"
    # Without the summary, in which pytest repeats the whole message in CI.
    result = inner.run("-rN", conftest=DEFINES.replace("ARGUMENTS", arguments), test_it=test)
    result.assert_outcomes(errors=3)
    assert lines(result).count(f"fixture 'box' of {inner.path / 'conftest.py'}:5") == 3
    assert lines(result).count("- lxc container busybox (busybox:latest) -") == 3


def test_a_fixture_that_is_too_narrow_is_pytests_own_error(inner: Inner) -> None:
    conftest = DEFINES.replace("ARGUMENTS", "'busybox'")
    test = """
        import pytest

        @pytest.fixture(scope="module")
        def wide(box): pass

        def test_it(wide): pass
    """
    result = inner.run(conftest=conftest, test_it=test)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["ScopeMismatch: *scoped fixture box with a module *", "conftest.py:5:  def lxc_container(*)"]
    )


def test_the_list_of_fixtures_tells_what_each_gives_and_where_it_is_from(inner: Inner) -> None:
    conftest = DEFINES.replace("ARGUMENTS", "'redis:7', params=['redis:7', 'redis:6']")
    result = inner.run("--fixtures", conftest=conftest)
    result.stdout.fnmatch_lines(["box -- conftest.py:[56]", "    A container of redis:7 or redis:6."])
