"""The table as a picture: bars beside one another for each line, as SVG for light and dark pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from textwrap import wrap

from lines import Line, Row, as_part, shown

WIDTH, LABEL, BAR = 860, 250, 390
ROW, HEAD, GAP, MARGIN = 22, 26, 16, 12
CAPTION_COLUMNS = 120
SUBJECT = "plugin"

STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.work { font-weight: 600 }
.ours { fill: #1a7f64 }
.theirs { fill: #8c959f }
.ratio { fill: #59636e }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .ours { fill: #3fb68b }
  .theirs { fill: #656d76 }
  .ratio { fill: #9198a1 }
}
"""


def svg(lines: Sequence[Line], caption: str) -> str:
    """Each line's bars are in proportion to its longest; *caption* names the machine."""
    parts: list[str] = []
    top = MARGIN
    for line in lines:
        parts += _group(line, top)
        top += _height(line)
    for text in wrap(caption, CAPTION_COLUMNS):
        parts.append(_text(MARGIN, top + ROW / 2, text, "ratio"))
        top += ROW
    height = top + MARGIN
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    title = "<title>What a container costs a test, side by side</title>"
    return "\n".join([f'{head} role="img">', title, f"<style>\n{STYLE}</style>", *parts, "</svg>", ""])


def _height(line: Line) -> int:
    return HEAD + ROW * len(line.figures) + GAP


def _group(line: Line, top: float) -> Iterator[str]:
    yield _text(MARGIN, top + HEAD / 2, line.work, "work")
    longest = max(row.median for row in line.rows())
    for number, row in enumerate(line.rows()):
        yield from _bar(line, row, top + HEAD + ROW * number, BAR * row.median / longest)


def _bar(line: Line, row: Row, top: float, length: float) -> Iterator[str]:
    middle = top + ROW / 2
    kind = "ours" if _is_ours(line, row.subject) else "theirs"
    yield _text(MARGIN, middle, row.subject)
    yield f'<rect class="{kind}" x="{LABEL}" y="{top + 3:g}" width="{max(length, 1):.1f}" height="{ROW - 6}" rx="2"/>'
    ratio = "" if row.subject == line.reference else as_part(row.ratio)
    yield _text(LABEL + length + 8, middle, shown(row.median, line.unit), more=ratio)


def _is_ours(line: Line, subject: str) -> bool:
    """All of them, where a line has the plugin alone in different circumstances."""
    return subject.startswith(SUBJECT) or not any(other.startswith(SUBJECT) for other in line.figures)


def _text(x: float, middle: float, text: str, kind: str = "", more: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    beside = f'<tspan class="ratio" dx="8">{escape(more)}</tspan>' if more else ""
    return f'<text{named} x="{x:.1f}" y="{middle:g}" dominant-baseline="middle">{escape(text)}{beside}</text>'
