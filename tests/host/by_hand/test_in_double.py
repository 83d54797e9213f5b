"""As scheduled where nothing is rounded: in float64 it is dense rewriting, whatever the sampler."""

from __future__ import annotations

import pytest
import torch

from tests.support.families.by_hand import a_set, by_hand, restated, rows_of_three
from tests.support.families.nets import layers, patcher, sample
from tests.support.host.nodes import baked, merged, relative
from tests.support.host.reference import random_lora

# What is left is the samplers' own float32; `make test-families` has every sampler of the host's list.
TOLERANCE = 1e-6


def both(pack, family, dtype):
    model = patcher(family, dtype)
    names = layers(pack, model.model)
    loras = [random_lora(model.model, names[i::3], 3 + i, 60 + i, 0.3) for i in range(3)]
    return model, by_hand(pack, model, *rows_of_three(loras, family)).model, restated(loras, family)


@pytest.mark.parametrize(
    ("family", "samplers"),
    [
        ("sd35", ["euler", "heun", "dpm_2", "dpm_adaptive", "dpmpp_2m_sde", "uni_pc", "res_multistep"]),
        ("sd15", ["euler"]),
    ],
)
def test_latents_equal_dense_rewriting(pack, family, samplers):
    model, found, reference = both(pack, family, torch.float64)
    for sampler in samplers:
        settings = {"sampler": sampler, "steps": 6}
        latents = [sample(each, family, **settings) for each in (found, reference.patch(model), model)]
        assert relative(latents[2], latents[1]) > 1e-3, "the LoRAs show"
        assert relative(latents[0], latents[1]) < TOLERANCE, sampler


def test_in_float32_no_more_is_left_than_rounding_moves(pack):
    """FLUX, which the host does not compute in float64."""
    model, found, reference = both(pack, "flux", torch.float32)
    dense = reference.patch(model)
    latents = [sample(each, "flux", steps=6) for each in (found, dense)]
    noise = relative(sample(dense, "flux", 1e-7, steps=6), latents[1])
    assert relative(*latents) < max(5e-6, 10 * noise)


def test_one_throughout_is_core_s_loader_and_several_are_linear(pack):
    model = patcher("sd35", torch.float64)
    names = layers(pack, model.model)
    loras = [random_lora(model.model, names[i::2], 3 + i, 80 + i, 0.3) for i in range(3)]
    everywhere = {"blocks": "all: 1", "curve": "0:1"}
    given = [
        (lora, role, 0.8, everywhere) for lora, role in zip(loras, ("subject", "style", "style"), strict=True)
    ]
    linear, _ = merged(pack, model, a_set(pack, *given), "Linear")
    for rows, loader in ((given[:1], baked(model, loras[0], 0.8)), (given, baked(model, linear))):
        latents = [
            sample(each, "sd35", steps=6) for each in (by_hand(pack, model, *rows).model, loader, model)
        ]
        assert relative(latents[2], latents[1]) > 1e-3
        assert relative(latents[0], latents[1]) < TOLERANCE
