"""Compose LoRAs in the real host: what it equals, roles, and refusals."""

from __future__ import annotations

import pytest
import torch

from klora_core import plan_file
from tests.support.host.nodes import baked, compose, fuse, lora_set, part, relative, subject_and_style


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"balance": 0.4, "gamma": "reference", "layers": "attention"},
        {"schedule": {"schedule": "s*", "alpha": 1.5, "beta": 1.3}},
        {"score": "energy"},
        {"loser": "outside", "outside": 0.5},
    ],
)
def test_set_and_compose_equal_fuse_bit_for_bit(pack, sd15, sd15_conds, pair, sample, options):
    strengths = (0.9, 1.1)
    fused = fuse(pack, sd15.model, *pair, subject_strength=0.9, style_strength=1.1, **options)
    method = {"method": "K-LoRA", **options}
    composed = compose(pack, sd15.model, subject_and_style(pack, pair, *strengths), method)
    assert composed.plan == fused.plan and composed.report == fused.report
    assert torch.equal(sample(composed.model, *sd15_conds), sample(fused.model, *sd15_conds))


def test_every_method_at_its_defaults_reads_back_equal(pack, sd15, pair):
    for name in part(pack, "klora_core.methods").METHODS:
        # One is for SDXL, one needs a file.
        if name in ("B-LoRA", "MoLE"):
            continue
        plan = compose(pack, sd15.model, subject_and_style(pack, pair), name).plan
        found = part(pack, "klora_core.plan_file").from_json(plan.to_json(12))
        assert found == plan and plan.method.name == name
        assert plan_file.from_json(plan.to_json(12)).to_json(12) == plan.to_json(12)


def test_three_styles_by_role(pack, sd15, pair, styles):
    """The choice of the node's plan against a literal restatement on dense matrices."""
    loras = [(pair[0], "subject", 1.0), *((style, "style", 1.0) for style in styles)]
    plan = compose(pack, sd15.model, lora_set(pack, *loras), "K-LoRA").plan
    assert plan.labels == ("subject", "style", "style 2", "style 3")
    wanted = literal([pair[0], *styles], [slot.name for slot in plan.slots], 9)
    moments = part(pack, "klora_core.progress").in_steps(9).moments
    assert [plan.who(moment)[0].tolist() for moment in moments] == wanted
    assert {lora for row in wanted for lora in row} == {0, 1, 2, 3}, "all four lead somewhere"


def literal(loras, names, steps):
    """Eqs. 3 to 10 where the style of a slot is the one with the largest share of its own total."""
    from tests.support.host.reference import dense

    changes = [dense(lora) for lora in loras]
    k = {name: changes[0][name][1] * max(c[name][1] for c in changes[1:] if name in c) for name in names}
    top = [
        {
            n: float(c[n][0].abs().flatten().sort(descending=True).values[: k[n]].sum())
            for n in names
            if n in c
        }
        for c in changes
    ]
    totals = [sum(float(c[n][0].abs().sum()) for n in names if n in c) for c in changes]
    table = []
    for step in range(steps):
        scale = 1.5 * (step + 0.5) / steps + 0.5
        row = []
        for name in names:
            sizes = [top[i].get(name, 0.0) / totals[i] for i in range(len(loras))]
            style = max(range(1, len(loras)), key=lambda i: sizes[i])
            row.append(0 if sizes[0] >= scale * sizes[style] else style)
        table.append(row)
    return table


def test_a_lora_of_the_role_other_works_throughout(pack, sd15, sd15_conds, pair, styles, sample):
    extra = styles[0]
    for name in ("K-LoRA", "LoRA Switch", "LoRA Composite"):
        three = lora_set(pack, (extra, "other", 0.7), (pair[0], "subject", 1.0), (pair[1], "style", 1.0))
        found = compose(pack, sd15.model, three, name, other_layers="drop")
        two = compose(
            pack, baked(sd15.model, extra, 0.7), subject_and_style(pack, pair), name, other_layers="drop"
        )
        assert relative(sample(found.model, *sd15_conds), sample(two.model, *sd15_conds)) < 1e-4
        assert "other: works beside them, throughout" in found.report
        assert "used nowhere" not in found.report and found.plan.candidates == ("subject", "style")


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("LoRA Swap", "method must be one of K-LoRA, LoRA Switch"),
        ({"method": "LoRA Switch", "speed": 3}, "LoRA Switch has no such input"),
        ({"method": "LoRA Switch", "turn": {"turn": "minutes"}}, "turn must be one of"),
        ({"method": "LoRA Switch", "reserve": -1}, "reserve must not be negative"),
        ({"method": "CMLoRA", "late": "cats"}, "late must be one of"),
        ({"method": "K-LoRA", "score": "most"}, "^Use one of .*: unknown score 'most'"),
        ({"method": "K-LoRA", "loser": "outside", "outside": 2}, "outside must be within 0 and 1"),
        ("B-LoRA", "B-LoRA is made for SDXL"),
    ],
)
def test_what_compose_refuses(pack, sd15, pair, method, words):
    with pytest.raises(ValueError, match=words):
        compose(pack, sd15.model, subject_and_style(pack, pair), method)


def test_klora_without_a_style(pack, sd15, pair):
    with pytest.raises(ValueError, match="^Set roles: .* no LoRA here is a style\\.$"):
        compose(pack, sd15.model, lora_set(pack, (pair[0], "subject", 1.0)), "K-LoRA")
    with pytest.raises(ValueError, match="^Give at least one the role .*: no LoRA of the set takes part"):
        compose(pack, sd15.model, lora_set(pack, (pair[0], "other", 1.0)), "LoRA Switch")
