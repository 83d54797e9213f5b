"""NP-LoRA on the model: its factors against the merge's, which share no code with them, and what it says."""

from __future__ import annotations

import pytest
import torch

from klora_core.deltas import Dense, LowRank, SharedInputs, lanes
from klora_core.errors import KLoraError
from klora_core.loras import LoraInfo
from klora_core.merges import merge, named
from klora_core.methods import Given, making
from klora_core.methods import np_lora as module
from klora_core.names import Slot
from klora_core.plan import make_plan
from klora_core.plan_file import from_json
from klora_core.progress import in_steps
from klora_core.report import text

NAMES = ("input_blocks.1.1.proj_in", "middle_block.1.proj_in", "output_blocks.2.1.proj_in")


def lora(seed, rank, kind=LowRank, zero=None):
    g = torch.Generator().manual_seed(seed)
    found = {}
    for i, name in enumerate(NAMES):
        up, down = torch.randn(12, rank, generator=g), torch.randn(rank, 20, generator=g)
        if zero == i:
            up = torch.zeros_like(up)
        found[Slot(name)] = (
            Dense(up @ down, rank) if kind is Dense and i == 1 else LowRank(up, down, 0.5 + seed)
        )
    return found


def planned(loras, mu, strengths=(1.0, 1.0, 1.0), roles=("subject", "style", "style")):
    roles, strengths = roles[: len(loras)], strengths[: len(loras)]
    rows, method = making.np_lora(mu)(Given(tuple(loras), roles, roles))
    infos = [LoraInfo(role, role, strength=s) for role, s in zip(roles, strengths, strict=True)]
    return rows, make_plan(rows, infos, method)


def dense(rows, plan, index, strengths):
    scaled = [
        None if d is None or s == 0 else d.scaled(s)
        for d, s in zip(rows.competing[index].deltas, strengths, strict=True)
    ]
    (who,) = {int(plan.who(m)[0][index]) for m in in_steps(3).moments}
    return sum(
        lane[who].dense() for lane in lanes(plan.method.candidates(index, scaled)) if lane[who] is not None
    )


@pytest.mark.parametrize("mu", [0.0, 0.5, 3.0, 1e6])
@pytest.mark.parametrize("strengths", [(1.0, 1.0, 1.0), (0.7, -1.3, 0.4), (1.0, 0.0, 0.0)])
@pytest.mark.parametrize("loras", [2, 3])
def test_its_changes_are_the_merge_s(mu, strengths, loras):
    given = (lora(1, 4), lora(2, 3), lora(3, 5))[:loras]
    rows, plan = planned(given, mu, strengths)
    wanted = merge(rows.competing, named("np-lora"), strengths[:loras], values={"mu": mu})
    for index, row in enumerate(rows.competing):
        found = dense(rows, plan, index, strengths[:loras])
        torch.testing.assert_close(found, wanted.deltas[row.slot].dense(), rtol=1e-5, atol=1e-5)


def test_at_mu_0_it_is_linear_bit_for_bit():
    rows, plan = planned((lora(1, 4), lora(2, 3)), 0.0)
    linear = merge(rows.competing, named("linear"), (1.0, 1.0))
    for index, row in enumerate(rows.competing):
        (lane,) = lanes(plan.method.candidates(index, row.deltas))
        up, down = lane[0].tensors
        assert torch.equal(up, linear.deltas[row.slot].up) and torch.equal(down, linear.deltas[row.slot].down)
    assert plan.candidates == ("both",) and "the plain sum" in text(plan, in_steps(4))


def test_large_mu_leaves_the_style_alone_where_they_meet():
    rows, plan = planned((lora(1, 4), lora(2, 3)), 1e9)
    for index, row in enumerate(rows.competing):
        inputs = row.deltas[1].down.T
        found, style = dense(rows, plan, index, (1.0, 1.0)) @ inputs, row.deltas[1].dense() @ inputs
        assert float((found - style).norm() / style.norm()) < 1e-4


def test_a_style_that_is_zero_takes_nothing():
    rows, plan = planned((lora(1, 4), lora(2, 3, zero=1)), 2.0)
    torch.testing.assert_close(dense(rows, plan, 1, (1.0, 1.0)), rows.competing[1].deltas[0].dense())


def test_what_has_no_factors_is_added_as_it_is_and_said():
    rows, plan = planned((lora(1, 4), lora(2, 3, Dense)), 2.0)
    assert plan.candidates == ("both, subject outside the style's inputs", "both, as they are")
    assert plan.who(in_steps(1).moments[0]).tolist() == [[0, 1, 0]]
    wanted = sum(delta.dense() for delta in rows.competing[1].deltas)
    torch.testing.assert_close(dense(rows, plan, 1, (1.0, 1.0)), wanted)
    words = text(plan, in_steps(4))
    assert "as they are 1 layer" in words and "Warning: the" not in words
    assert from_json(plan.to_json(5)) == plan


def test_another_mu_works_out_nothing_before_a_layer_is_shown(monkeypatch):
    shared = SharedInputs(1 << 20)
    monkeypatch.setattr(module, "SHARED", shared)
    given = (lora(1, 4), lora(2, 3))
    for mu in (0.5, 0.6):
        rows, plan = planned(given, mu)
        candidates = [plan.method.candidates(i, row.deltas) for i, row in enumerate(rows.competing)]
        assert shared.misses == (0 if mu == 0.5 else 3)
        for each in candidates:
            (lane,) = lanes(each)
            _ = lane[0].tensors
        assert shared.misses == 3, "what they share has no mu in it"
    assert from_json(plan.to_json(5)) == plan


@pytest.mark.parametrize("mu", [-0.1, float("nan"), float("inf"), True])
def test_mu_out_of_range(mu):
    with pytest.raises(KLoraError, match="mu must be a number from 0 on"):
        planned((lora(1, 2), lora(2, 2)), mu)
