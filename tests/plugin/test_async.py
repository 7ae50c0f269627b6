"""Containers in asynchronous tests: pytest-asyncio, and anyio on both of its backends."""

from __future__ import annotations

import pytest

from .conftest import Inner

pytestmark = pytest.mark.usefixtures("mirror")

COMMON = """
    import asyncio
    import pytest
    from pytest_lxcontainer import lxc_container, wait

    echo = lxc_container(
        "busybox",
        scope="SCOPE",
        command=["nc", "-ll", "-p", "7000", "-e", "echo", "hello"],
        ready=wait.exec("netstat -ltn | grep -q :7000"),
    )
"""

ASYNCIO = (
    COMMON
    + """
    MARK
    async def test_the_loop_goes_on_while_a_thread_waits(container):
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.001)

        ticking = asyncio.create_task(tick())
        assert await asyncio.to_thread(container.check_output, "sleep 0.3; echo done") == "done"
        ticking.cancel()
        assert ticks > 1

    MARK
    async def test_a_service_is_reached_from_the_loop(echo):
        reader, writer = await asyncio.open_connection(echo.ip, 7000)
        assert await reader.read() == b"hello\\n"
        writer.close()
        await writer.wait_closed()

    MARK
    async def test_many_at_once(containers):
        made = await asyncio.gather(*(asyncio.to_thread(containers.run, "busybox", name=f"b{n}") for n in range(3)))
        texts = await asyncio.gather(*(asyncio.to_thread(each.check_output, "hostname") for each in made))
        assert texts == ["b0", "b1", "b2"]

    MARK
    async def test_in_the_loop_itself(container):
        assert container.check_output("echo here") == "here"
        assert container.read_text("/etc/hostname").strip() == container.hostname

    MARK
    async def test_commands_of_the_loop_are_not_disturbed(container):
        # Children of this process are the loop's to wait for.
        process = await asyncio.create_subprocess_exec("sh", "-c", "sleep 0.1; exit 7")
        assert await asyncio.to_thread(lambda: container.exec("exit 3").exit_code) == 3
        assert await process.wait() == 7

    def test_without_a_loop(container, echo):
        assert container.running and echo.running
"""
)

FIXTURES = """
    import pytest_asyncio

    @pytest_asyncio.fixture
    async def seeded(container):
        await asyncio.to_thread(container.write_text, "/seeded", "yes")
        yield container
        assert await asyncio.to_thread(container.read_text, "/seeded") == "changed"

    MARK
    async def test_an_asynchronous_fixture(seeded):
        assert seeded.read_text("/seeded") == "yes"
        seeded.write_text("/seeded", "changed")
"""

ANYIO = (
    COMMON
    + """
    import anyio

    pytestmark = pytest.mark.anyio

    @pytest.fixture(params=["asyncio", "trio"])
    def anyio_backend(request):
        return request.param

    async def test_a_service_is_reached(echo):
        async with await anyio.connect_tcp(echo.ip, 7000) as stream:
            assert await stream.receive() == b"hello\\n"

    async def test_in_threads(container):
        texts = []

        async def work(number):
            texts.append(await anyio.to_thread.run_sync(container.check_output, f"echo {number}"))

        async with anyio.create_task_group() as group:
            for number in range(4):
                group.start_soon(work, number)
        assert sorted(texts) == ["0", "1", "2", "3"]

    @pytest.fixture
    async def seeded(container):
        await anyio.to_thread.run_sync(container.write_text, "/seeded", "yes")
        yield container

    async def test_an_asynchronous_fixture(seeded, anyio_backend):
        assert seeded.read_text("/seeded") == "yes"
"""
)


@pytest.fixture
def with_asyncio(inner: Inner) -> Inner:
    """pytest-asyncio, with its scope set, so that it has nothing to warn of."""
    inner.options = ("-W", "error", "-p", "no:cacheprovider", "-o", "asyncio_default_fixture_loop_scope=function")
    return inner


@pytest.mark.parametrize("scope", ["function", "session"])
def test_pytest_asyncio_in_strict_mode(with_asyncio: Inner, scope: str) -> None:
    test = (ASYNCIO + FIXTURES).replace("MARK", "@pytest.mark.asyncio").replace("SCOPE", scope)
    with_asyncio.run("--asyncio-mode=strict", "--lxc-image=busybox", test_it=test).assert_outcomes(passed=7)


@pytest.mark.parametrize("scope", ["module", "run"])
def test_pytest_asyncio_in_auto_mode(with_asyncio: Inner, scope: str) -> None:
    test = (ASYNCIO + FIXTURES).replace("    MARK\n", "").replace("SCOPE", scope)
    with_asyncio.run("--asyncio-mode=auto", "--lxc-image=busybox", test_it=test).assert_outcomes(passed=7)


def test_pytest_asyncio_with_one_loop_for_the_module(with_asyncio: Inner) -> None:
    mark = '@pytest.mark.asyncio(loop_scope="module")'
    test = ASYNCIO.replace("MARK", mark).replace("SCOPE", "module")
    with_asyncio.run("--asyncio-mode=strict", "--lxc-image=busybox", test_it=test).assert_outcomes(passed=6)


@pytest.mark.parametrize("scope", ["function", "session"])
def test_anyio(inner: Inner, scope: str) -> None:
    inner.run("--lxc-image=busybox", test_it=ANYIO.replace("SCOPE", scope)).assert_outcomes(passed=6)
