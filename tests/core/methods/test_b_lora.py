"""B-LoRA's two blocks, by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from klora_core.deltas import LowRank, Row, meet_all
from klora_core.errors import KLoraError
from klora_core.loras import LoraInfo
from klora_core.methods.b_lora import b_lora
from klora_core.names import Slot
from klora_core.plan import make_plan
from klora_core.plan_file import from_json
from klora_core.progress import in_steps


def delta(n=8):
    return LowRank(torch.ones(8, 2), torch.ones(2, n))


def lora(*layers, context=2048):
    return {Slot(layer): delta(context if "attn2.to_k" in layer else 8) for layer in layers}


CONTENT, STYLE = "output_blocks.0.1.transformer_blocks", "output_blocks.1.1.transformer_blocks"
LAYERS = (
    f"{CONTENT}.0.attn2.to_k",
    f"{CONTENT}.9.ff.net.2",
    f"{STYLE}.3.attn1.to_q",
    "output_blocks.2.1.transformer_blocks.0.attn1.to_q",
    "output_blocks.10.1.proj_in",
    "middle_block.1.transformer_blocks.0.attn1.to_q",
)


def test_each_in_its_block_and_nobody_elsewhere():
    subject, style = lora(*LAYERS), lora(*LAYERS[1:])
    for roles, order in ((("subject", "style"), (subject, style)), (("style", "subject"), (style, subject))):
        rows = meet_all(order, roles)
        infos = [LoraInfo(role, role) for role in roles]
        plan = make_plan(rows, infos, b_lora(rows.competing, roles))
        chosen = {
            slot.name: int(who)
            for slot, who in zip(plan.slots, plan.who(in_steps(1).moments[0])[0], strict=True)
        }
        owners = {name: None if who < 0 else roles[who] for name, who in chosen.items()}
        assert owners == dict(zip(LAYERS, ("subject", "subject", "style", None, None, None), strict=True))
        assert (np.diff(plan.choices(in_steps(5)), axis=-1) == 0).all(), "constant in time"
        assert [fact.meaning for fact in plan.method.facts()][:2] == [
            "the subject's, 2 layers",
            "the style's, 1 layers",
        ]
        assert from_json(plan.to_json(4)) == plan


def test_published_b_loras_share_no_layer():
    found = [lora(*(f"{block}.{i}.attn2.to_k" for i in range(10))) for block in (CONTENT, STYLE)]
    rows = meet_all(found, ("subject", "style"))
    assert b_lora(rows.competing, ("subject", "style")).chosen == (0,) * 10 + (1,) * 10


SINGLE = tuple(
    f"single_blocks.{i}.{part}" for i in (0, 9, 10, 37, 38) for part in ("linear1[0:3072]", "linear2")
)


def flux(*names):
    """FLUX's own sizes, of which some are cut."""
    sizes = {"linear1[0:3072]": (8, 3072), "linear2": (8, 15360), "img_attn.qkv": (9216, 3072)}
    found = {}
    for name in names:
        out, n = next(size for tail, size in sizes.items() if name.endswith(tail))
        weight, _, rows = name.partition("[")
        out = 3072 if rows else out
        found[Slot(weight, (0, 3072) if rows else None)] = LowRank(torch.ones(out, 1), torch.ones(1, n))
    return found


def test_flux_by_the_numbers_of_splitflux_and_said_to_be_a_heuristic():
    subject = style = flux("double_blocks.3.img_attn.qkv", *SINGLE)
    rows = meet_all((subject, style), ("subject", "style"))
    method = b_lora(rows.competing, ("subject", "style"))
    owners = {row.slot.weight: who for row, who in zip(rows.competing, method.chosen, strict=True)}
    assert owners == {
        "double_blocks.3.img_attn.qkv": -1,
        **{
            f"single_blocks.{i}.{part}": who
            for i, who in ((0, 0), (9, 0), (10, 1), (37, 1), (38, -1))
            for part in ("linear1", "linear2")
        },
    }
    facts = method.facts()
    assert [fact.value for fact in facts[:2]] == ["single 0-9", "single 10-37"]
    assert "heuristic" in facts[2].meaning and "2511.15258" in facts[2].meaning
    plan = make_plan(rows, [LoraInfo(role, role) for role in ("subject", "style")], method)
    assert from_json(plan.to_json(4)) == plan and plan.to_json(4)["family"] == "FLUX"


@pytest.mark.parametrize(
    "layers",
    [
        flux("double_blocks.3.img_attn.qkv"),
        {**flux(*SINGLE), Slot("txt_in.individual_token_refiner.blocks.0.self_attn.qkv"): delta()},
        lora(f"{CONTENT}.0.attn2.to_k", context=768),
        lora("double_blocks.0.img_attn.qkv"),
        lora("output_blocks.3.1.transformer_blocks.0.attn2.to_k"),
        lora(f"{CONTENT}.0.attn2.to_k", f"{CONTENT}.3.attn1.to_q", context=1280),
    ],
)
def test_other_base_models(layers):
    rows = [Row(slot, (own, own)) for slot, own in layers.items()]
    with pytest.raises(KLoraError, match="B-LoRA is made for SDXL"):
        b_lora(rows, ("subject", "style"))


@pytest.mark.parametrize("roles", [("subject",), ("subject", "style", "style"), ("style", "style")])
def test_one_of_each(roles):
    rows = meet_all([lora(*LAYERS)] * len(roles), roles)
    with pytest.raises(KLoraError, match="exactly one subject and one style"):
        b_lora(rows.competing, roles)
