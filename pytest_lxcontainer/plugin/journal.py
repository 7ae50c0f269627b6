"""What a process notes of its containers' operations, to be taken along by the next report of a test.

A note costs some microseconds: what can be found out later is found out by who reads it (`record`).
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ..container.container import Container
    from ..container.stats import Samples
    from ..image.image import Image

Batch = dict[str, Any]
"""``worker``, ``operations``, ``containers``, ``images`` and ``samples``, in plain values for JSON; see `Journal`."""

JOURNAL = pytest.StashKey["Journal"]()


class Journal:
    """Operations in *worker* (empty without xdist) since the last `take`.

    An operation is ``[name, begin, seconds, container, subject, test, thread]``: *begin* in monotonic seconds of the
    host, *container* its id (empty for an image's), *subject* the title of the image, and *test* what pytest has in
    ``PYTEST_CURRENT_TEST`` then: node id and phase.
    """

    def __init__(self, worker: str, *, samples: bool) -> None:
        self.wants_samples = samples
        self._worker = worker
        self._operations: list[tuple[str, float, float, str, str, str, int]] = []
        self._known: set[str] = set()
        self._containers: list[dict[str, Any]] = []
        self._images: list[dict[str, Any]] = []
        self._samples: dict[str, Any] = {}

    def note(self, subject: Container | str, operation: str, seconds: float) -> None:
        """See `Observer`."""
        begin = time.monotonic() - seconds
        test = os.environ.get("PYTEST_CURRENT_TEST", "")
        if isinstance(subject, str):
            container, title = "", subject
        else:
            container, title = subject.id, subject.image.title
            if container not in self._known:
                self._known.add(container)
                self._introduce(subject)
        self._operations.append((operation, begin, seconds, container, title, test, threading.get_ident()))

    def add_samples(self, samples: dict[str, Samples]) -> None:
        """Take what the supervisor has measured, by container."""
        for name, each in samples.items():
            self._samples[name] = [list(each.moments), list(each.memory), list(each.cpu)]

    def take(self) -> Batch | None:
        """Everything since the last time; ``None`` where there is nothing."""
        if not (self._operations or self._samples):
            return None
        # Another thread may be noting: it adds to the list that it has found.
        operations, self._operations = self._operations, []
        containers, self._containers = self._containers, []
        images, self._images = self._images, []
        samples, self._samples = self._samples, {}
        return {
            "worker": self._worker,
            "operations": list(map(list, operations)),
            "containers": containers,
            "images": images,
            "samples": samples,
        }

    def _introduce(self, container: Container) -> None:
        """Tell of a container, and of its image, what never changes."""
        image = container.image
        key = f"{image.title} {image.digest}"
        self._containers.append({"id": container.id, "name": container.name, "image": key, "ips": list(container.ips)})
        if key not in self._known:
            self._known.add(key)
            self._images.append(_described(image, key))


def _described(image: Image, key: str) -> dict[str, Any]:
    return {
        "key": key,
        "title": image.title,
        "reference": str(image.reference),
        "digest": str(image.digest),
        "size": image.size,
        "layers": [str(digest) for digest in image.config.diff_ids],
        "more_layers": max(0, len(image.lower_dirs) - len(image.config.diff_ids)),
    }
