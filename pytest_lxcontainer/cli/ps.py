"""``lxcontainer ps``: the containers of the store."""

from __future__ import annotations

import argparse
import json
import shlex
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .found import running_containers, saved_tests
from .table import age, print_table

if TYPE_CHECKING:
    from ..store.saved import SavedContainer, SavedTest
    from ..supervisor.record import Listed
    from .grammar import Commands

_COMMAND_WIDTH = 22
_HEADINGS = ("CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "NAMES", "TEST")
_RUNNING = ("RUNNING", "FROZEN", "STARTING", "STOPPING")


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "ps",
        help="list containers",
        description="List the containers that run: those of `lxcontainer run`, and those of the tests of this moment. "
        "With --all also those that have ended, and what tests that failed have left, with the test and its age.",
        epilog="examples:\n  lxcontainer ps -a\n  lxcontainer rm $(lxcontainer ps -aq)",
    )
    parser.add_argument("-a", "--all", action="store_true", help="also what has ended, was kept or saved")
    parser.add_argument("-q", "--quiet", action="store_true", help="print ids only")
    parser.add_argument("--no-trunc", action="store_true", help="print whole commands")
    parser.add_argument("--json", action="store_true", help="print a list of records")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the containers, the one that was made last, first."""
    with running_containers() as running:
        records = [described(each) for each in running.list() if options.all or _runs(each)]
    if options.all:
        records += [described_saved(test, each) for test in saved_tests() for each in test.containers]
    if options.json:
        print(json.dumps(records, indent=2))
    elif options.quiet:
        print("".join(f"{each}\n" for each in dict.fromkeys(record["id"] for record in records)), end="")
    else:
        print_table(*listed(records, time.time(), width=None if options.no_trunc else _COMMAND_WIDTH))
    return 0


def _runs(each: Listed) -> bool:
    return each.status.state in _RUNNING and not each.record.kept


def described(each: Listed) -> dict[str, Any]:
    """What is known of a container; times are in seconds since the epoch, ``None`` for what has not come."""
    status, record = each.status, each.record
    return {
        "id": each.id,
        "name": each.name,
        "image": each.spec.image,
        "command": list(each.spec.command),
        "state": status.state,
        "exit_code": status.exit_code,
        "reason": status.reason,
        "ips": list(status.ips),
        "pid": status.pid,
        "created": record.created,
        "started": record.started or None,
        "ended": record.ended or None,
        "kept": record.kept or None,
        "saved": None,
        "test": record.test or _test_of(each),
        "run": each.run_id,
    }


def described_saved(test: SavedTest, each: SavedContainer) -> dict[str, Any]:
    """The same of a container that was saved, with what it was then; the id is its test's."""
    return {
        "id": test.id,
        "name": each.name,
        "image": each.image,
        "command": list(each.spec["command"]),
        "state": each.state,
        "exit_code": each.exit_code,
        "reason": each.reason,
        "ips": [],
        "pid": None,
        "created": test.saved_at,
        "started": None,
        "ended": None,
        "kept": None,
        "saved": test.saved_at,
        "test": test.test,
        "run": None,
    }


def _test_of(each: Listed) -> str:
    """The test, or module ..., that has it: the last word of its group where that is a node id of pytest's."""
    last = each.spec.group[-1] if len(each.spec.group) > 1 else ""
    return "" if last.startswith("session") else last


def listed(
    records: Sequence[dict[str, Any]], now: float, *, width: int | None = _COMMAND_WIDTH
) -> tuple[Sequence[str], list[tuple[str, ...]]]:
    """Headings and rows, at *now* (seconds since the epoch); commands are cut to *width*."""
    headings = _HEADINGS if any(record["test"] for record in records) else _HEADINGS[:-1]
    return headings, [_row(record, now, width)[: len(headings)] for record in records]


def _row(record: dict[str, Any], now: float, width: int | None) -> tuple[str, ...]:
    created = f"{age(now - record['created'])} ago"
    command = shortened(shlex.join(record["command"]), width)
    return (record["id"], record["image"], command, created, status(record, now), record["name"], record["test"])


def shortened(text: str, width: int | None) -> str:
    """*text* in one line, of at most *width* characters."""
    line = " ".join(text.split())
    return line if width is None or len(line) <= width else f"{line[: width - 1]}…"


def status(record: dict[str, Any], now: float) -> str:
    """As Docker words it: ``Up 3 minutes``, ``Exited (1) 2 hours ago``; a failed test's is ``Kept`` or ``Saved``."""
    if record["saved"]:
        return f"Saved {age(now - record['saved'])} ago"
    if record["kept"]:
        return f"Kept {age(now - record['kept'])} ago"
    if record["state"] in _RUNNING and record["started"]:
        paused = " (Frozen)" if record["state"] == "FROZEN" else ""
        return f"Up {age(now - record['started'])}{paused}"
    if record["ended"]:
        return f"Exited ({record['exit_code']}) {age(now - record['ended'])} ago"
    return "Created"
