from __future__ import annotations

from pathlib import Path

import pytest

from pytest_lxcontainer.store.layout import Layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path / "store")
    layout.create()
    return layout
