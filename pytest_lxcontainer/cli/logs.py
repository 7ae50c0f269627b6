"""``lxcontainer logs``: what a container's command has written."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

from ..errors import InvalidSettingsError
from .found import CONTAINER_HELP, found_container
from .words import checked, seconds

if TYPE_CHECKING:
    from .grammar import Commands


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "logs",
        help="print what a container has written",
        description="Print what a container's command has written to stdout and stderr, in the order written.",
        epilog="examples:\n  lxcontainer logs -f db\n  lxcontainer logs --since 5m --tail 20 db",
    )
    parser.add_argument("container", metavar="CONTAINER", help=CONTAINER_HELP)
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the container ends")
    parser.add_argument("-n", "--tail", type=checked(_lines), metavar="N", help="no more than the last N lines, or all")
    parser.add_argument(
        "--since", type=checked(_moment), metavar="WHEN", help="from 5m, 1h30m ... ago, or from seconds since the epoch"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print it as it was written, and with ``--follow`` what comes."""
    with found_container(options.container) as container:
        data = container.log_bytes(options.since)
        _write(data if options.tail is None else _last(data, options.tail))
        if options.follow:
            known = len(data)
            for piece in container.follow_bytes(options.since):
                _write(piece[known:])
                known = max(0, known - len(piece))
    return 0


def _write(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _last(data: bytes, lines: int) -> bytes:
    return b"".join(data.splitlines(keepends=True)[-lines:]) if lines else b""


def _lines(text: str) -> int:
    if text == "all":
        return sys.maxsize
    if not text.isdecimal():
        raise InvalidSettingsError(f"{text!r} is no number of lines", hint="write a number, or all")
    return int(text)


def _moment(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return time.time() - seconds(text)
