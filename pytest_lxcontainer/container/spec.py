"""The complete, resolved description of one container that a backend is asked to make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .limits import Limits

DEFAULT_NETWORK = "default"
"""The network of its group that a container is on unless it says otherwise."""


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """What to run and around what; plain values only, so that it can travel to another process.

    *lower_dirs* are base first. *env* is complete and *command* is argv. *uid*, *gid* and *groups* are ids inside
    the container. *mounts* are (source, target, read_only); *tmpfs* are (target, options). *group* is a path of
    names, from the whole run to a test, and *networks* are those of the group that it is on: whom it reaches, and
    resolves by *hostname* and *aliases*, is told in `supervisor.neighbours`. Without *networks* it has but the
    loopback, and when *isolated* it does not reach the world.
    *volumes* are directories that are made where the layers have none, as *cwd* is. *stop_signal* is a number. With
    *init* the command runs under LXC's own init, else it is process 1 itself, and with *systemd* it is that. With
    *shared*, a key, it is for `Backend.share`, by at most *sharers* processes. With *tty* the command has a terminal of
    the container's, and with *stdin* somebody may feed it by `Backend.attach`; else nothing ever comes there.
    """

    hostname: str
    group: tuple[str, ...]
    lower_dirs: tuple[str, ...]
    command: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    cwd: str = "/"
    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    aliases: tuple[str, ...] = ()
    mounts: tuple[tuple[str, str, bool], ...] = ()
    tmpfs: tuple[tuple[str, str], ...] = ()
    networks: tuple[str, ...] = (DEFAULT_NETWORK,)
    isolated: bool = False
    limits: Limits = Limits()
    privileged: bool = False
    cap_add: tuple[str, ...] = ()
    stop_signal: int = 15
    init: bool = True
    systemd: bool = False
    image: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    shared: str = ""
    sharers: int = 1
    volumes: tuple[str, ...] = ()
    tty: bool = False
    stdin: bool = False

    @property
    def begins_with_init(self) -> bool:
        """Whether LXC's init starts the command, or itself becomes it.

        LXC 5.0 gives process 1 no groups, and no terminal that is the container's.
        """
        return self.init or bool(self.groups) or self.tty

    @property
    def leaves_cgroups(self) -> bool:
        """Whether it has no business with cgroups: it manages none, and none keeps it from devices."""
        return self.begins_with_init and not self.systemd and not self.privileged

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        # Not all of it by `asdict`, which copies each of hundreds of values.
        return {name: getattr(self, name) for name in self.__slots__} | {"limits": asdict(self.limits)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ContainerSpec:
        """Rebuild from what `to_dict` gave, after JSON has made lists of tuples."""
        values = {key: _tuples(value) for key, value in data.items()}
        return cls(**{**values, "limits": Limits(**data["limits"])})


def _tuples(value: Any) -> Any:
    return tuple(_tuples(each) for each in value) if isinstance(value, list) else value
