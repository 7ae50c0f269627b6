"""Whether a clone costs the same whatever is around it: image size, layers, other containers, pytest's memory."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from made_images import Base
from workers import Cycle, plugin_command, worker

from pytest_lxcontainer import Image, Provisioner, Settings

IDLE = ("sleep", "infinity")
SMALL = "busybox:latest"
PAUSE = 0.05
"""Seconds between two clones, in which the one before is removed."""

Figures = dict[str, list[float]]
"""Seconds by circumstance, the simple one first."""


@dataclass(frozen=True, slots=True)
class Extremes:
    """How far it goes: *image* and *memory* in bytes."""

    image: int
    layers: int
    others: int
    memory: int


def by_size(settings: Settings, extremes: Extremes, rounds: int, scratch: Path) -> Figures:
    with Provisioner(settings) as provisioner:
        base = Base(provisioner.layout, provisioner.pull(SMALL))
        large = provisioner.pull(base.with_bytes(scratch / "large", extremes.image))
        names = [f"image size: {_size(image) / 1e6:,.0f} MB" for image in (base.image, large)]
        return _alternately(provisioner, dict(zip(names, (base.image, large), strict=True)), rounds)


def by_layers(settings: Settings, extremes: Extremes, rounds: int, scratch: Path) -> Figures:
    with Provisioner(settings) as provisioner:
        base = Base(provisioner.layout, provisioner.pull(SMALL))
        stack = provisioner.pull(base.with_layers(scratch / "stack", extremes.layers))
        images = {f"layers: {len(image.lower_dirs)}": image for image in (base.image, stack)}
        return _alternately(provisioner, images, rounds)


def by_others(settings: Settings, extremes: Extremes, rounds: int) -> Figures:
    """In four blocks: alone, among others, among others, alone. What changes with time weighs on both alike."""
    with Provisioner(settings) as provisioner:
        image = provisioner.pull(SMALL)
        _clone(provisioner, image)
        block = max(1, rounds // 2)
        alone, among = "other containers: 0", f"other containers: {extremes.others}"
        figures: Figures = {alone: _several(provisioner, image, block), among: []}
        others = [provisioner.run(image, IDLE) for _ in range(extremes.others)]
        figures[among] = _several(provisioner, image, 2 * block)
        for other in others:
            other.destroy()
        _settle(provisioner)
        figures[alone] += _several(provisioner, image, block)
        return figures


def by_memory(extremes: Extremes, rounds: int, scratch: Path, options: Sequence[str]) -> Figures:
    """Pytest processes that hold what they need, and much more."""
    figures: Figures = {}
    with contextlib.ExitStack() as stack:
        ask: dict[str, Callable[[], Cycle]] = {}
        for memory in (0, extremes.memory):
            name = f"memory of pytest: {memory >> 20} MB more" if memory else "memory of pytest: as it is"
            ask[name] = stack.enter_context(_plugin(scratch / f"memory-{memory}", memory, rounds + 1, options))
        for measure in ask.values():
            measure()
        for _ in range(rounds):
            for name, measure in ask.items():
                time.sleep(PAUSE)
                figures.setdefault(name, []).append(measure()["start"])
    return figures


@contextlib.contextmanager
def _plugin(directory: Path, ballast: int, cycles: int, options: Sequence[str]) -> Iterator[Callable[[], Cycle]]:
    directory.mkdir(mode=0o755)
    env = {"BENCH_IMAGE": SMALL, "BENCH_CYCLES": str(cycles), "BENCH_BALLAST": str(ballast)}
    with worker("plugin", [*plugin_command(directory), *options], env, directory) as measure:
        yield measure


def _alternately(provisioner: Provisioner, images: dict[str, Image], rounds: int) -> Figures:
    figures: Figures = {name: [] for name in images}
    for number in range(rounds + 1):
        for name, image in images.items():
            seconds = _clone(provisioner, image)
            if number:
                figures[name].append(seconds)
    return figures


def _several(provisioner: Provisioner, image: Image, rounds: int) -> list[float]:
    return [_clone(provisioner, image) for _ in range(rounds)]


def _clone(provisioner: Provisioner, image: Image) -> float:
    """Seconds until a container of *image* runs; it is destroyed then."""
    time.sleep(PAUSE)
    begin = time.perf_counter()
    box = provisioner.run(image, IDLE)
    seconds = time.perf_counter() - begin
    box.destroy()
    return seconds


def _settle(provisioner: Provisioner) -> None:
    """Wait until the directories of destroyed containers are gone."""
    run_dir = provisioner.layout.run_dir(provisioner.identity.run_id)
    deadline = time.monotonic() + 60
    while any(path.is_dir() and (path / "upper").exists() for path in run_dir.iterdir()):
        if time.monotonic() > deadline:
            raise SystemExit(f"flat: destroyed containers are still in {run_dir}")
        time.sleep(0.05)


def _size(image: Image) -> int:
    """Bytes of the image's files, each once however many names it has."""
    found = (path.lstat() for layer in image.lower_dirs for path in layer.rglob("*"))
    return sum({(status.st_dev, status.st_ino): status.st_size for status in found}.values())
