"""Finding the supervisor that another process of the run has started."""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path

from pytest_lxcontainer.supervisor import protocol
from pytest_lxcontainer.supervisor.client import SupervisorClient
from pytest_lxcontainer.supervisor.owner import Owner


def test_one_that_has_only_just_begun_to_listen_is_waited_for(tmp_path: Path) -> None:
    run_id = os.urandom(4).hex()
    directory = tmp_path / run_id

    def begin_slowly(listener: socket.socket) -> None:
        time.sleep(0.2)
        directory.mkdir()
        connection, _ = listener.accept()
        with connection:
            request, _ = protocol.receive(connection)
            protocol.send(connection, {"ok": {"asked": request["do"]}})

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(protocol.socket_name(run_id))
        listener.listen()
        beginning = threading.Thread(target=begin_slowly, args=[listener])
        beginning.start()
        client = SupervisorClient(run_id, tmp_path, Owner.of(os.getpid()))
        client.start_supervisor()
        assert directory.is_dir()
        beginning.join()
        client.close()
