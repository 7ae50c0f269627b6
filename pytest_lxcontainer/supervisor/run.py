"""All containers of one test run, and what they share: directory, bridge, janitor."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

from ..container.cgroups import cgroups_of
from ..container.mount_entries import OWN_FILES
from ..container.spec import ContainerSpec
from ..container.toolbox import Tools, fill
from ..container.zygote import Zygote
from ..errors import InvalidSettingsError, LxContainerError
from ..network import names
from ..network.addresses import AddressPool
from ..network.bridge import PREFIX, create_bridge, delete_bridge, permitted_bridge
from ..network.isolation import admit, expel
from ..network.leases import Lease
from ..rootfs.idmap import IdMap
from ..rootfs.overlay import STACKS, Overlay, paths_of
from . import refusals
from .grace import GracePeriod
from .host import Host
from .janitor import Janitor
from .life import Life
from .loop import Loop
from .means import Means
from .mount_layers import DIRECTORY as MOUNT_LAYERS
from .mount_layers import MountLayers
from .neighbours import Neighbours, addresses_of
from .reserved import Reserved
from .sweep import clear_cgroup, remove_directory, view_path
from .view import CGROUPS, View
from .wires import Wires

POOL = -1
"""The creator of a container that nobody has asked for yet."""

TOOLS = "tools"
"""The directory of `Run.tools` in that of the run."""

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class Run:
    """The containers of run *run_id*, in *directory*."""

    def __init__(self, run_id: str, directory: Path, host: Host, loop: Loop, zygote: Zygote) -> None:
        self.run_id = run_id
        self.directory = directory
        self.host = host
        self.loop = loop
        self.lives: dict[str, Life] = {}
        self.neighbours = Neighbours()
        self._zygote = zygote
        self._leaving = 0
        self._count = 0
        self._pool: AddressPool | None = None
        self._lease: Lease | None = None
        self._tools: Tools | None = None
        self._janitor = Janitor(host.idmap)
        self._grace = GracePeriod(_where_i_am(host))
        self._resolv_conf = names.host_resolv_conf()
        self._view = self._make_view() if host.is_root else None
        # What LXC is in when it mounts. Ways from a link to a directory would not be those from the directory.
        self._home = Path(os.path.realpath(directory if self._view is None else self._view.files))
        self._layers_seen = lru_cache(maxsize=STACKS)(self._see_layers)
        self._mount_layers = MountLayers(directory / MOUNT_LAYERS, partial(self._seen, root=directory))
        self._means = Means(host, zygote, self._mount_layers, Wires(zygote, is_root=host.is_root), self.neighbours)
        self.note_cgroups()

    def _make_view(self) -> View:
        view = View(view_path(self.run_id))
        self._zygote.follow(hidden=CGROUPS if self.host.makes_cgroups else None)
        return view

    @property
    def cgroup(self) -> str:
        """The run's directory in every cgroup hierarchy, below the base."""
        return f"{PREFIX}-{self.run_id}"

    def note_cgroups(self) -> None:
        """Write down where the run's cgroups will be, for a sweep after its death."""
        paths = sorted({str(base / self.cgroup) for base in self.host.cgroup_base.values()})
        (self.directory / "cgroups").write_text(json.dumps(paths))

    def tools(self) -> Tools:
        """The host's programs for containers without any; made when first asked for."""
        if self._tools is None:
            self._tools = fill(self.directory / TOOLS)
        return self._tools

    def life(self, name: str) -> Life:
        """Container *name*, or `DestroyedError`."""
        try:
            return self.lives[name]
        except KeyError:
            raise refusals.destroyed(name) from None

    def create(self, spec: ContainerSpec, creator: int) -> Life:
        """Reserve everything a container needs but a process; *creator* is the process that asked."""
        if not (self.host.makes_cgroups and spec.leaves_cgroups):
            self._grace.begin()
        if spec.privileged and not self.host.is_root:
            raise InvalidSettingsError("privileged=True needs root", hint="run as root, or leave privileged out")
        self._count += 1
        number = self._count
        name = f"{spec.hostname[:40]}-{number}"
        idmap = IdMap.identity() if spec.privileged else self.host.idmap
        directory = self._make_directory(name, idmap)
        spec = replace(spec, mounts=self._shown_mounts(name, spec))
        reserved = Reserved(
            directory=directory,
            files=directory if self._view is None else self._view.make(name),
            idmap=idmap,
            overlay=self._overlay(spec, directory),
            address=self.pool().hold() if spec.networks else None,
            pair=f"{PREFIX}{self.run_id}{_base36(number)}" if self.host.is_root else None,
            cgroup=f"{self.cgroup}/{name}",
            creator=creator,
            stage=self._view.path if self._view is not None else None,
        )
        life = Life(name, spec, reserved, self._means)
        self.lives[name] = life
        (life.files / "hostname").write_text(spec.hostname + "\n")
        (life.files / "resolv.conf").write_text(self._resolv_conf)
        if peers := self._introduce(life):
            self.loop.spawn(_rewire(peers, admit(addresses_of([life]))))
        for file in OWN_FILES:
            # As in every other container, its root may change them.
            os.chown(life.files / file, idmap.host_uid(0), idmap.host_gid(0))
        return life

    def _make_directory(self, name: str, idmap: IdMap) -> Path:
        directory = self.directory / name
        directory.mkdir(mode=0o711)
        directory.chmod(0o711)
        for part in ("upper", "work"):
            (directory / part).mkdir(mode=0o755)
            os.chown(directory / part, idmap.host_uid(0), idmap.host_gid(0))
        return directory

    def _overlay(self, spec: ContainerSpec, directory: Path) -> Overlay:
        """The stack as a container's root can reach it."""
        return Overlay(
            self._layers_seen(spec.lower_dirs), self._seen(directory / "upper", self.directory), home=self._home
        )

    def _see_layers(self, lower_dirs: tuple[str, ...]) -> tuple[Path, ...]:
        return tuple(self._seen(each, each.parent) for each in paths_of(lower_dirs))

    def replace_files(self, life: Life, lower_dirs: Sequence[str]) -> None:
        """Have a container that is not running start from *lower_dirs* (base first), with an empty upper dir."""
        upper_dir = life.directory / "upper"
        # In the same directory: another one could not be an ordinary user's to move what the container's root owns.
        trash = life.directory / f".{os.urandom(8).hex()}"
        upper_dir.rename(trash)
        self._janitor.remove(trash)
        upper_dir.mkdir(mode=0o755)
        upper_dir.chmod(0o755)
        os.chown(upper_dir, life.idmap.host_uid(0), life.idmap.host_gid(0))
        life.rebase(lower_dirs, self._overlay(replace(life.spec, lower_dirs=tuple(lower_dirs)), life.directory))

    def expect_removals(self) -> None:
        """Make ready for the end of containers, now that there is time."""
        self._janitor.prepare()

    def discard(self, path: Path) -> None:
        """Have files of containers removed soon."""
        self._janitor.remove(path)

    def _seen(self, path: Path, root: Path) -> Path:
        """*path*, which lies in *root*, as a container's root can reach it."""
        return self._view.of(path, root) if self._view is not None else path

    def _shown_mounts(self, name: str, spec: ContainerSpec) -> tuple[tuple[str, str, bool], ...]:
        """The user's mounts with sources that a container's root can reach."""
        view = self._view
        if view is None:
            return spec.mounts
        return tuple(
            (str(view.show(Path(source), f"{name}.{number}")), target, read_only)
            for number, (source, target, read_only) in enumerate(spec.mounts)
        )

    async def get_ready(self) -> None:
        """Make what the first container will need, while pytest gets there; what fails, that container is told."""
        with suppress(LxContainerError):
            self.pool()

    def pool(self) -> AddressPool:
        """The run's addresses; the bridge is made when first asked for."""
        if self._pool is None:
            if self.host.is_root:
                bridge, self._lease = create_bridge(f"{PREFIX}{self.run_id}-b")
            else:
                bridge = permitted_bridge(self.host.user, self.host.groups)
            self._pool = AddressPool(bridge)
        return self._pool

    async def join(self, life: Life, group: tuple[str, ...]) -> None:
        """Put a container, which was alone, into *group*, where it still is."""
        self.neighbours.leave(life)
        life.spec = replace(life.spec, group=group)
        peers = self._introduce(life)
        await life.rewire(admit(addresses_of(peers)))
        await _rewire(peers, admit(addresses_of([life])))

    def _introduce(self, life: Life) -> list[Life]:
        """Have a container and its peers know one another by name; returns these."""
        self.neighbours.join(life)
        peers = self.neighbours.of(life)
        for each in (life, *peers):
            self.neighbours.write_hosts(each)
        return peers

    def destroy(self, name: str) -> None:
        """Kill a container now, and give back what it had as soon as it is dead."""
        life = self.lives.pop(name, None)
        if life is not None:
            self.neighbours.leave(life)
            life.kill()
            self._leaving += 1
            self.loop.spawn(self._remove(life))

    async def _remove(self, life: Life) -> None:
        try:
            await life.remove()
            if self._view is not None:
                for number in range(len(life.spec.mounts)):
                    self._view.hide(f"{life.name}.{number}")
                self._view.remove(life.name)
            peers = self.neighbours.of(life)
            for each in peers:
                self.neighbours.write_hosts(each)
            await _rewire(peers, expel(addresses_of([life])))
            self._janitor.remove(life.directory)
        finally:
            self._leaving -= 1

    def destroy_of(self, creator: int) -> None:
        """Destroy what a process that has ended had asked for."""
        for life in [each for each in self.lives.values() if each.creator == creator]:
            self.destroy(life.name)

    @property
    def empty(self) -> bool:
        """Whether no container is left, nor on its way out."""
        return not self.lives and not self._leaving

    def close(self) -> None:
        """Remove what the containers shared; they must be gone."""
        if self.host.is_root and self._pool is not None:
            delete_bridge(self._pool.bridge)
        if self._lease is not None:
            self._lease.release()
        if self._view is not None:
            self._view.close()
        # Files of the image's users are not an ordinary user's to remove.
        self._janitor.remove(self._mount_layers.directory)
        self._janitor.finish()
        self._grace.close()
        self._zygote.close()
        for base in set(self.host.cgroup_base.values()):
            clear_cgroup(base / self.cgroup)
        remove_directory(self.directory, partial(shutil.rmtree, ignore_errors=True))

    def table(self) -> dict[str, dict[str, object]]:
        """Every container, for lists."""
        return {
            life.name: {
                "image": life.spec.image,
                "state": life.state,
                "group": " ".join(life.spec.group[-1:]),
                "ips": list(life.status().ips),
            }
            for life in self.lives.values()
            if life.creator != POOL
        }


async def _rewire(lives: Sequence[Life], messages: Sequence[bytes]) -> None:
    for each in lives:
        await each.rewire(messages)


def _where_i_am(host: Host) -> dict[str, Path]:
    """This process's own cgroups, where containers have some."""
    return cgroups_of(os.getpid(), host.hierarchies) if host.cgroup_base else {}


def _base36(number: int) -> str:
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
    return text
