"""The page of a run as people see and use it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_lxcontainer.plugin.page.file import write
from pytest_lxcontainer.plugin.page.model import model_of
from pytest_lxcontainer.plugin.record import Record

from ..unit.plugin.runs import HOSTILE, hostile, made_up
from .chromium import PROGRAM, Chromium

pytestmark = pytest.mark.exhaustive

Show = Callable[[Record], Chromium]


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    if PROGRAM is None:
        if os.environ.get("CI"):
            pytest.fail("there is no chromium; run: scripts/host-setup")
        pytest.skip("there is no chromium; run: scripts/host-setup")
    with Chromium(tmp_path_factory.mktemp("profile")) as chromium:
        yield chromium


@pytest.fixture
def show(chromium: Chromium, tmp_path: Path) -> Iterator[Show]:
    """Opens the page of a record; in the end nothing was fetched but the page, and nothing went wrong."""
    path = tmp_path / "report.html"

    def show(record: Record) -> Chromium:
        write(path, model_of(record, title="project", arguments=["-n", "2"]))
        chromium.prefer("light")
        chromium.resize(1280, 900)
        chromium.open(path)
        return chromium

    chromium.requests.clear()
    chromium.complaints.clear()
    yield show
    assert {url.partition("#")[0] for url in chromium.requests} <= {path.as_uri()}
    assert chromium.complaints == []


def rows(page: Chromium, table: str = "tests") -> list[str]:
    found: list[str] = page.run(f"[...document.querySelectorAll('#{table} tbody .open')].map((each) => each.innerText)")
    return found


def text_of(page: Chromium, selector: str) -> str:
    return str(page.run(f"document.querySelector({selector!r}).innerText"))


def filtered(page: Chromium, words: str) -> list[str]:
    page.run(f"{{ const i = document.querySelector('#tests input'); i.value = {words!r}; i.dispatchEvent(new Event('input')) }}")  # fmt: skip  # noqa: E501 - a script
    return rows(page)


def sorted_by(page: Chromium, title: str) -> list[str]:
    page.run(f"[...document.querySelectorAll('#tests thead button')].find((each) => each.innerText === {title!r}).click()")  # fmt: skip  # noqa: E501 - a script
    return rows(page)


def test_it_begins_with_what_matters(show: Show) -> None:
    page = show(made_up(10, failures=2))
    assert text_of(page, "h1") == "2 failed, 1 skipped, 7 passed"
    figures = text_of(page, "#figures")
    assert "Containers\n10\nat most 1 at a time, of 3 images" in figures
    assert "Slowest test" in figures and "Tests waited for containers" in figures
    assert page.run("document.querySelector('#outcomes').getAttribute('aria-label')") == "2 failed, 1 skipped, 7 passed"


def test_the_timeline_has_every_container(show: Show) -> None:
    page = show(made_up(10, failures=1))
    assert page.run("document.querySelectorAll('#timeline svg rect.container').length") == 10
    box = page.run("document.querySelector('.chart').getBoundingClientRect().toJSON()")
    bar = page.run("document.querySelector('#timeline svg rect.container').getBoundingClientRect().toJSON()")
    assert box["left"] <= bar["left"] and bar["width"] > 3


def test_the_timeline_has_each_worker(show: Show) -> None:
    page = show(made_up(12, workers=3))
    names = page.run("[...document.querySelectorAll('#timeline text.name')].map((each) => each.textContent)")
    assert names == ["gw0", "gw1", "gw2"]


def test_the_timeline_zooms_by_buttons_keys_and_mouse(show: Show) -> None:
    page = show(made_up(10))
    ticks = "[...document.querySelectorAll('#timeline .axis text')].map((each) => each.textContent).join()"
    after = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    whole = page.run(ticks)
    page.run("document.querySelector('[data-zoom=in]').click()")
    page.run(after)
    assert page.run(ticks) != whole
    page.run("document.querySelector('.chart').focus()")
    page.press("0", "0")
    page.run(after)
    assert page.run(ticks) == whole
    page.run("document.querySelector('.chart').scrollIntoView({ block: 'center', behavior: 'instant' })")
    box = page.run("document.querySelector('.chart').getBoundingClientRect().toJSON()")
    y, begin, end = box["top"] + 30, box["left"] + 300, box["left"] + 500
    page.mouse("mousePressed", begin, y, button="left", clickCount=1)
    page.mouse("mouseMoved", end, y, button="left")
    page.mouse("mouseReleased", end, y, button="left", clickCount=1)
    page.run(after)
    assert page.run(ticks) != whole


def test_the_keyboard_goes_from_container_to_container(show: Show) -> None:
    page = show(made_up(5, failures=0))
    page.run("document.querySelector('.chart').focus()")
    page.press("ArrowDown")
    page.wait_for("document.querySelector('#chosen').innerText.startsWith('postgres-1 of postgres:15')")
    page.press("ArrowDown")
    page.wait_for("document.querySelector('#chosen').innerText.startsWith('redis-2 of redis:7')")
    assert "used by tests/test_1.py::TestThings::test_number[1]" in text_of(page, "#chosen")


def test_tests_are_sorted_by_what_they_waited_for(show: Show) -> None:
    record = made_up(10)
    page = show(record)
    assert rows(page) == list(record.tests)
    by_image = sorted_by(page, "image")
    assert {each[-3:] for each in by_image[:3]} == {"[0]", "[1]", "[2]"}
    assert sorted_by(page, "Test") == sorted(record.tests)
    assert sorted_by(page, "Test") == sorted(record.tests, reverse=True)
    head = "[...document.querySelectorAll('#tests th')].find((each) => each.innerText.startsWith('Test'))"
    assert page.run(f"{head}.getAttribute('aria-sort')") == "descending"


def test_tests_are_filtered_by_words_and_outcome(show: Show) -> None:
    page = show(made_up(100, failures=5))
    assert len(rows(page)) == 100
    assert filtered(page, "number[42]") == ["tests/test_8.py::TestThings::test_number[42]"]
    filtered(page, "")
    page.run("document.querySelector('#tests [data-choice=failed]').click()")
    assert len(rows(page)) == 5
    assert text_of(page, "#tests .found") == "5 of 100"


def test_a_row_opens_to_its_operations_with_the_keyboard(show: Show) -> None:
    page = show(made_up(5, failures=0))
    page.run("document.querySelector('#tests tbody .open').focus()")
    page.press("Enter", "\r")
    page.wait_for("document.querySelector('#tests tr.detail') !== null")
    shown = text_of(page, "#tests tr.detail")
    assert "pull" in shown and "ready" in shown and "postgres-1 (postgres:15)" in shown
    assert page.run("document.querySelector('#tests tbody .open').getAttribute('aria-expanded')") == "true"


def test_a_container_has_curves(show: Show) -> None:
    page = show(made_up(5, failures=0))
    assert page.run("document.querySelectorAll('#containers svg.spark').length") == 10
    page.run("document.querySelector('#containers tbody .open').click()")
    assert page.run("document.querySelectorAll('#containers svg.plot path.edge').length") == 2
    assert "MiB" in text_of(page, "#containers tr.detail")


def test_a_failure_has_all_that_the_report_had(show: Show) -> None:
    page = show(made_up(10, failures=1))
    shown = text_of(page, "details.failure")
    for told in (
        "AssertionError: assert '' == '1'", "Captured stdout call", "postgres:15 abababababab", "exit code 137",
        "out of memory, its limit is 64.0 MiB", "docker-entrypoint.sh postgres -c 'fsync=off now'", "at most 64.0 MiB",
        "1.25 s", "delay 100 ms to 10.1.2.3", "Log, without 218 earlier lines", "FATAL:  out of memory",
        "psql: error: connection refused", "Commands, without 3 others", "+workers = 0", "C /etc/app.conf",
        "Files changed, without 214 others", "10.0.3.17", "lxcontainer enter 3f9a1c07",
    ):  # fmt: skip
        assert told in shown
    assert "lxcontainer enter 3f9a1c07" in text_of(page, "#kept")


def test_a_long_log_shows_its_end(show: Show) -> None:
    record = made_up(1, failures=1)
    (test,) = record.tests.values()
    test.failures[0].containers[0]["log"] = "\n".join(f"line {number}" for number in range(500))
    page = show(record)
    page.wait_for("document.querySelector('pre.log') !== null")
    assert page.run("(({ scrollTop, scrollHeight, clientHeight }) => scrollHeight - clientHeight - scrollTop)(document.querySelector('pre.log'))") < 2  # fmt: skip  # noqa: E501 - a script


def test_the_line_to_walk_in_by_is_copied(show: Show) -> None:
    page = show(made_up(10, failures=1))
    page.run("document.querySelector('#kept .enter button').click()")
    page.wait_for("document.querySelector('#kept .enter button').innerText === 'Copied'")


def test_links_lead_from_a_failure_to_its_test_and_back(show: Show) -> None:
    page = show(made_up(300, failures=2))
    page.run("{ for (const each of document.querySelectorAll('details.failure')) each.open = false; }")
    page.run("location.hash = '#failure-1'")
    page.wait_for("document.querySelector('#failure-1').open")
    page.run("[...document.querySelectorAll('#failure-1 a')].find((each) => each.innerText === 'What the test waited for').click()")  # fmt: skip  # noqa: E501 - a script
    page.wait_for("document.activeElement.closest('tr')?.id === 'test-299'")


def test_hostile_text_is_shown_and_not_run(show: Show) -> None:
    page = show(hostile())
    assert page.run("document.title") == "project - test run"
    assert page.run("document.querySelectorAll('img, script[src], main script').length") == 0
    page.run("{ for (const each of document.querySelectorAll('main .open, summary')) each.click(); }")
    page.run("{ for (const each of document.querySelectorAll('details')) each.open = true; }")
    page.wait_for("document.querySelector('pre.log') !== null")
    assert page.run("document.querySelector('pre.log').textContent") == HOSTILE
    assert page.run("document.querySelectorAll('img').length") == 0
    assert page.run("document.title") == "project - test run"


def test_dark_is_another_page(show: Show) -> None:
    page = show(made_up(10))
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.run(background)
    page.prefer("dark")
    assert page.run(background) != light


CONTRAST = """{
    const channel = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
    const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
    const numbers = (c) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = c; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
    const behind = (e) => { for (; e; e = e.parentElement) { const c = numbers(getComputedStyle(e).backgroundColor); if (c[3] === 255) return c; } return [255, 255, 255]; };
    const bad = new Set();
    for (const e of document.querySelectorAll('body *')) {
        if (!e.getClientRects().length || e.closest('.zero, svg, .skip') || ![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
        const [a, b] = [luminance(numbers(getComputedStyle(e).color)), luminance(behind(e))].sort((x, y) => y - x);
        const ratio = (a + 0.05) / (b + 0.05);
        if (ratio < 4.5) bad.add(`${e.tagName}.${e.className} ${ratio.toFixed(2)}`);
    }
    return [...bad];
}"""  # noqa: E501 - a script


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read(show: Show, scheme: str) -> None:
    """The contrast that WCAG 2.2 asks for (1.4.3, level AA)."""
    page = show(made_up(50, workers=2, failures=3))
    page.prefer(scheme)
    page.run("{ for (const each of document.querySelectorAll('main .open')) each.click(); }")
    assert page.run(CONTRAST) == []


def test_it_fits_a_narrow_window(show: Show) -> None:
    page = show(made_up(20, failures=1))
    page.resize(390, 800)
    assert page.run("document.documentElement.scrollWidth") <= 390


def test_it_can_be_printed(show: Show) -> None:
    page = show(made_up(150, failures=5))
    assert page.pdf().startswith(b"%PDF")
    assert len(rows(page)) == 150
    assert page.run("[...document.querySelectorAll('details.failure')].every((each) => each.open)")


def test_a_run_without_containers_has_a_page_too(show: Show) -> None:
    record = made_up(0, failures=0)
    record.images.clear()
    page = show(record)
    assert text_of(page, "h1") == "No tests ran"
    assert page.run("document.querySelector('#timeline').hidden")


def test_a_thousand_tests_load_at_once(chromium: Chromium, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write(path, model_of(made_up(1000, workers=4, failures=20), title="project", arguments=[]))
    assert path.stat().st_size < 3_000_000
    chromium.open(path)
    # Half a second where nobody else uses the processors; a page that hangs takes minutes.
    assert chromium.run("performance.getEntriesByType('navigation')[0].loadEventEnd") < 20_000  # ms
    # Not everything at once: what is not to be seen yet is made when it is scrolled to, or asked for.
    assert chromium.run("document.querySelectorAll('*').length") < 30_000
    assert "1,000" in text_of(chromium, "#tests h2")


def test_a_thousand_failures_stay_readable(show: Show, tmp_path: Path) -> None:
    page = show(made_up(1000, workers=2, failures=1000))
    assert (tmp_path / "report.html").stat().st_size < 5_000_000
    assert page.run("document.querySelectorAll('details.failure').length") == 50
    page.run("[...document.querySelectorAll('#failures > button.more')].at(-1).click()")
    assert page.run("document.querySelectorAll('details.failure').length") == 1000


def test_zooming_a_thousand_containers_is_fluent(show: Show) -> None:
    page = show(made_up(1000, workers=4))
    taken = page.run("""{
        const frame = () => new Promise((done) => requestAnimationFrame(done));
        const taken = [];
        for (let step = 0; step < 20; step += 1) {
            document.querySelector(`[data-zoom=${step % 2 ? 'out' : 'in'}]`).click();
            const begin = performance.now();
            await frame(); await frame();
            taken.push(performance.now() - begin);
        }
        return taken;
    }""")
    # Some ten ms for two frames where nobody else uses the processors; what draws all of it anew takes seconds.
    assert sorted(taken)[len(taken) // 2] < 2_000
