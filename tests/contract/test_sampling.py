"""What every backend measures over time."""

from __future__ import annotations

from .conftest import Bench


def test_who_is_asked_for_nothing_measures_what_it_will(bench: Bench) -> None:
    assert isinstance(bench.backend.samples(), dict)


def test_a_container_is_measured_from_its_start_to_its_end(bench: Bench) -> None:
    bench.backend.begin_sampling()
    name = bench.start()
    bench.backend.destroy(name)
    samples = bench.backend.samples()[name]
    assert len(samples.moments) == len(samples.memory) == len(samples.cpu) >= 2
    assert list(samples.moments) == sorted(samples.moments)
    assert list(samples.cpu) == sorted(samples.cpu)
    assert min(samples.memory) >= 0 and max(samples.memory) > 0


def test_what_never_ran_is_not_measured(bench: Bench) -> None:
    bench.backend.begin_sampling()
    name = bench.create().name
    assert name not in bench.backend.samples()


def test_asking_for_it_twice_is_fine(bench: Bench) -> None:
    bench.backend.begin_sampling()
    name = bench.start()
    bench.backend.begin_sampling()
    assert name in bench.backend.samples()
