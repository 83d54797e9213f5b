"""The report says in plain words what the plan does."""

from __future__ import annotations

import pytest

from klora_core import report
from klora_core.errors import KLoraError
from klora_core.methods.klora import make_plan
from klora_core.plan import LoraInfo, ScoredSlot, Unmatched
from klora_core.schedules import make_schedule


def plan(rhos, *, unmatched=None, schedule=None, style_l1=1.0, strength=1.0):
    slots = [
        ScoredSlot(f"middle_block.{i}.attn1.to_q", (8, 8), 2, 2, 4 + i, rho, 1.0, 2.0, style_l1)
        for i, rho in enumerate(rhos)
    ]
    return make_plan(
        slots,
        schedule or make_schedule("s"),
        "none" if style_l1 == 1.0 else "paper",
        subject=LoraInfo("cat.safetensors", 20, strength),
        style=LoraInfo("ink.safetensors", 30),
        unmatched=unmatched,
    )


MIXED = [0.6 + 0.1 * i for i in range(12)]


def test_names_counts_and_shares():
    text = report.text(plan(MIXED, strength=0.7), 10)
    assert "cat.safetensors (changes 20 layers, strength 0.7)" in text
    assert "ink.safetensors (changes 30 layers)" in text
    assert "12 layers; in each, the largest 4 to 15 entries" in text
    rows = [
        line.split() for line in text.splitlines() if line.split()[:1] in [[str(i)] for i in range(1, 11)]
    ]
    shares = plan(MIXED).shares(10)
    assert [row[2] for row in rows] == [f"{share:.0%}" for share in shares]
    assert "Warning" not in text


@pytest.mark.parametrize("steps", [1, 32, 33, 200, 1000])
def test_many_steps_stay_readable(steps):
    lines = report.text(plan(MIXED), steps).splitlines()
    assert len(lines) < 50
    assert all(len(line) < 200 for line in lines)
    last = [line.split()[0] for line in lines if line.rstrip().endswith(("#", ".."))][-1]
    assert last.split("-")[-1] == str(steps)


@pytest.mark.parametrize(
    ("style_l1", "words"),
    [
        (1.0, "compared as they are"),
        (0.5, "the subject LoRA's changes are 4 times as large as the style's"),
        (8.0, "the style LoRA's changes are 4 times as large as the subject's"),
        (2.01, "about equally strongly"),
        (0.0, "1 "),
    ],
)
def test_gamma_in_words(style_l1, words):
    assert words in report.text(plan(MIXED, style_l1=style_l1), 5)


@pytest.mark.parametrize(("rho", "winner"), [(0.01, "style"), (9.0, "subject")])
def test_one_lora_winning_everything_is_said(rho, winner):
    assert f"Warning: the {winner} LoRA wins every layer" in report.text(plan([rho] * 12), 30)


def test_a_zero_lora_is_said():
    assert "Warning: the subject LoRA is zero" in report.text(plan([0.0] * 12), 30)


def test_few_or_no_layers_are_said():
    assert "Warning: only 3 layers compete" in report.text(plan([0.6, 1.0, 1.5]), 30)
    assert "Warning: only 1 layer competes" in report.text(plan([1.0]), 30)
    assert "Warning: no layer competes" in report.text(plan([]), 30)


@pytest.mark.parametrize(("applied", "fate"), [(True, "applied as usual"), (False, "dropped")])
def test_what_does_not_compete(applied, fate):
    unmatched = Unmatched(
        subject=tuple(f"input_blocks.{i}.a" for i in range(9)) + ("both.x",),
        style=("both.x", "out.2"),
        applied=applied,
        notes=("A note.",),
    )
    lines = report.text(plan(MIXED, unmatched=unmatched), 5).splitlines()
    rest = lines[lines.index("Not competing:") + 1 :]
    assert rest == [
        f"  9 layers, {fate}; only the subject LoRA changes them: input_blocks.0.a, input_blocks.1.a, "
        "input_blocks.2.a, input_blocks.3.a and 5 more",
        f"  1 layer, {fate}; only the style LoRA changes them: out.2",
        f"  1 layer, {fate}; both LoRAs change them, but they are not among the layers that may compete: "
        "both.x",
        "  A note.",
    ]


def test_balance_and_schedule_are_said():
    leaning = make_schedule("s*", balance=-0.5)
    text = report.text(plan(MIXED, schedule=leaning), 5)
    assert "s* = (1.5 x + 1.3) mod 1.5" in text
    assert "leaning to the subject (balance -0.5)" in text


def test_steps_below_one():
    with pytest.raises(KLoraError):
        report.text(plan(MIXED), 0)
