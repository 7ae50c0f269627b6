"""The command itself: what it takes, what it prints, how it ends."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..table import has_colours
from .finding import Finding, ready

if TYPE_CHECKING:
    from ..grammar import Commands
_COLOURS = {"ok": "32", "lack": "31", "note": "33"}
_WIDTH = 27


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "doctor",
        help="tell what this host lacks, and the command that mends it",
        description="Checks the host for whoever runs this. Exit code 0 when containers can run, 1 otherwise.",
        epilog="examples:\n  lxcontainer doctor\n  lxcontainer doctor --fix --user alice",
    )
    parser.add_argument("--json", action="store_true", help="print a list of findings")
    parser.add_argument("--fix", action="store_true", help="run the commands that mend it (as root)")
    parser.add_argument(
        "--user", metavar="NAME", help="with --fix: set the host up for this ordinary user's containers"
    )
    parser.add_argument(
        "--pid", type=int, metavar="PID", help="with --user: move this process of theirs into their cgroups"
    )
    parser.set_defaults(run=run, usage_error=parser.error)


def run(options: argparse.Namespace) -> int:
    """Check, or mend."""
    if (options.user and not options.fix) or (options.pid and not options.user):
        options.usage_error("--user goes with --fix, and --pid with --user")
    if options.fix:
        return _fix(options)
    return _check(options.json)


def _check(as_json: bool) -> int:
    from ...provision import Settings
    from .checks import examine

    found = []
    for finding in examine(Settings.from_environment().store):
        found.append(finding)
        if not as_json:
            print(line(finding, coloured=has_colours()), flush=True)
    if as_json:
        print(json.dumps([finding.to_dict() for finding in found], indent=2))
    elif not ready(found):
        print(verdict(found))
    return 0 if ready(found) else 1


def line(finding: Finding, coloured: bool = False) -> str:
    """A finding's line, and below it the command that mends it."""
    word = f"{finding.verdict:<4}"
    if coloured:
        word = f"\033[{_COLOURS[finding.verdict]}m{word}\033[0m"
    text = f"{word}  {finding.name:<{_WIDTH}} {finding.found}"
    return f"{text}\n      run: {finding.command}" if finding.command else text


def verdict(findings: Iterable[Finding]) -> str:
    """What the lacks amount to."""
    lacking = ", ".join(finding.name for finding in findings if finding.verdict == "lack")
    whose = "" if os.geteuid() == 0 else f" --user {_user_name()}"
    return f"\nContainers cannot run: {lacking}.\nTo have it mended, as root: lxcontainer doctor --fix{whose}"


def _fix(options: argparse.Namespace) -> int:
    if os.geteuid() != 0:
        return _say_what_root_must_run()
    from .fix import fix_for_root, fix_for_user

    if options.user:
        fix_for_user(options.user, options.pid, _say)
        return 0
    from ...provision import Settings
    from .checks import examine

    fix_for_root(list(examine(Settings.from_environment().store)), _say)
    return _check(False)


def _say_what_root_must_run() -> int:
    from ...provision import Settings
    from .checks import examine

    commands = [each.command for each in examine(Settings.from_environment().store) if each.verdict == "lack"]
    if not commands:
        print("Nothing is lacking.")
        return 0
    print("Mending takes root. As root, run:")
    for command in dict.fromkeys((*commands, f"lxcontainer doctor --fix --user {_user_name()}")):
        print(f"  {command}")
    return 1


def _say(text: str) -> None:
    print(text, flush=True)


def _user_name() -> str:
    from ...supervisor.host import user_entry

    return user_entry(os.geteuid()).pw_name
