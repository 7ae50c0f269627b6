"""What pytest-html shows of a failed test's containers, beside the sections that it puts into the log itself."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

_STYLE = "max-height: 30em; overflow: auto; white-space: pre-wrap; overflow-wrap: anywhere"


def add_extras(config: pytest.Config, report: pytest.TestReport, sections: Sequence[tuple[str, str]]) -> None:
    """Add an extra for each of *sections*, where pytest-html is to write a page."""
    if not config.getoption("htmlpath", None):
        return
    # In the form of `pytest_html.extras.html`, which need not be there to be imported.
    extras = [
        {"name": title, "format_type": "html", "content": _content(title, text), "mime_type": None, "extension": None}
        for title, text in sections
    ]
    vars(report)["extras"] = [*getattr(report, "extras", []), *extras]


def _content(title: str, text: str) -> str:
    from html import escape  # which few need, and which brings all entities along

    return f'<details open><summary>{escape(title)}</summary><pre style="{_STYLE}">{escape(text)}</pre></details>'
