"""With ``never``, what the store has runs, and nobody is asked for what it lacks."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from pytest_lxcontainer.provision import Provisioner
from pytest_lxcontainer.settings import Settings

from .conftest import BUSYBOX, as_root

PROGRAM = """
import json, os, socket, sys
from pathlib import Path

opened = []

def watch(event, arguments):
    if event == "socket.getaddrinfo" or event == "socket.__new__" and arguments[1] != socket.AF_UNIX:
        opened.append(repr((event, arguments)))

sys.addaudithook(watch)
from pytest_lxcontainer.errors import ImageNotCachedError
from pytest_lxcontainer.provision import Provisioner
from pytest_lxcontainer.settings import Settings

with Provisioner(Settings(store=Path(sys.argv[1]), pull="never")) as provisioner:
    said = provisioner.run(sys.argv[2], network="none").check_output("echo up")
    try:
        provisioner.pull("127.0.0.1:1/no/such:image")
        missing = ""
    except ImageNotCachedError as error:
        missing = str(error)
loaded = sorted({"requests", "urllib3", "http.client"} & set(sys.modules))
print(json.dumps([said, missing, opened, loaded]))
"""


@pytest.mark.parametrize("command", [[]] if not as_root() else [[], ["unshare", "--net"]], ids=" ".join)
def test_never_opens_no_socket(settings: Settings, provisioner: Provisioner, command: list[str]) -> None:
    """As root also where there is no network at all but what the run makes."""
    provisioner.pull(BUSYBOX)
    arguments = [*command, sys.executable, "-c", PROGRAM, str(settings.store), BUSYBOX]
    done = subprocess.run(arguments, capture_output=True, text=True, env={**os.environ, "LXCONTAINER_MIRROR": ""})
    assert done.returncode == 0, done.stderr
    said, missing, opened, loaded = json.loads(done.stdout)
    assert (said, opened, loaded) == ("up", [], [])
    assert "127.0.0.1:1/no/such:image is not in the store" in missing and "lxcontainer pull" in missing
