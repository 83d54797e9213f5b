"""When the style takes over, against a count by hand of each cell; and the sentence that says it."""

from __future__ import annotations

import numpy as np
import pytest

from klora_core import report
from klora_core.methods import LoraSwitch, Presence, Turns
from klora_core.methods.klora import make_schedule
from klora_core.methods.klora.handover import OneChange, handover, in_words, one_change
from klora_core.progress import in_steps, over_progress
from tests.support.plans import evidence, klora_plan


def cells(*words: str) -> np.ndarray:
    """A word a slot, ``s`` where the style works."""
    return np.array([[letter == "s" for letter in word] for word in words])


def by_hand(style: np.ndarray) -> tuple[int | None, int | None, int | None]:
    """The columns by which 5, 50 and 95 % of the slots never go back to the subject."""
    slots, columns = style.shape
    found = []
    for part in (5, 50, 95):
        there = (c for c in range(columns) if 100 * sum(all(row[c:]) for row in style) >= part * slots)
        found.append(next((c + 1 for c in there if any(all(row[c:]) for row in style)), None))
    return tuple(found)


def best_by_hand(style: np.ndarray) -> float:
    slots, columns = style.shape
    shares = []
    for turn in range(columns + 1):
        for late in (True, False):
            same = sum(
                bool(style[i, j]) == ((j >= turn) == late) for i in range(slots) for j in range(columns)
            )
            shares.append(same / style.size)
    return max(shares)


@pytest.mark.parametrize("seed", range(12))
def test_a_choice_of_any_shape(seed):
    rng = np.random.default_rng(seed)
    slots, columns = int(rng.integers(1, 45)), int(rng.integers(1, 12))
    style = rng.random((slots, columns)) < rng.random()
    if seed % 2:
        style = np.arange(columns)[None] >= rng.integers(0, columns + 2, (slots, 1))
    found = handover(style)
    assert (found.first, found.half, found.last) == by_hand(style)
    assert found.at_end == style[:, -1].mean()
    assert found.change.share == pytest.approx(best_by_hand(style), abs=1e-12)


def test_the_one_change_is_the_earliest_and_has_a_direction():
    assert one_change(cells("ccss", "ccss", "cccs")) == OneChange(11 / 12, 2, "subject")
    assert one_change(cells("ssc", "ssc")) == OneChange(1.0, 2, "style")
    assert one_change(cells("sss")) == OneChange(1.0, 0, "subject")
    assert one_change(cells("cc")) == OneChange(1.0, 2, "subject")
    assert one_change(cells("cs", "sc")) == OneChange(0.5, 0, "subject")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["csssssss", "ccccssss", "ccccssss", "cccccccs"],
            "The style takes over between steps 2 and 8, half of the layers by step 5; one change of all "
            "layers after step 4 would choose the same in 81% of the cells.",
        ),
        (
            ["ccs", "ccs"],
            "The style takes over at step 3, in all layers at once; one change of all layers after step 2 "
            "would choose the same in 100% of the cells.",
        ),
        (
            ["css", "css", "ccc"],
            "The style takes over from step 2 on, half of the layers by step 2, 67% by the end; one change "
            "of all layers after step 1 would choose the same in 78% of the cells.",
        ),
        (
            ["ccs", "ccc", "ccc"],
            "The style takes over from step 3 on, 33% of the layers by the end; the subject alone, "
            "throughout, would choose the same in 89% of the cells.",
        ),
        (
            ["cc", "cc"],
            "The style takes over nowhere; the subject alone, throughout, would choose the same in 100% of "
            "the cells.",
        ),
        (
            ["ss", "ss"],
            "The style has all layers from the beginning; the style alone, throughout, would choose the same "
            "in 100% of the cells.",
        ),
        (
            ["sc", "sc"],
            "The style takes over nowhere; one change of all layers to the subject after step 1 would "
            "choose the same in 100% of the cells.",
        ),
    ],
)
def test_the_sentence(words, said):
    style = cells(*words)
    assert in_words(handover(style), in_steps(style.shape[1])) == said


def test_one_layer_in_a_hundred_is_no_reason_to_wait():
    """Between the outermost twentieths: a single stray layer moves neither end."""
    stray = cells(*["ccss"] * 98, "ssss", "cccc")
    assert in_words(handover(stray), in_steps(4)).startswith(
        "The style takes over at step 3, in nearly all layers at once; "
    )
    few = cells(*["cccc"] * 98, "cccs")
    assert in_words(handover(few), in_steps(4)).startswith(
        "The style takes over nowhere, but for 1% of the layers at the end; "
    )


def test_the_report_has_it_below_who_leads():
    rhos = [0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 0.9, 1.1, 1.3, 0.7]
    plan = klora_plan([evidence(rho, 1.0) for rho in rhos])
    lines = report.text(plan, in_steps(30)).splitlines()
    assert lines[0].startswith("K-LoRA: the subject leads ")
    # S(x) = 1.5 (i - 1/2) / 30 + .5 in step i is above .6 from the 3rd on, above 1.6 from the 23rd.
    assert lines[1].startswith("The style takes over between steps 3 and 23, half of the layers by step 11; ")
    half = report.text(plan, over_progress(10)).splitlines()[1]
    assert half.startswith(
        "The style takes over between 20% and 80% of the way, half of the layers by 40% of "
    )


def test_under_s_star_the_last_change_counts():
    plan = klora_plan([evidence(rho, 1.0) for rho in (0.9, 0.9, 0.9)], make_schedule("s*"))
    found = plan.method.handover(in_steps(30))
    choice = "".join("s" if letter else "c" for letter in plan.choices(in_steps(30))[0][0])
    assert choice.startswith("sss") and choice.endswith("sss") and "c" in choice
    assert found.first == found.last == choice.rindex("c") + 2


def test_where_no_layer_competes_nothing_is_said():
    assert klora_plan([]).method.course(in_steps(4)) == ()
    assert LoraSwitch(Presence.of([], 2), Turns()).course(in_steps(4)) == ()
