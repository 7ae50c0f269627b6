"""A host that lacks something ends a run with one clear error, not with a traceback for each test."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from .conftest import Inner

TESTS = """
    import pytest

    @pytest.mark.parametrize("number", range(4))
    def test_it(container, number): pass
"""


@pytest.fixture
def python_without_lxc(tmp_path: Path) -> Path:
    """An interpreter with every package that this one has, but LXC's binding."""
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    (theirs,) = environment.glob("lib/python*/site-packages")
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if not path.name.startswith(("lxc", "_lxc")):
            (theirs / path.name).symlink_to(path)
    return environment / "bin" / "python"


@pytest.mark.parametrize("workers", [0, 2])
def test_without_the_binding_of_lxc(
    inner: Inner, monkeypatch: pytest.MonkeyPatch, mirror: str, python_without_lxc: Path, workers: int
) -> None:
    if workers and not importlib.util.find_spec("xdist"):
        workers = 0
    monkeypatch.setattr(sys, "executable", str(python_without_lxc))
    result = inner.run("--lxc-image=busybox", *(["-n", str(workers)] if workers else []), test_it=TESTS)
    said = result.stdout.str() + result.stderr.str()
    assert result.ret == pytest.ExitCode.USAGE_ERROR, said
    assert "the Python binding of LXC is not installed" in said
    assert "pip install lxc" in said
    assert "lxcontainer doctor" in said
    assert "Traceback" not in said
    assert said.count("hint: ") == 1
