"""LoRAs in the spellings and kinds that exist, through the host's own key map."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

from klora_core.cli import main
from tests.support.host.nodes import UNET_LAYERS, fuse, part, relative
from tests.support.host.reference import Reference, random_lora

HEADS = ("to_q", "to_k", "to_v")


def kohya(lora):
    """The same LoRA under the names that kohya's trainer writes."""
    renamed = {}
    for key, tensor in lora.items():
        layer, _, end = key.removeprefix("diffusion_model.").partition(".lora_")
        if end:
            kind = "lora_down" if end.startswith("A") else "lora_up"
            renamed[f"lora_unet_{layer.replace('.', '_')}.{kind}.weight"] = tensor
        else:
            renamed[
                f"lora_unet_{key[: -len('.alpha')].removeprefix('diffusion_model.').replace('.', '_')}.alpha"
            ] = tensor
    return renamed


def decisions(plan):
    return [(s["name"], s["k"], round(s["rho"], 5), s["choice"]) for s in plan.to_json(12)["slots"]]


def test_kohya_names_give_the_same_plan(pack, sd15, pair):
    plan = fuse(pack, sd15.model, *pair).plan
    assert decisions(fuse(pack, sd15.model, kohya(pair[0]), pair[1]).plan) == decisions(plan)


@pytest.mark.parametrize("prefix", ["unet.", "unet.unet.", "base_model.model.", "unet.base_model.model."])
@pytest.mark.parametrize("ends", [("lora_A.weight", "lora_B.weight"), ("lora.down.weight", "lora.up.weight")])
def test_dotted_diffusers_names_give_the_same_plan(pack, sd15, pair, prefix, ends):
    """Spellings that core's own key map leaves out."""
    import comfy.utils

    theirs = comfy.utils.unet_to_diffusers(sd15.model.model.model_config.unet_config)
    layers = {weight: name for name, weight in theirs.items()}
    renamed = {}
    for key, tensor in pair[1].items():
        layer, _, end = key.removeprefix("diffusion_model.").partition(".lora_")
        name = layers[f"{layer}.weight"].removesuffix(".weight")
        renamed[f"{prefix}{name}.{ends[0] if end.startswith('A') else ends[1]}"] = tensor
    plan = fuse(pack, sd15.model, *pair).plan
    assert decisions(fuse(pack, sd15.model, pair[0], renamed).plan) == decisions(plan)


def test_files_nodes_and_command_line_agree(pack, sd15, pair, tmp_path, monkeypatch):
    """The loader node, the loaded state dict and the CLI, which shares no key map with the host."""
    import folder_paths

    save_file(kohya(pair[0]), tmp_path / "who.safetensors")
    save_file(dict(pair[1]), tmp_path / "how.safetensors")
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "loras", ([str(tmp_path)], {".safetensors"}))
    load = part(pack, "nodes").KLoRALoadPair.execute("who.safetensors", "how.safetensors").result[:2]
    plan = fuse(pack, sd15.model, *load).plan
    assert decisions(plan) == decisions(fuse(pack, sd15.model, *pair).plan)
    out = tmp_path / "plan.json"
    files = [str(tmp_path / name) for name in ("who.safetensors", "how.safetensors")]
    assert main(["report", *files, "--steps", "12", "--json", str(out)]) == 0
    assert json.loads(out.read_text()) == plan.to_json(12)


def test_fused_and_split_flux(pack, flux_model, flux_conds, sample):
    """One LoRA with fused qkv, the other with q, k and v apart: rows of the fused one compete one by one."""
    model = flux_model.model
    width = model.diffusion_model.hidden_size
    fused_layers = {"double_blocks.0.img_attn.qkv": 3 * width, "double_blocks.1.txt_attn.qkv": 3 * width}
    split = {
        "double_blocks.0.img_attn.qkv": "transformer.transformer_blocks.0.attn.{}".format,
        "double_blocks.1.txt_attn.qkv": "transformer.transformer_blocks.1.attn.add_{}_proj".format,
        "single_blocks.2.linear1": "transformer.single_transformer_blocks.2.attn.{}".format,
    }
    subject = random_lora(
        model, [*fused_layers, "single_blocks.2.linear1", "single_blocks.1.linear2"], 5, seed=4
    )
    style, sliced = {}, {}
    generator = torch.Generator().manual_seed(6)
    for layer, name in split.items():
        for i, head in enumerate(HEADS):
            down, up = (torch.randn(s, generator=generator) for s in ((3, width), (width, 3)))
            up *= 0.3 * (i + 1) ** 2 / width**0.5
            spelled = name(head if "add_" not in name("") else head[-1])
            style[f"{spelled}.lora_A.weight"], style[f"{spelled}.lora_B.weight"] = down, up
            sliced[layer, i] = up.double() @ down.double(), 3
    fused = fuse(pack, flux_model, subject, style)
    names = [slot.name for slot in fused.plan.slots]
    assert names == [
        *(f"double_blocks.0.img_attn.qkv[{i * width}:{(i + 1) * width}]" for i in range(3)),
        *(f"double_blocks.1.txt_attn.qkv[{i * width}:{(i + 1) * width}]" for i in range(3)),
        *(f"single_blocks.2.linear1[{i * width}:{(i + 1) * width}]" for i in range(3)),
    ]
    rest = f"single_blocks.2.linear1[{3 * width}:{7 * width}]"
    assert sorted(fused.plan.loras[0].alone) == ["single_blocks.1.linear2", rest]
    # Restated: a Reference over slices, each slice a layer of its own that lands in its rows.
    reference = Reference(subject, {})
    whole, reference.subject = reference.subject, {}
    for (layer, i), delta in sliced.items():
        reference.subject[f"{layer}|{i}"] = whole[layer][0][i * width : (i + 1) * width], whole[layer][1]
        reference.style[f"{layer}|{i}"] = delta
    reference.subject["single_blocks.2.linear1|3"] = whole["single_blocks.2.linear1"][0][3 * width :], 5
    reference.subject["single_blocks.1.linear2"] = whole["single_blocks.1.linear2"]
    reference.compete()
    conds = (flux_conds.positive, flux_conds.negative)

    def run(model):
        return sample(model, *conds, steps=5, cfg=1.0, scheduler="simple")

    expected = run(reference.patch(flux_model))
    assert len({tuple(reference.winners(x).values()) for x in reference.used}) > 2
    assert relative(run(flux_model), expected) > 1e-2
    assert relative(run(fused.model), expected) < 1e-4


def loha(model, layer, seed, rank=3):
    out, inputs = model.get_submodule(f"diffusion_model.{layer}").weight.flatten(1).shape
    g = torch.Generator().manual_seed(seed)
    at = f"lora_unet_{layer.replace('.', '_')}"
    shapes = {
        "hada_w1_a": (out, rank),
        "hada_w1_b": (rank, inputs),
        "hada_w2_a": (out, rank),
        "hada_w2_b": (rank, inputs),
    }
    return {f"{at}.{k}": torch.randn(s, generator=g) * 0.2 for k, s in shapes.items()} | {
        f"{at}.alpha": torch.tensor(2.0)
    }


def lokr(model, layer, seed):
    out, inputs = model.get_submodule(f"diffusion_model.{layer}").weight.flatten(1).shape
    g = torch.Generator().manual_seed(seed)
    at = f"lora_unet_{layer.replace('.', '_')}"
    return {
        f"{at}.lokr_w1": torch.randn(4, 4, generator=g),
        f"{at}.lokr_w2_a": torch.randn(out // 4, 2, generator=g) * 0.1,
        f"{at}.lokr_w2_b": torch.randn(2, inputs // 4, generator=g) * 0.1,
        f"{at}.alpha": torch.tensor(1.0),
    }


def tucker(model, layer, seed, rank=3):
    weight = model.get_submodule(f"diffusion_model.{layer}").weight
    g = torch.Generator().manual_seed(seed)
    at = f"lora_unet_{layer.replace('.', '_')}"
    return {
        f"{at}.lora_up.weight": torch.randn(weight.shape[0], rank, 1, 1, generator=g) * 0.1,
        f"{at}.lora_mid.weight": torch.randn(rank, rank, *weight.shape[2:], generator=g) * 0.1,
        f"{at}.lora_down.weight": torch.randn(rank, weight.shape[1], 1, 1, generator=g) * 0.1,
    }


ATTENTION, CONV = UNET_LAYERS[0], "input_blocks.1.0.in_layers.2"


@pytest.mark.parametrize(("make", "layer"), [(loha, ATTENTION), (lokr, ATTENTION), (tucker, CONV)])
def test_other_additive_kinds(pack, sd15, sd15_conds, pair, sample, make, layer):
    """A LoHa, LoKr or Tucker subject that always wins gives what the host's own LoRA loader gives."""
    import comfy.sd

    lora = make(sd15.model.model, layer, seed=8)
    keys = (f"diffusion_model.{layer}.lora_A.weight", f"diffusion_model.{layer}.lora_B.weight")
    silent = {keys[0]: pair[1][keys[0]], keys[1]: torch.zeros_like(pair[1][keys[1]])}
    fused = fuse(pack, sd15.model, lora, silent)
    assert [slot.name for slot in fused.plan.slots] == [layer]
    expected = sample(comfy.sd.load_lora_for_models(sd15.model, None, lora, 1.0, 0)[0], *sd15_conds)
    assert relative(sample(sd15.model, *sd15_conds), expected) > 1e-3
    assert relative(sample(fused.model, *sd15_conds), expected) < 1e-4


def test_a_lora_from_cores_training_node(pack, sd15, sd15_conds, pair, tmp_path):
    import comfy.utils
    from comfy_extras.nodes_train import TrainLoraNode

    settings = {
        "batch_size": 1,
        "steps": 3,
        "grad_accumulation_steps": 1,
        "learning_rate": 1e-3,
        "rank": 4,
        "optimizer": "AdamW",
        "loss_function": "MSE",
        "seed": 1,
        "training_dtype": "fp32",
        "lora_dtype": "fp32",
        "quantized_backward": False,
        "algorithm": "LoRA",
        "gradient_checkpointing": False,
        "checkpoint_depth": 1,
        "offloading": False,
        "existing_lora": "[None]",
        "bucket_mode": False,
        "bypass_mode": False,
    }
    latents = {"samples": torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))}
    trained = TrainLoraNode.execute(
        [sd15.model], [latents], [sd15_conds.positive], **{k: [v] for k, v in settings.items()}
    ).result[0]
    fused = fuse(pack, sd15.model, trained, pair[1])
    assert {slot.name for slot in fused.plan.slots} >= set(UNET_LAYERS)
    assert "bias or norm tensors" in fused.report
    path = tmp_path / "trained.safetensors"
    save_file({k: v.contiguous() for k, v in trained.items()}, path)
    assert fuse(pack, sd15.model, comfy.utils.load_torch_file(str(path)), pair[1]).plan == fused.plan


def test_ordinary_patches_carry_biases_and_the_text_encoder(pack, sd15, pair):
    subject = dict(pair[0])
    subject["lora_unet_out_2.diff_b"] = torch.ones(4)
    text = "lora_te_text_model_encoder_layers_0_mlp_fc1"
    subject[f"{text}.lora_up.weight"] = torch.ones(3072, 1)
    subject[f"{text}.lora_down.weight"] = torch.ones(1, 768)
    with_clip = fuse(pack, sd15.model, subject, pair[1], clip=sd15.clip, subject_strength=0.5)
    assert with_clip.model.patches["diffusion_model.out.2.bias"][0][0] == 0.5
    (patches,) = with_clip.clip.patcher.patches.values()
    assert patches[0][0] == 0.5
    assert not sd15.clip.patcher.patches
    without = fuse(pack, sd15.model, subject, pair[1])
    assert without.clip is None
    assert "1 text-encoder layer, NOT applied: connect clip" in without.report
    dropped = fuse(pack, sd15.model, subject, pair[1], other_layers="drop")
    assert not dropped.model.patches
