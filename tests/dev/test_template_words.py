"""What the page's code knows of the shipped templates: their ids, titles and notes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tools.host.find import REPO
from tools.workflows.shipped import SHIPPED, path_of

WORDS = json.loads((REPO / "web" / "words" / "templates.json").read_text(encoding="utf-8"))
LANGUAGES = {"zh": r"[\u4e00-\u9fff]", "ja": r"[\u3040-\u30ff\u4e00-\u9fff]"}
SAME = {"VAE", "KSampler", "LoRA Switch", "LoRA Composite", "CMLoRA", "NP-LoRA", "TIES", "KnOTS"}
"""Names, the same in every language."""


def said() -> Iterator[str]:
    """Every title, and every line of a note but the lists of model files."""
    for name in SHIPPED:
        workflow = json.loads(path_of(name).read_text(encoding="utf-8"))
        yield from (group["title"] for group in workflow["groups"])
        for node in workflow["nodes"]:
            if "title" in node:
                yield node["title"]
            if node["type"] == "MarkdownNote" and node["title"] == "Read me":
                yield from filter(str.strip, node["widgets_values"][0].split("\n"))


def test_every_line_is_there_and_no_other() -> None:
    assert set(WORDS) == set(said()) - SAME


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_line_is_in_the_language_and_keeps_its_marks(language: str) -> None:
    for line, others in WORDS.items():
        other = others[language]
        assert re.search(LANGUAGES[language], other), line
        assert re.match(r"(# |- |\d\. |)", other)[0] == re.match(r"(# |- |\d\. |)", line)[0], line
        assert other.count("**") % 2 == 0 and other.count("`") == line.count("`"), line


def test_the_page_knows_every_template_by_its_id() -> None:
    code = (REPO / "web" / "js" / "page" / "templates.js").read_text(encoding="utf-8")
    (start,) = re.findall(r"OURS = /\^([0-9a-f-]+)/", code)
    for name in SHIPPED:
        assert json.loads(path_of(name).read_text(encoding="utf-8"))["id"].startswith(start), name
