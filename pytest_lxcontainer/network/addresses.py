"""One address for each container, unique on the host while it is held."""

from __future__ import annotations

import os
from dataclasses import dataclass
from ipaddress import IPv4Address

from ..errors import HostNotReadyError
from .bridge import Bridge, mac_of
from .leases import Lease, take


@dataclass(frozen=True, slots=True)
class HeldAddress:
    """An address of *bridge*'s subnet; the MAC address follows from it."""

    address: IPv4Address
    bridge: Bridge
    lease: Lease

    @property
    def with_prefix(self) -> str:
        """As ``10.64.4.2/22 10.64.7.255``, the last being the broadcast address, which LXC would compute wrongly."""
        subnet = self.bridge.subnet
        return f"{self.address}/{subnet.prefixlen} {subnet.broadcast_address}"

    @property
    def mac(self) -> str:
        """See `mac_of`."""
        return mac_of(self.address)

    def release(self) -> None:
        """Give it back."""
        self.lease.release()


class AddressPool:
    """Hands out addresses of one bridge."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge
        # A random start, then onward: an address just given back is the last to be handed out again, so that
        # nobody's stale ARP entry or connection meets a new container.
        self._next = int.from_bytes(os.urandom(4), "big") % bridge.subnet.num_addresses

    def hold(self) -> HeldAddress:
        """Hold a free address; `HostNotReadyError` where all are taken."""
        for address in self.bridge.candidates(self._next):
            lease = take(f"address/{address}")
            if lease is not None:
                # Candidates are counted from the first address after the network's own.
                self._next = int(address) - int(self.bridge.subnet.network_address)
                return HeldAddress(address, self.bridge, lease)
        raise HostNotReadyError(
            f"all addresses of {self.bridge.subnet} on {self.bridge.name} are taken",
            hint="let fewer containers live at a time, or give the bridge a wider subnet",
        )
