"""The page's text: whole, closed to what is in it, and in need of nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_lxcontainer.plugin.page.model import model_of
from pytest_lxcontainer.plugin.page.page import embedded, render

from .runs import HOSTILE, hostile, made_up


class Elements(HTMLParser):
    """The elements of a page, with the text of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._is_open = True
        self.tags.append((tag, dict(attrs)))
        self.texts.append("")

    def handle_data(self, data: str) -> None:
        if self.tags and self._is_open:
            self.texts[-1] += data

    def handle_endtag(self, tag: str) -> None:
        self._is_open = False

    def text(self, tag: str, **attributes: str) -> str:
        return next(
            text
            for (name, found), text in zip(self.tags, self.texts, strict=True)
            if name == tag and attributes.items() <= found.items()
        )


def page_of(title: str = "project", **values: Any) -> str:
    return render({**model_of(made_up(3), title=title, arguments=[]), **values})


def test_the_data_is_what_was_given() -> None:
    model = model_of(made_up(10), title="project", arguments=["-x"])
    data = Elements(render(model)).text("script", id="data")
    assert json.loads(data) == json.loads(json.dumps(model))


@given(st.text())
def test_any_text_comes_back_and_none_of_it_is_markup(text: str) -> None:
    written = embedded({"log": text})
    assert json.loads(written) == {"log": text}
    assert written.isascii() and not set("<>&") & set(written)


def test_hostile_text_makes_no_element() -> None:
    plain, attacked = (Elements(render(model_of(record, title=title, arguments=[title]))) for record, title in (
        (made_up(2), "project"), (hostile(), HOSTILE),
    ))  # fmt: skip
    assert [tag for tag, _ in attacked.tags] == [tag for tag, _ in plain.tags]
    assert attacked.text("title").startswith("</script>")


def test_what_looks_like_a_place_in_the_template_is_left_alone() -> None:
    data = Elements(page_of(arguments=["{{script}}"])).text("script", id="data")
    assert json.loads(data)["arguments"] == ["{{script}}"]


def test_a_browser_is_told_to_run_and_style_by_what_is_in_it_alone() -> None:
    page = Elements(page_of())
    policy = next(found["content"] for tag, found in page.tags if found.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None and "default-src 'none'" in policy
    script = next(
        text for (tag, found), text in zip(page.tags, page.texts, strict=True) if tag == "script" and not found
    )
    for name, text in (("script-src", script), ("style-src", page.text("style"))):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{name} 'sha256-{digest}'" in policy


def test_it_names_no_address() -> None:
    text = re.sub(r'<script type="application/json".*?</script>', "", page_of(), flags=re.DOTALL)
    # That of SVG is a name, and nobody's to be asked.
    assert set(re.findall(r"\w+://[^\s\"']+", text)) == {"http://www.w3.org/2000/svg"}
    assert "@import" not in text and "url(" not in text
    assert not [found for _, found in Elements(text).tags if "src" in found]


def test_nothing_is_made_markup_of_by_the_script() -> None:
    script = page_of().rpartition("<script>")[2]
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert way not in script


@pytest.mark.parametrize("count", [0, 1, 1000])
def test_its_size_is_bounded(count: int) -> None:
    record = made_up(count, workers=4, failures=min(count, 20))
    assert len(render(model_of(record, title="project", arguments=[]))) < 3_000_000
