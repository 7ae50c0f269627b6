"""Bits of a packet's mark that are ours while it is on its way through a container's network namespace."""

COPY = 0x4000_0000
"""A copy, until it is where it was made for the second time: no copy is copied."""

SWALLOW = 0x2000_0000
"""One that goes out as a copy later; itself it ends in traffic control."""
