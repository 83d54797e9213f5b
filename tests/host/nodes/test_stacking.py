"""K-LoRA beside the other things that people put on a model."""

from __future__ import annotations

import comfy.sd
import comfy.utils
import pytest
import torch

from tests.support.host.nodes import UNET_LAYERS, baked, fuse, part, relative
from tests.support.host.reference import Reference, random_lora
from tools.tiny import model_path

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def _sd15(_narrow_sd15):
    return _narrow_sd15


def test_with_an_ordinary_lora_before_or_after(pack, sd15, sd15_conds, pair, sample):
    extra = random_lora(sd15.model.model, UNET_LAYERS[:6], rank=3, seed=9)
    reference = Reference(*pair)
    expected = sample(reference.patch(baked(sd15.model, extra)), *sd15_conds)
    before = sample(fuse(pack, baked(sd15.model, extra), *pair).model, *sd15_conds)
    after = sample(baked(fuse(pack, sd15.model, *pair).model, extra), *sd15_conds)
    assert relative(before, expected) < TOLERANCE
    assert torch.equal(before, after)


def test_with_a_second_fuse(pack, sd15, sd15_conds, pair, sample):
    others = tuple(
        random_lora(sd15.model.model, UNET_LAYERS, rank=2, seed=seed, scale=0.2) for seed in (21, 22)
    )
    both = fuse(pack, fuse(pack, sd15.model, *pair).model, *others).model
    # The reference rewrites weights, so a second one nests: the outer wrapper calls the inner one.
    inner, outer = Reference(*pair), Reference(*others)

    def nested(apply_model, args):
        model = apply_model.__self__
        return outer.call(lambda x, t, **c: inner.call(apply_model, {**args, "c": c}, model), args, model)

    stacked = sd15.model.clone()
    stacked.set_model_unet_function_wrapper(nested)
    assert relative(sample(both, *sd15_conds), sample(stacked, *sd15_conds)) < TOLERANCE


def test_with_a_controlnet(pack, sd15, sd15_conds, pair, sample, controlled):
    conds = controlled(sd15_conds)
    expected = sample(Reference(*pair).patch(sd15.model), *conds)
    assert relative(sample(Reference(*pair).patch(sd15.model), *sd15_conds), expected) > 100 * TOLERANCE
    assert relative(sample(fuse(pack, sd15.model, *pair).model, *conds), expected) < TOLERANCE


def test_on_fp8_weights(pack, models_dir, _flux, flux_conds, sample):
    """Quantised weights are never touched: the LoRAs act in full precision beside them."""
    stored = comfy.utils.load_torch_file(str(model_path("diffusion_models", "tiny-flux.safetensors")))
    fp8 = {k: v.to(torch.float8_e4m3fn) if v.ndim == 2 else v for k, v in stored.items()}
    options = {"dtype": torch.float8_e4m3fn}
    quantised = comfy.sd.load_diffusion_model_state_dict(dict(fp8), model_options=options)
    plain = comfy.sd.load_diffusion_model_state_dict(
        {k: v.float() for k, v in fp8.items()}, model_options={"dtype": torch.float32}
    )
    layers = ["double_blocks.0.img_attn.qkv", "double_blocks.1.txt_mlp.0", "single_blocks.3.linear2"]
    pair = [random_lora(plain.model, layers, rank, seed) for rank, seed in ((4, 1), (3, 2))]
    weight = quantised.model.get_submodule("diffusion_model.double_blocks.0.img_attn.qkv").weight
    assert weight.dtype == torch.float8_e4m3fn

    def run(model):
        return sample(model, *flux_conds, steps=3, cfg=1.0, scheduler="simple")

    expected = run(Reference(*pair).patch(plain))
    assert relative(run(plain), expected) > 1e-2
    assert relative(run(fuse(pack, quantised, *pair).model), expected) < 1e-3


def test_buffers_are_counted_by_the_host(pack, sd15, pair):
    """They load as a model beside the base model, at most 1.2 times both LoRAs' factors."""
    fused = fuse(pack, sd15.model, *pair).model
    (beside,) = fused.get_additional_models()
    factors = sum(v.numel() for lora in pair for v in lora.values()) * 4
    assert isinstance(beside.model, part(pack, "klora_core.apply").Buffers)
    assert beside.model_size() == sum(p.numel() * 4 for p in beside.model.parameters())
    assert beside.model_size() <= 1.2 * factors
    assert fused.clone().get_additional_models()[0].model is beside.model, "clones must not pay again"
    copied = beside.deepclone_multigpu(torch.device("cpu"))
    assert copied.model is not beside.model
    assert copied.model_size() == beside.model_size()
