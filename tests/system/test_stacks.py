"""Images that are unusual in shape."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_lxcontainer import MiB, Provisioner, Settings, wait
from pytest_lxcontainer.errors import StartFailedError
from pytest_lxcontainer.rootfs.overlay import read_file

from ..fakes.images import Dir, File, Layer, Opaque, Symlink, Whiteout, image, layer, push
from ..fakes.registry import FakeRegistry
from .conftest import BUSYBOX, Make, Runner

SCRIPTS = Path(__file__).parents[2] / "scripts"
LAYERS = 127
"""As many as Docker mounts."""


@pytest.fixture
def docker_registry(tmp_path: Path) -> Iterator[str]:
    """An empty docker-registry; gives its address."""
    loader = importlib.machinery.SourceFileLoader("with_registry", str(SCRIPTS / "with-registry"))
    spec = importlib.util.spec_from_loader("with_registry", loader)
    assert spec is not None
    script = importlib.util.module_from_spec(spec)
    loader.exec_module(script)
    with script.registry(tmp_path) as address:
        yield address


def test_a_stack_of_127_layers_starts_with_nothing_of_its_own(
    settings: Settings, docker_registry: str, busybox_layer: Layer
) -> None:
    layers = [layer({f"srv/{number}": str(number), "srv/last": str(number)}) for number in range(1, LAYERS)]
    push(image([busybox_layer, *layers], Cmd=["sleep", "60"]), f"http://{docker_registry}", "tall", "1")
    with Provisioner(settings) as provisioner:
        container = provisioner.run(f"{docker_registry}/tall:1")
        assert len(container.image.lower_dirs) == LAYERS
        upper_dir = provisioner.layout.upper_dir(provisioner.identity.run_id, container.id)
        assert os.geteuid() or not list(upper_dir.iterdir())
        assert container.read_text("/srv/last") == str(LAYERS - 1)
        assert len(container.listdir("/srv")) == LAYERS


def test_what_an_upper_layer_removes_is_gone(run: Runner, registry: FakeRegistry, busybox_layer: Layer) -> None:
    layers = [
        busybox_layer,
        layer({"srv/d/old": "x", "srv/gone": "x", "srv/link": Symlink("gone")}),
        layer({"srv/gone": Whiteout(), "srv/d": Dir(), "srv/d/": Opaque(), "srv/d/new": "x"}),
    ]
    registry.push(image(layers, Cmd=["sleep", "60"]), "box", "1")
    container = run(f"{registry.host}/box:1")
    assert container.listdir("/srv") == ["d", "link"]
    assert container.listdir("/srv/d") == ["new"]
    assert container.exec(["cat", "/srv/link"]).exit_code == 1


def test_a_static_binary_on_scratch_starts(run: Runner, registry: FakeRegistry) -> None:
    program = read_file(run.provisioner.pull(BUSYBOX).lower_dirs, "bin/busybox", limit=8 * MiB)
    assert program is not None
    only = layer({"busybox": File(program, 0o755)})
    registry.push(image([only], Entrypoint=["/busybox"], Cmd=["sleep", "60"]), "scratch", "1")
    container = run(f"{registry.host}/scratch:1")
    assert container.command == ("/busybox", "sleep", "60")
    assert container.check_output(["/busybox", "id", "-u"]) == "0"
    assert {"busybox", "dev", "etc", "proc", "sys"} <= set(container.listdir("/"))


def test_files_that_only_another_id_may_look_at_tell_the_user(boot: Make) -> None:
    etc = {"etc": Dir(0o700, uid=1000), "etc/passwd": "app:x:7:8::/srv:/bin/sh\n", "etc/group": "more:x:9:app\n"}
    container = boot(etc, User="app", Cmd=["sh", "-c", "id -u; id -G; echo $HOME; exec sleep 60"])
    container.wait_for(wait.log("/srv"))
    assert container.logs() == "7\n8 9\n/srv\n"
    assert container.check_output(["id", "-u"], user="app") == "7"


def test_an_init_that_only_another_id_may_look_at_starts(boot: Make) -> None:
    entries = {"own": Dir(0o700, uid=1000), "own/init": File("#!/bin/sh\necho I am $$; exec sleep 60\n", 0o755)}
    container = boot(entries, Cmd=["/own/init"])
    container.wait_for(wait.log("I am 1$"))


def test_a_command_that_only_another_id_may_look_at_is_not_said_to_be_absent(boot: Make) -> None:
    entries = {"own": Dir(0o700, uid=1000), "own/program": File("#!/no/such\n", 0o755)}
    with pytest.raises(StartFailedError) as caught:
        boot(entries, Cmd=["/own/program"])
    assert "there is no" not in str(caught.value)


def test_a_layer_used_by_two_images_is_unpacked_once(run: Runner, registry: FakeRegistry, busybox_layer: Layer) -> None:
    for name in ("one", "two"):
        registry.push(image([busybox_layer, layer({"srv/name": name})], Cmd=["sleep", "60"]), name, "1")
    one, two = (run.provisioner.pull(f"{registry.host}/{name}:1") for name in ("one", "two"))
    assert one.lower_dirs[0] == two.lower_dirs[0]
    assert one.lower_dirs[1] != two.lower_dirs[1]
    assert (run(one).read_text("/srv/name"), run(two).read_text("/srv/name")) == ("one", "two")


def test_a_working_directory_that_the_image_lacks_is_made(
    run: Runner, registry: FakeRegistry, busybox_layer: Layer
) -> None:
    built = image([busybox_layer], Cmd=["sleep", "60"], WorkingDir="/srv/deep/down", User="nobody", Env=["A=b c"])
    registry.push(built, "box", "1")
    for _ in range(2):
        container = run(f"{registry.host}/box:1")
        assert container.check_output("pwd; id -un; echo $A") == "/srv/deep/down\nnobody\nb c"


def test_neither_store_nor_mounts_need_a_way_for_others(settings: Settings, own_store: Path) -> None:
    """As under pytest's tmp_path, which only its owner may enter."""
    closed = own_store / "closed"
    shared = closed / "shared"
    shared.mkdir(parents=True)
    (shared / "file").write_text("from the host")
    closed.chmod(0o700)
    with Provisioner(replace(settings, store=closed / "store")) as provisioner:
        mounts = [f"{shared}:/shared", f"{shared}/file:/etc/file:ro"]
        container = provisioner.run(BUSYBOX, ["sleep", "60"], mounts=mounts)
        assert container.read_text("/shared/file") == container.read_text("/etc/file") == "from the host"
