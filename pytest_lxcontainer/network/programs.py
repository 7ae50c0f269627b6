"""The host's programs by which networks are set up."""

from __future__ import annotations

import shutil

from ..errors import HostNotReadyError

_SBIN = "/usr/sbin:/sbin:/usr/bin:/bin"
_PACKAGES = {"ip": "iproute2", "tc": "iproute2", "ss": "iproute2", "nft": "nftables", "nsenter": "util-linux"}


def found(name: str) -> str | None:
    """Where program *name* is, if it is installed; an ordinary user's PATH may lack where root's are."""
    return shutil.which(name, path=_SBIN)


def program(name: str) -> str:
    """`found`, or `HostNotReadyError` with the package to install."""
    path = found(name)
    if path is None:
        raise HostNotReadyError(f"the program {name!r} is not installed", hint=f"apt-get install {_PACKAGES[name]}")
    return path
