"""The side path against dense per-evaluation weight rewriting, in the real host, in float32."""

from __future__ import annotations

import pytest
import torch
from reference import Reference
from support import UNET_LAYERS, baked, fuse, relative, unet_pair

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def pair(_sd15):
    return unet_pair(_sd15.model.model)


def check(found, expected, base, reference):
    flips = len({tuple(reference.winners(x).values()) for x in reference.used})
    assert flips > 2, "hardly a slot flips during the run: the comparison would prove little"
    assert relative(base, expected) > 100 * TOLERANCE, "the LoRAs do not show"
    assert relative(found, expected) < TOLERANCE


@pytest.mark.parametrize("sampler", ["euler", "heun", "dpm_2", "dpmpp_2m_sde", "dpmpp_sde"])
def test_latents_equal_dense_rewriting(pack, sd15, sd15_conds, pair, sample, sampler):
    def run(model):
        return sample(model, *sd15_conds, steps=6, sampler_name=sampler)

    reference = Reference(*pair)
    check(
        run(fuse(pack, sd15.model, *pair).model), run(reference.patch(sd15.model)), run(sd15.model), reference
    )


@pytest.mark.parametrize(
    ("options", "restated"),
    [
        ({"balance": 0.4}, {"balance": 0.4}),
        ({"subject_strength": 0.7, "style_strength": 1.3}, {"strengths": (0.7, 1.3)}),
        ({"schedule": {"schedule": "s*", "alpha": 1.5, "beta": 1.3}}, {"star": True}),
        (
            {"schedule": {"schedule": "s*", "alpha": 2.0, "beta": 1.2}},
            {"star": True, "alpha": 2.0, "beta": 1.2},
        ),
        ({"progress": "noise level"}, {"by": "noise"}),
    ],
)
def test_every_control_reaches_the_latents(pack, sd15, sd15_conds, pair, sample, options, restated):
    def run(model):
        return sample(model, *sd15_conds, steps=7)

    reference = Reference(*pair, **restated)
    check(
        run(fuse(pack, sd15.model, *pair, **options).model),
        run(reference.patch(sd15.model)),
        run(sd15.model),
        reference,
    )


def test_a_run_in_two_segments_follows_the_noise_level(pack, sd15, sd15_conds, pair, sample):
    def run(model):
        half = sample(model, *sd15_conds, steps=8, start_step=0, last_step=4)
        return sample(model, *sd15_conds, steps=8, start_step=4, disable_noise=True, latent=half)

    reference = Reference(*pair, by="noise")
    fused = fuse(pack, sd15.model, *pair, progress="noise level").model
    fused = fuse(pack, sd15.model, *pair).model
    check(run(fused), run(reference.patch(sd15.model)), run(sd15.model), reference)
