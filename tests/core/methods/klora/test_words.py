"""What K-LoRA says of its numbers, word for word: the sentences are the report's."""

from __future__ import annotations

import pytest

from klora_core.methods.klora import make_schedule
from klora_core.methods.klora.words import facts, never
from klora_core.methods.method import Fact

EVENED = "the comparison evens this out"
EVEN = "the two LoRAs change the model about equally strongly"


def test_the_papers_facts():
    assert facts(make_schedule("s"), [4, 1500, 16], "paper", 1.0, (2.0, 2.0), 0.0) == (
        Fact("compared", "4 to 1,500", "the largest entries of each (K = rank x rank)"),
        Fact("gamma", "1 (paper)", EVEN),
        Fact("schedule", "s = 1.5 x + 0.5", "x from 0 (noise) to 1 (image)"),
    )


def test_facts_of_all_that_is_not_the_papers():
    found = facts(make_schedule("s*", balance=0.25), None, "reference", 12.3456, (2.0, 3.0), 0.5)
    assert found == (
        Fact("compared", "energy", "the sum of the squares of all entries of each (EST-LoRA)"),
        Fact(
            "gamma",
            "12.35 (reference)",
            f"the subject LoRA's changes are 12.3 times as large as the style's; {EVENED}",
        ),
        Fact(
            "schedule",
            "s* = ((1.5 x + 1.3) mod 1.5) · 1.414",
            "x from 0 (noise) to 1 (image), leaning to the style (balance +0.25)",
        ),
        Fact("loser", "outside 0.5", "it acts at that strength on what the winner does not look at"),
    )


def said(mode="paper", gamma=1.0, totals=(1.0, 1.0), amounts=(4,), balance=0.0):
    return facts(make_schedule("s", balance=balance), amounts, mode, gamma, totals, 0.0)


@pytest.mark.parametrize(
    ("gamma", "totals", "words"),
    [
        (1.049, (1.0, 1.0), EVEN),
        (1 / 1.049, (1.0, 1.0), EVEN),
        (
            1.05,
            (1.0, 1.0),
            f"the subject LoRA's changes are 1.05 times as large as the style's; {EVENED}",
        ),
        (
            0.25,
            (1.0, 4.0),
            "the style LoRA's changes are 4 times as large as the subject's; the comparison evens this out",
        ),
        (1.0, (0.0, 4.0), "the subject LoRA is zero in all competing layers"),
        (1.0, (0.0, 0.0), "the subject and the style LoRA are zero in all competing layers"),
        (0.0, (3.0, 4.0), "the subject LoRA is zero in every competing layer that this gamma counts"),
    ],
)
def test_gamma_in_words(gamma, totals, words):
    assert said(gamma=gamma, totals=totals)[1].meaning == words


def test_gamma_that_is_not_evened_out():
    assert said("none", totals=(1.0, 9.0))[1] == Fact(
        "gamma", "1 (none)", "the two LoRAs are compared as they are"
    )


def test_amounts_and_lean():
    assert said(amounts=[])[0].value == "0"
    assert said(amounts=[1024, 1024])[0].value == "1,024"
    assert said(balance=-2.0)[2].meaning.endswith("leaning to the subject (balance -2)")


def test_why_a_lora_wins_nowhere():
    two, three = ("subject", "style"), ("subject", "style", "style")
    assert never(two, 0, "subject", True) == (
        "the subject LoRA is zero in all competing layers, so it is used nowhere."
    )
    assert never(two, 1, "style", False) == (
        "the subject LoRA wins every layer in every step, so the style has no say in them. "
        "Try a more positive balance, another gamma mode, or other alpha and beta."
    )
    assert never(three, 0, "subject", False) == (
        "the style LoRA wins every layer in every step, so the subject has no say in them. "
        "Try a more negative balance, another gamma mode, or other alpha and beta."
    )
    assert never(three, 2, "style 2", False) == (
        "the style 2 LoRA is used nowhere: wherever a style wins, another style is stronger."
    )
