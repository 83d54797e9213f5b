"""A whole report, line for line."""

from __future__ import annotations

from dataclasses import replace

import pytest

from klora_core import report
from klora_core.loras import LoraInfo
from klora_core.plan import Note
from klora_core.progress import Progress, in_steps, over_progress
from tests.support.plans import evidence, klora_plan


def small(rhos=(0.7, 1.2, 1.9), alone=(), slots=(20, 30), **rest):
    return klora_plan(
        [evidence(rho, 1.0, (2.0, 1.0), 4) for rho in rhos],
        None,
        "none",
        subject=LoraInfo("cat.safetensors", "subject", slots[0], 0.5, alone),
        style=LoraInfo("ink.safetensors", "style", slots[1]),
        **rest,
    )


def lines(plan, columns):
    return report.text(plan, columns).splitlines()


HAPPENED = [
    "K-LoRA: the subject leads 2 of 4 steps, the style leads 2; the style never gets 1 of 3 layers.",
]
ANSWERS = [
    "Why is my style weak? It has 42% of the layers over a run. With balance +0.02 both would have half.",
    "Why is my subject lost? It has 58% of the layers over a run; where it works, it works at strength 0.5 "
    "against 1. If it is still too little, use a more negative balance.",
    "",
]
HEAD = [
    "K-LoRA: in every layer and step either the subject or the style LoRA works, never both.",
    "  subject   cat.safetensors (changes 20 layers, strength 0.5)",
    "  style     ink.safetensors (changes 30 layers)",
    "  competing 3 layers",
    "  compared  4: the largest entries of each (K = rank x rank)",
    "  gamma     1 (none): the two LoRAs are compared as they are",
    "  schedule  s = 1.5 x + 0.5: x from 0 (noise) to 1 (image)",
]
AUTO = "auto: steps where a run goes from pure noise to the image, noise level where it is a part of that"
# x is 0, 1/4, 1/2, 3/4: S is 0.5, 0.875, 1.25, 1.625.
STEPS = [
    "",
    "     step  subject    style",
    "        1     100%       0%  ########################",
    "        2      67%      33%  ################........",
    "        3      33%      67%  ########................",
    "        4      33%      67%  ########................",
    "      all      58%      42%  (share of the layers; # subject, . style)",
    "",
]


def test_a_run_of_four_steps():
    warning = ["Warning: only 3 layers compete.", ""]
    wanted = [*warning, *HAPPENED, *STEPS, *ANSWERS, *HEAD, f"  progress  {AUTO}"]
    assert lines(small(), in_steps(4)) == wanted


def test_what_is_not_applied_comes_first():
    notes = ("style: 3 layers, NOT applied for once, as it were.", "subject: 2 layers: their reason.")
    found = lines(small(notes=(Note(notes[0]), Note(notes[1], applied=False))), in_steps(4))
    assert found[:3] == ["Not applied:", f"  {notes[1]}", "Warning: only 3 layers compete."]
    assert found[-2:] == ["Not competing:", f"  {notes[0]}"]


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("noise level", "noise level: read off the noise, the same in every part of a run"),
        ("steps", "steps"),
    ],
)
def test_over_progress(mode, words):
    found = lines(replace(small(), progress=Progress(mode)), over_progress(8))
    assert found[-8:] == [*HEAD, f"  progress  {words}"]
    assert found[2].startswith("K-LoRA: the subject leads 50% of the way, the style leads 50% of the way")
    assert found[4:7] == [
        " progress  subject    style",
        "   0%-12%     100%       0%  ########################",
        "  12%-25%      67%      33%  ################........",
    ]
    assert found[12] == " 88%-100%       0%     100%  ........................"


def test_a_layer_of_one_lora_is_said_with_the_warning():
    found = lines(small(alone=("a.b",)), in_steps(4))
    assert found[0] == "Warning: only 3 layers compete: the two LoRAs mostly change different layers."
    assert found[-3:] == [
        "",
        "Not competing:",
        "  1 layer, applied as usual; only the subject LoRA changes them: a.b",
    ]


def test_a_plan_without_competing_layers():
    found = lines(small(rhos=()), in_steps(4))
    assert found[:2] == ["Warning: no layer competes, so this plan fuses nothing.", ""]
    assert found[5] == "  competing 0 layers"


def test_counts_that_are_not_known_are_not_said():
    found = lines(small(slots=(0, 0)), in_steps(2))
    assert found[-7:-5] == ["  subject   cat.safetensors (strength 0.5)", "  style     ink.safetensors"]


def test_eight_layers_are_no_longer_few():
    few = "Warning: only 7 layers compete."
    assert few in lines(small(rhos=[0.6 + 0.1 * i for i in range(7)]), in_steps(4))
    assert not [
        line for line in lines(small(rhos=[0.6 + 0.1 * i for i in range(8)]), in_steps(4)) if "only" in line
    ]
