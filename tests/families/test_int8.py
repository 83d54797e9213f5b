"""Weights in INT8, some of them used past their layers by the host: no more noise than the model's own."""

from __future__ import annotations

import pytest
import torch

from tests.families.test_families import RANKS, fuse, relative
from tests.families.test_precisions import SCALE
from tests.support.families.int8 import int8_layers, pair_of
from tests.support.families.nets import layers, sample
from tests.support.families.reference import reference
from tests.support.host.reference import random_lora

FORMS = {"int8": False, "int8 rotated": True}


@pytest.mark.parametrize("network", ("wan", "wan_i2v", "ltxv", "minimax_h3", "z_image", "flux"))
@pytest.mark.parametrize("form", FORMS)
@torch.inference_mode()
def test_int8(pack, record, form, network):
    model, exact = pair_of(network, FORMS[form])
    names = layers(pack, exact.model)
    assert set(int8_layers(model)) & set(names)
    pair = [random_lora(exact.model, names, rank, seed, SCALE) for seed, rank in enumerate(RANKS)]
    fused, _, plan, _ = fuse(pack, model, *pair)
    assert {slot.name for slot in plan.slots} == set(names), "each layer competes"
    expected = sample(reference(exact.model, *pair, RANKS).patch(exact), network)
    error = relative(sample(fused, network), expected)
    # INT8 rounds the layers' inputs too: so far the model alone is from the same numbers in float32.
    own = relative(sample(model, network), sample(exact, network))
    assert torch.isfinite(expected).all() and error < 4 * own
    record(part="precision", precision=form, family=network, error=error, rewritten=own)
