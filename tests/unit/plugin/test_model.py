"""What the page is told of a run."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_lxcontainer.plugin.page.fitting import fitted, length, shortened
from pytest_lxcontainer.plugin.page.model import MOST_OPERATIONS, MOST_SAMPLES, model_of, waits
from pytest_lxcontainer.plugin.record import Operation

from .runs import made_up


def operation(name: str, begin: float, seconds: float, **about: object) -> Operation:
    fields = {"container": "box-1", "subject": "box", "test": "t", "phase": "call", "worker": "", "thread": 1, **about}
    return Operation(name, begin, seconds, **fields)  # type: ignore[arg-type]  # plain values


def test_a_wait_within_another_counts_for_itself() -> None:
    found = waits([operation("ready", 0, 10), operation("exec", 2, 3), operation("exec", 7, 1)])
    assert found == {"ready": 6.0, "exec": 4.0}


def test_what_goes_on_at_the_same_time_counts_once() -> None:
    found = waits([operation("start", 0, 4), operation("start", 1, 4, container="box-2")])
    assert found == {"start": 5.0}


def test_the_time_between_is_nobodys() -> None:
    assert waits([operation("start", 0, 1), operation("exec", 5, 1)]) == {"start": 1.0, "exec": 1.0}


_SPANS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 50), st.integers(1, 20)), max_size=30)


@given(_SPANS)
def test_all_waits_together_are_the_time_in_which_anything_went_on(spans: list[tuple[str, int, int]]) -> None:
    found = waits(operation(name, begin, seconds) for name, begin, seconds in spans)
    busy = {moment for _, begin, seconds in spans for moment in range(begin, begin + seconds)}
    assert sum(found.values()) == pytest.approx(len(busy))


def test_preparing_a_template_is_one_wait() -> None:
    record = made_up(1, failures=0)
    (test,) = record.tests
    record.operations = [
        operation("start", 1, 2, test=test),
        operation("template", 0, 10, container="", test=test),
        operation("start", 11, 1, container="redis-2", test=test),
    ]
    model = model_of(record, title="", arguments=[])
    names = model["names"]
    assert [names[each[0]] for each in model["operations"]] == ["template", "start", "start"]
    assert model["tests"][0]["waits"] == {names.index("template"): 10_000.0, names.index("start"): 1000.0}


def test_the_commands_of_a_wait_are_part_of_it() -> None:
    record = made_up(1, failures=0)
    (test,) = record.tests
    record.operations = [
        operation("exec", 0.9999, 1, test=test),
        operation("exec", 2.5, 1, test=test, thread=2),
        operation("exec", 3, 1, test=test),
        operation("ready", 1, 5, test=test),
        operation("exec", 6.0001, 1, test=test),
    ]
    assert [each.name for each in record.shown()] == ["exec", "ready", "exec"]
    model = model_of(record, title="", arguments=[])
    assert sum(model["tests"][0]["waits"].values()) == pytest.approx(6000)


def test_it_is_plain_and_tells_all_of_each() -> None:
    model = json.loads(json.dumps(model_of(made_up(30, workers=2), title="project", arguments=["-x"])))
    assert (len(model["tests"]), len(model["containers"]), model["workers"]) == (30, 30, ["gw0", "gw1"])
    assert [each["containers"] for each in model["images"]] == [10, 10, 10]
    assert model["images"][0]["pull"] > 0
    (failure,) = model["failures"]
    assert model["containers"][failure["containers"][0]["container"]]["id"] == failure["containers"][0]["id"]
    assert model["tests"][failure["test"]]["outcome"] == "failed"


def test_workers_are_in_their_order() -> None:
    assert model_of(made_up(24, workers=12), title="", arguments=[])["workers"] == [f"gw{n}" for n in range(12)]


def test_of_very_many_operations_the_longest_are_shown_and_all_counted() -> None:
    record = made_up(1, failures=0)
    (test,) = record.tests
    name = next(iter(record.containers))
    record.operations = [
        operation("exec", at, 0.1 + (at == 7), container=name, test=test) for at in range(MOST_OPERATIONS + 5)
    ]
    model = model_of(record, title="", arguments=[])
    assert (len(model["operations"]), model["operations_left_out"]) == (MOST_OPERATIONS, 5)
    assert max(each[2] for each in model["operations"]) == 1100.0
    assert model["tests"][0]["waits"] == {0: pytest.approx((MOST_OPERATIONS + 5) * 100 + 900)}


def test_samples_are_bounded_however_many_containers_there_are() -> None:
    record = made_up(2000, failures=0)
    for name in record.samples:
        record.samples[name] = [[0.0] * 240, [1] * 240, [0.0] * 240]
    model = model_of(record, title="", arguments=[])
    assert sum(len(each["samples"][0]) for each in model["containers"]) < 1.5 * MOST_SAMPLES


def test_a_container_that_is_not_gone_lives_to_the_end() -> None:
    record = made_up(2, failures=0)
    record.operations = [each for each in record.operations if each.name != "destroy"]
    model = model_of(record, title="", arguments=[])
    assert model["containers"][0]["end"] == model["length"]


def test_ten_thousand_tests_take_a_moment() -> None:
    record = made_up(10_000, workers=4, failures=0)
    record.operations = [each for each in record.operations if each.name != "destroy"]
    begin = time.process_time()
    model_of(record, title="", arguments=[])
    assert time.process_time() - begin < 10


def test_what_fits_is_left_alone() -> None:
    failure = {"message": "m", "text": "t" * 1000, "sections": [["title", "said"]], "containers": []}
    assert fitted([failure]) == [failure]


def test_long_texts_are_cut_to_their_ends() -> None:
    (cut,) = fitted([{"text": "x" * 100_000 + "end"}], 10_000)
    assert cut["text"].endswith("xend") and "earlier characters left out" in cut["text"]
    assert length(cut) < 10_000


def test_when_they_are_too_many_the_last_have_their_messages_alone() -> None:
    many = [{"message": "m", "text": "x" * 300, "sections": [], "containers": []} for _ in range(100)]
    cut = fitted(many, 10_000)
    assert cut[0]["text"] == "x" * 300
    assert (cut[-1]["message"], cut[-1]["text"], cut[-1]["left_out"]) == ("m", "", True)


def test_what_is_no_text_is_left_as_it_is() -> None:
    assert shortened({"a": [1, None, 2.5, True], "b": ("xy",)}, 1) == {
        "a": [1, None, 2.5, True],
        "b": ["... 1 earlier characters left out\ny"],
    }
