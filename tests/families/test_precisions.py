"""Weights in half precision and in 8 bits: no more noise than the model itself has in them."""

from __future__ import annotations

import pytest
import torch

from tests.families.test_families import RANKS, fuse, relative
from tests.support.families.nets import layers, patcher, sample
from tests.support.families.reference import reference
from tests.support.host.reference import random_lora

# Larger changes make so small a network chaotic: half precision alone then moves its picture by a tenth.
SCALE = 0.05
DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "fp8 e4m3": torch.float8_e4m3fn}


@pytest.mark.parametrize("network", ("sd15", "flux", "z_image", "wan"))
@pytest.mark.parametrize("name", DTYPES)
def test_a_precision(pack, record, name, network):
    exact, model = patcher(network, rounded=DTYPES[name]), patcher(network, DTYPES[name])
    names = layers(pack, model.model)
    pair = [random_lora(exact.model, names, rank, seed, SCALE) for seed, rank in enumerate(RANKS)]
    follows = reference(exact.model, *pair, RANKS)
    expected = sample(follows.patch(exact), network).float()
    fused = fuse(pack, model, *pair)[0]
    error = relative(sample(fused, network).float(), expected)
    # The same weights rewritten in this precision: what a loader that patches them does.
    own = relative(sample(reference(model.model, *pair, RANKS).patch(model), network).float(), expected)
    assert torch.isfinite(expected).all() and error < max(1e-5, 1.5 * own)
    record(part="precision", precision=name, family=network, error=error, rewritten=own)
