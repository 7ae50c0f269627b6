"""The shell that the host lends, as far as the host alone can tell."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pytest_lxcontainer.container.toolbox import PLACE, fill, loader_of
from pytest_lxcontainer.errors import HostNotReadyError

BASH = shutil.which("bash") or "/bin/bash"


def test_a_dynamic_program_names_its_loader() -> None:
    loader = loader_of(Path(BASH))
    assert loader is not None and os.access(loader, os.X_OK)


def test_a_script_names_none(tmp_path: Path) -> None:
    (tmp_path / "script").write_text("#!/bin/sh\n")
    assert loader_of(tmp_path / "script") is None


def test_a_host_without_shells_is_told_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(HostNotReadyError) as caught:
        fill(tmp_path / "tools", str(tmp_path / "empty"))
    assert "busybox-static" in caught.value.hint


def test_bash_takes_all_along_that_it_is_linked_to(tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "bash").symlink_to(BASH)
    directory = tmp_path / "tools"
    loader, option, libraries, program, *rest = fill(directory, str(programs)).shell
    assert (option, rest) == ("--library-path", ["--rcfile", f"{PLACE}/bashrc", "-i"])
    here = [each.replace(PLACE, str(directory)) for each in (loader, option, libraries, program)]
    listed = subprocess.run([here[0], "--list", *here[1:]], capture_output=True, text=True, check=True, env={}).stdout
    foreign = [line for line in listed.splitlines() if "=>" in line and str(directory) not in line]
    assert foreign == []
    said = subprocess.run([*here, "-c", "echo $((6 * 7))"], capture_output=True, text=True, check=True, env={}).stdout
    assert said == "42\n"


def test_others_may_use_it(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        fill(tmp_path / "tools", os.path.dirname(BASH))
    finally:
        os.umask(old)
    for path in (tmp_path / "tools").rglob("*"):
        if not path.is_symlink():
            assert path.stat().st_mode & 0o004, path
