"""The scores that README and help tell are those of bench/QUALITY.md and bench/PICKS.md."""

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
LEARNING = ("sum .5", "sum 1", "K-LoRA s", "ZipLoRA", "calibrated", "MoLE gate", "taught by four picks")
NUMBER = r"-?\.\d\d"


def read(*place: str) -> str:
    return REPO.joinpath(*place).read_text(encoding="utf-8")


def part(text: str, head: str, end: str = "\n## ") -> str:
    """What stands under a head."""
    assert text.count(f"\n{head}") == 1, head
    return text.partition(f"\n{head}")[2].partition(end)[0]


def cells(text: str, row: str) -> list[str]:
    (line,) = re.findall(rf"^\| {re.escape(row)} \|(.*)\|$", text, re.MULTILINE)
    return [cell.strip() for cell in line.split("|")]


def joint(table: str, row: str) -> list[str]:
    """The joint scores of a row: of redundant LoRAs and of plain ones, where the table has both."""
    return [re.findall(NUMBER, cell)[0] for cell in cells(table, row) if "**" in cell]


def best_sum(table: str) -> list[tuple[str, str]]:
    """Of redundant and of plain LoRAs the best plain sum's score, and its strength."""
    sums = {strength: joint(table, f"sum {strength.removeprefix('0')}") for strength in ("0.5", "0.7", "1")}
    return [max((sums[strength][world], strength) for strength in sums) for world in (0, 1)]


def flowing(text: str) -> str:
    """In one line."""
    return " ".join(text.split())


QUALITY, README = read("bench", "QUALITY.md"), read("README.md")
TABLE = part(QUALITY, "## All pairs, strength 1:")
HELD_OUT = part(read("bench", "PICKS.md"), "## Held-out pairs")


def test_readmes_table():
    assert cells(README, BEST) == [f"{score}, at {strength}" for score, strength in best_sum(TABLE)]
    for told, row in TOLD.items():
        assert cells(README, told) == joint(TABLE, row), told
    far = part(QUALITY, "## How far a pair can go")
    bound = "the same LoRAs, taught by 16 true pictures of a pair (16 of the 40 pairs)"
    assert cells(README, bound) == [cells(far, world)[0] for world in ("redundant", "plain")]


def test_what_readme_says_of_chance_and_of_more_strength():
    paired = cells(part(QUALITY, "## Paired differences of both, strength 1\n"), "K-LoRA s minus s by chance")
    by_chance = [re.findall(rf"{NUMBER} ± {NUMBER}", cell)[0] for cell in paired]
    assert re.findall(rf"chance \(({NUMBER} ± {NUMBER})\)", flowing(README)) == by_chance
    more = part(QUALITY, "## All pairs, strength 1.5:")
    outside, s = (joint(more, row)[1] for row in ("K-LoRA s, loser outside", "K-LoRA s"))
    said = f"in the same order: {outside} with it, {best_sum(more)[1][0]} the plain sum, {s} `s`."
    assert said in flowing(README)


@pytest.mark.parametrize("file", ["KLoRAFuse.md", "KLoRAFuse/zh.md", "KLoRAFuse/ja.md"])
def test_help_of_fuse(file):
    (line,) = (
        one for one in read("web", "docs", file).splitlines() if "**outside**" in one and " 40 " in one
    )
    sums = best_sum(TABLE)
    wanted = []
    for world in (0, 1):
        s, star, by_chance = (joint(TABLE, row)[world] for row in ("K-LoRA s", "K-LoRA s*", "s by chance"))
        wanted += [s, star, sums[world][0], by_chance]
    outside = joint(TABLE, "K-LoRA s, loser outside")[1]
    assert re.findall(NUMBER, line) == [*wanted, outside]
    rows = re.findall(r"^\| ([^|*]+) \|.*\*\*", TABLE, re.MULTILINE)
    assert max(joint(TABLE, row)[1] for row in rows if row.strip()) == outside, "the best there"


@pytest.mark.parametrize("file", ["KLoRATrainMerge.md", "KLoRATrainMerge/zh.md", "KLoRATrainMerge/ja.md"])
def test_help_of_train_a_merge(file):
    (line,) = (one for one in read("web", "docs", file).splitlines() if re.search(r"ZipLoRA .*\.\d\d", one))
    redundant, plain = part(QUALITY, "## Rows that learn").split("\nPlain LoRAs, ")
    wanted = []
    for table in (redundant, plain):
        of = {row: re.findall(NUMBER, cells(table, row)[2])[0] for row in LEARNING}
        best = max(of["sum .5"], of["sum 1"])
        rows = ("K-LoRA s", "calibrated", "MoLE gate", "ZipLoRA")
        wanted += [of["taught by four picks"], best, *(of[row] for row in rows)]
    assert re.findall(NUMBER, line) == wanted


def test_what_is_said_of_picks():
    by_world = [part(HELD_OUT, f"### {world}", end="\n### ") for world in ("redundant", "plain")]
    (single, hindsight, _, learned, *_), (its_single, its_hindsight, _, its_learned, *_) = (
        [score.strip("*").split(" ± ")[0] for score in cells(table, "**all**")] for table in by_world
    )
    variety = [re.findall(rf"variety, of the picked rule's: ({NUMBER})", table)[0] for table in by_world]
    assert (
        f"scores {learned} of 1 (LoRAs trained as usual: {its_learned}), the best single rule {single} "
        f"({its_single}), the best of thirteen rules chosen for each pair in hindsight {hindsight} "
        f"({its_hindsight}). It makes pictures {variety[0]} ({variety[1]}) as varied"
    ) in flowing(README)


@pytest.mark.parametrize(
    "file", ["KLoRAPickAndLearn.md", "KLoRAPickAndLearn/zh.md", "KLoRAPickAndLearn/ja.md"]
)
def test_help_of_pick_and_learn(file):
    """One picture teaches more than four and varies less, sixteen teach less; and what another one costs."""
    eyes = part(HELD_OUT, "### Other eyes")
    rows = [cells(eyes, f"the best {count}") for count in (1, 4, 16)]
    for column, sign in ((0, 1), (2, -1), (3, 1), (5, -1)):
        one, four, sixteen = (sign * float(re.findall(NUMBER, row[column])[0]) for row in rows)
        assert one > four > sixteen, "scores fall, and variety rises"
    (cost,) = re.findall(rf"were others: -({NUMBER}) each", eyes)
    (line,) = (one for one in read("web", "docs", file).splitlines() if cost in one)
    assert re.findall(NUMBER, line) == [cost]
