"""The sentence of what happens, the balance of equal shares, and the answers of the report."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from klora_core.loras import LoraInfo
from klora_core.methods.klora import make_schedule
from klora_core.methods.klora.share import balance_for, style_share
from klora_core.progress import in_steps, over_progress
from klora_core.report.summary import sentence, spell_out
from tests.support.plans import evidence, klora_plan, with_method

XS = [(i + 0.5) / 30 for i in range(30)]


def numbers(spread, count=200, middle=0.0):
    rng = random.Random(3)
    return np.array([2.0 ** rng.gauss(middle, spread) for _ in range(count)])


@pytest.mark.parametrize("name", ["s", "s*"])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
@pytest.mark.parametrize("middle", [-0.6, 0.0, 0.8])
def test_the_balance_gives_the_wanted_share(name, share, middle):
    rhos, schedule = numbers(0.5, middle=middle), make_schedule(name, balance=0.9)
    balance = balance_for(rhos, schedule, XS, share)
    reached = style_share(rhos, replace(schedule, balance=balance), XS)
    others = [style_share(rhos, replace(schedule, balance=b / 100), XS) for b in range(-100, 101)]
    assert abs(reached - share) == pytest.approx(min(abs(other - share) for other in others), abs=1e-9)
    assert balance == round(balance, 2)


def test_the_share_is_that_of_the_plan():
    found = klora_plan([evidence(rho, 1.0) for rho in numbers(0.7, 40)], make_schedule("s*", balance=0.3))
    over = in_steps(17)
    xs = [moment.x for moment in over.moments]
    share = style_share(found.method.rhos, found.method.schedule, xs)
    assert share == pytest.approx(found.shares(over)[1].mean(), abs=1e-12)


def test_equal_loras_keep_a_balance_next_to_none_and_extremes_stay_in_range():
    assert balance_for(np.full(5, 1.25), make_schedule("s"), XS) == 0.0
    assert balance_for(np.full(5, 1e9), make_schedule("s"), XS) == 0.0, "no balance helps, so none is said"
    assert balance_for(np.full(5, 7.8), make_schedule("s"), XS) == 1.0
    assert balance_for(np.array([]), make_schedule("s"), XS) is None


def test_zero_loras_and_a_scale_of_zero():
    rhos = np.array([np.inf, -np.inf, 1.0])
    assert style_share(rhos, make_schedule("s"), XS) >= 1 / 3
    assert balance_for(rhos, make_schedule("s", alpha=0.0, beta=0.0), XS) == 0.0


def test_who_leads_and_what_one_never_gets():
    rhos = {f"input_blocks.1.1.transformer_blocks.0.attn1.to_{p}": 9.0 for p in "qkv"}
    rhos |= {f"input_blocks.1.1.transformer_blocks.0.attn2.to_{p}": 0.1 for p in "qkv"}
    rhos |= {f"middle_block.1.transformer_blocks.0.attn1.to_{p}": 1.0 for p in "qkv"}
    plan = klora_plan({name: evidence(rho, 1.0) for name, rho in rhos.items()})
    assert sentence(plan, in_steps(30)) == (
        "K-LoRA: the subject leads 10 of 30 steps, the style leads 20; the subject never gets attn2 of down "
        "1; the style never gets attn1 of down 1."
    )
    assert sentence(plan, over_progress(30)).startswith("K-LoRA: the subject leads 33% of the way")
    one = klora_plan([evidence(9.0, 1.0)])
    assert sentence(one, in_steps(3)) == "K-LoRA: the subject leads all of 3 steps."
    assert sentence(one, in_steps(1)) == "K-LoRA: the subject leads 1 of 1 step."


def test_places_in_few_words():
    names = [f"{b}.{i}.attn.{p}" for b, i in (("double_blocks", 0), ("double_blocks", 1)) for p in "qk"]
    names += ["double_blocks.1.mlp.0", "final_layer.linear"]
    assert spell_out(names[:2], names) == "double 0"
    assert spell_out(names[2:4], names) == "attn of double 1"
    assert spell_out(names[:3], names) == "double 0 and 1 of 6 other layers"
    assert spell_out(names[:1], names) == "1 of 6 layers"


def answers(rhos, *, subject=None, style=None, schedule=None, l1=None, ranks=(4, 4)):
    plan = klora_plan(
        [evidence(rho, 1.0, l1, ranks=ranks) for rho in rhos], schedule, subject=subject, style=style
    )
    return plan.method.answers(plan.loras, XS)


def test_the_reasons_for_a_weak_style():
    weak, lost = answers(
        [3.0] * 10,
        subject=LoraInfo("c", "subject", 20, 1.0, ("a", "b"), "LoHa"),
        style=LoraInfo("s", "style", 20, 0.5, ("b",)),
        schedule=make_schedule("s*", balance=-0.2),
        l1=(10.0, 10.0),
    )
    assert weak.startswith(
        "Why is my style weak? It has 0% of the layers over a run; balance -0.2 leans away"
    )
    for words in (
        "where it works, it works at strength 0.5 against 1",
        "the subject's largest entries hold 30.0% of its change, here 10.0%, and the largest decide "
        "(it is a LoHa, this one a LoRA)",
        "the subject also changes 1 layer that this LoRA lacks",
    ):
        assert words in weak
    assert lost == (
        "Why is my subject lost? It has 100% of the layers over a run. "
        "If it is still too little, use a more negative balance."
    )


def test_the_rank_is_named_where_kinds_are_alike():
    weak, _ = answers([3.0] * 5, l1=(10.0, 10.0), ranks=(4, 64))
    assert "(rank 4 against 64)" in weak


def test_the_balance_that_is_named_evens_the_shares():
    rhos = [float(rho) for rho in numbers(0.4, 60, middle=1.0)]
    weak, _ = answers(rhos)
    balance = float(weak.split("With balance ")[1].split()[0])
    plan = klora_plan([evidence(rho, 1.0) for rho in rhos])
    even = with_method(plan, schedule=make_schedule("s", balance=balance))
    assert style_share(even.method.rhos, even.method.schedule, XS) == pytest.approx(0.5, abs=0.02)


def test_other_methods_and_several_loras_have_no_answers():
    plan = klora_plan([evidence(1.0, 1.0)])
    assert replace(plan.method, roles=("subject", "style", "style")).answers(plan.loras, XS) == ()


@pytest.mark.parametrize(("place", "now", "other", "share"), [(0, "s*", "s", "53%"), (1, "s", "s*", "80%")])
def test_the_other_schedule_is_named_where_it_gives_more(place, now, other, share):
    line = answers([1.2] * 10, schedule=make_schedule(now))[place]
    assert f"schedule {now} gives it less than {other}, which would give it {share}" in line
    assert "balance" in line


def test_without_a_slope_there_is_no_other_schedule_to_name():
    found = answers([1.2] * 10, schedule=make_schedule("s", alpha=0.0))
    assert not any("gives it less than" in line for line in found)
