"""The side path against dense per-evaluation weight rewriting, in the real host, in float32."""

from __future__ import annotations

import pytest
import torch
from reference import Reference, random_lora

UNET_LAYERS = (
    [f"input_blocks.1.1.transformer_blocks.0.{a}.{p}" for a in ("attn1", "attn2") for p in ("to_q", "to_k", "to_v")]
    + [f"middle_block.1.transformer_blocks.0.{a}.{p}" for a in ("attn1", "attn2") for p in ("to_q", "to_out.0")]
    + [f"output_blocks.{b}.1.transformer_blocks.0.attn2.to_v" for b in (0, 1, 2, 3)]
    + [f"output_blocks.{b}.1.transformer_blocks.0.ff.net.2" for b in (0, 2)]
    + ["input_blocks.1.1.proj_in", "input_blocks.1.0.in_layers.2", "input_blocks.1.0.emb_layers.1"]
)
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def pair(sd15):
    """Unequal ranks and alphas, convolutions among the layers, and two layers that only one LoRA has."""
    model = sd15[0].model
    subject = random_lora(model, [*UNET_LAYERS, "output_blocks.3.0.out_layers.3"], rank=6, seed=1, alpha=3)
    style = random_lora(
        model, [*UNET_LAYERS, "output_blocks.1.1.transformer_blocks.0.attn1.to_q"], rank=4, seed=2
    )
    return subject, style


def fuse(pack, model, subject, style, **options):
    """KLoRAFuse.execute with its defaults; returns (model, clip, plan, report)."""
    settings = {
        "subject_strength": 1.0,
        "style_strength": 1.0,
        "balance": 0.0,
        "schedule": {"schedule": "s", "alpha": 1.5, "beta": 0.5},
        **options,
    }
    return pack.nodes.KLoRAFuse.execute(model, subject, style, **settings).result


def relative(found, expected):
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("sampler", ["euler", "heun", "dpm_2", "dpmpp_2m_sde"])
def test_latents_equal_dense_rewriting(pack, sd15, pair, sample, sampler):
    reference = Reference(*pair)
    expected = sample(reference.patch(sd15[0]), steps=6, sampler_name=sampler)
    found = sample(fuse(pack, sd15[0], *pair)[0], steps=6, sampler_name=sampler)
    base = sample(sd15[0], steps=6, sampler_name=sampler)
    flips = len({tuple(reference.winners(x).values()) for x in reference.used})
    assert flips > 2, "the pair does not flip during the run: the comparison would prove little"
    assert relative(base, expected) > 100 * TOLERANCE, "the LoRAs do not show"
    assert relative(found, expected) < TOLERANCE
