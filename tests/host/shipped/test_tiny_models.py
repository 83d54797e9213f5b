"""The tiny models are what they claim: detected, finite, and moved by their LoRAs in every spelling."""

from __future__ import annotations

import comfy.lora
import comfy.lora_convert
import comfy.model_base
import comfy.utils
import pytest
import torch

from tools.tiny import model_path

FAMILIES = {
    "sd15": comfy.model_base.BaseModel,
    "sdxl": comfy.model_base.SDXL,
    "flux": comfy.model_base.Flux,
}


@pytest.mark.parametrize("family", FAMILIES)
def test_samples_and_loras_apply(family, request, sample, models_dir):
    loaded = request.getfixturevalue("sd15" if family == "sd15" else f"{family}_model")
    model = loaded.model if family == "sd15" else loaded
    conds = request.getfixturevalue(f"{family}_conds")
    assert isinstance(model.model, FAMILIES[family])
    plain = sample(model, *conds, steps=2)
    assert torch.isfinite(plain).all()
    assert plain.std() > 0.1
    for role in ("subject", "style"):
        lora = comfy.utils.load_torch_file(str(model_path("loras", f"tiny-{role}-{family}.safetensors")))
        key_map = comfy.lora.model_lora_keys_unet(model.model, {})
        patches = comfy.lora.load_lora(comfy.lora_convert.convert_lora(lora), key_map)
        changed = model.clone()
        applied = changed.add_patches(patches)
        assert len(applied) == len(patches) > 20
        moved = sample(changed, *conds, steps=2)
        relative = ((moved - plain).norm() / plain.norm()).item()
        print(family, role, len(patches), f"effect {relative:.3f} std {plain.std():.2f}")
        assert torch.isfinite(moved).all()
        assert relative > 0.05
