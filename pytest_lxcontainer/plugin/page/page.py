"""Text of the page: the template with style, script and data in it.

What the run wrote is data, and only ever shown as text. A browser is told to run the one script and to fetch nothing,
by a policy (https://www.w3.org/TR/CSP3/) that names the script by its digest.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
_PLACE = re.compile(r"\{\{(\w+)\}\}")
_ESCAPED = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def render(model: Mapping[str, Any]) -> str:
    """The page of *model* (see `model.model_of`), which needs nothing beside itself."""
    style, script = _asset("page.css"), _asset("page.js")
    parts = {
        "title": html.escape(str(model["title"])),
        "style": style,
        "style_digest": _digest(style),
        "script": script,
        "script_digest": _digest(script),
        "data": embedded(model),
    }
    return _PLACE.sub(lambda match: parts[match[1]], _asset("page.html"))


def embedded(value: Any) -> str:
    """*value* as JSON that no HTML parser finds a tag, a comment or a reference in; all of it is ASCII."""
    return json.dumps(value, separators=(",", ":")).translate(_ESCAPED)


def _asset(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
