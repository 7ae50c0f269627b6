"""What a failed test tells of its containers."""

from __future__ import annotations

import json
import time
import xml.etree.ElementTree as ElementTree
from textwrap import dedent
from typing import Any

import pytest

from ..conftest import cgroup_version
from .conftest import Inner, lines

pytestmark = pytest.mark.usefixtures("mirror")

SPEAKS = """
    import pytest
    from pytest_lxcontainer import lxc_container, wait

    speaking = dict(command="echo this is the console; sleep 100", ready=wait.log("console"))
    shared = lxc_container("busybox", scope="module", name="shared", **speaking)
    own = lxc_container("busybox", name="own", **speaking)
    dying = dict(command="echo last words; exit 3", ready=wait.log("never"))
    bad = lxc_container("busybox", name="bad", **dying)
    bad_shared = lxc_container("busybox", name="badshared", scope="module", **dying)
"""


@pytest.mark.parametrize("fixture", ["own", "shared"])
def test_a_failed_call_shows_the_console(inner: Inner, fixture: str) -> None:
    result = inner.run(conftest=SPEAKS, test_it=f"def test_it({fixture}): assert 0")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [f"*- lxc container {fixture} (busybox:latest) -*", "state: RUNNING", "this is the console"]
    )


@pytest.mark.parametrize(("fixture", "name"), [("bad", "bad"), ("bad_shared", "badshared")])
def test_a_failed_set_up_shows_the_console(inner: Inner, fixture: str, name: str) -> None:
    result = inner.run(conftest=SPEAKS, test_it=f"def test_it({fixture}): pass")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [f"*- lxc container {name} (busybox:latest) -*", "state: STOPPED, exit code 3", "last words"]
    )


@pytest.mark.parametrize("fixture", ["own", "shared"])
def test_a_failed_teardown_shows_the_console(inner: Inner, fixture: str) -> None:
    test = f"""
        import pytest

        @pytest.fixture
        def falls({fixture}):
            yield
            assert 0, "in teardown"

        def test_it(falls): pass
    """
    result = inner.run(conftest=SPEAKS, test_it=test)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["*in teardown*", "*- lxc container " + fixture + " (busybox:latest) -*", "this is the console"]
    )


def test_passing_tests_are_silent(inner: Inner) -> None:
    result = inner.run(conftest=SPEAKS, test_it="def test_it(own, shared): pass")
    result.assert_outcomes(passed=1)
    assert "lxc container" not in lines(result)
    assert "this is the console" not in lines(result)


def test_another_tests_container_is_not_shown(inner: Inner) -> None:
    result = inner.run(conftest=SPEAKS, test_it="def test_one(own): pass\ndef test_two(): assert 0")
    result.assert_outcomes(passed=1, failed=1)
    assert "lxc container" not in lines(result)


def test_several_containers_have_a_section_each(inner: Inner) -> None:
    result = inner.run(conftest=SPEAKS, test_it="def test_it(own, shared): assert 0")
    assert lines(result).count("this is the console\n") == 2


def test_a_long_log_is_cut_to_its_end(inner: Inner) -> None:
    test = """
        import pytest
        from pytest_lxcontainer import wait

        COUNTS = "for n in $(seq 1000); do echo line-$n; done; sleep 100"

        @pytest.mark.container("busybox", command=COUNTS, ready=wait.log("line-1000"))
        def test_it(container): assert 0
    """
    result = inner.run(test_it=test)
    result.stdout.fnmatch_lines(["... * earlier lines", "*", "line-1000"])
    assert "line-100\n" not in lines(result)


def test_a_silent_container_says_so(inner: Inner) -> None:
    result = inner.run("--lxc-image=busybox", test_it="def test_it(container): assert 0")
    result.stdout.fnmatch_lines(["*- lxc container busybox (busybox:latest) -*", "log: (it wrote nothing)"])


def test_the_section_is_there_after_the_test_destroyed_its_container(inner: Inner) -> None:
    result = inner.run(conftest=SPEAKS, test_it="def test_it(own):\n    own.destroy()\n    assert 0")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*- lxc container own (busybox:latest) -*"])


TELLS = """
    import json
    from pathlib import Path

    def pytest_runtest_logreport(report):
        found = getattr(report, "lxcontainer", None)
        if found is not None:
            Path(f"told-{report.when}.json").write_text(json.dumps(found))
"""


def told(inner: Inner, when: str = "call") -> list[dict[str, Any]]:
    """What the failed report of a phase knows, as `TELLS` has written it."""
    found: list[dict[str, Any]] = json.loads((inner.path / f"told-{when}.json").read_text())
    return found


def test_the_report_has_it_all(inner: Inner) -> None:
    test = """
        import pytest

        @pytest.mark.container("busybox", command="echo hello; sleep 100")
        def test_it(container):
            container.exec("echo more >> /etc/passwd; echo text > /tmp/new; rm /etc/group", user="root")
            container.exec(["sh", "-c", "echo oh no >&2; exit 3"])
            container.network.delay("1ms")
            container.exec("sleep 100", timeout=0.1)
    """
    result = inner.run(conftest=TELLS, test_it=test)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "state: RUNNING",
            "command: /bin/sh -c 'echo hello; sleep 100'",
            "image: busybox:latest, sha256:*",
            "used: * s of processor time",
            "network faults: delay 1 ms*",
            "commands:",
            "  exit code 0, * s: echo more >> *",
            "  exit code 3, * s: sh -c 'echo oh no >&2; exit 3'",
            "      oh no",
            "  killed after 0.1 s, * s: sleep 100",
            "changed files:",
            "  D /etc/group",
            "  C /etc/passwd (*)",
            "      +more",
            "  A /tmp/new (5 B)",
            "      +text",
            "log:",
            "hello",
        ]
    )
    (box,) = told(inner)
    assert (box["name"], box["state"], box["exit_code"], box["reason"]) == ("busybox", "RUNNING", None, "")
    assert (box["image"], box["command"][0], box["log"], box["kept"]) == ("busybox:latest", "/bin/sh", "hello", "")
    assert box["digest"].startswith("sha256:") and box["id"].startswith("busybox-") and len(box["ips"]) == 1
    assert abs(box["started_at"] - time.time()) < 60 and box["cpu_time"] > 0
    assert [(each["exit_code"], each["ok"], each["test"]) for each in box["commands"]] == [
        (0, True, "test_it.py::test_it"),
        (3, False, "test_it.py::test_it"),
        (None, False, "test_it.py::test_it"),
    ]
    changes = [(each["kind"], each["path"], each["size"], each["diff"]) for each in box["changes"]]
    assert ("added", "/tmp/new", 5, "+text") in changes and ("deleted", "/etc/group", 0, "") in changes
    assert (box["changes_left_out"], box["commands_left_out"], box["log_left_out"], box["problems"]) == (0, 0, 0, [])


@pytest.mark.needs_cgroups
def test_memory_is_told_of_what_has_ended_too(inner: Inner) -> None:
    test = """
        import pytest
        from pytest_lxcontainer import wait

        GROWS = "x=0123456789abcdef; while :; do x=$x$x; done"

        @pytest.mark.container("busybox", command=GROWS, limits={"memory": "20MiB"}, ready=wait.exit(137))
        def test_it(container): assert 0
    """
    result = inner.run(conftest=TELLS, test_it=test)
    result.stdout.fnmatch_lines(["state: STOPPED, exit code 137 (killed by SIGKILL: out of memory, its limit is*)"])
    (box,) = told(inner)
    assert box["cpu_time"] > 0
    assert box["memory_peak"] is None or 4 << 20 < box["memory_peak"] <= 20 << 20


@pytest.mark.parametrize(
    ("settings", "lines"),
    [
        ("command='kill -USR1 $$'", ["state: STOPPED, exit code 138 (killed by SIGUSR1)"]),
        (
            "command=['/no/such']",
            ["state: STOPPED, exit code 255 (could not execute its command: there is no /no/such in the image)"],
        ),
        (
            "command='sleep 100', ready=wait.file('/no/such'), timeout=0.5",
            ["state: RUNNING", "waited for: file /no/such, not so after *"],
        ),
    ],
    ids=["signal", "missing", "late"],
)
def test_the_reason_is_told(inner: Inner, settings: str, lines: list[str]) -> None:
    test = f"""
        import pytest
        from pytest_lxcontainer import wait

        @pytest.mark.container("busybox", {settings})
        def test_it(container): pass
    """
    result = inner.run(test_it=test)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(lines)


SCOPES = ("function", "class", "module", "package", "session", "run")


def test_every_phase_tells_of_every_scope(inner: Inner) -> None:
    fixtures = f"""
        import pytest
        from pytest_lxcontainer import lxc_container

        {"; ".join(f"a_{scope} = lxc_container('busybox', scope='{scope}', name='{scope}')" for scope in SCOPES)}

        @pytest.fixture
        def all_scopes({", ".join(f"a_{scope}" for scope in SCOPES)}): pass

        @pytest.fixture
        def bad_set_up(all_scopes): assert 0

        @pytest.fixture
        def bad_teardown(all_scopes):
            yield
            assert 0
    """
    tests = """
        class TestIt:
            def test_set_up(self, bad_set_up): pass
            def test_call(self, all_scopes): assert 0
            def test_teardown(self, bad_teardown): pass
    """
    result = inner.run("--junit-xml=out.xml", conftest=dedent(TELLS) + dedent(fixtures), test_it=tests)
    result.assert_outcomes(passed=1, failed=1, errors=2)
    for when in ("setup", "call", "teardown"):
        assert sorted(each["name"] for each in told(inner, when)) == sorted(SCOPES)
        assert all(each["state"] in ("RUNNING", "STOPPING") and not each["problems"] for each in told(inner, when))
    assert [[title.count("lxc container") for title in outputs(case)] for case in cases(inner)] == [[6], [6], [6]]


def test_a_destroyed_container_tells_what_is_left_of_it(inner: Inner) -> None:
    test = """
        import pytest

        @pytest.fixture
        def falls(container):
            yield
            container.exec("exit 3")
            assert 0

        def test_it(falls): pass
    """
    result = inner.run("--lxc-image=busybox", conftest=TELLS, test_it=test)
    result.assert_outcomes(passed=1, errors=1)
    (box,) = told(inner, "teardown")
    assert box["cpu_time"] > 0 and [each["exit_code"] for each in box["commands"]] == [3]
    assert (box["changes"], box["problems"]) == ([], [])
    result.stdout.fnmatch_lines(["*- lxc container busybox *", "changed files: not known, since it is gone"])


def test_a_wider_containers_other_commands_are_counted_and_all_told_with_vv(inner: Inner) -> None:
    tests = """
        from pytest_lxcontainer import lxc_container

        box = lxc_container("busybox", scope="module")

        def test_one(box):
            box.exec("echo one")
            box.exec("echo two")
            for number in range(12):
                box.write_text(f"/tmp/{number:02}", "x")

        def test_two(box):
            box.exec("echo three")
            assert 0
    """
    short = inner.run(test_it=tests)
    short.stdout.fnmatch_lines(["commands: (not shown: 2 that other tests ran)", "  exit code 0, * s: echo three"])
    short.stdout.fnmatch_lines(["  A /tmp/02 (1 B)", "      +x", "  ... 9 more under /tmp (9 B)"])
    short.stdout.no_fnmatch_line("*echo one*")
    whole = inner.run("-vv")
    whole.stdout.fnmatch_lines(["commands:", "  in test_it.py::test_one:", "  exit code 0, * s: echo one"])
    whole.stdout.fnmatch_lines(["  in test_it.py::test_two:", "  exit code 0, * s: echo three"])
    whole.stdout.fnmatch_lines(["  A /tmp/11 (1 B)"])


def test_the_whole_log_is_told_with_vv(inner: Inner) -> None:
    test = """
        import pytest
        from pytest_lxcontainer import wait

        @pytest.mark.container("busybox", command="seq 1000; sleep 100", ready=wait.log("^1000$"))
        def test_it(container): assert 0
    """
    short = inner.run(test_it=test)
    short.stdout.fnmatch_lines(["log:", "... 950 earlier lines", "951"], consecutive=True)
    inner.run("-vv").stdout.fnmatch_lines(["log:", "1", "2", "3"], consecutive=True)


def test_a_frozen_and_a_stopped_container_tell_of_their_files(inner: Inner) -> None:
    test = """
        import pytest

        @pytest.mark.container("busybox")
        @pytest.mark.parametrize("how", ["stop", "freeze"])
        def test_it(container, how):
            container.exec("echo text > /tmp/new")
            getattr(container, how)()
            assert 0
    """
    select = ["-k", "stop"] if cgroup_version() is None else []
    result = inner.run(*select, conftest=TELLS, test_it=test)
    assert lines(result).count("A /tmp/new (5 B)\n      +text\n") == (1 if select else 2)


def test_a_report_is_made_without_the_supervisor_too(inner: Inner) -> None:
    test = """
        import os, signal
        from pathlib import Path

        def test_it(container, _lxc_provisioner):
            run = _lxc_provisioner.layout.runs_dir / _lxc_provisioner.identity.run_id
            os.kill(int((run / "supervisor").read_text().split(":")[0]), signal.SIGKILL)
            assert 0
    """
    result = inner.run("--lxc-image=busybox", conftest=TELLS, test_it=test)
    result.stdout.fnmatch_lines(
        ["*- lxc container busybox (busybox:latest) -*", "state: UNKNOWN", "not known: its st*"]
    )
    # Which removes what is left of the other.
    inner.run("--lxc-image=busybox", test_it="def test_it(container): pass").assert_outcomes(passed=1)


def cases(inner: Inner) -> list[ElementTree.Element]:
    """The test cases of the JUnit file."""
    return list(ElementTree.parse(inner.path / "out.xml").getroot().iter("testcase"))


def outputs(case: ElementTree.Element) -> list[str]:
    return [each.text or "" for each in case.findall("system-out")]


def properties(case: ElementTree.Element) -> dict[str, str]:
    found = [(each.get("name", ""), each.get("value", "")) for each in case.iter("property")]
    assert len(dict(found)) == len(found)
    return dict(found)


FALLING = """
    import pytest

    @pytest.fixture
    def falls(own):
        yield
        assert 0, "in teardown"

    def test_call(own):
        print("printed")
        own.exec("true")
        assert 0, "in call"

    def test_set_up(bad): pass
    def test_teardown(falls): pass
    def test_both(falls): assert 0, "in call"
    def test_ok(own): pass
"""


@pytest.mark.parametrize("family", ["xunit1", "xunit2"])
def test_a_junit_file_has_sections_and_properties(inner: Inner, family: str) -> None:
    options = ("--junit-xml=out.xml", "-o", f"junit_family={family}")
    result = inner.run(*options, conftest=SPEAKS, test_it=FALLING)
    result.assert_outcomes(passed=2, failed=2, errors=3)
    suite = ElementTree.parse(inner.path / "out.xml").getroot()[0]
    assert (suite.get("failures"), suite.get("errors")) == ("2", "3")
    names = [each.get("name") for each in cases(inner)]
    assert sorted(map(str, names)) == [f"test_{end}" for end in ["both", "both", "call", "ok", "set_up", "teardown"]]
    for name, case in zip(names, cases(inner), strict=True):
        if name == "test_ok":
            assert (outputs(case), properties(case)) == ([], {})
            continue
        (text,) = outputs(case)
        fixture = "bad" if name == "test_set_up" else "own"
        assert f" lxc container {fixture} (busybox:latest) " in text
        assert ("last words" if fixture == "bad" else "this is the console") in text
        known = properties(case)
        assert known[f"lxcontainer.{fixture}.image"] == "busybox:latest"
        assert known[f"lxcontainer.{fixture}.state"] == ("STOPPED" if fixture == "bad" else "RUNNING")
        assert known.get(f"lxcontainer.{fixture}.exit_code") == ("3" if fixture == "bad" else None)
        assert float(known[f"lxcontainer.{fixture}.cpu_time"]) > 0


def test_a_junit_file_with_captured_output_has_one_output_for_each_test(inner: Inner) -> None:
    options = ("--junit-xml=out.xml", "-o", "junit_logging=all")
    inner.run(*options, conftest=SPEAKS, test_it=FALLING)
    (case,) = [each for each in cases(inner) if each.get("name") == "test_call"]
    (text,) = outputs(case)
    assert "this is the console" in text and "printed" in text


def test_a_junit_file_is_well_formed_whatever_was_written(inner: Inner) -> None:
    test = r"""
        import pytest
        from pytest_lxcontainer import wait

        SPEAKS = r"printf 'a\033[31m\000\377]]><&\n'; sleep 100"

        @pytest.mark.container("busybox", command=SPEAKS, ready=wait.log("&"))
        def test_it(container):
            container.exec(["sh", "-c", "echo x > $(printf '/tmp/\\377')"])
            assert 0
    """
    inner.run("--junit-xml=out.xml", test_it=test).assert_outcomes(failed=1)
    (text,) = outputs(cases(inner)[0])
    assert "a\N{REPLACEMENT CHARACTER}[31m" in text and "]]><&" in text and "/tmp/\N{REPLACEMENT CHARACTER}" in text


def test_a_test_that_is_run_again_has_the_properties_of_its_last_run(inner: Inner) -> None:
    test = "def test_it(own):\n    own.exec('exit 3')\n    assert 0"
    result = inner.run("--junit-xml=out.xml", "--reruns=1", conftest=SPEAKS, test_it=test)
    result.assert_outcomes(failed=1)
    assert properties(cases(inner)[-1])["lxcontainer.own.id"] == "own-2"


def test_passing_tests_have_nothing_in_the_junit_file(inner: Inner) -> None:
    inner.run("--junit-xml=out.xml", conftest=SPEAKS, test_it="def test_ok(own): pass").assert_outcomes(passed=1)
    (case,) = cases(inner)
    assert list(case) == []
