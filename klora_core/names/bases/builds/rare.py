"""Builds that few LoRAs are of."""

from __future__ import annotations

from .blueprint import Build

_PATCHES = """
patch_blocks.#14
  attn.(qkv_x|qkv_y)  3H  H
  attn.(proj_x|proj_y)  H  H
  mlp_(x|y).w(1|3)  4096  H
  mlp_(x|y).w2  H  4096
  adaLN_modulation_(img|txt).0  6H  H
pixel_blocks.#2
  compress_to_attn  1152  4096
  expand_from_attn  4096  1152
  attn.qkv  3456  1152
  attn.proj  1152  1152
  adaLN_modulation_(msa|mlp)  8H  H
"""

_CASCADE_C = """
clip_txt_mapper  H  1280
(down|up)_blocks.#2
  #.depthwise  H  9
  #.channelwise.0  4H  H/2H
  #.channelwise.4  H  4H
  #.mapper(|_sca|_crp)  2H  64
  #.attention.attn.(to_q|to_k|to_v|out_proj)  H  H
  #.kv_mapper.1  H  H
"""
_CASCADE_B = """
(down|up)_blocks.#4
  #.attention.attn.(to_q|to_k|to_v|out_proj)  1280  1280
  #.kv_mapper.1  1280  1280
  #.depthwise  320/640/1280  9
  #.mapper(|_sca)  640/1280/2560  64
  #.channelwise.0  1280/2560/5120  320/640/1280/2560
  #.channelwise.4  320/640/1280  1280/2560/5120
"""

RARE = (
    Build(
        "Hunyuan3D 2",
        None,
        """
blocks.#21
  attn(1|2).to_q  H  H
  attn1.to_(k|v)  H  H
  attn2.to_(k|v)  H  1024
  attn(1|2).out_proj  H  H
  mlp.fc1  4H  H
  mlp.fc2  H  4H
  skip_linear  H  2H
  moe.(experts.#|shared_experts).net.0.proj  4H  H
  moe.(experts.#|shared_experts).net.2  H  4H
""",
        "H=2048",
    ),
    Build("PixelDiT", None, _PATCHES, "H=1536"),
    Build("PiD", None, f"lq_proj.gate_modules.#7\n  content_proj  H  2H\n{_PATCHES}", "H=1536"),
    Build(
        "HiDream O1",
        None,
        """
visual.blocks.#27
  attn.qkv  3456  1152
  attn.proj  1152  1152
  mlp.linear_fc1  4304  1152
  mlp.linear_fc2  1152  4304
language_model.layers.#36
  self_attn.(q|o)_proj  H  H
  self_attn.(k|v)_proj  1024  H
  mlp.(gate|up)_proj  3H  H
  mlp.down_proj  H  3H
""",
        "H=4096",
    ),
    Build("Stable Cascade", None, _CASCADE_C, "H=2048"),
    Build("Stable Cascade", None, _CASCADE_C, "H=1536"),
    Build("Stable Cascade", None, _CASCADE_B, ""),
)
