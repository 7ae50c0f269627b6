"""Many processes and one store: each blob is downloaded once, each layer unpacked once."""

from __future__ import annotations

import ctypes
import os
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest

from pytest_lxcontainer.store.layout import Layout

from ..fakes.images import BuiltImage, Hardlink, Whiteout, image, layer
from ..fakes.registry import FakeRegistry
from . import pulled_often
from .conftest import wait_until

PROCESSES = 8
_IN_CREATE = 0x100
_EVENT = struct.Struct("iIII")

BASE = layer({"etc/passwd": "root:x:0:0::/root:/bin/sh\n", "etc/noise": os.urandom(200_000), "etc/old": "1"})
MIDDLE = layer({"srv/noise": os.urandom(200_000), "etc/old": Whiteout()})
TOP = layer({"srv/link": Hardlink("etc/passwd"), "srv/more": os.urandom(100_000)})
BIG = layer({"noise": os.urandom(2_000_000)})


@pytest.fixture(scope="module")
def context() -> Any:
    return pulled_often.context()


@pytest.fixture
def start(context: Any, own_store: Path) -> Iterator[Callable[..., ForkServerProcess]]:
    """Starts processes that pull into one empty store."""
    started = []

    def start(reference: str, *args: Any) -> ForkServerProcess:
        process = context.Process(target=pulled_often.pull, args=(own_store, reference, *args))
        process.start()
        started.append(process)
        return process

    yield start
    for process in started:
        pulled_often.kill(process)


def downloads(registry: FakeRegistry) -> Counter[str]:
    """How often each blob was asked for, by its digest."""
    asked: Counter[str] = Counter()
    for (method, path), times in registry.requests.items():
        if method == "GET" and "/blobs/" in path:
            asked[path.rpartition("/")[2]] += times
    return asked


def once_each(*images: BuiltImage) -> dict[str, int]:
    digests = {digest for each in images for digest in (each.config_digest, *(part.digest for part in each.layers))}
    return {str(digest): 1 for digest in digests}


@contextmanager
def created_in(directory: Path) -> Iterator[list[str]]:
    """The names that are made in *directory* meanwhile (inotify(7))."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
    assert libc.inotify_add_watch(fd, os.fsencode(directory), _IN_CREATE) >= 0
    names: list[str] = []
    try:
        yield names
        data = os.read(fd, 1 << 20)
    finally:
        os.close(fd)
    while data:
        length = _EVENT.unpack_from(data)[3]
        names.append(os.fsdecode(data[_EVENT.size : _EVENT.size + length].rstrip(b"\0")))
        data = data[_EVENT.size + length :]


def pull_at_once(context: Any, start: Callable[..., ForkServerProcess], references: list[str]) -> list[Any]:
    """What each of as many processes answers, all having begun at the same moment."""
    barrier, answers = context.Barrier(len(references)), context.Queue()
    processes = [start(reference, barrier, answers) for reference in references]
    got = [answers.get(timeout=pulled_often.TIMEOUT) for _ in processes]
    for process in processes:
        process.join(pulled_often.TIMEOUT)
    assert [process.exitcode for process in processes] == [0] * len(processes)
    return got


def test_eight_processes_download_and_unpack_an_image_once(
    context: Any, start: Callable[..., ForkServerProcess], registry: FakeRegistry, own_store: Path
) -> None:
    built = image([BASE, MIDDLE, TOP])
    registry.push(built, "box", "1")
    registry.seconds_per_chunk = 0.01
    with created_in(own_store / "l") as made:
        answers = pull_at_once(context, start, [f"{registry.host}/box:1"] * PROCESSES)
    assert downloads(registry) == once_each(built)
    assert all(answer == answers[0] for answer in answers) and len(answers[0]) == 3
    assert len(made) == 3


def test_two_images_share_their_layers_however_they_are_pulled(
    context: Any, start: Callable[..., ForkServerProcess], registry: FakeRegistry, own_store: Path
) -> None:
    one, other = image([BASE, MIDDLE]), image([BASE, MIDDLE, TOP])
    registry.push(one, "one", "1")
    registry.push(other, "other", "1")
    registry.seconds_per_chunk = 0.01
    references = [f"{registry.host}/{name}:1" for name in ("one", "other")] * (PROCESSES // 2)
    with created_in(own_store / "l") as made:
        answers = pull_at_once(context, start, references)
    assert downloads(registry) == once_each(one, other)
    assert {tuple(answer[:2]) for answer in answers} == {tuple(answers[0][:2])}
    assert sorted(map(len, answers)) == [2] * 4 + [3] * 4
    assert len(made) == 3


def test_another_process_takes_over_from_one_that_is_killed(
    context: Any, start: Callable[..., ForkServerProcess], registry: FakeRegistry, own_store: Path
) -> None:
    built = image([BASE, BIG])
    registry.push(built, "box", "1")
    registry.seconds_per_chunk = 0.02
    first = start(f"{registry.host}/box:1")
    wait_until(lambda: Layout(own_store).blob(BASE.digest).is_file() and downloads(registry)[str(BIG.digest)] == 1)
    answers = context.Queue()
    second = start(f"{registry.host}/box:1", None, answers)
    wait_until(lambda: registry.count("GET", "manifests") == 2)
    pulled_often.kill(first)
    assert first.exitcode == -9
    registry.seconds_per_chunk = 0
    assert len(answers.get(timeout=pulled_often.TIMEOUT)) == 2
    second.join(pulled_often.TIMEOUT)
    assert second.exitcode == 0
    assert downloads(registry) == {**once_each(built), str(BIG.digest): 2}
