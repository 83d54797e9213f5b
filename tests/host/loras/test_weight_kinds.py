"""OFT, BOFT, GLoRA and DoRA in the host: what its own loader makes of them; and layers that don't fit."""

from __future__ import annotations

import json

import comfy.sd
import comfy.utils
import folder_paths
import pytest
import torch
from safetensors.torch import save_file

from tests.support import kinds
from tests.support.host.nodes import UNET_LAYERS, baked, fuse, part, relative
from tests.support.host.reference import random_lora
from tools.tiny import model_path

CONV, EMBED = "input_blocks.1.0.in_layers.2", "input_blocks.1.0.emb_layers.1"
# As the host reads them: a DoRA of rows has the norms of W, and of an OFT no rescale is known.
PLACED = {
    UNET_LAYERS[0]: lambda w, g: kinds.dora_rows(w, g, of_base=True),
    UNET_LAYERS[1]: kinds.dora_columns,
    UNET_LAYERS[2]: lambda w, g: kinds.oft(w, g, block=8, rescaled=False, alpha=2.0),
    UNET_LAYERS[3]: lambda w, g: kinds.boft(w, g, block=8),
    UNET_LAYERS[6]: kinds.glora,
    UNET_LAYERS[7]: kinds.old_glora,
    EMBED: kinds.dora_columns,
    CONV: kinds.dora_columns,
    "input_blocks.3.0.in_layers.2": lambda w, g: kinds.oft(w, g, block=8, rescaled=False),
    "input_blocks.3.0.out_layers.3": kinds.glora,
    "output_blocks.0.0.out_layers.3": lambda w, g: kinds.dora_rows(w, g, of_base=True),
}


def of_kinds(model, placed, flat=True):
    """A LoRA file with a kind on each layer, small enough for a picture to be left."""
    tensors = {}
    for seed, (layer, make) in enumerate(placed.items()):
        weight = model.get_submodule(f"diffusion_model.{layer}").weight.detach().float()
        made, _ = make(weight, torch.Generator().manual_seed(seed))
        for end, tensor in made.items():
            if end == ".dora_scale":
                # Magnitudes near the norms, as training leaves them.
                dims = [d for d in range(weight.ndim) if d != (0 if tensor.shape[0] == len(weight) else 1)]
                tensor = tensor.mul(0.2).add(0.8) * torch.linalg.vector_norm(weight, dim=dims, keepdim=True)
            elif end not in (".alpha", ".oft_blocks"):
                tensor = tensor * 0.2
            elif end == ".oft_blocks":
                tensor = tensor * 0.3
            name = f"lora_unet_{layer.replace('.', '_')}" if flat else f"diffusion_model.{layer}"
            tensors[name + end] = tensor
        if ".oft_blocks" in made and ".alpha" not in made:
            # The host's BOFT compares it.
            tensors[name + ".alpha"] = torch.tensor(0.0)
    return tensors


def silent(model, layers):
    lora = random_lora(model, layers, rank=2, seed=3)
    return {key: torch.zeros_like(t) if "lora_B" in key else t for key, t in lora.items()}


@pytest.fixture(scope="module")
def lora(_sd15):
    return of_kinds(_sd15.model.model, PLACED)


def test_a_subject_of_every_kind_is_what_the_hosts_loader_makes_of_it(pack, sd15, sd15_conds, sample, lora):
    """Linear layers and convolutions, with another LoRA loaded before it, whose weights they depend on."""
    before = random_lora(sd15.model.model, [*UNET_LAYERS[:3], CONV], rank=2, seed=9)
    model = baked(sd15.model, before)
    fused = fuse(pack, model, lora, silent(model.model, PLACED))
    assert {slot.name for slot in fused.plan.slots} == set(PLACED)
    assert (
        "subject: DoRA in 5 layers: what it changes there was worked out with this checkpoint" in fused.report
    )
    assert "OFT or BOFT in 3 layers" in fused.report and "GLoRA in 3 layers" in fused.report
    expected = sample(baked(model, lora), *sd15_conds, steps=2)
    assert relative(sample(model, *sd15_conds, steps=2), expected) > 1e-2
    assert relative(sample(fused.model, *sd15_conds, steps=2), expected) < 1e-4
    # What the same file changes depends on the checkpoint, and so does its score.
    other = fuse(pack, sd15.model, lora, silent(model.model, PLACED)).plan
    scores = [
        {s.name: e.scores[0] for s, e in zip(p.slots, p.method.evidence, strict=True)}
        for p in (fused.plan, other)
    ]
    assert scores[0][CONV] != scores[1][CONV] and scores[0][EMBED] == scores[1][EMBED]


def test_they_take_turns_with_a_plain_lora(pack, sd15, sd15_conds, sample, lora):
    """Against the host's own loader, with either all the time; and both in one run, on the same layers."""
    style = random_lora(sd15.model.model, list(PLACED), rank=2, seed=4)
    runs = {}
    for name, balance in (("subject", -8.0), ("style", 8.0), ("both", 0.0)):
        runs[name] = sample(fuse(pack, sd15.model, lora, style, balance=balance).model, *sd15_conds, steps=3)
    assert relative(runs["subject"], sample(baked(sd15.model, lora), *sd15_conds, steps=3)) < 1e-4
    assert relative(runs["style"], sample(baked(sd15.model, style), *sd15_conds, steps=3)) < 1e-4
    assert min(relative(runs["both"], runs[name]) for name in ("subject", "style")) > 1e-3


def test_on_fp8_weights(pack, models_dir, _flux, flux_conds, sample):
    """Rows of a fused layer that has a bias; the weight is dequantised for its norms, and never changed."""
    stored = comfy.utils.load_torch_file(str(model_path("diffusion_models", "tiny-flux.safetensors")))
    fp8 = {k: v.to(torch.float8_e4m3fn) if v.ndim == 2 else v for k, v in stored.items()}
    options = {"dtype": torch.float8_e4m3fn}
    quantised = comfy.sd.load_diffusion_model_state_dict(dict(fp8), model_options=options)
    plain = comfy.sd.load_diffusion_model_state_dict(
        {k: v.float() for k, v in fp8.items()}, model_options={"dtype": torch.float32}
    )
    made = {
        "double_blocks.0.img_attn.qkv": lambda w, g: kinds.dora_rows(w, g, of_base=True),
        "single_blocks.3.linear2": kinds.dora_columns,
        "double_blocks.1.txt_mlp.0": lambda w, g: kinds.oft(w, g, block=8, rescaled=False),
    }
    subject = of_kinds(plain.model, made)
    quiet = silent(plain.model, made)
    fused = fuse(pack, quantised, subject, quiet)
    assert len(fused.plan.slots) == 3

    def run(model):
        return sample(model, *flux_conds, steps=3, cfg=1.0, scheduler="simple")

    expected = run(baked(plain, subject))
    assert relative(run(plain), expected) > 5e-3
    assert relative(run(fused.model), expected) < 1e-3
    weight = quantised.model.get_submodule("diffusion_model.single_blocks.3.linear2").weight
    assert weight.dtype == torch.float8_e4m3fn


def test_a_layer_that_a_variant_of_the_base_model_has_wider_costs_that_layer(pack, flux_model):
    """A FLUX-dev LoRA on FLUX Fill: its img_in takes more channels in."""
    layers = [
        "img_in",
        "double_blocks.0.img_attn.qkv",
        "double_blocks.0.img_mlp.0",
        "single_blocks.1.linear2",
    ]
    pair = [random_lora(flux_model.model, layers, rank, rank) for rank in (2, 3)]
    key = "diffusion_model.img_in.lora_A.weight"
    width = pair[0][key].shape[1]
    pair[0][key] = torch.randn(2, width + 5)
    fused = fuse(pack, flux_model, *pair)
    assert {slot.name for slot in fused.plan.slots} == {*layers} - {"img_in"}
    (line,) = [line for line in fused.report.splitlines() if "NOT applied" in line]
    assert (
        line.strip().startswith("subject: 1 layer, NOT applied: it is ") and "diffusion_model.img_in" in line
    )
    assert f"x {width + 5} in the LoRA and " in line
    for layer in layers[1:3]:
        key = f"diffusion_model.{layer}.lora_A.weight"
        pair[0][key] = torch.randn(2, pair[0][key].shape[1] + 5)
    with pytest.raises(
        ValueError, match=r"^Choose a LoRA made for .*another base model.*\(3 of 4 layers differ\)"
    ):
        fuse(pack, flux_model, *pair)


def test_alpha_and_rs_lora_of_the_metadata(pack, sd15, tmp_path, monkeypatch):
    """The loader keeps the header, and the reader scales by it; the same tensors without it are unchanged."""
    layer = UNET_LAYERS[0]
    tensors = random_lora(sd15.model.model, [layer], rank=4, seed=1)
    settings = {"lora_alpha": 6, "use_rslora": True, "r": 4}
    save_file(tensors, tmp_path / "rs.safetensors", metadata={"lora_adapter_metadata": json.dumps(settings)})
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "loras", ([str(tmp_path)], {".safetensors"}))
    load, read = part(pack, "nodes.loras.file").load, part(pack, "nodes.loras.read").read
    found = read(load("rs.safetensors"), "rs", sd15.model, None)
    (delta,) = found.slots.values()
    assert delta.scale == pytest.approx(6 / 2)
    notes = part(pack, "nodes.loras.notes").notes("subject", found, 1.0, keep=True, clip=False)
    lines = [note.text for note in notes]
    assert "subject: scale (alpha / rank) from the file's metadata: 6 / sqrt 4 in 1 layer." in lines
    (plain,) = read(dict(tensors), "plain", sd15.model, None).slots.values()
    assert plain.scale == 1
