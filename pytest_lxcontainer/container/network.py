"""A container's network, and what a test can do to it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ..errors import DestroyedError
from ..network.faults import Fault
from .backend import Backend
from .faults import Breakable, Faults, Peers, Ports, addresses, ports


class Network(Breakable):
    """The network of one container: its faults, which a restart does not change, and recordings of its packets.

    Each method that puts a fault on returns it as `Faults`, which can be put more on, and taken off.
    """

    def __init__(self, backend: Backend, container: str, ips: tuple[str, ...]) -> None:
        self._backend = backend
        self._container = container
        self.ips = ips
        self.added: set[int] = set()
        """Numbers of the faults that this process has put on and not taken off."""
        self.captures: list[Capture] = []
        """All recordings, also those that have ended."""
        self.keeps_captures = False
        """Whether those without a path of the user's are to outlive the container."""

    def __repr__(self) -> str:
        try:
            faults = "; ".join(map(str, self.faults)) or "no faults"
        except DestroyedError:
            faults = "destroyed"
        return f"<Network of {self._container} at {', '.join(self.ips) or 'no address'}: {faults}>"

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Those in force, in the order in which they were put on."""
        return tuple(Fault.from_dict(values) for _, values in self._backend.faults(self._container))

    def up(self) -> None:
        """Undo `down`, whoever it is from; other faults stay."""
        faults = self._backend.faults(self._container)
        self.take_off([number for number, values in faults if values["kind"] == "down"])

    def clear(self) -> None:
        """Undo all faults, whoever they are from."""
        self.take_off(None)

    def reset(self, *, to: Peers = None, port: Ports = None) -> None:
        """Reset established TCP connections, of all or of some peers and ports; either end is told at once."""
        peers = [str(address) for address in addresses(to)]
        self._backend.reset_connections(self._container, peers, ports(port))

    def capture(self, path: str | os.PathLike[str] | None = None) -> Capture:
        """Record all packets that pass its interface from now on, to a new file that Wireshark opens.

        Without a *path* it is a temporary one, which is removed when the container goes, unless a test with it has
        failed. A restart ends it.
        """
        capture = Capture(self._backend, self._container, path)
        self.captures.append(capture)
        return capture

    def put_on(self, faults: Sequence[Fault]) -> list[int]:
        """Put *faults* on, all or none; returns their numbers."""
        numbers = self._backend.add_faults(self._container, [fault.to_dict() for fault in faults])
        self.added.update(numbers)
        return numbers

    def take_off(self, numbers: Sequence[int] | None) -> None:
        """Take off the faults of *numbers*, or all; what is off already is fine."""
        with suppress(DestroyedError):
            self._backend.remove_faults(self._container, numbers)
        self.added.difference_update(self.added.copy() if numbers is None else numbers)

    def _put(self, *faults: Fault) -> Faults:
        return Faults(self, self.put_on(faults), faults)


class Capture:
    """A recording of packets, until `stop` or the end of a ``with``; *path* is its file."""

    def __init__(self, backend: Backend, container: str, path: str | os.PathLike[str] | None) -> None:
        self._backend = backend
        self._container = container
        self.is_temporary = path is None
        self.path = Path(path).absolute() if path is not None else _new_path(container)
        self.packets: int | None = None
        """How many it has; ``None`` until it has been stopped, or where the container ended before."""
        self._number: int | None = backend.begin_capture(container, str(self.path))

    def __repr__(self) -> str:
        return f"<Capture of {self._container} in {self.path}>"

    def __enter__(self) -> Capture:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def stop(self) -> Path:
        """End it, with all packets written that have passed; returns *path*. Stopped already is fine."""
        number, self._number = self._number, None
        if number is not None:
            with suppress(DestroyedError):
                self.packets = self._backend.end_capture(self._container, number)
        return self.path


def _new_path(container: str) -> Path:
    return Path(tempfile.mkdtemp(prefix="lxcontainer-")) / f"{container}.pcap"
