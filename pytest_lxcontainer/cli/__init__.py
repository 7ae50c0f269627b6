"""WHAT A PERSON TYPES: the `lxcontainer` command."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from ..errors import LxContainerError

FAILED, USAGE, INTERRUPTED = 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line *argv* (default: the process's) and return the exit code.

    An error of the package's own is printed to stderr and makes it 1; argparse ends the process with 2 for a command
    line that cannot be read.
    """
    from .parser import parser

    options = parser().parse_args(argv)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except LxContainerError as error:
        print(f"lxcontainer: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has had enough; what is still buffered must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return code
