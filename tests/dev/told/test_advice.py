"""What a person is told when the subject is lost, wherever it is told: balance down first, then s*.

bench/QUALITY.md is the reason: with s* the subject scores higher than with s.
"""

from __future__ import annotations

import json
import re

import pytest

from tools.host.find import REPO
from tools.workflows.notes import DIAL
from tools.workflows.shipped import SHIPPED, path_of

LOST = re.compile(r"subject (is )?lost|主体丢了|主体不像了|被写体が失われる", re.IGNORECASE)
HELP = REPO / "web" / "docs"
TEXTS = {
    "README": REPO / "README.md",
    "help": HELP / "KLoRAFuse.md",
    "help zh": HELP / "KLoRAFuse" / "zh.md",
    "help ja": HELP / "KLoRAFuse" / "ja.md",
}


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if LOST.search(line)]


def told() -> dict[str, list[str]]:
    found = {name: lines(path.read_text(encoding="utf-8")) for name, path in TEXTS.items()}
    found["notes"] = lines(DIAL)
    words = json.loads((REPO / "web" / "words" / "templates.json").read_text(encoding="utf-8"))
    for language in ("zh", "ja"):
        found[f"notes {language}"] = [each[language] for line, each in words.items() if LOST.search(line)]
    for name in SHIPPED:
        nodes = json.loads(path_of(name).read_text(encoding="utf-8"))["nodes"]
        notes = [node["widgets_values"][0] for node in nodes if node["type"] == "MarkdownNote"]
        if said := [line for note in notes for line in lines(note)]:
            found[name] = said
    return found


def test_it_is_told_in_every_place():
    assert all(found for found in told().values())
    assert len(told()) > len(TEXTS) + 3 + 8


@pytest.mark.parametrize("place", told())
def test_balance_goes_down_first_then_the_other_schedule(place):
    for line in told()[place]:
        down, star = re.search(r"-(0\.\d|1)|`balance` down", line), line.find("s\\*")
        assert down and star > down.start(), line
