"""What is kept of the samples of one container."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_lxcontainer.supervisor.sampling import MOST, Series


def filled(memory: list[int]) -> list[list[float]]:
    series = Series()
    for moment, each in enumerate(memory):
        series.note(float(moment), each, moment / 10)
    return series.to_plain()


def test_a_few_samples_are_all_kept() -> None:
    assert filled([5, 7, 6]) == [[0.0, 1.0, 2.0], [5, 7, 6], [0.0, 0.1, 0.2]]


@given(st.lists(st.integers(0, 1000), min_size=MOST + 1, max_size=5 * MOST))
def test_many_are_thinned_out_and_stay_in_order(memory: list[int]) -> None:
    moments, kept, cpu = filled(memory)
    assert len(moments) == len(kept) == len(cpu) <= MOST
    assert moments[0] == 0.0 and moments == sorted(moments) and cpu == sorted(cpu)
    assert moments[-1] >= len(memory) - 1 - 2 * len(memory) / MOST - 8


def test_the_peak_of_what_is_thinned_out_stays() -> None:
    memory = [1] * (MOST + 1)
    memory[101] = 99
    assert max(filled(memory)[1]) == 99


def test_a_pause_takes_two_samples_however_long_it_is() -> None:
    series = Series()
    for moment in range(1000):
        series.note(float(moment), 5, 1.0)
    assert series.to_plain() == [[0.0, 999.0], [5, 5], [1.0, 1.0]]


def test_the_last_is_kept_also_where_others_are_left_out() -> None:
    series = Series()
    for moment in range(MOST + 1):
        series.note(float(moment), moment % 7, float(moment))
    series.note(1000.0, 3, 1000.0, last=True)
    assert series.to_plain()[0][-1] == 1000.0
