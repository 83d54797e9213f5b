"""What the template Try it now and its prompt's help say of the small world is what the world is."""

from __future__ import annotations

import re

import pytest

from klora_core.toy import LENGTH
from tools.host.find import REPO
from tools.workflows.families import TOY
from tools.workflows.notes import TRY_IT_NOW
from world.draw.styles import BASE_STYLES
from world.model.sampling import GUIDANCE, STEPS
from world.pairs import TRIGGERS, Pair
from world.places import WEIGHTS

HELP = REPO / "web" / "docs" / "KLoRAToyWords"


def test_its_files_are_there_and_weigh_what_the_note_says():
    files = [WEIGHTS / file.name for file in TOY.files]
    assert len(files) == 4 and all(file.is_file() for file in files)
    (told,) = re.findall(r"(\d+) MB", TRY_IT_NOW)
    assert int(told) == round(sum(file.stat().st_size for file in files) / 1e6)


def test_its_prompt_asks_for_its_two_loras():
    subject, style = (file.name.removeprefix("redundant-").split(".")[0] for file in (TOY.subject, TOY.style))
    assert TOY.prompt == Pair(subject, style).prompt
    assert (TOY.sampling.steps, TOY.sampling.cfg) == (STEPS, GUIDANCE)


@pytest.mark.parametrize("page", [HELP.with_suffix(".md"), HELP / "zh.md", HELP / "ja.md"])
def test_the_help_has_every_word(page):
    text = page.read_text(encoding="utf-8")
    rows = dict(re.findall(r"\| (\w+)(?:（[^）]+）)? \| `(\w+)`", text))
    assert rows == TRIGGERS
    assert all(f"`{style}`" in text for style in BASE_STYLES) and f"{LENGTH}" in text
    assert f"{STEPS}" in text and f"{GUIDANCE:g}" in text
