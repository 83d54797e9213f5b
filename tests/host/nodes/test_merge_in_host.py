"""Merged LoRAs in core's own loader: the file and the state dict do what the LoRAs did."""

from __future__ import annotations

import comfy.lora
import comfy.utils
import pytest
import torch
from comfy_extras.nodes_train import LoraModelLoader
from safetensors.torch import save_file

from klora_core import files
from klora_core.cli import merge as cli_merge
from klora_core.merges import METHODS, merge, named
from klora_core.merges import saving as merge_file
from tests.support.host.nodes import baked, relative, unet_pair
from tests.support.host.reference import random_lora


def slots(*loras):
    return [files.from_tensors(f"lora {i}", lora) for i, lora in enumerate(loras)]


def test_the_sum_in_core_s_loader(sd15, sd15_conds, sample):
    """Convolutions with and without their kernel: core reshapes a flat one."""
    pair = unet_pair(sd15.model.model)
    merged = merge(cli_merge.rows_of(slots(*pair)), named("linear"), (1.0, -0.6))
    shapes = {
        key.removeprefix("diffusion_model.").removesuffix(".weight"): weight.shape
        for key, weight in sd15.model.model.state_dict().items()
        if key.startswith("diffusion_model.") and key.endswith(".weight")
    }

    def run(model):
        return sample(model, sd15_conds.positive, sd15_conds.negative, steps=3)

    plain = run(sd15.model)
    want = run(baked(baked(sd15.model, pair[0]), pair[1], -0.6))
    assert relative(plain, want) > 1e-2
    for known in (shapes, None):
        lora = merge_file.state_dict(merged.deltas, torch.float32, known)
        model = LoraModelLoader.execute(sd15.model, lora, 1.0).result[0]
        assert len(model.patches) == len(merged.deltas)
        assert relative(run(model), want) < 1e-4


def test_a_merged_file_of_flux(flux_model, flux_conds, sample, tmp_path, caplog):
    """Fused and split LoRAs through the command: one file with fused weights, every key known to core."""
    model = flux_model.model
    width = model.diffusion_model.hidden_size
    layers = ["double_blocks.0.img_attn.qkv", "single_blocks.2.linear1", "single_blocks.1.linear2"]
    fused = random_lora(model, layers, 5, seed=4)
    split = {}
    rng = torch.Generator().manual_seed(6)
    for name in ("to_q", "to_k", "to_v"):
        module = f"transformer.transformer_blocks.0.attn.{name}"
        split[f"{module}.lora_A.weight"] = torch.randn(3, width, generator=rng)
        split[f"{module}.lora_B.weight"] = torch.randn(width, 3, generator=rng) * 0.3 / width**0.5
    paths = [tmp_path / "fused.safetensors", tmp_path / "split.safetensors"]
    for path, lora in zip(paths, (fused, split), strict=True):
        save_file(lora, path)
    options = ["merge", *map(str, paths), "--weights", "0.8", "0.5", "--dtype", "fp32"]
    _command(*options, "-o", str(tmp_path / "out.safetensors"))

    def run(model):
        return sample(model, flux_conds.positive, flux_conds.negative, steps=3, cfg=1.0, scheduler="simple")

    want = run(baked(baked(flux_model, fused, 0.8), split, 0.5))
    merged = comfy.utils.load_torch_file(str(tmp_path / "out.safetensors"), safe_load=True)
    assert relative(run(flux_model), want) > 1e-3
    caplog.clear()
    assert relative(run(baked(flux_model, merged)), want) < 1e-4
    assert "lora key not loaded" not in caplog.text


@pytest.mark.parametrize("method", [method.name for method in METHODS])
def test_every_method_in_half_precision(method, sd15):
    """fp16, the default of files: what core puts onto a weight is the merged change, to fp16's rounding."""
    pair = unet_pair(sd15.model.model)
    merged = merge(cli_merge.rows_of(slots(*pair)), named(method), (1.0, 1.0), rank=8)
    lora = merge_file.state_dict(merged.deltas, torch.float16)
    patched = baked(sd15.model, lora)
    for slot, change in merged.deltas.items():
        key = f"diffusion_model.{slot.weight}.weight"
        before = comfy.utils.get_attr(sd15.model.model, key).float()
        after = comfy.lora.calculate_weight(patched.patches[key], before.clone(), key)
        added = (after - before).flatten(1)
        assert relative(added, change.dense()) < 2e-3, slot.name


def _command(*arguments):
    import argparse

    parser = argparse.ArgumentParser()
    cli_merge.add_parser(parser.add_subparsers(dest="command", required=True))
    assert cli_merge.run(parser.parse_args(arguments)) == 0
