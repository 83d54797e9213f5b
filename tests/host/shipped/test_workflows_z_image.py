"""Z-Image keeps q, k and v in one matrix; LoRAs for it exist with one matrix and with three."""

from __future__ import annotations

import comfy.utils
import pytest
import torch

from tests.support.host.nodes import fuse, relative
from tests.support.host.nodes_for_tests import load_model
from tests.support.host.reference import Reference, dense
from tools.tiny import loras, model_path, models, z_image

WIDTH = z_image.Z_IMAGE_DIT["dim"]
HEADS = ("to_q", "to_k", "to_v")
NATIVE = {linear.name.replace(".", "_"): linear.name for linear in z_image.fused_linears()}


@pytest.fixture(scope="module")
def _model():
    models.ensure("zimage")
    loras.ensure(["zimage"])
    return load_model(str(model_path("diffusion_models", "tiny-zimage.safetensors")))


@pytest.fixture
def model(_model):
    return _model.clone()


@pytest.fixture
def pair(_model):
    """As files hold them: kohya's names with qkv fused, and diffusers' with q, k and v apart."""
    paths = [model_path("loras", f"tiny-{role}-zimage.safetensors") for role in ("subject", "style")]
    return [comfy.utils.load_torch_file(str(path)) for path in paths]


def native(lora):
    """Kohya's names as the model's own."""
    out = {}
    for key, tensor in lora.items():
        module, _, kind = key.removeprefix("lora_unet_").partition(".")
        kind = kind.replace("lora_up", "lora_B").replace("lora_down", "lora_A")
        out[f"diffusion_model.{NATIVE[module]}.{kind}"] = tensor
    return out


def renamed(lora, prefix):
    return {prefix + key.removeprefix("transformer."): tensor for key, tensor in lora.items()}


def decisions(plan):
    return [(slot["name"], round(slot["rho"], 5), slot["choice"]) for slot in plan.to_json(8)["slots"]]


def test_fused_and_split_pair_up_in_every_spelling(pack, model, pair):
    subject, style = pair
    plan = fuse(pack, model, subject, style).plan
    names = [slot.name for slot in plan.slots]
    thirds = [f"layers.0.attention.qkv[{i * WIDTH}:{(i + 1) * WIDTH}]" for i in range(3)]
    assert [name for name in names if name.startswith("layers.0.attention")] == [
        "layers.0.attention.out",
        *thirds,
    ]
    assert len(names) == len(z_image.linears())
    assert not any(lora.alone for lora in plan.loras)
    for other in (native(subject), subject):
        for prefix in ("transformer.", "diffusion_model.", ""):
            again = fuse(pack, model, other, renamed(style, prefix)).plan
            assert decisions(again) == decisions(plan)


def test_sampling_follows_the_equations(pack, model, pair, sample):
    subject, style = pair
    fused = fuse(pack, model, subject, style).model
    reference = Reference(native(subject), {})
    for layer, (delta, rank) in list(reference.subject.items()):
        if layer.endswith("qkv"):
            del reference.subject[layer]
            for i in range(3):
                reference.subject[f"{layer}|{i}"] = delta[i * WIDTH : (i + 1) * WIDTH], rank
    for layer, change in dense(renamed(style, "diffusion_model.")).items():
        module, _, last = layer.rpartition(".")
        name = f"{module}.qkv|{HEADS.index(last)}" if last in HEADS else layer.replace("to_out.0", "out")
        reference.style[name] = change
    reference.compete()
    context = torch.randn(1, 16, 64, generator=torch.Generator().manual_seed(5))
    conds = ([[context, {}]], [[context, {}]])

    def run(patcher):
        return sample(patcher, *conds, steps=8, cfg=1.0, sampler_name="res_multistep", scheduler="simple")

    expected = run(reference.patch(model))
    assert len({tuple(reference.winners(x).values()) for x in reference.used}) > 2
    assert relative(run(model), expected) > 1e-2
    assert relative(run(fused), expected) < 1e-4
