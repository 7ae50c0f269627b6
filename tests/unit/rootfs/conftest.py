from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .tars import Layers


@pytest.fixture
def layers(tmp_path: Path) -> Iterator[Layers]:
    umask = os.umask(0)
    yield Layers(tmp_path)
    os.umask(umask)
