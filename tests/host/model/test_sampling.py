"""The side path against dense per-evaluation weight rewriting, in the real host, in float32."""

from __future__ import annotations

import pytest
import torch

from tests.support.host.nodes import UNET_LAYERS, baked, fuse, relative
from tests.support.host.noise_only import lying
from tests.support.host.reference import Reference

TOLERANCE = 1e-4


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
    expected, base = run(reference.patch(sd15.model)), run(sd15.model)
    for progress in ("noise level", "auto"):
        fused = fuse(pack, sd15.model, *pair, progress=progress).model
        check(run(fused), expected, base, reference)
    whole = sample(fuse(pack, sd15.model, *pair, progress="noise level").model, *sd15_conds, steps=8)
    assert relative(run(fused), whole) < TOLERANCE, "the split is visible"


def test_a_whole_run_that_starts_late_counts_its_steps(pack, sd15, sd15_conds, pair, sample):
    def run(model):
        return sample(model, *sd15_conds, steps=4, scheduler="ddim_uniform")

    # Leaning, so that slots flip in four steps.
    reference = Reference(*pair, balance=-0.2)
    fused = fuse(pack, sd15.model, *pair, balance=-0.2).model
    check(run(fused), run(reference.patch(sd15.model)), run(sd15.model), reference)


def test_a_model_told_other_noise_uses_the_steps_winners(pack, sd15, sd15_conds, pair):
    from comfy_extras import nodes_custom_sampler as custom

    def run(model):
        guider = custom.CFGGuider.execute(model, *sd15_conds, 4.0).result[0]
        sigmas = custom.BasicScheduler.execute(model, "karras", 5, 1.0).result[0]
        sampler = lying(custom.KSamplerSelect.execute("euler").result[0], lambda n: 0.6)
        noise, latent = custom.RandomNoise.execute(3).result[0], {"samples": torch.zeros(1, 4, 8, 8)}
        out = custom.SamplerCustomAdvanced.execute(noise, guider, sampler, sigmas, latent)
        return out.result[0]["samples"]

    class InOrder(Reference):
        """One call of the model a step: cond and uncond run together here."""

        def progress(self, model, options):
            return (len(self.used) + 0.5) / 5

    reference = InOrder(*pair)
    fused = fuse(pack, sd15.model, *pair).model
    check(run(fused), run(reference.patch(sd15.model)), run(sd15.model), reference)


def test_a_first_part_of_two_is_one_also_where_it_ends_late(pack, sd15, sd15_conds, pair, sample):
    def run(model):
        how = {"steps": 6, "scheduler": "simple"}
        most = sample(model, *sd15_conds, **how, start_step=0, last_step=5)
        return sample(model, *sd15_conds, **how, start_step=5, disable_noise=True, latent=most)

    reference = Reference(*pair, by="noise")
    fused = fuse(pack, sd15.model, *pair).model
    check(run(fused), run(reference.patch(sd15.model)), run(sd15.model), reference)


def test_partial_denoise(pack, sd15, sd15_conds, pair, sample):
    start = torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(3))

    def run(model):
        return sample(model, *sd15_conds, steps=12, denoise=0.5, latent=start)

    base = run(sd15.model)
    # Leaning, so that slots flip late in the run too.
    for options, restated in (({}, {"by": "noise"}), ({"progress": "steps"}, {})):
        options, restated = {**options, "balance": -0.3}, {**restated, "balance": -0.3}
        reference = Reference(*pair, **restated)
        check(
            run(fuse(pack, sd15.model, *pair, **options).model),
            run(reference.patch(sd15.model)),
            base,
            reference,
        )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_files(pack, sd15, sd15_conds, pair, sample, dtype):
    halves = [{k: v.to(dtype) for k, v in lora.items()} for lora in pair]
    reference = Reference(*halves)
    expected = sample(reference.patch(sd15.model), *sd15_conds, steps=4)
    found = sample(fuse(pack, sd15.model, *halves).model, *sd15_conds, steps=4)
    assert relative(found, expected) < TOLERANCE


def test_dropped_layers_are_not_applied(pack, sd15, sd15_conds, pair, sample):
    shared = [{k: v for k, v in lora.items() if any(f".{n}." in k for n in UNET_LAYERS)} for lora in pair]
    assert all(len(mine) < len(whole) for mine, whole in zip(shared, pair, strict=True))
    found = sample(fuse(pack, sd15.model, *pair, other_layers="drop").model, *sd15_conds)
    assert torch.equal(found, sample(fuse(pack, sd15.model, *shared).model, *sd15_conds))


def test_attention_only_competes_and_the_rest_adds_up(pack, sd15, sd15_conds, pair, sample):
    fused = fuse(pack, sd15.model, *pair, layers="attention")
    assert all("attn" in slot.name for slot in fused.plan.slots)
    attention = [{k: v for k, v in lora.items() if "attn" in k} for lora in pair]
    rest = [{k: v for k, v in lora.items() if "attn" not in k} for lora in pair]
    stacked = fuse(pack, sd15.model, *attention).model
    for lora in rest:
        stacked = baked(stacked, lora)
    assert relative(sample(fused.model, *sd15_conds), sample(stacked, *sd15_conds)) < TOLERANCE


def test_cond_and_uncond_in_separate_calls(pack, sd15, sd15_conds, pair, sample, monkeypatch):
    fused = fuse(pack, sd15.model, *pair).model
    together = sample(fused, *sd15_conds)
    monkeypatch.setattr(type(sd15.model.model), "memory_required", lambda *a, **k: 1e30)
    assert relative(sample(fused, *sd15_conds), together) < TOLERANCE


def test_sampler_custom_advanced(pack, sd15, sd15_conds, pair):
    from comfy_extras import nodes_custom_sampler as custom

    def run(model):
        guider = custom.CFGGuider.execute(model, *sd15_conds, 4.0).result[0]
        sigmas = custom.BasicScheduler.execute(model, "karras", 5, 1.0).result[0]
        sampler = custom.KSamplerSelect.execute("dpmpp_2m").result[0]
        noise = custom.RandomNoise.execute(3).result[0]
        latent = {"samples": torch.zeros(1, 4, 8, 8)}
        out = custom.SamplerCustomAdvanced.execute(noise, guider, sampler, sigmas, latent)
        return out.result[0]["samples"]

    reference = Reference(*pair)
    fused = fuse(pack, sd15.model, *pair).model
    check(run(fused), run(reference.patch(sd15.model)), run(sd15.model), reference)
