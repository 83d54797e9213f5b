"""Slots meet at the finest rows that both LoRAs know; what does not compete is kept and named."""

from __future__ import annotations

import pytest
import torch

from klora_core.deltas import LowRank, meet, rows
from klora_core.errors import KLoraError
from klora_core.loras import LoraInfo
from klora_core.methods.klora import KLora, evidence_of, make_schedule
from klora_core.names import Slot
from klora_core.plan import Note, PlanSlot, make_plan
from klora_core.progress import Progress
from klora_core.scores import Score
from tests.support.plans import ROLES

QKV = "double_blocks.0.img_attn.qkv"


def delta(out, n=8, rank=2):
    return LowRank(torch.randn(out, rank), torch.randn(rank, n), 0.5)


def names(slots):
    return [slot.name for slot in slots]


def pair(subject, style, layers="shared"):
    return meet([subject, style], ROLES, layers)


def test_a_fused_weight_is_cut_where_the_other_is_split():
    fused = {Slot(QKV): delta(24)}
    split = {Slot(QKV, (start, 8)): delta(8) for start in (0, 8, 16)}
    found = pair(fused, split).competing
    assert [row.slot.rows for row in found] == [(0, 8), (8, 8), (16, 8)]
    rebuilt = torch.cat([row.deltas[0].dense() for row in found])
    torch.testing.assert_close(rebuilt, fused[Slot(QKV)].dense())
    assert all(row.deltas[1] is split[row.slot] for row in found)


def test_rows_that_one_lacks_are_left_over():
    found = pair({Slot(QKV): delta(24)}, {Slot(QKV, (8, 8)): delta(8)})
    assert names(row.slot for row in found.competing) == [f"{QKV}[8:16]"]
    assert names(found.alone[0]) == [f"{QKV}[0:8]", f"{QKV}[16:24]"]


def test_partly_fused_rows_on_both_sides():
    subject = {Slot("l", (0, 24)): delta(24), Slot("l", (24, 32)): delta(32)}
    style = {Slot("l", (0, 8)): delta(8), Slot("l", (8, 48)): delta(48)}
    found = pair(subject, style)
    assert [row.slot.rows for row in found.competing] == [(0, 8), (8, 16), (24, 32)]
    assert not any(found.alone)


def test_equal_slots_stay_whole():
    assert [row.slot for row in pair({Slot("a"): delta(8)}, {Slot("a"): delta(8)}).competing] == [Slot("a")]


def test_rows_that_are_the_whole_weight_meet_the_whole_weight():
    found = pair({Slot("a", (0, 8)): delta(8)}, {Slot("a"): delta(8)})
    assert [row.slot for row in found.competing] == [Slot("a")]
    with pytest.raises(KLoraError, match="twice, fused and split"):
        pair({Slot("a", (0, 8)): delta(8), Slot("a", (4, 4)): delta(4)}, {Slot("a"): delta(8)})


@pytest.mark.parametrize("n", [4, 8, 12])
def test_rows_that_are_the_whole_weight_meet_it_whatever_its_width(n):
    found = pair({Slot("a", (0, 8)): delta(8, n)}, {Slot("a"): delta(8, n)})
    assert [row.slot for row in found.competing] == [Slot("a")] and not any(found.alone)
    part = pair({Slot("a", (0, 8)): delta(8, n)}, {Slot("a"): delta(24, n)})
    assert [row.slot.rows for row in part.competing] == [(0, 8)]


def test_split_rows_in_any_order_are_no_rows_twice():
    split = {Slot(QKV, (start, 8)): delta(8) for start in (16, 0, 8)}
    assert [row.slot.rows for row in pair({Slot(QKV): delta(24)}, split).competing] == [
        (0, 8),
        (8, 8),
        (16, 8),
    ]


def test_three_loras_meet_at_the_finest_rows():
    loras = [
        {Slot("a"): delta(24), Slot("b"): delta(4)},
        {Slot("a", (0, 8)): delta(8), Slot("a", (8, 16)): delta(16)},
        {Slot("a", (8, 8)): delta(8), Slot("a", (16, 8)): delta(8), Slot("c"): delta(4)},
    ]
    found = rows(loras, ("subject", "style", "style 2"))
    there = [(row.slot.name, [d is not None for d in row.deltas]) for row in found]
    assert there == [
        ("a[0:8]", [True, True, False]),
        ("a[8:16]", [True, True, True]),
        ("a[16:24]", [True, True, True]),
        ("b", [True, False, False]),
        ("c", [False, False, True]),
    ]
    met = meet(loras, ("subject", "style", "style"))
    assert names(row.slot for row in met.competing) == ["a[0:8]", "a[8:16]", "a[16:24]"]
    assert [names(alone) for alone in met.alone] == [["b"], [], ["c"]]


def test_different_shapes_are_different_base_models():
    with pytest.raises(KLoraError, match=r"8 x 8 in the subject LoRA and 8 x 9 in the style"):
        pair({Slot("a"): delta(8)}, {Slot("a"): delta(8, 9)})


@pytest.mark.parametrize(
    ("subject", "style"),
    [
        ({Slot("a"): delta(4, 4)}, {Slot("a"): delta(320, 320)}),
        ({Slot("a"): delta(320, 8)}, {Slot("a"): delta(4, 8)}),
        ({Slot("a"): delta(24)}, {Slot("a", (16, 16)): delta(16)}),
        ({Slot("a", (0, 8)): delta(8, 9)}, {Slot("a"): delta(24)}),
    ],
)
def test_a_layer_of_two_sizes_is_no_fused_and_split_one(subject, style):
    with pytest.raises(KLoraError, match="^Use LoRAs of the same base model: layer a.* different"):
        pair(subject, style)


def test_rows_changed_twice():
    with pytest.raises(
        KLoraError,
        match=r"^Save the subject LoRA .*: the subject LoRA changes layer a\[8:16\] twice, fused and split",
    ):
        pair({Slot("a"): delta(24), Slot("a", (8, 8)): delta(8)}, {Slot("a"): delta(24)})
    with pytest.raises(
        KLoraError, match="^Save the style LoRA again .*: the style LoRA changes layer a twice"
    ):
        pair({Slot("a"): delta(24)}, {Slot("a", (8, 8)): delta(8), Slot("a"): delta(24)})


def test_nothing_shared_gives_examples_of_both_sides():
    with pytest.raises(KLoraError, match=r"share no layer.*input_blocks\.4.*double_blocks\.0"):
        pair({Slot("input_blocks.4.1.proj_in"): delta(8)}, {Slot(QKV): delta(24)})
    many = {Slot(f"input_blocks.{i}.a"): delta(8) for i in (11, 1, 2, 10, 3, 4)}
    with pytest.raises(KLoraError) as refused:
        pair(many, {})
    assert str(refused.value) == (
        "Use LoRAs of the same base model: the two LoRAs share no layer, so nothing can compete. They are "
        "probably for different base models. What they change: the subject 6 layers such as "
        "input_blocks.4.a and input_blocks.10.a; the style no layer of the diffusion model."
    )


def test_attention_moves_the_other_shared_slots_to_both_sides():
    attention, other = "middle_block.1.transformer_blocks.0.attn1.to_q", "middle_block.1.proj_in"
    subject = {Slot(name): delta(8) for name in (other, attention, "out.2")}
    style = {Slot(name): delta(8) for name in (other, attention, "input_blocks.1.0.emb_layers.1")}
    found = pair(subject, style, "attention")
    assert names(row.slot for row in found.competing) == [attention]
    assert names(found.alone[0]) == [other, "out.2"]
    assert names(found.alone[1]) == ["input_blocks.1.0.emb_layers.1", other]
    assert found.alone[0][Slot(other)] is subject[Slot(other)]
    everything = pair(subject, style, "shared")
    assert names(row.slot for row in everything.competing) == [other, attention]


def test_attention_without_attention():
    with pytest.raises(KLoraError, match="no attention layer"):
        pair({Slot("out.2"): delta(8)}, {Slot("out.2"): delta(8)}, "attention")
    with pytest.raises(KLoraError, match="^Use one of .*: unknown choice of layers"):
        pair({}, {}, "all")


@pytest.mark.parametrize("who", [0, 1])
@pytest.mark.parametrize("bad", [Score(float("inf"), 1.0), Score(1.0, float("nan"))])
def test_scores_that_are_not_finite_name_layer_and_lora(who, bad):
    found = pair({Slot("some.layer"): delta(8)}, {Slot("some.layer"): delta(8)})
    scores = [Score(1.0, 1.0)] * 2
    scores[who] = bad
    with pytest.raises(KLoraError, match=f"{('cat', 'ink')[who]}: layer some.layer"):
        evidence_of(found.competing, ROLES, lambda requests: scores, ("cat", "ink"))


def test_the_plan_names_what_does_not_compete():
    found = pair({Slot("a"): delta(8), Slot("b"): delta(8)}, {Slot("a"): delta(8)})
    evidence = evidence_of(found.competing, ROLES, lambda r: [Score(1.0, 1.0)] * len(r), ROLES)
    loras = [LoraInfo("c", "subject"), LoraInfo("s", "style", strength=0.5)]
    plan = make_plan(found, loras, KLora(make_schedule("s"), "paper", ROLES, evidence))
    assert plan.loras == (LoraInfo("c", "subject", 2, 1.0, ("b",)), LoraInfo("s", "style", 1, 0.5, ()))
    assert plan.slots == (PlanSlot("a", (8, 8)),) and plan.candidates == ROLES
    assert (plan.progress, plan.other_layers, plan.notes, plan.warnings) == (Progress(), "keep", (), ())


def test_a_plan_with_loras_that_compete_nowhere():
    loras = [{Slot("a"): delta(8)}, {Slot("a"): delta(8)}, {Slot("a"): delta(8), Slot("c"): delta(8)}]
    infos = [LoraInfo(role, role) for role in ("subject", "style", "other")]
    found = meet(loras, [info.role for info in infos])
    method = KLora(make_schedule("s"), "none", ROLES, ())
    plan = make_plan(found, infos, method, Progress("steps"), "drop", [Note("a note")], ["a warning"])
    assert plan.candidates == ROLES and plan.labels == ("subject", "style", "other")
    assert [plan.keeps(lora) for lora in plan.loras] == [False, False, True]
    assert plan.loras[2] == LoraInfo("other", "other", 2, 1.0, ("a", "c"))
    assert (plan.progress.mode, plan.other_layers) == ("steps", "drop")
    assert (plan.notes, plan.warnings) == ((Note("a note"),), ("a warning",))
    with pytest.raises(ValueError, match="come last"):
        make_plan(found, infos[::-1], method)
