"""Networks of many shapes by the names of their slots, and plans over them."""

from __future__ import annotations

import numpy as np

from klora_core.loras import LoraInfo
from klora_core.methods.klora import make_schedule
from klora_core.names import depth_key
from klora_core.plan import Plan

from .plans import evidence, klora_plan

PARTS = ("to_q", "to_k", "to_v", "to_out.0")
SD15 = [f"input_blocks.{i}.1.attn{a}.to_q" for i in (1, 2, 4, 5, 7, 8) for a in (1, 2)]
SD15 += [f"middle_block.1.attn{a}.to_q" for a in (1, 2)]
SD15 += [f"output_blocks.{i}.1.attn{a}.to_q" for i in range(3, 12) for a in (1, 2)]
SDXL = [
    f"{block}.1.transformer_blocks.{t}.attn{a}.{part}"
    for block, depth in (
        ("input_blocks.4", 4),
        ("input_blocks.7", 20),
        ("middle_block", 10),
        ("output_blocks.0", 36),
    )
    for t in range(depth)
    for a in (1, 2)
    for part in PARTS
]
FLUX = [f"double_blocks.{i}.img_attn.qkv[{r}:{r + 3072}]" for i in range(19) for r in range(0, 43008, 3072)]
FLUX += [f"single_blocks.{i}.linear1[{r}:{r + 3072}]" for i in range(38) for r in range(0, 18432, 3072)]
HUGE = [f"blocks.{i}.self_attn.{part}" for i in range(150) for part in "abcdefghij"]
UNKNOWN = [f"some_network_nobody_has_ever_seen_{i}" for i in range(90)]
CASES = {
    "one slot, one step": (SD15[:1], 1),
    "sd15": (SD15, 20),
    "sdxl": (SDXL, 30),
    "flux": (FLUX, 28),
    "huge": (HUGE, 200),
    "unknown": (UNKNOWN, 7),
    "mixed": (SD15[:3] + UNKNOWN[:2] + ["final_layer.linear", "time_embed.0"], 50),
}

CAT, INK = LoraInfo("cat.safetensors", "subject"), LoraInfo("ink.safetensors", "style")


def make_plan(names: list[str], name: str = "s", **parameters: float) -> Plan:
    """Heavy-tailed scores, so that the flips spread over the whole run."""
    rho = np.exp(0.5 * np.random.default_rng(7).standard_t(3, len(names)))
    slots = {
        slot: evidence(float(r), 1.0, k=16, ranks=(4, 4))
        for slot, r in zip(sorted(names, key=depth_key), rho, strict=True)
    }
    return klora_plan(slots, make_schedule(name, **parameters), "none", subject=CAT, style=INK)
