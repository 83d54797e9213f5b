"""The tiny models are what they claim: detected, finite, and moved by their LoRAs in every spelling."""

from __future__ import annotations

import comfy.lora
import comfy.lora_convert
import comfy.model_base
import comfy.sd
import comfy.utils
import pytest
import torch

from tools.tiny import model_path


@pytest.mark.parametrize(
    ("fixture", "base", "family"),
    [("sd15_model", comfy.model_base.BaseModel, "sd15"), ("sdxl_model", comfy.model_base.SDXL, "sdxl"),
     ("flux_model", comfy.model_base.Flux, "flux")],
)  # fmt: skip
def test_samples_and_loras_apply(fixture, base, family, request, sample, models_dir):
    model = request.getfixturevalue("sd15").model if family == "sd15" else request.getfixturevalue(fixture)
    conds = request.getfixturevalue(f"{family}_conds")
    assert isinstance(model.model, base)
    plain = sample(model, *conds)
    assert torch.isfinite(plain).all()
    assert plain.std() > 0.1
    for role in ("subject", "style"):
        lora = comfy.utils.load_torch_file(str(model_path("loras", f"tiny-{role}-{family}.safetensors")))
        key_map = comfy.lora.model_lora_keys_unet(model.model, {})
        patches = comfy.lora.load_lora(comfy.lora_convert.convert_lora(lora), key_map)
        of_unet = {key.rsplit(".lora", 1)[0] for key in lora if not key.startswith("lora_te")}
        changed = model.clone()
        applied = changed.add_patches(patches)
        assert len(applied) == len(patches) > 20, (role, len(of_unet))
        moved = sample(changed, *conds)
        relative = ((moved - plain).norm() / plain.norm()).item()
        print(family, role, len(patches), f"effect {relative:.3f} std {plain.std():.2f}")
        assert torch.isfinite(moved).all()
        assert relative > 0.05
