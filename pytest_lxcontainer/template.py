"""Templates: a container that was booted and prepared once, sealed as a layer that every clone begins with.

A `Template` is what a user wrote; `Templates` finds its layer in the store, or has it made.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .container.settings import ContainerSettings
from .container.snapshots import seal
from .container.timing import Observer, timed
from .errors import ContainerError
from .fingerprint import fingerprint
from .image import Digest, Image
from .image.digest import sha256_of
from .store.layers import LayerStore
from .store.lock import pulling
from .store.power import mark
from .store.templates import TemplateStore

if TYPE_CHECKING:
    from .container.container import Container
    from .rootfs.sandboxes import Sandboxes
    from .store.layout import Layout

STOP_TIMEOUT = 60.0
"""Seconds a prepared container has to end by itself: what is killed is not sealed."""

FOREVER = 24 * 3600.0
"""Seconds to wait for another process that prepares the same template, however long that takes."""

Prepare = Callable[["Container"], Any]

_MERGED = ("env", "labels")
_IRRELEVANT = ("timeout", "labels")
"""Settings that make no difference to a container's files."""


@dataclass(frozen=True)
class Template:
    """*image* (a reference, an `Image` or another template), run with *settings* and changed by *prepare*.

    *key* stands for what *prepare*, and every function among the settings, does, in place of their source.
    """

    image: Any
    prepare: Prepare
    key: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def with_settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """*given* over the template's own settings, those of its template, and so on; variables and labels add up."""
        own = {**self.settings, **{name: value for name, value in given.items() if value is not None}}
        for name in _MERGED:
            if isinstance(self.settings.get(name), Mapping) and isinstance(given.get(name), Mapping):
                own[name] = {**self.settings[name], **given[name]}
        return self.image.with_settings(own) if isinstance(self.image, Template) else own

    @property
    def title(self) -> str:
        """How it is shown: ``postgres:15+load_schema``."""
        image = self.image.title if isinstance(self.image, (Image, Template)) else self.image
        return f"{image}+{self.name}"

    @property
    def name(self) -> str:
        """That of *prepare*."""
        named: Any = self.prepare
        while not hasattr(named, "__name__") and hasattr(named, "func"):
            named = named.func
        return str(getattr(named, "__name__", type(named).__name__))

    def digest(self, image: Image, wanted: ContainerSettings) -> Digest:
        """What decides whether it is the same template: layers and configuration of *image*, settings, prepare."""
        settings = {name: getattr(wanted, name) for name in ContainerSettings.__slots__ if name not in _IRRELEVANT}
        parts = (
            str(image.config_digest),
            *(path.name for path in image.lower_dirs),
            *(f"{name}={_text(value, with_functions=self.key is None)}" for name, value in settings.items()),
            fingerprint(self.prepare) if self.key is None else f"key {self.key}",
        )
        return sha256_of("\0".join(parts).encode())


class Templates:
    """The templates of one run, kept in the store."""

    def __init__(self, layout: Layout, sandboxes: Sandboxes, observer: Observer | None = None) -> None:
        self._layout = layout
        self._observer = observer
        self._sandboxes = sandboxes
        self._records = TemplateStore(layout)
        self._layers = LayerStore(layout, sandboxes.discard, timeout=FOREVER)
        self._failed: dict[Digest, Exception] = {}

    def image_of(self, template: Template, base: Image, boot: Callable[[], Container]) -> Image:
        """*base* with one more layer: the store's, or what *boot*'s container has once *template* prepared it.

        Of several processes that ask one prepares, and the others wait. What prepare raises is raised here, for each
        who asks in this process, and leaves no template.
        """
        wanted = ContainerSettings.of(**template.with_settings({}))
        digest = template.digest(base, wanted)
        layer = self._records.find(digest.hex) or self._made(template, base, digest, boot, wanted.privileged)
        return replace(
            base,
            lower_dirs=(*base.lower_dirs, layer),
            snapshot="+".join(filter(None, (base.snapshot, template.name))),
            privileged=wanted.privileged,
        )

    def _made(
        self, template: Template, base: Image, digest: Digest, boot: Callable[[], Container], privileged: bool
    ) -> Path:
        if digest in self._failed:
            raise self._failed[digest]
        variant = self._sandboxes.idmap(privileged=privileged).variant

        def fill(directory: Path) -> bool:
            with boot() as container:
                with _log_told(container):
                    _prepare(template, container)
                with pulling(self._layout):
                    mark(self._layout)
                    seal(container, directory)
            return False

        try:
            make = partial(self._layers.commit, digest, digest, variant, fill)
            layer = timed(self._observer, f"{base.title}+{template.name}", "template", make)
        except Exception as error:
            self._failed[digest] = error
            raise
        self._records.record(digest.hex, f"{base.title}+{template.name}", layer.name)
        return layer


def _prepare(template: Template, container: Container) -> None:
    """Have *container* prepared and ended as a clean end is."""
    template.prepare(container)
    if not container.running:
        return
    container.stop(STOP_TIMEOUT)
    if container.exit_code == 128 + signal.SIGKILL:
        raise ContainerError(
            f"container {container.name} was killed, since it had not ended after {STOP_TIMEOUT:g} s; "
            "its files may not be whole",
            container=container.name,
            details=container.log_tail(),
            hint="let prepare end what does not heed the image's stop signal",
        )


@contextmanager
def _log_told(container: Container) -> Iterator[None]:
    """Add the container's last log lines to what is raised, where exceptions have notes (Python 3.11)."""
    try:
        yield
    except Exception as error:
        if hasattr(error, "add_note"):
            error.add_note(
                f"while container {container.name} was being prepared; its last log lines:\n{container.log_tail()}"
            )
        raise


def _text(value: Any, *, with_functions: bool) -> str:
    """A setting's value: functions by what they do, unless something else stands for that; the rest as it prints."""
    if isinstance(value, tuple):
        return "\n".join(_text(each, with_functions=with_functions) for each in value)
    if callable(value):
        return fingerprint(value) if with_functions else ""
    return repr(value)
