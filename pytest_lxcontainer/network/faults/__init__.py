"""What a container's network can be made to suffer: the faults, and the process that keeps them in force.

`fault` and `amounts` are values. `serve` runs inside the container's network namespace and applies them in one of two
ways, as `abilities` finds: `tree` (traffic control, with netem where the kernel has it), and `hold` (packets that wait
in NFQUEUE for what the kernel lacks).
"""

from .abilities import Abilities, find_abilities
from .amounts import bits_per_second, fraction, seconds
from .fault import DEFAULT_DIRECTION, Direction, Fault, Kind
from .serve import serve

__all__ = [
    "DEFAULT_DIRECTION",
    "Abilities",
    "Direction",
    "Fault",
    "Kind",
    "bits_per_second",
    "find_abilities",
    "fraction",
    "seconds",
    "serve",
]
