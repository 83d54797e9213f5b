"""Merge LoRAs in the real host: what it makes is loaded, fused, saved and read again as any LoRA is."""

from __future__ import annotations

import comfy.utils
import folder_paths
import pytest
import torch
from comfy_extras.nodes_train import LoraModelLoader

from klora_core.merges import METHODS
from tests.support.host.nodes import baked, compose, fuse, lora_set, merged, part, relative, subject_and_style


@pytest.mark.parametrize("method", [m.label for m in METHODS])
def test_merged_loras_load_in_core_and_fuse(pack, sd15, sd15_conds, pair, sample, method):
    lora, report = merged(pack, sd15.model, subject_and_style(pack, pair), method)
    model = LoraModelLoader.execute(sd15.model, lora, 1.0).result[0]
    base = sample(sd15.model, *sd15_conds)
    assert relative(sample(model, *sd15_conds), base) > 1e-3
    assert all(name in report for name in ("subject LoRA", "style LoRA"))
    assert fuse(pack, sd15.model, lora, pair[1]).plan.loras[0].slots == len(
        {k.rsplit(".lora_", 1)[0] for k in lora if ".lora_" in k}
    )


def test_the_linear_merge_in_core_is_the_static_composition(pack, sd15, sd15_conds, pair, sample):
    """Every LoRA of the role other: the side path's static plan, against the one merged LoRA in core."""
    subject, style = pair
    parts = ((subject, "subject", 0.8), (style, "other", -0.5))
    lora, _ = merged(pack, sd15.model, lora_set(pack, *parts), "Linear")
    for name in ("LoRA Switch", "LoRA Composite"):
        composed = compose(pack, sd15.model, lora_set(pack, *parts), name).model
        core = LoraModelLoader.execute(sd15.model, lora, 1.0).result[0]
        assert relative(sample(composed, *sd15_conds), sample(core, *sd15_conds)) < 1e-5


def respelled(model, lora, spelling):
    """A LoRA of dotted ComfyUI names under kohya's names, or under those that diffusers saves."""
    theirs = comfy.utils.unet_to_diffusers(model.model_config.unet_config)
    dotted = {ours.removesuffix(".weight"): name.removesuffix(".weight") for name, ours in theirs.items()}
    found = {}
    for key, tensor in lora.items():
        layer, _, end = key.removeprefix("diffusion_model.").rpartition(
            ".lora_" if ".lora_" in key else ".alpha"
        )
        if spelling == "kohya":
            ends = {"A.weight": ".lora_down.weight", "B.weight": ".lora_up.weight", "": ".alpha"}
            found["lora_unet_" + layer.replace(".", "_") + ends[end]] = tensor
        else:
            ends = {"A.weight": ".lora.down.weight", "B.weight": ".lora.up.weight", "": ".alpha"}
            found["unet." + dotted[layer] + ends[end]] = tensor
    return found


@pytest.mark.parametrize("spelling", ["kohya", "diffusers"])
def test_a_merged_lora_survives_core_s_save(
    pack, sd15, sd15_conds, pair, sample, tmp_path, monkeypatch, spelling
):
    from comfy_extras.nodes_train import SaveLoRA

    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path))
    plain, _ = merged(pack, sd15.model, subject_and_style(pack, pair), "NP-LoRA")
    named = [respelled(sd15.model.model, lora, spelling) for lora in pair]
    assert not any(set(one) & set(other) for one, other in zip(named, pair, strict=True))
    lora, _ = merged(pack, sd15.model, subject_and_style(pack, named), "NP-LoRA")
    assert lora.keys() == plain.keys() and all(torch.equal(lora[key], plain[key]) for key in plain)
    SaveLoRA.execute(lora, "loras/merged")
    (path,) = tmp_path.glob("loras/*.safetensors")
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "loras", ([str(path.parent)], {".safetensors"}))
    again = part(pack, "nodes").KLoRALoadLora.execute(path.name).result[0]
    before, after = (baked(sd15.model, each) for each in (dict(lora), dict(again)))
    assert torch.equal(sample(before, *sd15_conds), sample(after, *sd15_conds))


def test_a_merged_lora_has_the_words_and_the_base_model_of_its_parts(pack, sd15, pair):
    """Of those that take part, as files say them."""
    of_file = part(pack, "nodes.loras").LoraStateDict
    texts = [
        {"modelspec.trigger_phrase": words, "ss_base_model_version": "sd_v1"}
        for words in ("ohwx cat", "ink style", "silent")
    ]
    loras = [of_file(dict(pair[i % 2]), f"{i}.safetensors", text) for i, text in enumerate(texts)]
    strengths = 1.0, 0.5, 0.0
    members = [(lora, "style", strength) for lora, strength in zip(loras, strengths, strict=True)]
    lora, _ = merged(pack, sd15.model, lora_set(pack, *members), "Linear")
    told = part(pack, "nodes.loras").of_lora(lora)
    assert told == {"trigger_words": "ohwx cat, ink style", "base_model": "SD1.5"}


def test_a_matrix_larger_than_any_layer_is_refused_by_name(pack, sd15, pair):
    """And a layer of full rank is none: the node has the command's bounds, which are of memory."""
    with pytest.raises(
        part(pack, "klora_core.errors").KLoraError, match=r"LoRA-LEGO compares each of \d+ ranks"
    ):
        wide = {key: t if key.endswith("alpha") else _widened(key, t, 2100) for key, t in pair[0].items()}
        merged(pack, sd15.model, lora_set(pack, *[(wide, "style", 1.0)] * 2), "LoRA-LEGO")


def _widened(key, tensor, rank):
    """Factors of a rank in the thousands."""
    side = 0 if "lora_A" in key else 1
    return tensor.narrow(side, 0, 1).expand(*(rank if i == side else n for i, n in enumerate(tensor.shape)))
