"""What the page shows, in plain values: short ones, since there may be thousands.

Times are milliseconds since the run's begin, or from one moment to another; sizes are bytes. What is said of a test,
a container or an image by a number is its place in the list of these, and -1 stands for none.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from ..record import PHASES, Failure, Operation, Record, TestRecord
from .fitting import fitted

MOST_OPERATIONS = 12_000
"""Operations that are shown one by one, the longest; all count in what a test waited for."""

MOST_SAMPLES = 40_000
"""Samples that are shown of all containers together."""

_ENDS = ("destroy", "release")


def model_of(record: Record, *, title: str, arguments: Sequence[str], ending: str = "") -> dict[str, Any]:
    """The model of a run that is over; *ending* says how, unless it came to its end."""
    return _Model(record).to_dict(title, arguments, ending)


def waits(operations: Iterable[Operation]) -> dict[str, float]:
    """Seconds by operation, each moment counted once: for the one that began last of those under way."""
    ordered = sorted(operations, key=lambda each: each.begin)
    moments = sorted({moment for each in ordered for moment in (each.begin, each.end)})
    found: dict[str, float] = defaultdict(float)
    under_way: list[tuple[float, int]] = []
    begun = 0
    for moment, following in pairwise(moments):
        while begun < len(ordered) and ordered[begun].begin <= moment:
            heapq.heappush(under_way, (-ordered[begun].begin, -begun))
            begun += 1
        while under_way and ordered[-under_way[0][1]].end <= moment:
            heapq.heappop(under_way)
        if under_way:
            found[ordered[-under_way[0][1]].name] += following - moment
    return dict(found)


class _Model:
    def __init__(self, record: Record) -> None:
        self._record = record
        self._tests = list(record.tests.values())
        self._test_places = {each.node_id: place for place, each in enumerate(self._tests)}
        self._containers = list(record.containers.values())
        self._container_places = {each["id"]: place for place, each in enumerate(self._containers)}
        self._images = list(record.images.values())
        self._image_places = {each["key"]: place for place, each in enumerate(self._images)}
        workers = {each.worker for each in record.operations} | {each.worker for each in self._tests}
        self._workers = sorted(workers or {""}, key=lambda name: (len(name), name))
        self._operations = sorted(record.shown(), key=lambda each: each.begin)
        self._names = sorted({each.name for each in self._operations})
        self._of_container: dict[str, list[Operation]] = defaultdict(list)
        for each in self._operations:
            self._of_container[each.container].append(each)
        ends = [each.end for each in self._operations]
        ends += [each.begin + sum(each.phases.values()) for each in self._tests]
        self._length = max(ends, default=0.0)

    def to_dict(self, title: str, arguments: Sequence[str], ending: str) -> dict[str, Any]:
        """The whole."""
        operations = sorted(self._operations, key=lambda each: each.seconds, reverse=True)[:MOST_OPERATIONS]
        failures = [self._failure(test, each) for test in self._tests for each in test.failures]
        return {
            "title": title,
            "arguments": list(arguments),
            "ending": ending,
            "began_at": round(self._record.began_at, 3),
            "length": _ms(self._length),
            "workers": self._workers,
            "crashed": self._record.crashed,
            "names": self._names,
            "tests": self._shown_tests(),
            "containers": [self._container(each) for each in self._containers],
            "images": [self._image(each) for each in self._images],
            "operations": [self._operation(each) for each in sorted(operations, key=lambda each: each.begin)],
            "operations_left_out": len(self._operations) - len(operations),
            "failures": fitted(failures),
        }

    def _shown_tests(self) -> list[dict[str, Any]]:
        operations: dict[str, list[Operation]] = defaultdict(list)
        for each in self._record.outermost():
            operations[each.test].append(each)
        return [self._test(each, operations[each.node_id]) for each in self._tests]

    def _test(self, test: TestRecord, operations: Sequence[Operation]) -> dict[str, Any]:
        found = waits(operations)
        return {
            "id": test.node_id,
            "outcome": test.outcome,
            "worker": self._workers.index(test.worker),
            "begin": _ms(test.begin),
            "phases": [_ms(test.phases.get(phase, 0.0)) for phase in PHASES],
            "waits": {self._names.index(name): _ms(seconds) for name, seconds in found.items()},
            "reruns": test.reruns,
        }

    def _container(self, about: dict[str, Any]) -> dict[str, Any]:
        operations = self._of_container[about["id"]]
        moments, memory, cpu = self._record.samples.get(about["id"], ([], [], []))
        ends = [each.end for each in operations if each.name in _ENDS]
        begin = min([each.begin for each in operations] + list(moments[:1]), default=0.0)
        step = max(1, -(-len(moments) // max(8, MOST_SAMPLES // len(self._containers))))
        return {
            "id": about["id"],
            "name": about["name"],
            "image": self._image_places.get(about["image"], -1),
            "worker": self._workers.index(about["worker"]),
            "ips": about["ips"],
            "begin": _ms(begin),
            "end": _ms(max(ends) if ends else self._length),
            "peak": max(memory, default=None),
            "cpu": _ms(cpu[-1]) if cpu else None,
            "samples": [[_ms(each) for each in moments[::step]], memory[::step], [_ms(each) for each in cpu[::step]]],
        }

    def _image(self, about: dict[str, Any]) -> dict[str, Any]:
        spent = [each for each in self._of_container[""] if each.subject == about["title"]]
        return {
            **{key: about[key] for key in ("title", "reference", "digest", "size", "layers", "more_layers")},
            "containers": sum(each["image"] == about["key"] for each in self._containers),
            "pull": _ms(sum(each.seconds for each in spent if each.name == "pull")),
            "unpack": _ms(sum(each.seconds for each in spent if each.name == "unpack")),
            "template": _ms(sum(each.seconds for each in spent if each.name == "template")),
        }

    def _operation(self, each: Operation) -> list[Any]:
        """``[name, begin, length, container, test, phase, worker]``, and the image's title where it is an image's."""
        about = [
            self._names.index(each.name),
            _ms(each.begin),
            _ms(each.seconds),
            self._container_places.get(each.container, -1),
            self._test_places.get(each.test, -1),
            PHASES.index(each.phase) if each.phase in PHASES else -1,
            self._workers.index(each.worker),
        ]
        return about if each.container else [*about, each.subject]

    def _failure(self, test: TestRecord, failure: Failure) -> dict[str, Any]:
        return {
            "test": self._test_places[test.node_id],
            "phase": failure.phase,
            "message": failure.message,
            "text": failure.text,
            "sections": [list(each) for each in failure.sections],
            "containers": list(self._with_places(failure.containers)),
        }

    def _with_places(self, containers: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for each in containers:
            yield {**each, "container": self._container_places.get(str(each.get("id", "")), -1)}


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
