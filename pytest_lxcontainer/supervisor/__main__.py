"""The supervisor process: ``python -m pytest_lxcontainer.supervisor LISTENER RUN_ID RUNS_DIR OWNER``.

Started by `starting`, with a clean environment, in a session of its own, and listening already at descriptor
LISTENER. It says ``ready`` on stdout once it
accepts connections, or an error as JSON.
"""

from __future__ import annotations

import os
import sys

from ..container.launching import COMMAND, LAUNCHER, launch, run_command
from ..container.monitor import MONITOR, monitor
from ..container.wiring import WIRE, wire_as_user
from ..container.zygote import Zygote


def main(arguments: list[str]) -> int:
    """Own one run; returns the exit code."""
    listener, run_id, runs_dir, owner = arguments
    os.umask(0o022)
    zygote = Zygote({MONITOR: monitor, LAUNCHER: launch, COMMAND: run_command, WIRE: wire_as_user})
    # Only now, since the zygote and all that it makes do without.
    from .serve import ignore_terminal_signals, serve

    ignore_terminal_signals()
    return serve(int(listener), run_id, runs_dir, owner, zygote)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
