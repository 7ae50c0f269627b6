"""What the containers of a run have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..container.zygote import Zygote
from .host import Host
from .mount_layers import MountLayers
from .wires import Wires

if TYPE_CHECKING:
    from .neighbours import Neighbours


@dataclass(frozen=True, slots=True)
class Means:
    """The host that they are on, who makes their processes, and what they are shown and joined by."""

    host: Host
    zygote: Zygote
    mount_layers: MountLayers
    wires: Wires
    neighbours: Neighbours
