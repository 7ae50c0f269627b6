"""Containers from images in files: as skopeo and docker save write them, and from a directory."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_lxcontainer.cli import main
from pytest_lxcontainer.errors import ImageSourceError
from pytest_lxcontainer.image import Digest, ImageConfig, sha256_of
from pytest_lxcontainer.provision import Provisioner, Settings
from pytest_lxcontainer.store.layout import Layout as StoreLayout

from ..fakes.archives import docker_archive, oci_layout
from ..fakes.images import BuiltImage, Layer, image, layer
from .conftest import BUSYBOX, Runner
from .leaks import Leaks

SLEEP = ["sleep", "60"]


@pytest.fixture
def skopeo(tmp_path: Path, mirror: str) -> Callable[[str], str]:
    """Copies busybox to a name in the test's directory, and returns the name."""

    def copy(name: str) -> str:
        transport, _, rest = name.partition(":")
        name = f"{transport}:{tmp_path / rest}"
        source = f"{mirror.partition('=http://')[2]}/library/{BUSYBOX}"
        command = [
            "skopeo",
            "--insecure-policy",
            "--tmpdir",
            str(tmp_path),
            "copy",
            "--quiet",
            "--src-tls-verify=false",
        ]
        subprocess.run([*command, f"docker://{source}", name], check=True, capture_output=True)
        return name

    return copy


@pytest.fixture
def busybox(busybox_layer: Layer) -> Callable[..., BuiltImage]:
    """Makes an image of busybox and a layer of the test's, neither of them compressed."""
    plain = gzip.decompress(busybox_layer.blob)
    base = Layer(plain, sha256_of(plain), "application/vnd.oci.image.layer.v1.tar")

    def make(text: str = "here\n") -> BuiltImage:
        top = layer({"etc/hello": text}, compression="")
        return image([base, top, base], Cmd=SLEEP, architecture=os.uname().machine)

    return make


@pytest.fixture
def root_dir(tmp_path: Path, busybox_layer: Layer) -> Path:
    """A root file system that this user unpacked."""
    root = tmp_path / "rootfs"
    root.mkdir()
    command = ["tar", "--extract", "--gzip", "--file", "-", "--directory", str(root), "--exclude=dev/*"]
    subprocess.run(command, input=busybox_layer.blob, check=True)
    return root


@pytest.mark.parametrize(
    "name",
    [
        "oci:busybox:latest",
        "oci-archive:busybox.tar",
        "oci-archive:busybox.tar:1",
        "docker-archive:busybox.tar:docker.io/library/busybox:latest",
        "docker-archive:busybox.tar",
        "dir:busybox",
    ],
)
def test_what_skopeo_writes_runs(run: Runner, skopeo: Callable[[str], str], name: str) -> None:
    container = run(skopeo(name), SLEEP)
    assert container.check_output("echo $((6 * 7)); hostname") == "42\nbusybox"
    assert container.image.config == run.provisioner.pull(BUSYBOX).config
    assert container.image.lower_dirs == run.provisioner.pull(BUSYBOX).lower_dirs


def test_a_copy_that_changes_nothing_keeps_the_registrys_digest(run: Runner, skopeo: Callable[[str], str]) -> None:
    assert run.provisioner.pull(skopeo("dir:busybox")).digest == run.provisioner.pull(BUSYBOX).digest


@pytest.mark.parametrize("form", ["new", "old", "oldest"])
def test_what_docker_save_wrote_runs_whichever_version_it_was(
    run: Runner, tmp_path: Path, busybox: Callable[..., BuiltImage], form: str
) -> None:
    path = docker_archive(tmp_path / "app.tar", {"app:1": busybox(form)}, form)
    container = run(f"docker-archive:{path}:app:1")
    assert container.read_text("/etc/hello") == form and container.hostname == "app"


def test_a_compressed_archive_runs(run: Runner, tmp_path: Path, busybox: Callable[..., BuiltImage]) -> None:
    path = docker_archive(tmp_path / "app.tar", {"app:1": busybox()})
    path.write_bytes(gzip.compress(path.read_bytes(), 1))
    assert run(f"docker-archive:{path}").read_text("/etc/hello") == "here\n"


def test_a_root_file_system_runs_its_shell_until_it_is_destroyed(run: Runner, root_dir: Path) -> None:
    (root_dir / "etc" / "hello").write_text("from a directory\n")
    container = run(f"dir:{root_dir}")
    assert container.state == "RUNNING" and container.command[0].endswith("/sh")
    assert container.read_text("/etc/hello") == "from a directory\n"
    assert container.check_output("stat -c %u:%g /etc/hello /") == "0:0\n0:0"
    container.write_text("/etc/hello", "changed\n")
    assert (root_dir / "etc" / "hello").read_text() == "from a directory\n"


@pytest.mark.needs_root
def test_a_root_file_system_keeps_owners_and_capabilities(run: Runner, root_dir: Path) -> None:
    owned = root_dir / "etc" / "owned"
    owned.write_text("")
    os.chown(owned, 1234, 4321)
    capability = b"\x01\x00\x00\x02\x00\x04\x00\x00" + bytes(12)
    os.setxattr(owned, "security.capability", capability)
    container = run(f"dir:{root_dir}")
    assert container.check_output("stat -c %u:%g /etc/owned") == "1234:4321"
    layer_dir = container.image.lower_dirs[0]
    assert os.getxattr(layer_dir / "etc" / "owned", "security.capability")[4:8] == capability[4:8]


@pytest.mark.needs_user
def test_a_root_file_system_of_another_user_says_what_cannot_be_read(run: Runner) -> None:
    with pytest.raises(ImageSourceError, match="cannot be read by this user"):
        run.provisioner.pull("dir:/etc")


# when it is read again


@pytest.fixture
def runs(settings: Settings) -> Iterator[Callable[..., Provisioner]]:
    """Makes provisioners, each of which knows no more than the store."""
    made: list[Provisioner] = []

    def make(pull: str = "missing") -> Provisioner:
        made.append(Provisioner(Settings(store=settings.store, mirrors={"docker.io": "http://127.0.0.1:9"}, pull=pull)))
        return made[-1]

    yield make
    for provisioner in made:
        provisioner.close()


def settle() -> None:
    """Let the moment pass in which files might change without their times doing so."""
    time.sleep(0.06)


def pulled_at(provisioner: Provisioner, name: str) -> float:
    (record,) = [each for each in provisioner.images() if str(each.reference) == name]
    return record.pulled_at


@pytest.mark.parametrize("policy", ["missing", "always", "never"])
def test_a_file_that_was_built_anew_is_noticed_whatever_the_policy(
    runs: Callable[..., Provisioner], tmp_path: Path, busybox: Callable[..., BuiltImage], policy: str
) -> None:
    """It takes no registry to look at a file, so that never does not forbid it."""
    for name in (f"docker-archive:{tmp_path / 'app.tar'}", f"oci:{tmp_path / 'app'}"):
        found = []
        for text in ("one", "two"):
            docker_archive(tmp_path / "app.tar", {"app:1": busybox(text)})
            oci_layout(tmp_path / "app", {"1": busybox(text)})
            found.append(runs(policy).pull(name).config.diff_ids)
        assert found == [tuple(each.diff_id for each in busybox(text).layers) for text in ("one", "two")]


def test_files_that_stay_are_not_read_again(
    runs: Callable[..., Provisioner], tmp_path: Path, root_dir: Path, busybox: Callable[..., BuiltImage]
) -> None:
    names = [
        f"docker-archive:{docker_archive(tmp_path / 'app.tar', {'app:1': busybox()})}",
        f"oci:{oci_layout(tmp_path / 'app', {'1': busybox()})}",
        f"dir:{root_dir}",
    ]
    settle()
    for name in names:
        first = runs().pull(name)
        read_at = pulled_at(runs(), name)
        assert runs().pull(name) == first
        assert pulled_at(runs(), name) == read_at
        assert runs("always").pull(name) == first


def test_a_changed_directory_is_read_again(runs: Callable[..., Provisioner], root_dir: Path) -> None:
    settle()
    first = runs().pull(f"dir:{root_dir}")
    (root_dir / "etc" / "new").touch()
    assert runs().pull(f"dir:{root_dir}").config.diff_ids != first.config.diff_ids


def test_what_is_gone_is_an_error_though_the_store_has_it(
    runs: Callable[..., Provisioner], tmp_path: Path, busybox: Callable[..., BuiltImage]
) -> None:
    path = docker_archive(tmp_path / "app.tar", {"app:1": busybox()})
    runs().pull(f"docker-archive:{path}")
    path.unlink()
    with pytest.raises(ImageSourceError, match="does not exist"):
        runs().pull(f"docker-archive:{path}")


def test_a_layer_that_lies_leaves_nothing_unpacked(
    runs: Callable[..., Provisioner], own_store: Path, tmp_path: Path, busybox: Callable[..., BuiltImage]
) -> None:
    built = busybox()
    path = docker_archive(tmp_path / "app.tar", {"app:1": built})
    data = path.read_bytes()
    path.write_bytes(data.replace(b"here\n", b"Here\n"))
    with Provisioner(Settings(store=own_store)) as provisioner, pytest.raises(Exception, match="digest"):
        provisioner.pull(f"docker-archive:{path}")
    top = built.layers[1]
    assert not StoreLayout(own_store).blob(Digest("sha256", top.digest.hex)).exists()
    assert list(StoreLayout(own_store).tmp_dir.iterdir()) == []


def test_processes_that_ask_at_once_all_get_it(
    own_store: Path, tmp_path: Path, root_dir: Path, busybox: Callable[..., BuiltImage]
) -> None:
    archive = docker_archive(tmp_path / "app.tar", {"app:1": busybox()})
    program = "import sys; from pytest_lxcontainer.cli import main; sys.exit(main(['pull', *sys.argv[1:]]))"
    command = [sys.executable, "-c", program, f"docker-archive:{archive}", f"dir:{root_dir}"]
    env = {**os.environ, "LXCONTAINER_STORE": str(own_store)}
    asking = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    told = [process.communicate()[0] for process in asking]
    assert [process.returncode for process in asking] == [0] * 6
    assert told == [told[0]] * 6 and told[0]
    assert list(StoreLayout(own_store).tmp_dir.iterdir()) == []


def test_a_locked_run_takes_files_as_they_are(
    settings: Settings, tmp_path: Path, busybox: Callable[..., BuiltImage]
) -> None:
    """There is no tag that could drift, and files have other paths on other machines."""
    path = docker_archive(tmp_path / "app.tar", {"app:1": busybox()})
    lock = tmp_path / "images.lock"
    lock.write_text("")
    with Provisioner(replace(settings, lock=lock)) as provisioner:
        assert provisioner.pull(f"docker-archive:{path}").config_digest == busybox().config_digest
    with Provisioner(replace(settings, lock=lock, lock_update=True)) as provisioner:
        provisioner.pull(f"docker-archive:{path}")
    assert "app.tar" not in lock.read_text()


# where names are written


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, store: Path) -> pytest.Pytester:
    monkeypatch.setenv("LXCONTAINER_STORE", str(store))
    monkeypatch.setenv("LXCONTAINER_PULL", "never")
    return pytester


def test_a_marker_and_an_option_name_files_from_where_pytest_was_called(
    project: pytest.Pytester, busybox: Callable[..., BuiltImage], leaks: Leaks
) -> None:
    oci_layout(project.path / "images" / "app", {"1": busybox("by marker")})
    docker_archive(project.path / "app.tar", {"app:1": busybox("by option")})
    project.makepyfile(
        """
        import pytest

        @pytest.mark.container("oci:images/app:1")
        def test_marker(container):
            assert container.read_text("/etc/hello") == "by marker"
            assert container.hostname == "app"

        def test_option(container):
            assert container.read_text("/etc/hello") == "by option"
        """
    )
    result = project.runpytest_subprocess("-p", "no:cacheprovider", "--lxc-image", "docker-archive:app.tar")
    result.assert_outcomes(passed=2)


def test_the_command_pulls_lists_and_removes_files_too(
    project: pytest.Pytester, busybox: Callable[..., BuiltImage], capsys: pytest.CaptureFixture[str]
) -> None:
    path = docker_archive(project.path / "app.tar", {"app:1": busybox()})
    assert main(["pull", "docker-archive:app.tar:app:1"]) == 0
    assert capsys.readouterr().out.rstrip().endswith(f"docker-archive:{path}:app:1")
    assert main(["images", "--json"]) == 0
    record = next(each for each in json.loads(capsys.readouterr().out) if each["tag"] == "app:1")
    assert record["reference"] == f"docker-archive:{path}:app:1"
    assert record["repository"] == f"docker-archive:{path}"
    assert record["image_id"] == str(busybox().config_digest)


def test_the_config_of_a_directory_asks_for_nothing_else(runs: Callable[..., Provisioner], root_dir: Path) -> None:
    config = runs().pull(f"dir:{root_dir}").config
    assert config == ImageConfig(cmd=config.cmd, diff_ids=config.diff_ids, platform=config.platform)
