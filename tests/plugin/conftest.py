"""Pytest runs of their own, with the plugin, as a user starts them."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_lxcontainer import Provisioner, Settings
from pytest_lxcontainer.image import Digest
from pytest_lxcontainer.provision import parse_mirrors

from ..fakes.images import BuiltImage, Layer
from ..fakes.registry import FakeRegistry
from ..system.leaks import Leaks

# A suite without xdist has nothing to say about it.
WITH_XDIST = ["test_many.py", "test_report_xdist.py", "test_run_scope.py", "test_xdist.py", "test_xdist_images.py"]
WITH_HTML = ["test_report_html.py"]
collect_ignore = [
    *([] if importlib.util.find_spec("xdist") else WITH_XDIST),
    *([] if importlib.util.find_spec("pytest_html") else WITH_HTML),
]


_OPTIONS = ["IMAGE", "PULL", "PLATFORM", "TIMEOUT", "LOCK", "LOCK_UPDATE", "POOL", "ON_FAILURE", "DURATIONS", "REPORT"]


@pytest.fixture(autouse=True)
def _clean_environment(leaks: Leaks, monkeypatch: pytest.MonkeyPatch, store: Path) -> None:
    """Every run here has the store of all tests, leaves the host as it was, and hears from its test alone."""
    for name in _OPTIONS:
        monkeypatch.delenv(f"LXCONTAINER_{name}", raising=False)
    monkeypatch.setenv("LXCONTAINER_STORE", str(store))


class Inner:
    """Runs pytest in a process of its own, in a directory of its own.

    *options* are given to each; pytest-asyncio would warn in every run that one of its own is not set.
    """

    options: tuple[str, ...] = ("-W", "error", "-p", "no:cacheprovider", "-p", "no:asyncio")

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.path = pytester.path
        self._started: list[subprocess.Popen[bytes]] = []

    def write(self, **files: str) -> None:
        """Write Python files: ``conftest="..."``."""
        for name, text in files.items():
            path = self.path / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))

    def run(self, *options: str, **files: str) -> pytest.RunResult:
        """Run it to its end, with warnings as errors."""
        self.write(**files)
        return self.pytester.runpytest_subprocess(*self.options, *options)

    def start(self, *options: str, **files: str) -> subprocess.Popen[bytes]:
        """Start it; the test waits until something it does has been `reached`."""
        self.write(**files)
        command = [sys.executable, "-m", "pytest", *self.options, *options]
        with self.log.open("wb") as log:
            process = subprocess.Popen(command, cwd=self.path, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self._started.append(process)
        return process

    @property
    def log(self) -> Path:
        """Where what was started writes to."""
        return self.path / "log"

    def reached(self, name: str, timeout: float = 30.0) -> str:
        """Wait for the file *name* to have content, and return it."""
        deadline = time.monotonic() + timeout
        path = self.path / name
        while not (path.exists() and path.read_text()):
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.01)
        return path.read_text()

    def close(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()


@pytest.fixture
def inner(pytester: pytest.Pytester) -> Iterator[Inner]:
    inner = Inner(pytester)
    yield inner
    inner.close()


@pytest.fixture
def busybox_registry(store: Path, mirror: str) -> Iterator[FakeRegistry]:
    """A registry that counts; it has busybox as ``box:1``."""
    with Provisioner(Settings(store=store, mirrors=parse_mirrors(mirror))) as provisioner:
        image = provisioner.pull("busybox")
        blob = provisioner.layout.blob
        manifest = blob(image.digest).read_bytes()
        config, (layer,) = image.config_digest, json.loads(manifest)["layers"]
        built = BuiltImage(
            manifest,
            blob(config).read_bytes(),
            (Layer(blob(Digest.parse(layer["digest"])).read_bytes(), image.config.diff_ids[0], layer["mediaType"]),),
            json.loads(manifest)["mediaType"],
        )
    with FakeRegistry() as registry:
        registry.push(built, "box", "1")
        yield registry


class Project:
    """Tests of a user who has a store and a lock file; the registry has busybox as box:1 and box:2."""

    def __init__(self, inner: Inner, registry: FakeRegistry, store: Path) -> None:
        self.inner = inner
        self.registry = registry
        self.store = store
        kept = registry.repository("box")
        kept.manifests["2"] = kept.manifests["1"]
        (self.digest,) = (Digest.parse(target) for target in kept.manifests if ":" in target)

    def run(self, *options: str, **files: str) -> pytest.RunResult:
        files = {name: text.replace("BOX", f"{self.registry.host}/box") for name, text in files.items()}
        return self.inner.run(f"--lxc-store={self.store}", *options, **files)

    @property
    def lock(self) -> Path:
        return self.inner.path / "lxc.lock"

    def pinned(self, *tags: str) -> str:
        return "".join(f"{self.registry.host}/box:{tag} {self.digest}\n" for tag in tags)

    @property
    def pins(self) -> str:
        return "".join(line for line in self.lock.read_text().splitlines(True) if not line.startswith("#"))


@pytest.fixture
def project(inner: Inner, busybox_registry: FakeRegistry, own_store: Path, leaks: Leaks) -> Project:
    leaks.watch(own_store)
    return Project(inner, busybox_registry, own_store)


def lines(result: pytest.RunResult) -> str:
    return result.stdout.str() + result.stderr.str()
