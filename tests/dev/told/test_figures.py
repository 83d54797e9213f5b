"""The scores that README and help tell are those of bench/QUALITY.md."""

from __future__ import annotations

import re

import pytest

from tools.host.find import REPO

BEST = "the best plain sum of strengths 0.5, 0.7 and 1"
TOLD = {
    "as many layers by chance": "s by chance",
    "K-LoRA `s`": "K-LoRA s",
    "K-LoRA `s*`": "K-LoRA s*",
    "K-LoRA `s`, `loser` outside": "K-LoRA s, loser outside",
}
"""Rows of README, and what the table calls them."""
HELP = REPO / "web" / "docs"


def cells(text: str, row: str) -> list[str]:
    (line,) = re.findall(rf"^\| {re.escape(row)} \|(.*)\|$", text, re.MULTILINE)
    return [cell.strip() for cell in line.split("|")]


@pytest.fixture(scope="module")
def measured():
    """Of each row the joint score of redundant and of plain LoRAs."""
    whole = (REPO / "bench" / "QUALITY.md").read_text(encoding="utf-8")
    table = whole.partition("## All pairs, strength 1")[2].partition("\n## ")[0]

    def of(row):
        return [re.findall(r"\.\d\d", cell)[0] for cell in cells(table, row) if "**" in cell]

    found = {row: of(row) for row in TOLD.values()}
    sums = {strength: of(f"sum {strength.removeprefix('0')}") for strength in ("0.5", "0.7", "1")}
    best = [max(sums, key=lambda strength: sums[strength][world]) for world in (0, 1)]
    found[BEST] = [sums[best[world]][world] for world in (0, 1)]
    return found, best


def test_readme_tells_what_was_measured(measured):
    found, best = measured
    readme = (REPO / "README.md").read_text(encoding="utf-8")
    assert cells(readme, BEST) == [f"{found[BEST][world]}, at {best[world]}" for world in (0, 1)]
    for told, row in TOLD.items():
        assert cells(readme, told) == found[row], told


@pytest.mark.parametrize("file", ["KLoRAFuse.md", "KLoRAFuse/zh.md", "KLoRAFuse/ja.md"])
def test_help_tells_what_was_measured(measured, file):
    found, _ = measured
    (line,) = (
        one
        for one in (HELP / file).read_text(encoding="utf-8").splitlines()
        if "**outside**" in one and " 40 " in one
    )
    rows = ("K-LoRA s", "K-LoRA s*", BEST, "s by chance")
    wanted = [found[row][world] for world in (0, 1) for row in rows]
    assert re.findall(r"\.\d\d", line) == [*wanted, found["K-LoRA s, loser outside"][1]]
