"""What the methods of whole LoRAs and B-LoRA say of their numbers, word for word, and their bounds."""

from __future__ import annotations

import math

import pytest
import torch

from klora_core.deltas import LowRank, Row
from klora_core.errors import KLoraError
from klora_core.methods import BLora, CmLora, LoraComposite, LoraSwitch, Presence, Turns
from klora_core.methods.method import Fact
from klora_core.names import Slot
from klora_core.progress import Moment, in_steps

TWO = Presence(2, ((0, 1), (0,), (1,)))
LONGER = "; the first LoRA's first turn is one step longer"


@pytest.mark.parametrize(
    ("turns", "facts"),
    [
        (Turns(), [Fact("turn", "5 steps", f"counted as in the code{LONGER}")]),
        (Turns(1, "paper"), [Fact("turn", "1 step", "counted as in the paper")]),
        (
            Turns(0.25, "paper", 3, 1),
            [
                Fact("turn", "0.25 of the run", "counted as in the paper"),
                Fact("reserve", "3", "last steps that belong to LoRA 2"),
            ],
        ),
    ],
)
def test_turns_in_words(turns, facts):
    assert LoraSwitch(TWO, turns).facts() == tuple(facts)


def test_passes_in_words():
    assert LoraComposite(TWO).facts() == (Fact("passes", "2", "a step takes 2 times as long"),)
    assert CmLora(TWO, 3.0, (0, 1), "paper").facts() == (
        Fact("passes", "2", "a step takes 2 times as long"),
        Fact("weights", "0.75", "of the dominant LoRA's prediction, 0.25 of each other"),
        Fact("late", "1, 2", "LoRAs that dominate only after 0.6 of the steps (paper)"),
    )
    assert [fact.label for fact in CmLora(TWO).facts()] == ["passes", "weights"]


def test_blocks_in_words():
    assert BLora((0, 1, 1, -1)).facts() == (
        Fact("blocks", "output_blocks.0.1", "the subject's, 1 layers"),
        Fact("", "output_blocks.1.1", "the style's, 2 layers"),
        Fact("meant for", "B-LoRAs", "trained on these two blocks alone; with other LoRAs it is a heuristic"),
    )


def test_why_a_lora_works_nowhere():
    assert LoraSwitch(TWO, Turns()).never(1, "style") == (
        "the style LoRA is used nowhere: its turn never comes. Shorten tau, or sample more steps."
    )
    assert BLora((0,)).never(1, "style") == (
        "the style LoRA is used nowhere: it does not change the block where it would work."
    )
    assert LoraComposite(TWO).never(1, "style") == "the style LoRA is used nowhere."


@pytest.mark.parametrize("tau", [1, 2, 1.0, 0.01])
def test_lengths_of_a_turn_that_are_allowed(tau):
    assert Turns(tau).tau == tau


@pytest.mark.parametrize("tau", [0, -1, True, False, 0.0, -0.5, 1.001, math.nan, "2", None])
def test_lengths_of_a_turn_that_are_not(tau):
    with pytest.raises(KLoraError, match="tau must be a number of steps"):
        Turns(tau)


def test_steps_count_where_they_decide():
    assert LoraSwitch(TWO, Turns(0.5, reserve=1)).counts_steps
    assert not LoraSwitch(TWO, Turns(0.5)).counts_steps
    assert CmLora(TWO).counts_steps and not LoraComposite(TWO).counts_steps


def test_turns_of_a_part_are_one_step_late_in_the_code():
    late = LoraSwitch(TWO, Turns(0.5, "code"))
    assert [late.active(moment) for moment in in_steps(8).moments] == [0] * 5 + [1] * 3
    # A border that float arithmetic puts just before 3/5 is at 3/5.
    assert LoraSwitch(TWO, Turns(0.2, "paper")).active(Moment(0.6 - 1e-12, 3, 5)) == 1


def test_late_loras_join_after_three_fifths_of_the_steps():
    method = CmLora(Presence(3, ((0, 1, 2),)), None, (1, 2), "paper")
    found = [method.dominant(moment) for moment in in_steps(10).moments]
    assert found[:7] == [0] * 7 and set(found[7:]) - {0}


def test_lora_by_slot_in_the_document():
    assert BLora((0, -1)).slot_json(0, ("subject", "style")) == {"lora": "subject"}
    assert BLora((0, -1)).slot_json(1, ("subject", "style")) == {"lora": None}
    assert LoraComposite(TWO).slot_json(1, ("subject", "style")) == {"loras": ["subject"]}


def test_presence_counts_the_first_loras_alone():
    one = LowRank(torch.ones(4, 1), torch.ones(1, 4))
    rows = [
        Row(Slot("a"), (one, None, one)),
        Row(Slot("b"), (None, one, one)),
        Row(Slot("c"), (None, None, one)),
    ]
    found = Presence.of(rows, 2)
    assert found == Presence(2, ((0,), (1,), ()))
    assert found.alone.tolist() == [[0, -1, -1], [-1, 1, -1]] and found.alone.dtype == "int8"


def test_choices_are_small_numbers_and_a_pass_alone_counts_whole():
    assert BLora((0, -1)).who(Moment(0.5, 0, 1)).dtype == "int8"
    assert BLora((0,)).weights(Moment(0.5, 0, 1)) == (1.0,)
    assert (BLora((0,)).curve(), BLora((0,)).scale(0.5)) == ("", None)


def test_late_loras_of_the_code_move_a_rotation_of_the_same_length():
    method = CmLora(Presence(5, ((0, 1, 2, 3, 4),)), None, (3, 4), "code")
    found = [method.dominant(moment) for moment in in_steps(40).moments]
    assert set(found[:25]) == {0, 1, 2} and set(found[25:]) == {1, 2, 3}


def test_a_turns_unit_is_in_the_document_where_numbers_lose_it():
    wanted = {"tau": 1, "order": "code", "reserve": 0, "last": 0}
    assert LoraSwitch(TWO, Turns(1)).to_json() == {"turns": wanted, "turn_unit": "steps"}
    assert LoraSwitch(TWO, Turns(1.0)).to_json() == {"turns": wanted, "turn_unit": "run"}
