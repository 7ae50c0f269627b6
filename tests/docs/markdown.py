"""Code blocks of the documentation, and what readers may rely on in each of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), ROOT / "benchmarks" / "README.md")

_BLOCK = re.compile(r"^```(?P<info>[^\n`]+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE_NAME = re.compile(r"# (?P<name>[\w/]+\.py)\n")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: its *info* string's words, and the line of its first fence."""

    page: Path
    line: int
    info: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def file_name(self) -> str:
        """What the block's first line calls it (``# conftest.py``), else a test file's name."""
        match = _FILE_NAME.match(self.text)
        return match["name"] if match else "test_example.py"

    @property
    def commands(self) -> list[str]:
        """What a reader types: the lines after ``$``, or all of them where none begins so."""
        lines = self.text.splitlines()
        typed = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        return typed or [line.strip() for line in lines if line.strip() and not line.startswith("#")]

    @property
    def output(self) -> str:
        """What a block with one ``$`` line shows below it."""
        first, _, rest = self.text.partition("\n")
        return rest if first.startswith("$ ") and len(self.commands) == 1 else ""


@dataclass(frozen=True, slots=True)
class Example:
    """Files that a reader would put beside one another, and the pytest command shown with its output, if any."""

    files: tuple[Block, ...]
    shown: Block | None = None

    def __str__(self) -> str:
        return str(self.files[-1])


def blocks(*languages: str) -> list[Block]:
    """Every block in one of *languages*, in the pages' order."""
    return [block for page in PAGES for block in blocks_of(page) if block.info[0] in languages]


def blocks_of(page: Path) -> Iterator[Block]:
    """The blocks of one page."""
    text = page.read_text(encoding="utf-8")
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        yield Block(page, line, tuple(match["info"].split()), match["text"])


def examples() -> list[Example]:
    """Every ``python`` block as a test file; a ``# conftest.py`` goes with the next one, shown output with the last."""
    found: list[Example] = []
    for page in PAGES:
        waiting: tuple[Block, ...] = ()
        for block in blocks_of(page):
            if block.info == ("python",):
                waiting = (*waiting, block)
                if block.file_name != "conftest.py":
                    found.append(Example(waiting))
                    waiting = ()
            elif block.info[0] == "console" and block.commands[0].startswith("pytest") and block.output:
                found[-1] = Example(found[-1].files, block)
    return found


_CHANGING = (
    (re.compile(r"\d+\.\d\ds"), "0.00s"),
    (re.compile(r"\d+\.\d{2,3} s\b"), "0.00 s"),
    (re.compile(r"\d+\.\d [KM]iB of memory"), "0.0 MiB of memory"),
    (re.compile(r"sha256:[0-9a-f]{64}"), "sha256:0"),
    (re.compile(r"\b10\.\d+\.\d+\.\d+"), "10.0.0.0"),
)


def settled(text: str) -> str:
    """*text* without what differs from one run to the next: times, addresses, memory, digests of images built here."""
    for pattern, stable in _CHANGING:
        text = pattern.sub(stable, text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())
