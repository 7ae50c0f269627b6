"""Links as an nginx configuration, so that the edge answers without the application."""

from __future__ import annotations

from collections.abc import Iterable

from shortener.links import Link

TEMPLATE = """\
map $uri $link {{
    default "";
{entries}
}}
server {{
    listen 80;
    location / {{
        if ($link = "") {{ return 404; }}
        return 302 $link;
    }}
    location = /health {{ return 200 "ok\\n"; }}
}}
"""


def nginx_config(links: Iterable[Link]) -> str:
    """Write a server that redirects every one of *links*."""
    # Codes are case-sensitive; a plain string in a map is not, an anchored regular expression is.
    entries = "\n".join(f'    "~^/{link.code}$" "{_quoted(link.url)}";' for link in links)
    return TEMPLATE.format(entries=entries)


def _quoted(url: str) -> str:
    # nginx would take a $ for a variable and has no way to escape it in a map's value.
    return url.replace("\\", "%5C").replace('"', "%22").replace("$", "%24")
