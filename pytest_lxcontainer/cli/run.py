"""``lxcontainer run``: a container from a shell."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

from ..errors import InvalidSettingsError, LxContainerError
from .exec import add_env_option, add_terminal_options
from .naming import naming
from .words import checked, pair, size

if TYPE_CHECKING:
    from ..container.container import Container
    from ..provision import Provisioner
    from .grammar import Commands

FAILED, NOT_EXECUTABLE, NOT_FOUND = 125, 126, 127
"""Exit codes where no container came to run, and where its command could not, as Docker has them."""

GROUP = "commands"
"""The group of all containers that are run from a shell: they reach one another by name."""


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "run",
        help="run a command in a new container",
        description="Pull an image if need be, make a container of it and run its command, or another one, in it. In "
        "the foreground the command's output is ours, and its exit code is passed on (125: no container "
        "came to run, 126: the command could not be executed, 127: there is none). Containers of this "
        "command reach one another by name. They belong to no test run, and live until they have ended, "
        "are stopped, or the host is.",
        epilog="examples:\n  lxcontainer run --rm -it alpine\n"
        "  lxcontainer run -d --name db -e POSTGRES_PASSWORD=x postgres:15",
    )
    parser.add_argument("-d", "--detach", action="store_true", help="leave it running, and print its id")
    parser.add_argument("--rm", action="store_true", help="remove it when its command has ended")
    add_terminal_options(parser)
    _add_settings(parser)
    parser.add_argument("image", metavar="IMAGE", help="e.g. redis:7, oci:DIR, docker-archive:FILE")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND ...", help="instead of the image's")
    parser.set_defaults(run=run)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    add_env_option(parser)
    add = parser.add_argument
    add("--name", metavar="NAME", help="its name, by which commands and other containers find it")
    add("-v", "--volume", action="append", default=[], metavar="HOST:CONTAINER[:ro]", help="mount; repeatable")
    add("--tmpfs", action="append", default=[], metavar="DIR", help="a file system in memory; repeatable")
    add("-w", "--workdir", metavar="DIR", help="where its command runs (default: the image's)")
    add("-u", "--user", metavar="USER", help="name or id, or USER:GROUP (default: the image's)")
    add("--entrypoint", metavar="COMMAND", help="instead of the image's")
    add(
        "--network",
        action="append",
        metavar="NAME",
        help="default, isolated (from the world), none, or a name: a network with all that are run with it; repeatable",
    )
    add("-p", "--publish", type=checked(_published), help=argparse.SUPPRESS)
    add("-m", "--memory", type=checked(size), metavar="SIZE", help="limit: 512MiB, 2GiB ...")
    add("--cpus", type=float, metavar="N", help="limit: 0.5, 2 ...")
    add("--pids-limit", type=int, metavar="N", help="limit of processes and threads")
    add("--cap-add", action="append", default=[], metavar="NAME", help="a capability beyond the usual; repeatable")
    add("--privileged", action="store_true", help="without a user namespace, with all devices (root)")
    add("-l", "--label", action="append", default=[], type=checked(pair), metavar="KEY=VALUE", help="repeatable")
    add("--pull", choices=("missing", "always", "never"), help="when to ask the registry")


def run(options: argparse.Namespace) -> int:
    """Run it; returns the command's exit code, or 0 for one that is left running."""
    from .provisioning import provisioner_of_commands

    try:
        with provisioner_of_commands(options.pull) as provisioner:
            container = _made(provisioner, options)
            try:
                container.launch(_size() if options.tty else None)
                if not (options.interactive or options.tty):
                    container.close_stdin()
            except BaseException:
                container.destroy()
                raise
            if options.detach:
                print(provisioner.id_of(container))
                return 0
            return _followed(container, options)
    except LxContainerError as error:
        print(f"lxcontainer: {error}", file=sys.stderr)
        return FAILED


def _made(provisioner: Provisioner, options: argparse.Namespace) -> Container:
    """The container, before its start; it goes with this process only if it is to be removed when that is done."""
    if options.name:
        _check_name(provisioner, options.name)
    with naming(options.image):
        container = provisioner.clone(
            options.image,
            options.command or None,
            name=options.name,
            group=GROUP,
            tty=options.tty,
            stdin=options.interactive or not options.tty,
            **_settings(options),
        )
    if options.detach or not options.rm:
        provisioner.let_stay(container, is_removed=options.rm)
    return container


def _size() -> tuple[int, int] | None:
    """That of the terminal we are on."""
    from ..container.terminal import size_of

    return size_of(1, 0)


def _check_name(provisioner: Provisioner, name: str) -> None:
    from ..running import Running

    with Running(provisioner.layout) as running:
        for each in running.list():
            if each.name == name and each.run_id == provisioner.identity.run_id:
                raise InvalidSettingsError(
                    f"the name {name!r} is in use by container {each.id}",
                    hint=f"lxcontainer rm {name}",
                )


def _followed(container: Container, options: argparse.Namespace) -> int:
    """Be its terminal, or pass its output on, until it ends; returns its exit code."""
    try:
        code = container.attach(stdin=0 if options.interactive else None)
        if wrong := container.cannot_execute():
            print(f"lxcontainer: cannot execute: {wrong}", file=sys.stderr)
            return NOT_FOUND if wrong.startswith("there is no") else NOT_EXECUTABLE
        return code
    finally:
        if options.rm:
            container.destroy()


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    terminal = {"TERM": os.environ["TERM"]} if options.tty and os.environ.get("TERM") else {}
    limits = {"memory": options.memory, "cpus": options.cpus, "pids": options.pids_limit}
    return {
        "env": {**terminal, **dict(each for each in options.env if each)},
        "mounts": options.volume,
        "tmpfs": options.tmpfs,
        "cwd": options.workdir,
        "user": options.user,
        "entrypoint": options.entrypoint,
        "network": options.network and tuple(map(_network, options.network)),
        "limits": {name: value for name, value in limits.items() if value is not None},
        "cap_add": options.cap_add,
        "privileged": options.privileged,
        "labels": dict(options.label),
        "ready": (),
    }


def _network(name: str) -> Any:
    from ..container.private_network import NETWORKS, PrivateNetwork

    return name if name in NETWORKS else PrivateNetwork(name)


def _published(text: str) -> str:
    raise InvalidSettingsError(
        f"{text}: ports are not published", hint="each container has an address of its own, see: lxcontainer inspect"
    )
