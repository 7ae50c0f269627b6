"""``python -m pytest_lxcontainer.cli``: the `lxcontainer` command where its script is not installed."""

from __future__ import annotations

import sys

from . import main

if __name__ == "__main__":
    sys.exit(main())
