"""The report says in plain words what the plan does; whole reports line for line."""

from __future__ import annotations

from dataclasses import replace

import pytest

from klora_core import report
from klora_core.errors import KLoraError
from klora_core.loras import LoraInfo
from klora_core.methods.klora import make_schedule
from klora_core.plan import Note
from klora_core.progress import Progress, in_steps, over_progress
from tests.support.plans import evidence, klora_plan


def plan(rhos, *, schedule=None, style_l1=1.0, strength=1.0, alone=((), ()), **rest):
    slots = [evidence(rho, 1.0, (2.0, style_l1), 4 + i) for i, rho in enumerate(rhos)]
    return klora_plan(
        slots,
        schedule,
        "none" if style_l1 == 1.0 else "paper",
        subject=LoraInfo("cat.safetensors", "subject", 20, strength, alone[0]),
        style=LoraInfo("ink.safetensors", "style", 30, 1.0, alone[1]),
        **rest,
    )


def text_of(found, steps):
    return report.text(found, in_steps(steps))


MIXED = [0.6 + 0.1 * i for i in range(12)]


def test_names_counts_and_shares():
    text = text_of(plan(MIXED, strength=0.7), 10)
    assert "cat.safetensors (changes 20 layers, strength 0.7)" in text
    assert "ink.safetensors (changes 30 layers)" in text
    assert "competing 12 layers" in text and "compared  4 to 15: the largest entries" in text
    rows = [
        line.split() for line in text.splitlines() if line.split()[:1] in [[str(i)] for i in range(1, 11)]
    ]
    shares = plan(MIXED).shares(in_steps(10))[1]
    assert [row[2] for row in rows] == [f"{share:.0%}" for share in shares]
    assert "Warning" not in text


@pytest.mark.parametrize("steps", [1, 32, 33, 200, 1000])
def test_many_steps_stay_readable(steps):
    lines = text_of(plan(MIXED), steps).splitlines()
    assert len(lines) < 50
    # What answers a question is a sentence or two, and told as such.
    assert all(len(line) < 200 for line in lines if not line.startswith("Why "))
    last = [line.split()[0] for line in lines if line.rstrip().endswith(("#", ".."))][-1]
    assert last.split("-")[-1] == str(steps)


def test_gamma_is_told_of_the_plans_numbers():
    words = "the subject LoRA's changes are 4 times as large as the style's"
    assert words in text_of(plan(MIXED, style_l1=0.5), 5)


@pytest.mark.parametrize(("rho", "winner"), [(0.01, "style"), (9.0, "subject")])
def test_one_lora_winning_everything_is_said(rho, winner):
    assert f"Warning: the {winner} LoRA wins every layer" in text_of(plan([rho] * 12), 30)


def test_a_zero_lora_is_said():
    assert "Warning: the subject LoRA is zero" in text_of(plan([0.0] * 12), 30)


def test_few_or_no_layers_are_said():
    assert "Warning: only 3 layers compete" in text_of(plan([0.6, 1.0, 1.5]), 30)
    assert "Warning: only 1 layer competes" in text_of(plan([1.0]), 30)
    assert "Warning: no layer competes" in text_of(plan([]), 30)


@pytest.mark.parametrize(("other_layers", "fate"), [("keep", "applied as usual"), ("drop", "dropped")])
def test_what_does_not_compete(other_layers, fate):
    alone = (tuple(f"input_blocks.{i}.a" for i in range(9)) + ("both.x",), ("both.x", "out.2"))
    found = plan(MIXED, alone=alone, other_layers=other_layers, notes=(Note("A note."),))
    lines = text_of(found, 5).splitlines()
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
    text = text_of(plan(MIXED, schedule=leaning), 5)
    assert "s* = ((1.5 x + 1.3) mod 1.5) · 0.5" in text
    assert "leaning to the subject (balance -0.5)" in text


def test_steps_below_one():
    with pytest.raises(KLoraError):
        text_of(plan(MIXED), 0)


def test_progress_by_noise_level_has_no_steps():
    found = plan(MIXED, progress=Progress("noise level"))
    text = report.text(found, over_progress(30))
    rows = [line.split()[0] for line in text.splitlines() if "%-" in line]
    assert rows == [f"{i}%-{i + 10}%" for i in range(0, 100, 10)]
    assert "step" not in text.split("competing")[1].split("all")[0].replace("steps where", "")
    assert "progress  noise level" in text


def test_many_names_are_sorted_out_at_once():
    many = tuple(f"input_blocks.{i}.a" for i in range(20_000))
    assert "and 19,996 more" not in text_of(plan(MIXED, alone=(many, many)), 5)
    assert "and 19996 more" in text_of(plan(MIXED, alone=(many, many)), 5)


def rows_of(found, steps):
    """The table's lines, from its head to the last."""
    lines = text_of(found, steps).splitlines()
    first = next(i for i, line in enumerate(lines) if line.split()[:1] == ["step"])
    last = next(i for i, line in enumerate(lines) if line.split()[:1] == ["all"])
    return lines[first : last + 1]


def test_the_table_line_for_line():
    even = make_schedule("s", alpha=0.0, beta=1.0)
    assert rows_of(plan([2.0, 1.0, 0.5, 0.25], schedule=even), 2) == [
        "     step  subject    style",
        "        1      50%      50%  ############............",
        "        2      50%      50%  ############............",
        "      all      50%      50%  (share of the layers; # subject, . style)",
    ]


def test_equal_steps_share_a_line_and_too_many_lines_become_parts():
    flip = rows_of(plan([1.25, 0.2]), 40)
    assert [row.split()[0] for row in flip[1:-1]] == ["1-20", "21-40"]
    assert len(rows_of(plan([1.25, 0.2]), 10)) == 10 + 2
    many = rows_of(plan([0.5 + 1.5 * i / 60 for i in range(61)]), 60)
    assert len(many) == 10 + 2 and many[1].split()[0] == "1-6" and many[-2].split()[0].endswith("60")


def test_names_beside_each_other():
    assert report.abbreviated(["a", "b", "c", "d"]) == "a, b, c, d"
    assert report.abbreviated(["a", "b", "c", "d", "e"]) == "a, b, c, d and 1 more"
    assert "Not competing" not in text_of(plan([1.0] * 6), 3)


def test_loras_that_work_beside_the_others_are_counted():
    found = plan([1.0] * 6, alone=(("a",), ()))
    more = (LoraInfo("m", "other", 3, 1.0, ("x", "y", "z")), LoraInfo("n", "other", 1, 1.0, ("x",)))
    lines = text_of(replace(found, loras=(*found.loras, *more)), 3).splitlines()
    assert lines[lines.index("Not competing:") + 1 :][:3] == [
        "  other: works beside them, throughout, in 3 layers",
        "  other 2: works beside them, throughout, in 1 layer",
        "  1 layer, applied as usual; only the subject LoRA changes them: a",
    ]


def test_layers_that_some_of_three_loras_change_name_these():
    found = plan([1.0] * 6, alone=(("a",), ()))
    third = LoraInfo("t", "style", 1, 1.0, ("a",))
    text = text_of(replace(found, loras=(*found.loras, third)), 3)
    assert "1 layer, applied as usual; subject and style 2 change them, but they are not among" in text


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
COURSE = [
    "The style takes over from step 2 on, half of the layers by step 3, 67% by the end; one change of all "
    "layers after step 2 would choose the same in 75% of the cells.",
]
ANSWERS = [
    "Why is my style weak? It has 42% of the layers over a run. With balance +0.02 both would have half.",
    "Why is my subject lost? It has 58% of the layers over a run; schedule s gives it less than s*, which "
    "would give it 67%; where it works, it works at strength 0.5 against 1. If it is still too little, use a "
    "more negative balance.",
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
    wanted = [*warning, *HAPPENED, *COURSE, *STEPS, *ANSWERS, *HEAD, f"  progress  {AUTO}"]
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
    assert found[5:8] == [
        " progress  subject    style",
        "   0%-12%     100%       0%  ########################",
        "  12%-25%      67%      33%  ################........",
    ]
    assert found[13] == " 88%-100%       0%     100%  ........................"


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


@pytest.mark.parametrize("mode", ["steps", "noise level"])
def test_a_report_of_a_run_says_which_way_it_was_counted(mode):
    run = replace(in_steps(4), mode=mode)
    assert f"            in this run: {mode}" in lines(small(), run)
    assert not [line for line in lines(small(), in_steps(4)) if "in this run" in line]
    assert not [
        line for line in lines(replace(small(), progress=Progress(mode)), run) if "in this run" in line
    ]
