"""Every linear and convolution layer of every family, fused in the host's sampler, against dense weights."""

from __future__ import annotations

import importlib

import pytest
import torch

from tests.support.families.inputs import FAMILIES
from tests.support.families.nets import layers, patcher, sample
from tests.support.families.reference import reference
from tests.support.host.reference import random_lora

RANKS = 4, 3
# Of a layer's change; the model amplifies it, so that a LoRA shows in the latents and float32 is enough.
SCALE = 0.3


def fuse(pack, model, *loras, balance=0.0):
    nodes = importlib.import_module(f"{pack.__name__}.nodes")
    schedule = {"schedule": "s", "alpha": 1.5, "beta": 0.5}
    return nodes.KLoRAFuse.execute(model, *loras, 1.0, 1.0, balance, schedule).result


def relative(found, expected):
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("family", FAMILIES)
def test_all_layers_of_a_family(pack, record, family):
    model = patcher(family)
    names = layers(pack, model.model)
    assert len(names) > 10
    pair = [random_lora(model.model, names, rank, seed, SCALE) for seed, rank in enumerate(RANKS)]
    fused, _, plan, report = fuse(pack, model, *pair)
    assert {slot.name for slot in plan.slots} == set(names), "each layer competes"
    assert "NOT applied" not in report
    plain = sample(model, family)
    follows = reference(model.model, *pair, RANKS)
    expected = sample(follows.patch(model), family)
    found = sample(fused, family)
    assert len({tuple(follows.winners(x).values()) for x in follows.used}) > 1, "layers change hands"
    assert torch.isfinite(expected).all() and relative(plain, expected) > 1e-3, "the LoRAs show"
    error, noise = relative(found, expected), relative(sample(follows.patch(model), family, 1e-7), expected)
    assert error < max(1e-5, 10 * noise)
    assert torch.equal(sample(model, family), plain), "nothing is left behind"
    record(
        part="family",
        family=family,
        layers=len(names),
        shown=relative(plain, expected),
        error=error,
        noise=noise,
    )
