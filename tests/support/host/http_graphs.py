"""API-format graphs and broken LoRA files for the tests over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tools.tiny import linears, loras

Graph = dict[str, dict[str, Any]]


def _node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def fused_image(subject: str, style: str, steps: int = 3, **fuse: Any) -> Graph:
    """A stranger's text-to-image graph: all four nodes, one image, the map and the report shown."""
    settings = {"subject_strength": 1.0, "style_strength": 1.0, "balance": 0.0, "schedule": "s"} | fuse
    return {
        "ckpt": _node("CheckpointLoaderSimple", ckpt_name="tiny-sd15.safetensors"),
        "pair": _node("KLoRALoadPair", subject_lora=subject, style_lora=style),
        "one": _node("KLoRALoadLora", lora_name=style),
        "fuse": _node(
            "KLoRAFuse",
            model=["ckpt", 0],
            clip=["ckpt", 1],
            subject=["pair", 0],
            style=["one", 0],
            **settings,
        ),
        "good": _node("CLIPTextEncode", text="a corgi, oil painting", clip=["fuse", 1]),
        "bad": _node("CLIPTextEncode", text="blurry", clip=["fuse", 1]),
        "empty": _node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "sampler": _node(
            "KSampler",
            model=["fuse", 0],
            positive=["good", 0],
            negative=["bad", 0],
            latent_image=["empty", 0],
            seed=1,
            steps=steps,
            cfg=4.0,
            sampler_name="euler",
            scheduler="normal",
            denoise=1.0,
        ),
        "decode": _node("VAEDecode", samples=["sampler", 0], vae=["ckpt", 2]),
        "image": _node("SaveImage", images=["decode", 0], filename_prefix="fused"),
        "map": _node("KLoRASelectionMap", plan=["fuse", 2], steps=steps),
        "map_image": _node("PreviewImage", images=["map", 0]),
        "report": _node("PreviewAny", source=["fuse", 3]),
    }


_SD15_PAIR = {
    "subject_lora": "tiny-subject-sd15.safetensors",
    "style_lora": "tiny-style-sd15.safetensors",
}
# By node, what it must be sent, and the output that is shown.
_NODES: dict[str, tuple[dict[str, Any], int]] = {
    "KLoRAFuse": (
        {
            **{"model": ["ckpt", 0], "subject": ["pair", 0], "style": ["pair", 1]},
            **{"subject_strength": 1.0, "style_strength": 1.0, "balance": 0.0, "schedule": "s"},
        },
        3,
    ),
    "KLoRACompose": ({"model": ["ckpt", 0], "set": ["set", 0], "method": "K-LoRA"}, 3),
    "KLoRAMerge": ({"model": ["ckpt", 0], "set": ["set", 0], "method": "Linear", "rank": 0}, 1),
    "KLoRASelectionMap": ({"plan": ["fuse", 2], "steps": 4}, 1),
    "KLoRASet": ({"strength": 1.0, "role": "subject"}, 0),
    "KLoRALoadLora": ({"lora_name": _SD15_PAIR["style_lora"]}, 1),
}


def lora_graph(kind: str) -> Graph:
    """The tiny SD1.5 pair at the node ``node`` of this kind, and what it says at the node ``report``."""
    inputs, output = _NODES[kind]
    return {
        "ckpt": _node("CheckpointLoaderSimple", ckpt_name="tiny-sd15.safetensors"),
        "pair": _node("KLoRALoadPair", **_SD15_PAIR),
        "first": _node("KLoRASet", lora=["pair", 0], strength=1.0, role="subject"),
        "set": _node("KLoRASet", lora=["pair", 1], strength=1.0, role="style", set=["first", 0]),
        "fuse": _node("KLoRAFuse", **_NODES["KLoRAFuse"][0]),
        "node": _node(kind, **inputs),
        "report": _node("PreviewAny", source=["node", output]),
    }


def write_broken_loras(folder: Path) -> None:
    """Files that a user may well have in the loras folder by mistake."""
    recipes = loras.recipes()
    good = loras.build_lora(recipes["tiny-style-sd15"])
    half = {key: value for key, value in good.items() if ".up_blocks." in key}
    save_file(half, folder / "up-blocks-only.safetensors")
    subject = loras.build_lora(recipes["tiny-subject-sd15"])
    down = {key: value for key, value in subject.items() if "_down_blocks_" in key}
    save_file(down, folder / "down-only.safetensors")
    whole = (folder / "down-only.safetensors").read_bytes()
    (folder / "truncated.safetensors").write_bytes(whole[: len(whole) // 2])
    (folder / "web-page.safetensors").write_text("<!doctype html><title>401 Unauthorized</title>")
    save_file({"first_stage_model.encoder.conv_in.weight": torch.zeros(4, 4)}, folder / "a-vae.safetensors")
    save_file(_reshaping(subject), folder / "reshapes.safetensors")


def _reshaping(lora: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    ups = [key for key in lora if key.endswith(".lora_up.weight") and "lora_unet" in key]
    return {**lora, **{key.replace("lora_up.weight", "reshape_weight"): torch.ones(2) for key in ups}}


SD15_SLOTS = len(linears.sd15_linears())
