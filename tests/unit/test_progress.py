from __future__ import annotations

import os
import time

import pytest

from pytest_lxcontainer.fetch import PullProgress
from pytest_lxcontainer.image import Reference
from pytest_lxcontainer.progress import Drawing, Rate, can_draw, line
from tests.fakes.terminal import Terminal

MiB = 1 << 20
REDIS = Reference.parse("redis:7")


def progress(done: int = 12 * MiB, reference: Reference = REDIS) -> PullProgress:
    return PullProgress(reference, 113 * MiB + MiB // 2, done, 5, 2)


def until(terminal: Terminal, text: str) -> str:
    deadline = time.monotonic() + 20
    while text not in terminal.drain():
        assert time.monotonic() < deadline, terminal.raw
        time.sleep(0.005)
    return terminal.raw


def test_it_tells_image_layers_bytes_and_rate() -> None:
    assert line(progress(), 20.5 * MiB, 80) == "redis:7: 2/5 layers, 12.0 MiB of 113.5 MiB, 20.5 MiB/s"


def test_when_all_is_there_it_says_what_remains() -> None:
    assert line(progress(113 * MiB + MiB // 2), 0.0, 80).endswith("113.5 MiB of 113.5 MiB, unpacking")
    assert line(PullProgress(REDIS, 0, 0, 5, 1), 0.0, 80) == "redis:7: 1/5 layers, unpacking"


@pytest.mark.parametrize("name", ["redis:7", "registry.example.org:5000/some/where/far/away/image:with-a-long-tag"])
def test_it_fits_into_every_width(name: str) -> None:
    reference = Reference.parse(name)
    for width in range(1, 200):
        text = line(progress(reference=reference), MiB, width)
        assert len(text) <= width
        assert width < 30 or "2/5 layers" in text
    assert line(progress(reference=reference), MiB, 200).startswith(f"{name}: ")


def test_a_long_name_keeps_its_end() -> None:
    text = line(progress(reference=Reference.parse("registry.example.org:5000/some/where/image:tag")), MiB, 70)
    assert text.startswith("…") and "image:tag: 2/5 layers" in text and len(text) == 70


def test_the_rate_is_that_of_the_last_seconds() -> None:
    rate = Rate()
    rate.note(0.0, 0)
    assert rate.value == 0
    rate.note(2.0, 4000)
    assert rate.value == 2000
    for second in range(3, 10):
        rate.note(float(second), 4000)
    assert rate.value == 0


def test_it_is_drawn_over_and_wiped_off() -> None:
    with Terminal() as terminal:
        os.write(terminal.fd, b"before\n")
        shown = progress()
        with Drawing(terminal.fd)(shown):
            until(terminal, "12.0 MiB of")
            shown.bytes_done = 50 * MiB
            until(terminal, "50.0 MiB of")
        os.write(terminal.fd, b"after\n")
        terminal.drain()
        assert terminal.screen.text == ["before", "after", ""]
        assert terminal.raw.count("\n") == 2


@pytest.mark.parametrize("begun", ["tests/test_it.py .", "x" * 79, "x" * 100, "x" * 165])
def test_a_line_that_is_begun_stays_and_goes_on(begun: str) -> None:
    with Terminal() as terminal:
        os.write(terminal.fd, begun.encode())
        with Drawing(terminal.fd, lambda: len(begun))(progress()):
            until(terminal, "2/5 layers")
        os.write(terminal.fd, b"F\n")
        terminal.drain()
        assert "".join(terminal.screen.text) == begun + "F"


def test_it_draws_at_most_ten_times_a_second() -> None:
    with Terminal() as terminal:
        started = time.monotonic()
        with Drawing(terminal.fd)(progress()):
            while terminal.drain().count("2/5 layers") < 5:
                time.sleep(0.001)
        took = time.monotonic() - started
        assert terminal.drain().count("2/5 layers") <= took * 10


def test_a_pull_that_is_over_at_once_draws_nothing() -> None:
    with Terminal() as terminal:
        with Drawing(terminal.fd)(progress()):
            pass
        assert terminal.drain() == ""


def test_a_terminal_that_tells_no_width_is_taken_for_a_usual_one() -> None:
    with Terminal(0) as terminal, Drawing(terminal.fd)(progress()):
        assert "redis:7: 2/5 layers, 12.0 MiB" in until(terminal, "113.5 MiB")


def test_a_terminal_that_goes_away_stops_nothing() -> None:
    terminal = Terminal()
    fd = os.dup(terminal.fd)
    terminal.__exit__()
    reached = False
    with Drawing(fd)(progress()):
        time.sleep(0.25)
        reached = True
    os.close(fd)
    assert reached


def test_only_a_terminal_is_drawn_on(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    with Terminal() as terminal:
        monkeypatch.setenv("TERM", "xterm")
        assert can_draw(terminal.fd) and not can_draw(write)
        monkeypatch.setenv("TERM", "dumb")
        assert not can_draw(terminal.fd)
    os.close(read), os.close(write)
