"""``lxcontainer stats``: what containers use."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import ContainerError, SupervisorError
from .found import CONTAINER_HELP, running_containers
from .table import has_colours, table

if TYPE_CHECKING:
    from ..container.stats import Stats
    from ..running import Running
    from ..supervisor.record import Listed
    from .grammar import Commands

_INTERVAL = 1.0
"""Seconds between two looks."""

_CLEAR = "\x1b[H\x1b[2J"
_HEADINGS = ("CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "PEAK", "NET I/O", "BLOCK I/O", "PIDS")


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "stats",
        help="show what containers use",
        description="Show processor, memory, traffic and I/O of containers that run, once a second until Ctrl-C.",
        epilog="examples:\n  lxcontainer stats\n  lxcontainer stats --no-stream --json db",
    )
    parser.add_argument("containers", nargs="*", metavar="CONTAINER", help=f"{CONTAINER_HELP} (default: all that run)")
    parser.add_argument("--no-stream", action="store_true", help="look once")
    parser.add_argument("--json", action="store_true", help="look once, and print a list of records")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print a table, again and again; processor time is that of the second before."""
    with running_containers() as running:
        before = _measured(running, options.containers)
        while True:
            time.sleep(_INTERVAL)
            now = _measured(running, options.containers)
            records = [described(*each, before.get(key)) for key, each in now.items()]
            before = now
            if options.json:
                print(json.dumps(records, indent=2))
            else:
                _show(records, again=not options.no_stream)
            if options.json or options.no_stream:
                return 0


def _show(records: Sequence[dict[str, Any]], *, again: bool) -> None:
    if again and sys.stdout.isatty():
        sys.stdout.write(_CLEAR)
    print(table(_HEADINGS, [_row(each) for each in records], bold=has_colours()), flush=True)


Sample = tuple["Listed", float, "Stats"]
"""Which container, when (monotonic seconds), and what was measured."""


def _chosen(running: Running, names: Sequence[str]) -> list[Listed]:
    if names:
        return [running.find(name) for name in names]
    return [each for each in running.list() if each.status.state == "RUNNING"]


def _measured(running: Running, names: Sequence[str]) -> dict[str, Sample]:
    """A sample of each, by its id; one that ends meanwhile is an error where it was named."""
    found: dict[str, Sample] = {}
    for each in _chosen(running, names):
        try:
            found[each.id] = (each, time.monotonic(), running.container(each).stats())
        except (ContainerError, SupervisorError):
            if names:
                raise
    return found


def described(listed: Listed, when: float, stats: Stats, before: Sample | None) -> dict[str, Any]:
    """Sizes in bytes, ``None`` for what the host does not tell or limit; *cpu_percent* of one processor."""
    percent = None
    if before is not None and when > before[1]:
        percent = 100 * (stats.cpu_time - before[2].cpu_time) / (when - before[1])
    networks = stats.networks.values()
    return {
        "id": listed.id,
        "name": listed.name,
        "cpu_percent": percent,
        "cpu_time": stats.cpu_time,
        "memory_usage": stats.memory_usage,
        "memory_limit": stats.memory_limit,
        "memory_peak": stats.memory_peak,
        "rx_bytes": sum(each.rx_bytes for each in networks),
        "tx_bytes": sum(each.tx_bytes for each in networks),
        "io_read": stats.io_read,
        "io_write": stats.io_write,
        "pids": stats.pids,
    }


def _row(record: dict[str, Any]) -> tuple[str, ...]:
    percent = record["cpu_percent"]
    return (
        record["id"],
        record["name"],
        "-" if percent is None else f"{percent:.2f}%",
        f"{_size(record['memory_usage'])} / {_size(record['memory_limit'])}",
        _size(record["memory_peak"]),
        f"{_size(record['rx_bytes'])} / {_size(record['tx_bytes'])}",
        f"{_size(record['io_read'])} / {_size(record['io_write'])}",
        str(record["pids"]),
    )


def _size(value: int | None) -> str:
    from ..container.units import ByteSize

    return "-" if value is None else str(ByteSize(value))
