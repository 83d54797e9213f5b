"""As scheduled where nothing is rounded: in float64 it is dense rewriting, whatever the sampler."""

from __future__ import annotations

import pytest
import torch

from tests.support.families.by_hand import a_set, by_hand, narrow, restated, rows_of_three
from tests.support.families.nets import layers, patcher, sample
from tests.support.host.nodes import baked, merged, relative
from tests.support.host.reference import random_lora

# What is left is the samplers' own float32.
TOLERANCE = 1e-6
# One of each kind; `make test-families` has every sampler of the host for all three families.
SAMPLERS = {
    "deterministic": "euler",
    "ancestral": "euler_ancestral",
    "several steps": "dpmpp_2m",
    "two evaluations": "heun",
    "two evaluations, SDE": "dpmpp_sde",
    "three evaluations, SDE": "seeds_3",
    "ancestral, CFG++": "dpmpp_2s_ancestral_cfg_pp",
    "steps of its own": "dpm_fast",
    "predicts and corrects": "sa_solver_pece",
}


def both(pack, model, family, by="steps"):
    names = layers(pack, model.model)
    loras = [random_lora(model.model, names[i::3], 3 + i, 60 + i, 0.3) for i in range(3)]
    found = by_hand(pack, model, *rows_of_three(loras, family)).model
    return model, found, restated(loras, family, by).patch(model)


@pytest.fixture(scope="module")
def sdxl(pack):
    return both(pack, narrow("sdxl", torch.float64), "sdxl")


@pytest.mark.parametrize(
    ("family", "samplers"),
    [
        ("sd35", ["euler", "heun", "dpm_2", "dpm_adaptive", "dpmpp_2m_sde", "uni_pc", "res_multistep"]),
        ("sd15", ["euler"]),
    ],
)
def test_latents_equal_dense_rewriting(pack, family, samplers):
    model, found, dense = both(pack, patcher(family, torch.float64), family)
    for sampler in samplers:
        settings = {"sampler": sampler, "steps": 6}
        latents = [sample(each, family, **settings) for each in (found, dense, model)]
        assert relative(latents[2], latents[1]) > 1e-3, "the LoRAs show"
        assert relative(latents[0], latents[1]) < TOLERANCE, sampler


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
def test_sdxl_under_every_kind_of_sampler(sdxl, sampler):
    """Four steps: one on each side of every start, end and step of the curves."""
    latents = [sample(each, "sdxl", sampler=sampler, steps=4) for each in sdxl]
    assert relative(latents[0], latents[2]) > 1e-3, "the LoRAs show"
    assert relative(latents[1], latents[2]) < TOLERANCE


def test_a_model_in_two_parts_and_a_picture_to_begin_with(pack):
    """One network from the noise on, another from the middle on, as Wan 2.2 has them; by the noise."""
    parts = [patcher("sd35", torch.float64) for _ in range(2)]
    for parameter in parts[1].model.parameters():
        parameter.data *= 1.05

    early, late = (both(pack, part, "sd35", by="noise") for part in parts)

    def run(which):
        first = sample(early[which], "sd35", steps=7, start_step=0, last_step=4)
        rest = {"steps": 7, "start_step": 4, "disable_noise": True}
        whole = sample(late[which], "sd35", start=first, **rest)
        return torch.cat([whole, sample(late[which], "sd35", steps=3, denoise=0.375, start=first)])

    plain, found, dense = map(run, range(3))
    assert relative(plain, dense) > 1e-3, "the LoRAs show"
    assert relative(found, dense) < TOLERANCE


def test_in_float32_no_more_is_left_than_rounding_moves(pack):
    """FLUX, which the host does not compute in float64."""
    _, found, dense = both(pack, patcher("flux"), "flux")
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
