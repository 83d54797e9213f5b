"""Diffusers' names of SD 3.5, PixArt, AuraFlow and Krea as ComfyUI spells the same modules."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .names_maps import Target


@dataclass(frozen=True)
class Table:
    """How diffusers calls one network's modules: outside its blocks, and by kind of block inside them.

    ``swapped`` is the module whose two halves of rows (shift and scale) change places.
    """

    top: dict[str, str]
    blocks: dict[str, tuple[str, dict[str, Target]]]
    swapped: str | None = None

    def find(self, path: str) -> Target | None:
        """(ComfyUI path, part of its rows or None for all) of a diffusers path, None for any other."""
        if path in self.top:
            return self.top[path], None
        if (found := _BLOCK.fullmatch(path)) and found[1] in self.blocks:
            name, parts = self.blocks[found[1]]
            target = parts.get(found[3])
            return None if target is None else (f"{name}.{found[2]}.{target[0]}", target[1])
        return None


_BLOCK = re.compile(r"((?:text_fusion\.)?\w+)\.(\d+)\.(.+)")


def _fused(weight: str, names: tuple[str, ...]) -> dict[str, Target]:
    return {name: (weight, part) for part, name in enumerate(names)}


def _whole(names: dict[str, str]) -> dict[str, Target]:
    return {name: (weight, None) for name, weight in names.items()}


_SD3 = Table(
    top={
        "context_embedder": "context_embedder",
        "pos_embed.proj": "x_embedder.proj",
        "time_text_embed.timestep_embedder.linear_1": "t_embedder.mlp.0",
        "time_text_embed.timestep_embedder.linear_2": "t_embedder.mlp.2",
        "time_text_embed.text_embedder.linear_1": "y_embedder.mlp.0",
        "time_text_embed.text_embedder.linear_2": "y_embedder.mlp.2",
        "norm_out.linear": "final_layer.adaLN_modulation.1",
        "proj_out": "final_layer.linear",
    },
    blocks={
        "transformer_blocks": (
            "joint_blocks",
            {
                **_fused("x_block.attn.qkv", ("attn.to_q", "attn.to_k", "attn.to_v")),
                **_fused("context_block.attn.qkv", ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj")),
                **_fused("x_block.attn2.qkv", ("attn2.to_q", "attn2.to_k", "attn2.to_v")),
                **_whole(
                    {
                        "attn.to_out.0": "x_block.attn.proj",
                        "attn.to_add_out": "context_block.attn.proj",
                        "attn2.to_out.0": "x_block.attn2.proj",
                        "norm1.linear": "x_block.adaLN_modulation.1",
                        "norm1_context.linear": "context_block.adaLN_modulation.1",
                        "ff.net.0.proj": "x_block.mlp.fc1",
                        "ff.net.2": "x_block.mlp.fc2",
                        "ff_context.net.0.proj": "context_block.mlp.fc1",
                        "ff_context.net.2": "context_block.mlp.fc2",
                    }
                ),
            },
        )
    },
    swapped="norm_out.linear",
)
_PIXART = Table(
    top={
        "pos_embed.proj": "x_embedder.proj",
        "caption_projection.linear_1": "y_embedder.y_proj.fc1",
        "caption_projection.linear_2": "y_embedder.y_proj.fc2",
        "adaln_single.linear": "t_block.1",
        "proj_out": "final_layer.linear",
        **{
            f"adaln_single.emb.{theirs}_embedder.linear_{i + 1}": f"{ours}_embedder.mlp.{2 * i}"
            for theirs, ours in (("resolution", "csize"), ("aspect_ratio", "ar"), ("timestep", "t"))
            for i in (0, 1)
        },
    },
    blocks={
        "transformer_blocks": (
            "blocks",
            {
                **_fused("attn.qkv", ("attn1.to_q", "attn1.to_k", "attn1.to_v")),
                **_fused("cross_attn.kv_linear", ("attn2.to_k", "attn2.to_v")),
                **_whole(
                    {
                        "attn1.to_out.0": "attn.proj",
                        "attn2.to_q": "cross_attn.q_linear",
                        "attn2.to_out.0": "cross_attn.proj",
                        "ff.net.0.proj": "mlp.fc1",
                        "ff.net.2": "mlp.fc2",
                    }
                ),
            },
        )
    },
)
_AURA_FF = {"linear_1": "c_fc1", "linear_2": "c_fc2", "out_projection": "c_proj"}
_AURAFLOW = Table(
    top={
        "time_step_proj.linear_1": "t_embedder.mlp.0",
        "time_step_proj.linear_2": "t_embedder.mlp.2",
        "context_embedder": "cond_seq_linear",
        "pos_embed.proj": "init_x_linear",
        "norm_out.linear": "modF.1",
        "proj_out": "final_linear",
    },
    blocks={
        "joint_transformer_blocks": (
            "double_layers",
            _whole(
                {
                    **{f"attn.to_{x}": f"attn.w2{x}" for x in "qkv"},
                    **{f"attn.add_{x}_proj": f"attn.w1{x}" for x in "qkv"},
                    "attn.to_out.0": "attn.w2o",
                    "attn.to_add_out": "attn.w1o",
                    "norm1.linear": "modX.1",
                    "norm1_context.linear": "modC.1",
                    **{f"ff.{theirs}": f"mlpX.{ours}" for theirs, ours in _AURA_FF.items()},
                    **{f"ff_context.{theirs}": f"mlpC.{ours}" for theirs, ours in _AURA_FF.items()},
                }
            ),
        ),
        "single_transformer_blocks": (
            "single_layers",
            _whole(
                {
                    **{f"attn.to_{x}": f"attn.w1{x}" for x in "qkv"},
                    "attn.to_out.0": "attn.w1o",
                    "norm1.linear": "modCX.1",
                    **{f"ff.{theirs}": f"mlp.{ours}" for theirs, ours in _AURA_FF.items()},
                }
            ),
        ),
    },
    swapped="norm_out.linear",
)
_KREA_BLOCK = _whole(
    {
        **{f"attn.to_{x}": f"attn.w{x}" for x in "qkv"},
        "attn.to_gate": "attn.gate",
        "attn.to_out.0": "attn.wo",
        "attn.to_out": "attn.wo",
        **{f"ff.{x}": f"mlp.{x}" for x in ("gate", "up", "down")},
    }
)
_KREA = Table(
    top={
        "img_in": "first",
        "time_embed.linear_1": "tmlp.0",
        "time_embed.linear_2": "tmlp.2",
        "time_mod_proj": "tproj.1",
        "txt_in.linear_1": "txtmlp.1",
        "txt_in.linear_2": "txtmlp.3",
        "text_fusion.projector": "txtfusion.projector",
        "final_layer.linear": "last.linear",
    },
    blocks={
        "transformer_blocks": ("blocks", _KREA_BLOCK),
        "text_fusion.layerwise_blocks": ("txtfusion.layerwise_blocks", _KREA_BLOCK),
        "text_fusion.refiner_blocks": ("txtfusion.refiner_blocks", _KREA_BLOCK),
    },
)
TABLES = {"sd3": _SD3, "pixart": _PIXART, "auraflow": _AURAFLOW, "krea": _KREA}
