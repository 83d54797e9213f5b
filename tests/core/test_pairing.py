"""Slots meet at the finest rows that both LoRAs know; what does not compete is kept and named."""

from __future__ import annotations

import pytest
import torch

from klora_core.deltas import LowRank, Slot
from klora_core.errors import KLoraError
from klora_core.fuse import plan_from, prepare
from klora_core.order import block, depth_key, is_attention
from klora_core.pairing import pair
from klora_core.plan import LoraInfo, ScoredSlot
from klora_core.schedules import make_schedule

QKV = "double_blocks.0.img_attn.qkv"


def delta(out, n=8, rank=2):
    return LowRank(torch.randn(out, rank), torch.randn(rank, n), 0.5)


def names(slots):
    return [slot.name for slot in slots]


def test_a_fused_weight_is_cut_where_the_other_is_split():
    fused = {Slot(QKV): delta(24)}
    split = {Slot(QKV, (start, 8)): delta(8) for start in (0, 8, 16)}
    found = pair(fused, split)
    assert [p.slot.rows for p in found.shared] == [(0, 8), (8, 8), (16, 8)]
    rebuilt = torch.cat([p.subject.dense() for p in found.shared])
    torch.testing.assert_close(rebuilt, fused[Slot(QKV)].dense())
    assert all(p.style is split[p.slot] for p in found.shared)


def test_rows_that_one_lacks_are_left_over():
    found = pair({Slot(QKV): delta(24)}, {Slot(QKV, (8, 8)): delta(8)})
    assert names(p.slot for p in found.shared) == [f"{QKV}[8:16]"]
    assert names(found.subject_only) == [f"{QKV}[0:8]", f"{QKV}[16:24]"]


def test_partly_fused_rows_on_both_sides():
    subject = {Slot("l", (0, 24)): delta(24), Slot("l", (24, 32)): delta(32)}
    style = {Slot("l", (0, 8)): delta(8), Slot("l", (8, 48)): delta(48)}
    found = pair(subject, style)
    assert [p.slot.rows for p in found.shared] == [(0, 8), (8, 16), (24, 32)]
    assert not found.subject_only and not found.style_only


def test_equal_slots_stay_whole():
    found = pair({Slot("a"): delta(8)}, {Slot("a"): delta(8)})
    assert [p.slot for p in found.shared] == [Slot("a")]


def test_different_shapes_are_different_base_models():
    with pytest.raises(KLoraError, match=r"8 x 8 in the subject LoRA and 8 x 9 in the style"):
        pair({Slot("a"): delta(8)}, {Slot("a"): delta(8, 9)})


def test_rows_changed_twice():
    with pytest.raises(KLoraError, match="twice, fused and split"):
        pair({Slot("a"): delta(24), Slot("a", (8, 8)): delta(8)}, {Slot("a"): delta(24)})


def test_nothing_shared_gives_examples_of_both_sides():
    with pytest.raises(KLoraError, match=r"share no layer.*input_blocks\.4.*double_blocks\.0"):
        prepare({Slot("input_blocks.4.1.proj_in"): delta(8)}, {Slot(QKV): delta(24)})


def test_attention_moves_the_other_shared_slots_to_both_sides():
    attention, other = "middle_block.1.transformer_blocks.0.attn1.to_q", "middle_block.1.proj_in"
    subject = {Slot(name): delta(8) for name in (other, attention, "out.2")}
    style = {Slot(name): delta(8) for name in (other, attention, "input_blocks.1.0.emb_layers.1")}
    found = prepare(subject, style, "attention")
    assert names(p.slot for p in found.shared) == [attention]
    assert names(found.subject_only) == [other, "out.2"]
    assert names(found.style_only) == ["input_blocks.1.0.emb_layers.1", other]
    assert found.subject_only[Slot(other)] is subject[Slot(other)]
    everything = prepare(subject, style, "shared")
    assert names(p.slot for p in everything.shared) == [other, attention]


def test_attention_without_attention():
    with pytest.raises(KLoraError, match="no attention layer"):
        prepare({Slot("out.2"): delta(8)}, {Slot("out.2"): delta(8)}, "attention")
    with pytest.raises(KLoraError, match="Unknown choice of layers"):
        prepare({}, {}, "all")


@pytest.mark.parametrize("field", ["score_subject", "l1_subject", "score_style", "l1_style"])
def test_scores_that_are_not_finite_name_layer_and_lora(field):
    numbers = dict(score_subject=1.0, score_style=1.0, l1_subject=1.0, l1_style=1.0)
    numbers[field] = float("inf")
    slot = ScoredSlot("some.layer", (8, 8), 2, 2, 4, **numbers)
    pairing = pair({Slot("some.layer"): delta(8)}, {Slot("some.layer"): delta(8)})
    with pytest.raises(KLoraError, match=f"{'cat' if 'subject' in field else 'ink'}: layer some.layer"):
        plan_from(pairing, [slot], make_schedule("s"), "paper", LoraInfo("cat"), LoraInfo("ink"))


def test_plan_from_names_what_does_not_compete():
    pairing = pair({Slot("a"): delta(8), Slot("b"): delta(8)}, {Slot("a"): delta(8)})
    slot = ScoredSlot("a", (8, 8), 2, 2, 4, 1.0, 1.0, 1.0, 1.0)
    infos = (LoraInfo("c"), LoraInfo("s"))
    found = plan_from(pairing, [slot], make_schedule("s"), "paper", *infos, "drop", ("note",)).unmatched
    assert (found.subject, found.style, found.applied, found.notes) == (("b",), (), False, ("note",))
    with pytest.raises(KLoraError, match="other layers"):
        plan_from(pairing, [slot], make_schedule("s"), "paper", *infos, "lose")


def test_depth_runs_from_input_to_output_with_numbers_as_numbers():
    ordered = [
        "time_embed.0",
        "input_blocks.2.1.a",
        "input_blocks.10.1.a",
        "middle_block.1.a",
        "output_blocks.0.1.a",
        "double_blocks.0.img_attn.qkv[0:8]",
        "double_blocks.0.img_attn.qkv[8:16]",
        "double_blocks.0.img_attn.qkv[16:24]",
        "single_blocks.3.linear1",
        "final_layer.linear",
    ]
    assert sorted(reversed(ordered), key=depth_key) == ordered


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("input_blocks.4.1.transformer_blocks.0.attn1.to_q", True),
        ("input_blocks.4.1.transformer_blocks.0.ff.net.0.proj", False),
        ("input_blocks.4.1.proj_in", False),
        ("double_blocks.0.txt_attn.qkv[0:3072]", True),
        ("double_blocks.0.img_mlp.0", False),
        ("single_blocks.0.linear1", True),
        ("single_blocks.0.linear1[0:3072]", True),
        ("single_blocks.0.linear1[3072:6144]", True),
        ("single_blocks.0.linear1[6144:9216]", True),
        ("single_blocks.0.linear1[0:9216]", True),
        ("single_blocks.0.linear1[9216:21504]", False),
        ("single_blocks.0.linear1[18432:55296]", False),
        ("single_blocks.0.modulation.lin", False),
        ("blocks.0.self_attn.q_proj", True),
        ("blocks.0.adaln_modulation_self_attn.1", False),
        ("layers.0.attention.qkv", True),
    ],
)
def test_what_is_attention(name, expected):
    assert is_attention(name) is expected


def test_blocks_have_names_for_people():
    assert block("input_blocks.4.1.proj_in") == ("down", "down 4")
    assert block("middle_block.1.proj_in") == ("mid", "mid")
    assert block("double_blocks.7.img_attn.qkv[0:8]") == ("double", "double 7")
    assert block("img_in") == ("other", "img_in")
