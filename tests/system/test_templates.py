"""Templates: prepared once, cloned for ever, and made anew as soon as anything they are made of changes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_lxcontainer import Template, wait
from pytest_lxcontainer.container.container import Container
from pytest_lxcontainer.errors import ContainerError, InvalidSettingsError, StartFailedError
from pytest_lxcontainer.provision import Provisioner, Settings
from pytest_lxcontainer.rootfs.sandboxes import Sandboxes
from pytest_lxcontainer.store.prune import Rules, prune
from pytest_lxcontainer.store.templates import TemplateStore

from ..fakes.registry import FakeRegistry
from .conftest import BUSYBOX, Runner

pytestmark = pytest.mark.usefixtures("mirror")


class Preparing:
    """Counts how often it prepared; no two are the same template, since *note* is drawn."""

    def __init__(self, command: str = "true") -> None:
        self.command = command
        self.note = uuid.uuid4().hex

    def __call__(self, container: Container) -> None:
        COUNTED.append(self.note)
        container.exec(f"echo {self.note} > /prepared; {self.command}", check=True)

    @property
    def count(self) -> int:
        return COUNTED.count(self.note)


COUNTED: list[str] = []


@pytest.fixture
def fresh(settings: Settings) -> Iterator[Provisioner]:
    """Another run, with nothing in memory."""
    with Provisioner(settings) as provisioner:
        yield provisioner


def test_a_container_of_a_template_begins_as_it_was_prepared(run: Runner) -> None:
    prepare = Preparing("rm /etc/passwd; mkdir -m 700 /data; touch /data/a; chown -R 7:8 /data")
    container = run(Template(BUSYBOX, prepare))
    assert container.read_text("/prepared").strip() == prepare.note
    assert container.check_output("stat -c '%a %u %g' /data /data/a").split("\n") == ["700 7 8", "644 7 8"]
    assert not container.exists("/etc/passwd")
    assert container.diff() == []
    assert "+" in container.image.title


def test_every_clone_is_alone(run: Runner) -> None:
    template = Template(BUSYBOX, Preparing())
    one, other = run(template), run(template)
    one.write_text("/prepared", "changed")
    assert other.read_text("/prepared") == f"{template.prepare.note}\n"  # type: ignore[attr-defined]
    assert one.id != other.id and one.ip != other.ip


def test_it_is_prepared_once_in_all_runs(run: Runner, fresh: Provisioner) -> None:
    prepare = Preparing()
    first = run(Template(BUSYBOX, prepare))
    with fresh.run(Template(BUSYBOX, prepare)) as again:
        assert again.read_text("/prepared") == first.read_text("/prepared")
        assert again.image.lower_dirs == first.image.lower_dirs
    assert prepare.count == 1


def test_all_who_ask_at_once_wait_for_one(run: Runner, settings: Settings) -> None:
    prepare = Preparing("sleep 0.3")
    barrier = threading.Barrier(8)

    def ask() -> str:
        with Provisioner(settings) as provisioner:
            barrier.wait()
            with provisioner.run(Template(BUSYBOX, prepare)) as container:
                return container.read_text("/prepared").strip()

    with ThreadPoolExecutor(8) as threads:
        read = [each.result() for each in [threads.submit(ask) for _ in range(8)]]
    assert read == [prepare.note] * 8
    assert prepare.count == 1


def load_a(container: Container) -> None:
    container.write_text("/loaded", "a")


def load_b(container: Container) -> None:
    container.write_text("/loaded", "b")


@pytest.mark.parametrize(
    "other",
    [
        {"prepare": load_b},
        {"settings": {"env": {"A": "2"}}},
        {"settings": {"env": {"A": "1"}, "command": "sleep 1000"}},
        {"settings": {"env": {"A": "1"}, "ready": wait.file("/etc")}},
        {"key": "other"},
        {"image": "nginx:1"},
    ],
    ids=["prepare", "a variable", "the command", "readiness", "the key", "the image"],
)
def test_any_change_makes_another_template(run: Runner, other: dict[str, Any]) -> None:
    fields: dict[str, Any] = {"image": BUSYBOX, "prepare": load_a, "settings": {"env": {"A": "1"}}}
    one = run.clone(Template(**fields))
    again = run.clone(Template(**fields))
    changed = run.clone(Template(**{**fields, **other}))
    assert again.image.lower_dirs[-1] == one.image.lower_dirs[-1]
    assert changed.image.lower_dirs[-1] != one.image.lower_dirs[-1]


@pytest.mark.parametrize("other", [{"timeout": 55}, {"labels": {"a": "b"}}], ids=str)
def test_what_makes_no_difference_to_its_files_makes_no_other_template(run: Runner, other: dict[str, Any]) -> None:
    prepare = Preparing()
    for settings in ({"env": {"A": "1"}}, {"env": {"A": "1"}, **other}):
        assert run(Template(BUSYBOX, prepare, settings=settings)).read_text("/prepared").strip() == prepare.note
    assert prepare.count == 1


def test_an_image_that_has_changed_under_its_name_makes_another_template(
    build: Callable[..., str], registry: FakeRegistry, run: Runner, own_store: Path
) -> None:
    prepare = Preparing()
    command = {"Cmd": ["sleep", "600"]}
    build({"a": b"1"}, **command)
    build({"a": b"1"}, **command, Env=["MORE=1"])
    build({"a": b"2"}, **command)
    kept = registry.repository("app").manifests
    asks = replace(run.provisioner.settings, store=own_store, pull="always")
    seen = []
    for tag in ("1", "1", "2", "3"):
        kept["moving"] = kept[tag]
        template = Template(f"{registry.host}/app:moving", prepare)
        with Provisioner(asks) as provisioner, provisioner.run(template) as container:
            assert container.read_text("/prepared").strip() == prepare.note
            seen.append((container.read_text("/a"), container.env.get("MORE")))
    assert seen == [("1", None), ("1", None), ("1", "1"), ("2", None)]
    assert prepare.count == 3


PREPARER = """
import signal, sys
from pytest_lxcontainer import Provisioner, Template

def prepare(container):
    container.write_text("/prepared", container.id)
    print("preparing", flush=True)
    if "block" in sys.argv:
        signal.pause()

with Provisioner() as provisioner, provisioner.run(Template("busybox", prepare, sys.argv[1])) as container:
    print("came up", flush=True)
"""


@contextmanager
def preparer(settings: Settings, key: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that asks for the template with *key*; it prints a line when it prepares, and one at the end."""
    environ = {**os.environ, "LXCONTAINER_STORE": str(settings.store)}
    command = [sys.executable, "-c", PREPARER, key, *words]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_who_waits_prepares_it_where_who_was_at_it_ends(settings: Settings, number: signal.Signals) -> None:
    key = uuid.uuid4().hex
    with preparer(settings, key, "block") as first:
        assert said(first) == "preparing"
        with preparer(settings, key) as second:
            first.send_signal(number)
            assert [said(second), said(second)] == ["preparing", "came up"]
            assert second.wait(60) == 0
    with preparer(settings, key) as third:
        assert said(third) == "came up"
        assert third.wait(60) == 0


def test_a_key_stands_for_prepare(run: Runner) -> None:
    key = uuid.uuid4().hex
    one = run(Template(BUSYBOX, load_a, key))
    other = run(Template(BUSYBOX, load_b, key))
    assert [each.read_text("/loaded") for each in (one, other)] == ["a", "a"]


def test_settings_of_a_template_are_defaults(run: Runner) -> None:
    template = Template(
        BUSYBOX,
        Preparing(),
        settings={"env": {"A": "1", "B": "1"}, "command": "echo up; sleep 1000", "ready": wait.log("up")},
    )
    container = run(template, env={"B": "2"}, cwd="/tmp")
    assert {name: container.env.get(name) for name in "AB"} == {"A": "1", "B": "2"}
    assert container.logs() == "up\n"
    assert container.check_output("pwd") == "/tmp"


def test_a_template_of_a_template(run: Runner) -> None:
    inner = Template(BUSYBOX, Preparing(), settings={"env": {"A": "1"}})
    container = run(Template(inner, load_a, settings={"env": {"B": "2"}}))
    assert container.read_text("/prepared").strip() == inner.prepare.note  # type: ignore[attr-defined]
    assert container.read_text("/loaded") == "a"
    assert {name: container.env[name] for name in "AB"} == {"A": "1", "B": "2"}
    assert container.image.lower_dirs[:-1] == run.clone(inner).image.lower_dirs


def test_the_command_ends_cleanly_before_its_files_are_sealed(run: Runner) -> None:
    command = "trap 'sleep 0.2; echo clean > /end; exit 0' TERM; echo up; while :; do sleep 0.01; done"
    template = Template(BUSYBOX, Preparing(), settings={"command": command, "ready": wait.log("up")})
    container = run(template, command="sleep 1000", ready=())
    assert container.read_text("/end") == "clean\n"


def test_what_does_not_end_by_itself_is_no_template(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_lxcontainer.template.STOP_TIMEOUT", 0.1)
    prepare = Preparing()
    template = Template(BUSYBOX, prepare, settings={"command": "trap '' TERM; echo up; while :; do sleep 0.01; done"})
    with pytest.raises(ContainerError, match="was killed"):
        run(template)
    assert all(prepare.note not in str(each) for each in TemplateStore(run.provisioner.layout).list())


def test_prepare_may_end_the_container_itself(run: Runner) -> None:
    def prepare(container: Container) -> None:
        container.write_text("/loaded", "a")
        container.kill()
        container.wait("STOPPED")

    assert run(Template(BUSYBOX, prepare, uuid.uuid4().hex)).read_text("/loaded") == "a"


def test_what_prepare_raises_is_raised_to_all_and_leaves_no_template(run: Runner, fresh: Provisioner) -> None:
    prepare = Preparing()

    def failing(container: Container) -> None:
        prepare(container)
        raise LookupError("no schema")

    template = Template(BUSYBOX, failing, prepare.note)
    for _ in range(2):
        with pytest.raises(LookupError, match="no schema") as caught:
            run(template)
        assert "failing" in [entry.name for entry in caught.traceback]
    assert prepare.count == 1
    assert not [record for record in TemplateStore(run.provisioner.layout).list() if "failing" in record.title]
    with fresh.run(Template(BUSYBOX, prepare, prepare.note)) as container:
        assert container.read_text("/prepared").strip() == prepare.note


def test_what_does_not_start_is_no_template(run: Runner) -> None:
    prepare = Preparing()
    with pytest.raises(StartFailedError, match="exit code 3"):
        run(Template(BUSYBOX, prepare, settings={"command": "exit 3"}))
    assert prepare.count == 0


def test_what_cannot_be_told_apart_is_refused_before_anything_starts(run: Runner) -> None:
    lock = threading.Lock()

    def prepare(container: Container) -> None:
        with lock:
            container.write_text("/loaded", "a")

    with pytest.raises(InvalidSettingsError, match="pass key="):
        run(Template(BUSYBOX, prepare))


@pytest.mark.needs_root
def test_a_privileged_one_has_templates_of_its_own(run: Runner) -> None:
    prepare = Preparing()
    container = run(Template(BUSYBOX, prepare, settings={"privileged": True}))
    assert container.read_text("/prepared").strip() == prepare.note
    with pytest.raises(InvalidSettingsError, match="privileged"):
        run(Template(BUSYBOX, prepare, settings={"privileged": True}), privileged=False)
    run(Template(BUSYBOX, prepare))
    assert prepare.count == 2


def test_a_prune_keeps_templates_in_use_and_drops_idle_ones(own_store: Any, settings: Settings) -> None:
    prepare = Preparing()
    template = Template(BUSYBOX, prepare)
    sandboxes = Sandboxes()
    own = Settings(store=own_store, mirrors=settings.mirrors)
    with Provisioner(own) as provisioner, provisioner.run(template) as container:
        kept = prune(provisioner.layout, sandboxes.sandbox(), Rules(unused=True))
        assert (kept.images, kept.templates) == ((), ())
        assert container.read_text("/prepared").strip() == prepare.note
    with Provisioner(own) as provisioner:
        layout = provisioner.layout
    gone = prune(layout, sandboxes.sandbox(), Rules(unused=True))
    sandboxes.close()
    assert [each.title for each in gone.templates] == [f"{BUSYBOX}+Preparing"]
    assert not list(layout.layers_dir.iterdir()) and not list(layout.templates_dir.iterdir())
    with Provisioner(own) as provisioner, provisioner.run(template) as container:
        assert container.read_text("/prepared").strip() == prepare.note
    assert prepare.count == 2


def test_a_key_stands_for_functions_among_the_settings_too(run: Runner) -> None:
    lock = threading.Lock()
    prepare = Preparing()

    def ready(container: Container) -> bool:
        with lock:
            return container.running

    with pytest.raises(InvalidSettingsError, match="lock"):
        run(Template(BUSYBOX, prepare, None, {"ready": ready}))
    for _ in range(2):
        run(Template(BUSYBOX, prepare, prepare.note, {"ready": ready}))
    assert prepare.count == 1
