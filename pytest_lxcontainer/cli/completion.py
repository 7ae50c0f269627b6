"""``lxcontainer completion``: scripts by which bash and zsh complete the command line, made from its parser."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .grammar import Commands

_KINDS = {
    "CONTAINER": "containers",
    "CONTAINER ...": "containers",
    "ID": "containers",
    "ID|REF": "containers",
    "IMAGE": "images",
}
"""What may be put in place of a positional argument's name; of all others, files."""

_BASH = """\
# bash completion for lxcontainer: . <(lxcontainer completion bash)
_lxcontainer() {
    local current=${COMP_WORDS[COMP_CWORD]} words='' kind=files
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        words=@COMMANDS@ kind=''
    else
        case ${COMP_WORDS[1]} in
@CASES@
        esac
    fi
    if [[ $current == -* || -z $kind ]]; then
        :
    elif [[ $kind == files ]]; then
        compopt -o default
        return
    else
        words=$(lxcontainer completion "$kind" 2> /dev/null)
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
    if declare -F __ltrim_colon_completions > /dev/null; then
        __ltrim_colon_completions "$current"
    fi
}
complete -F _lxcontainer lxcontainer
"""

_ZSH = """\
#compdef lxcontainer
# zsh completion for lxcontainer: put it as _lxcontainer into a directory of $fpath
_lxcontainer() {
    local -a commands options
    local kind=files
    commands=(
@COMMANDS@
    )
    if ((CURRENT == 2)); then
        _describe command commands
        return
    fi
    case $words[2] in
@CASES@
    esac
    if [[ $words[CURRENT] == -* ]]; then
        compadd -- $options
    elif [[ $kind == files ]]; then
        _files
    else
        compadd -- ${(f)"$(lxcontainer completion $kind 2> /dev/null)"}
    fi
}
if [[ $funcstack[1] == _lxcontainer ]]; then
    _lxcontainer "$@"
else
    compdef _lxcontainer lxcontainer
fi
"""


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "completion",
        help="print a script that completes command lines",
        description="Print a script by which bash or zsh completes lxcontainer's commands, options, containers and "
        "images.",
        epilog="examples:\n  lxcontainer completion bash > /etc/bash_completion.d/lxcontainer\n"
        "  lxcontainer completion zsh > /usr/local/share/zsh/site-functions/_lxcontainer",
    )
    parser.add_argument("shell", choices=("bash", "zsh", "containers", "images"), metavar="SHELL", help="bash or zsh")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the script; or, as the scripts ask, the names that there are."""
    if options.shell in ("bash", "zsh"):
        print((bash if options.shell == "bash" else zsh)(options.parser), end="")
    else:
        print("".join(f"{name}\n" for name in (_containers if options.shell == "containers" else _images)()), end="")
    return 0


def bash(parser: argparse.ArgumentParser) -> str:
    """The script for bash."""
    commands = commands_of(parser)
    cases = (
        f"            {name}) words={shlex.quote(' '.join(options_of(each)))} kind={kind_of(each)} ;;"
        for name, each in commands.items()
    )
    words = shlex.quote(" ".join([*options_of(parser), *commands]))
    return _BASH.replace("@COMMANDS@", words).replace("@CASES@", "\n".join(cases))


def zsh(parser: argparse.ArgumentParser) -> str:
    """The script for zsh."""
    commands = commands_of(parser)
    described = (f"        {shlex.quote(f'{name}:{help_of(parser, name)}')}" for name in commands)
    cases = (
        f"        {name}) options=({' '.join(map(shlex.quote, options_of(each)))}) kind={kind_of(each)} ;;"
        for name, each in commands.items()
    )
    return _ZSH.replace("@COMMANDS@", "\n".join(described)).replace("@CASES@", "\n".join(cases))


def commands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers of *parser*'s commands, by name."""
    return dict(_subparsers(parser).choices)


def help_of(parser: argparse.ArgumentParser, name: str) -> str:
    """The line that help has for command *name*."""
    # What argparse keeps for its own help has no public name.
    lines = {action.dest: action.help or "" for action in _subparsers(parser)._choices_actions}
    return lines[name]


def options_of(parser: argparse.ArgumentParser) -> list[str]:
    """Its options, short and long, but for those that help leaves out."""
    shown = (action for action in parser._actions if action.help != argparse.SUPPRESS)
    return [option for action in shown for option in action.option_strings]


def kind_of(parser: argparse.ArgumentParser) -> str:
    """What its first positional argument is: ``containers``, ``images`` or ``files``."""
    return next(_kinds(parser), "files")


def _kinds(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if not action.option_strings and isinstance(action.metavar, str):
            yield _KINDS.get(action.metavar, "files")


def _subparsers(parser: argparse.ArgumentParser) -> argparse._SubParsersAction[argparse.ArgumentParser]:
    return next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))


def _containers() -> Iterator[str]:
    from .found import running_containers, saved_tests

    with running_containers() as running:
        yield from (name for each in running.list() for name in (each.name, each.id))
    yield from (test.id for test in saved_tests())


def _images() -> Iterator[str]:
    from ..settings import Settings
    from ..store.images import ImageStore
    from ..store.layout import Layout

    records = ImageStore(Layout(Settings.from_environment().store)).list()
    yield from (record.reference.familiar for record in records)
