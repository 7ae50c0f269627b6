"""Every command of `lxcontainer` has its page, made from its parser, and help of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pytest_lxcontainer.cli.completion import commands_of
from pytest_lxcontainer.cli.parser import parser

from .markdown import ROOT

COMMANDS = commands_of(parser())


def test_the_pages_are_what_the_parser_says() -> None:
    done = subprocess.run([sys.executable, ROOT / "scripts" / "cli-pages", "--check"], capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_tells_what_it_does_and_shows_how(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = COMMANDS[name]
    assert command.description and command.epilog and command.epilog.startswith("examples:\n  lxcontainer ")
    for line in command.epilog.splitlines()[1:]:
        assert f"lxcontainer {name}" in line
    with pytest.raises(SystemExit) as ended:
        parser().parse_args([name, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: lxcontainer {name} ")
    for action in command._actions:
        assert action.help, f"{name}: {action.dest} has no help"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_refuses_an_option_that_it_does_not_know(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args([name, "--no-such-option", "a", "b"])
    assert ended.value.code == 2
    assert "lxcontainer" in capsys.readouterr().err
