"""Container-backed tests on LXC: a fresh clone of a real image for every test, in milliseconds."""

from __future__ import annotations

TYPE_CHECKING = False  # not typing's, which would be copied for each container: see `container.zygote`
if TYPE_CHECKING:
    from typing import Any

    from .container import wait as wait
    from .container.container import Container as Container
    from .container.exec import ExecResult as ExecResult
    from .container.limits import Limits as Limits
    from .container.private_network import PrivateNetwork as PrivateNetwork
    from .container.settings import ContainerSettings as ContainerSettings
    from .container.settings import Mount as Mount
    from .container.snapshots import Change as Change
    from .container.stats import Stats as Stats
    from .container.units import ByteSize as ByteSize
    from .container.units import GiB as GiB
    from .container.units import KiB as KiB
    from .container.units import MiB as MiB
    from .image.image import Image as Image
    from .image.reference import Reference as Reference
    from .plugin.maker import lxc_container as lxc_container
    from .plugin.templates import lxc_template as lxc_template
    from .provision import Provisioner as Provisioner
    from .provision import Settings as Settings
    from .template import Template as Template

_HOMES = {
    "ByteSize": "container.units",
    "Change": "container.snapshots",
    "Container": "container.container",
    "ContainerSettings": "container.settings",
    "ExecResult": "container.exec",
    "GiB": "container.units",
    "Image": "image.image",
    "KiB": "container.units",
    "Limits": "container.limits",
    "MiB": "container.units",
    "Mount": "container.settings",
    "PrivateNetwork": "container.private_network",
    "Provisioner": "provision",
    "Reference": "image.reference",
    "Settings": "provision",
    "Stats": "container.stats",
    "errors": "errors",
    "Template": "template",
    "lxc_container": "plugin.maker",
    "lxc_template": "plugin.templates",
    "wait": "container.wait",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    # pytest imports this package in every project that has it installed: what is not used is not loaded.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module = import_module(f".{_HOMES[name]}", __name__)
    return module if name in ("errors", "wait") else getattr(module, name)
