"""What ComfyUI since 0.38 does with a LoRA before anyone reads it: a stand-in written from its behaviour.

Attention that a file keeps in one ``to_qkv`` is cut into its projections with the tensors' own methods; a
LoKr whose blocks lie across the borders stays whole, with the row at which each projection starts. What the
file has beside it for a projection is dropped.
"""

from __future__ import annotations

import re

import torch

_LAYER = re.compile(
    r"(?P<attention>.*(?:transformer_blocks|text_fusion).*attn[._]to_)(?P<what>qkv|[qkv])(?P<end>\..+)"
)
_CUT = (".lora_B.weight", ".lora_up.weight", ".dora_scale")


def convert_lora(lora):
    """The LoRA as a newer host's ``convert_lora`` gives it on."""
    found = {key: _LAYER.fullmatch(key) for key in lora}
    fused = {match["attention"] for match in found.values() if match and match["what"] == "qkv"}
    out = {}
    for key, match in found.items():
        if match is None or match["attention"] not in fused:
            out[key] = lora[key]
        elif match["what"] != "qkv":
            # It looks whether something is trained there, to warn.
            lora[key].any()
        else:
            for name, tensor in zip("qkv", _parts(lora, match, lora[key]), strict=True):
                out[f"{match['attention']}{name}{match['end']}"] = tensor
    for attention in sorted(fused):
        sizes, blocks = _sizes(lora, attention)
        if blocks and any(size % blocks for size in sizes):
            for i, name in enumerate("qkv"):
                out[f"{attention}{name}.row_offset"] = torch.tensor(sum(sizes[:i]))
    return out


def _parts(lora, match, tensor):
    sizes, blocks = _sizes(lora, match["attention"])
    if match["end"] in _CUT:
        return tensor.split(sizes, dim=0)
    if match["end"] in (".lokr_w1", ".lokr_w1_a") and blocks and not any(size % blocks for size in sizes):
        return tensor.split([size // blocks for size in sizes], dim=0)
    return (tensor, tensor, tensor)


def _sizes(lora, attention):
    """Of queries, keys and values; and how many rows a block of a LoKr has, None for another kind."""
    there = {
        key.removeprefix(f"{attention}qkv"): t
        for key, t in lora.items()
        if key.startswith(f"{attention}qkv.")
    }
    blocks = None
    if ".lora_B.weight" in there:
        out, n = there[".lora_B.weight"].shape[0], there[".lora_A.weight"].shape[1]
    elif ".lora_up.weight" in there:
        out, n = there[".lora_up.weight"].shape[0], there[".lora_down.weight"].shape[1]
    else:
        inner = there.get(".lokr_w2")
        blocks, columns = (
            inner.shape if inner is not None else (len(there[".lokr_w2_a"]), there[".lokr_w2_b"].shape[1])
        )
        outer = there.get(".lokr_w1")
        rows, n = (
            outer.shape if outer is not None else (len(there[".lokr_w1_a"]), there[".lokr_w1_b"].shape[1])
        )
        out, n = rows * blocks, n * columns
    return (n, (out - n) // 2, (out - n) // 2), blocks
