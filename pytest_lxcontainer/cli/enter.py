"""``lxcontainer enter``: a shell in what a failed test has left, or in any other container."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from .found import awake, running_containers, saved_test

if TYPE_CHECKING:
    from ..running import Running
    from ..store.saved import SavedTest
    from .grammar import Commands


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "enter",
        help="open a shell in a container, or in what a failed test has left",
        description="Open a shell in a container, with its environment, user, directory, files and network. A "
        "container that was kept for a failed test, and those kept with it, go on until the shell ends. "
        "Of a test that was saved, all containers are started again for as long as the shell lasts. An "
        "image without a shell gets one of the host's.",
        epilog="examples:\n  lxcontainer enter 3f2a9c01b7de\n  lxcontainer enter 9c41d2e8 db",
    )
    parser.add_argument("id", metavar="ID", help="a container's id or name, or the id of a saved test")
    parser.add_argument("name", nargs="?", metavar="NAME", help="which of a saved test's containers")
    parser.add_argument("-u", "--user", metavar="USER", help="name or id (default: the container's)")
    parser.set_defaults(run=run, usage_error=parser.error)


def run(options: argparse.Namespace) -> int:
    """Open it; returns what it ended with."""
    saved = saved_test(options.id)
    if saved is not None:
        return _enter_saved(saved, options)
    if options.name:
        options.usage_error("NAME is for the containers of a saved test")
    with running_containers() as running:
        return _enter_container(running, options)


def _enter_container(running: Running, options: argparse.Namespace) -> int:
    found = running.find(options.id)
    with awake(running, running.peers(found)):
        _tell(f"In container {found.name} of {found.spec.image}; leave it with Ctrl-D or exit.")
        return running.container(found).shell(user=options.user)


def _enter_saved(saved: SavedTest, options: argparse.Namespace) -> int:
    """Run all containers of *saved* for as long as the shell in one of them lasts."""
    from ..provision import Provisioner
    from ..settings import Settings

    with Provisioner(replace(Settings.from_environment(), pull="never", lock=None, lock_update=False)) as provisioner:
        containers = provisioner.run_saved(saved, options.name)
        name, container = next(iter(containers.items()))
        _tell(f"In container {name} of {saved.test}, as it was saved; leave it with Ctrl-D or exit.")
        if len(containers) > 1:
            _tell(f"Beside it: {', '.join(list(containers)[1:])}.")
        for each, made in containers.items():
            if made.is_stand_in:
                _tell(f"The command of {each} is not running: it had ended, or ended again at once.")
        return container.shell(user=options.user)


def _tell(text: str) -> None:
    if sys.stdin.isatty():
        print(text, file=sys.stderr)
