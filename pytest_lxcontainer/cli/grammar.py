"""What commands are added to, and how their help is laid out."""

from __future__ import annotations

import argparse
from typing import TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[CommandParser]"
"""argparse has no public name for what `add_subparsers` returns."""


class HelpFormatter(argparse.HelpFormatter):
    """Fills paragraphs, but leaves text of several lines as it is: examples."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if "\n" in text:
            return "".join(f"{indent}{line}" for line in text.splitlines(keepends=True))
        return super()._fill_text(text, width, indent)


class CommandParser(argparse.ArgumentParser):
    """The parser of one command."""

    def __init__(self, **settings: object) -> None:
        super().__init__(**{"formatter_class": HelpFormatter, **settings})  # type: ignore[arg-type]  # as argparse's
