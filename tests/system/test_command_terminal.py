"""The command on a real terminal: ``run -it``, ``exec -it``, ``enter`` of what runs, was kept or saved."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..fakes.person import Person
from .command import Command

TEST = """
def test_fails(containers):
    db = containers.run("busybox", "sleep 1000", name="db", env={"SECRET": "42"}, cwd="/tmp")
    containers.run("busybox", "sleep 1000", name="app")
    db.exec("echo found > /evidence")
    assert False
"""

Talk = Callable[..., Person]


@pytest.fixture
def talk(lxcontainer: Command) -> Iterator[Talk]:
    """Starts the command on a terminal; what is left of it at the end of the test is ended."""
    people: list[Person] = []

    def talk(*words: str) -> Person:
        people.append(Person([sys.executable, "-m", "pytest_lxcontainer.cli", *words], env=lxcontainer.environment))
        return people[-1]

    yield talk
    for person in people:
        person.close(force=True)


def failed(lxcontainer: Command, directory: Path, what: str) -> str:
    """Have a test fail; returns the words to paste that its report ends with, of the container ``db``."""
    (directory / "test_it.py").write_text(TEST)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:asyncio", f"--lxc-on-failure={what}"]
    done = subprocess.run(
        command, cwd=directory, env=lxcontainer.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    (line, *_) = (line for line in done.stdout.splitlines() if line.startswith("lxcontainer enter "))
    return line


def test_run_it_is_a_terminal(lxcontainer: Command, talk: Talk) -> None:
    person = talk("run", "--rm", "-it", "--name", "box", "busybox")
    person.expect("# ")
    person.sendline("tty; hostname; stty size; echo $TERM")
    person.expect(r"/dev/(pts/\d+|console)\r\nbox\r\n")
    person.expect("# ")
    person.sendline("echo be''gun; sleep 100")
    person.expect("begun\r\n")
    time.sleep(0.3)  # until the shell has let the terminal go
    person.sendintr()
    person.expect("# ")
    person.sendline("exit 5")
    assert person.leaves() == 5
    assert lxcontainer.records() == []


def test_exec_it_is_a_terminal(lxcontainer: Command, talk: Talk) -> None:
    lxcontainer("run", "-d", "--name", "db", "busybox", "sleep", "1000")
    person = talk("exec", "-it", "db", "sh")
    person.expect("# ")
    person.sendline("tty; hostname")
    person.expect(r"/dev/pts/\d+\r\ndb\r\n")
    person.sendline("exit 3")
    assert person.leaves() == 3


def test_enter_opens_a_shell_in_what_runs(lxcontainer: Command, talk: Talk) -> None:
    lxcontainer("run", "-d", "--name", "db", "-w", "/tmp", "-e", "A=1", "busybox", "sleep", "1000")
    person = talk("enter", "db")
    person.expect("In container db of busybox:latest")
    person.expect(r"[$#] ")
    person.sendline("echo $A $PWD $(hostname)")
    person.expect("1 /tmp db\r\n")
    person.sendline("exit")
    assert person.leaves() == 0


def test_enter_goes_on_with_what_was_kept(lxcontainer: Command, talk: Talk, tmp_path: Path) -> None:
    words = failed(lxcontainer, tmp_path, "keep").split()
    before = lxcontainer.record("db")["state"]
    person = talk(*words[1:])
    person.expect(r"[$#] ")
    person.sendline("echo $SECRET $PWD $(cat /evidence); ping -c1 -W3 app > /dev/null && echo reached")
    person.expect("42 /tmp found\r\n")
    person.expect("reached\r\n")
    person.sendline("exit 4")
    assert person.leaves() == 4
    assert {each["state"] for each in lxcontainer.records()} == {before}


def test_enter_runs_what_was_saved(lxcontainer: Command, talk: Talk, tmp_path: Path) -> None:
    words = failed(lxcontainer, tmp_path, "save").split()
    assert words[-1] == "db"
    person = talk(*words[1:])
    person.expect(r"[$#] ")
    person.sendline("echo $SECRET $PWD $(cat /evidence); ping -c1 -W3 app > /dev/null && echo reached")
    person.expect("42 /tmp found\r\n")
    person.expect("reached\r\n")
    person.sendline("touch /tmp/mark; exit")
    assert person.leaves() == 0
    again = talk(*words[1:])
    again.expect(r"[$#] ")
    again.sendline("ls /tmp | wc -l; exit")
    again.expect("\n0\r\n")
    assert again.leaves() == 0


def test_enter_refuses_what_is_not_there(lxcontainer: Command) -> None:
    assert "no such container: nosuch" in lxcontainer.fails("enter", "nosuch")


def test_colours_are_for_a_terminal_alone(lxcontainer: Command, talk: Talk) -> None:
    person = talk("images")
    person.expect(r"\x1b\[1mREPOSITORY .*SIZE\x1b\[0m\r\n")
    assert person.leaves() == 0
    assert lxcontainer("images").startswith("REPOSITORY ")
    lxcontainer.environment["NO_COLOR"] = "1"
    plain = talk("images")
    plain.expect(r"(.)EPOSITORY ")
    assert plain.match[1] == "R"
    assert plain.leaves() == 0 and "\x1b" not in plain.before
