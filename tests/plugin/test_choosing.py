"""Which image and settings the `container` fixture takes."""

from __future__ import annotations

import pytest

from .conftest import Inner

pytestmark = pytest.mark.usefixtures("mirror")

TELLS = """
    def test_image(container):
        print("chosen:", container.image.reference.familiar)
"""


def told(inner: Inner, *options: str, **files: str) -> list[str]:
    result = inner.run("-s", *options, **files)
    result.assert_outcomes(passed=len(result.parseoutcomes()) and result.parseoutcomes()["passed"])
    return [line.partition("chosen: ")[2] for line in result.outlines if "chosen: " in line]


def test_the_ini_file_names_an_image(inner: Inner) -> None:
    inner.pytester.makeini("[pytest]\nlxc_image = busybox\n")
    assert told(inner, test_it=TELLS) == ["busybox:latest"]


def test_the_environment_goes_before_the_ini_file(inner: Inner, monkeypatch: pytest.MonkeyPatch) -> None:
    inner.pytester.makeini("[pytest]\nlxc_image = no-such-image\n")
    monkeypatch.setenv("LXCONTAINER_IMAGE", "busybox")
    assert told(inner, test_it=TELLS) == ["busybox:latest"]


def test_the_command_line_goes_before_the_environment(inner: Inner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LXCONTAINER_IMAGE", "no-such-image")
    assert told(inner, "--lxc-image=docker.io/library/busybox", test_it=TELLS) == ["busybox:latest"]


def test_two_images_run_each_test_twice_with_readable_ids(inner: Inner) -> None:
    result = inner.run("-v", "--lxc-image", "busybox", "--lxc-image", "debian:bookworm-slim", test_it=TELLS)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        ["test_it.py::test_image[[]busybox[]] PASSED*", "test_it.py::test_image[[]debian:bookworm-slim[]] PASSED*"]
    )


def test_two_images_leave_marked_and_other_tests_alone(inner: Inner) -> None:
    result = inner.run(
        "--lxc-image=busybox",
        "--lxc-image=debian:bookworm-slim",
        test_it="""
            import pytest

            @pytest.mark.container("busybox")
            def test_marked(container): pass

            def test_without(): pass
        """,
    )
    result.assert_outcomes(passed=2)


def test_the_nearest_marker_wins(inner: Inner) -> None:
    result = inner.run(
        "--lxc-image=no-such-image",
        test_it="""
            import pytest

            pytestmark = pytest.mark.container("busybox", env={"FROM": "module"})

            def test_module(container):
                assert container.check_output("echo $FROM") == "module"

            @pytest.mark.container("busybox", env={"FROM": "class"})
            class TestClass:
                def test_class(self, container):
                    assert container.check_output("echo $FROM") == "class"

                @pytest.mark.container("busybox", env={"FROM": "function"})
                def test_function(self, container):
                    assert container.check_output("echo $FROM") == "function"

            @pytest.mark.container("debian:bookworm-slim", name="deb", user="nobody")
            def test_image(container):
                assert container.exec("id -un; hostname").stdout == "nobody\\ndeb\\n"
        """,
    )
    result.assert_outcomes(passed=4)


def test_a_marker_without_image_adds_settings_to_the_chosen_one(inner: Inner) -> None:
    result = inner.run(
        "--lxc-image=busybox",
        test_it="""
            import pytest

            @pytest.mark.container(hostname="named")
            def test_it(container):
                assert container.check_output("hostname") == "named"
        """,
    )
    result.assert_outcomes(passed=1)


def test_settings_reach_the_container(inner: Inner) -> None:
    result = inner.run(
        test_it="""
            import pytest
            from pytest_lxcontainer import wait

            @pytest.mark.container("busybox", command="echo started; sleep 100", ready=wait.log("started"),
                                   tmpfs="/scratch", labels={"a": "b"})
            def test_it(container):
                assert container.logs() == "started\\n"
                assert container.exec("mount | grep -c /scratch").stdout == "1\\n"
                assert container.labels["a"] == "b"
        """
    )
    result.assert_outcomes(passed=1)
