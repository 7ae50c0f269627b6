"""The containers of a store, whichever run they are of: found by what a person types, and held.

Those of tests that run now, those that were kept for a test that has failed, and those that were started from a shell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .container.adopted import AdoptedContainer
from .container.container import Container
from .container.note import from_note, to_note
from .container.spec import ContainerSpec
from .container.traits import Traits
from .errors import ContainerNotFoundError, LxContainerError
from .image import Digest, Image, ImageConfig, Reference, parse_name
from .image.name import ImageName
from .store.layout import Layout
from .supervisor.client import SupervisorClient
from .supervisor.keep_client import list_runs
from .supervisor.owner import Owner
from .supervisor.record import Listed

_NO_DIGEST = Digest("sha256", "0" * 64)
_SHORTEST_ID = 2


class Running:
    """The containers of the store at *layout*; a context manager, which closes the connections to their supervisors."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._clients: dict[str, SupervisorClient] = {}

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the containers stay as they are."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def list(self) -> list[Listed]:
        """All of them, the one that was made last, first; those of dead runs are not there any more."""
        return list_runs(self.layout.runs_dir)

    def find(self, text: str) -> Listed:
        """The one that *text* names: by its name, or by the beginning of its id.

        `ContainerNotFoundError` where there is none, or more than one.
        """
        there = self.list()
        for found in (
            [each for each in there if each.id == text],
            [each for each in there if text in (each.name, each.status.name)],
            [each for each in there if len(text) >= _SHORTEST_ID and each.id.startswith(text)],
        ):
            if len(found) == 1:
                return found[0]
            if found:
                raise _ambiguous(text, found)
        raise ContainerNotFoundError(f"no such container: {text}", hint="these are there: lxcontainer ps -a")

    def client(self, run_id: str) -> SupervisorClient:
        """The way to the supervisor of a run that lives."""
        if run_id not in self._clients:
            self._clients[run_id] = SupervisorClient(run_id, self.layout.runs_dir, Owner.nobody())
        return self._clients[run_id]

    def container(self, listed: Listed) -> Container:
        """The container itself; leaving it alone leaves it as it is."""
        note = listed.record.note
        image, traits = from_note(note) if note else _without_note(listed.spec)
        return AdoptedContainer(self.client(listed.run_id), listed.spec, image, traits, listed.status)

    def peers(self, listed: Listed) -> Sequence[Listed]:
        """The containers that were kept for the same test, itself among them; itself only, of one that was not kept."""
        if not listed.record.kept:
            return [listed]
        there = [each for each in self.list() if each.run_id == listed.run_id]
        return [each for each in there if each.record.kept and each.record.test == listed.record.test]


def note_of(container: Container) -> Mapping[str, Any]:
    """What `Running.container` wants to know of *container*, for `Record.note`."""
    return to_note(container.image, container._traits)


def _without_note(spec: ContainerSpec) -> tuple[Image, Traits]:
    """As much of image and traits as the spec of a container tells."""
    env = tuple(f"{name}={value}" for name, value in spec.env)
    config = ImageConfig(env=env, cmd=spec.command, working_dir=spec.cwd, volumes=spec.volumes)
    lower_dirs = tuple(map(Path, spec.lower_dirs))
    title, _, snapshot = spec.image.partition("+")
    image = Image(_name(title), _NO_DIGEST, _NO_DIGEST, config, 0, lower_dirs, snapshot, spec.privileged)
    return image, Traits(home=dict(spec.env).get("HOME", "/"))


def _name(title: str) -> ImageName:
    try:
        return parse_name(title)
    except LxContainerError:
        return Reference("localhost", "unknown")


def _ambiguous(text: str, found: Sequence[Listed]) -> ContainerNotFoundError:
    lines = "\n".join(f"{each.id}  {each.name}  {each.spec.image}" for each in found)
    return ContainerNotFoundError(
        f"{text!r} is the name or the beginning of the id of {len(found)} containers", details=lines, hint="give an id"
    )
