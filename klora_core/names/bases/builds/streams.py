"""Builds of networks with double and single streams, and what shares their names."""

from __future__ import annotations

from .blueprint import Build

# FLUX's; M is what its feed-forwards have within, G the same with the gates before them.
_ATTENTION = """
double_blocks.#D
  (img|txt)_attn.qkv  3H  H
  (img|txt)_attn.proj  H  H
  (img|txt)_mlp.0  G  H
  (img|txt)_mlp.2  H  M
single_blocks.#S
  linear1  3H+G  H
  linear2  H  H+M
"""
_MODULATED = f"""
{_ATTENTION}
  modulation.lin  3H  H
double_blocks.#D
  (img|txt)_mod.lin  6H  H
"""
_FLUX = f"""
txt_in  H  C
time_in.in_layer  H  256
time_in.out_layer  H  H
guidance_in.in_layer  H  256
guidance_in.out_layer  H  H
{_MODULATED}
"""
_POOLED = """
vector_in.in_layer  H  768
vector_in.out_layer  H  H
"""
_CHROMA = f"""
txt_in  H  4096
distilled_guidance_layer.in_proj  5120  64
distilled_guidance_layer.out_proj  H  5120
distilled_guidance_layer.layers.#5
  in_layer  5120  5120
  out_layer  5120  5120
{_ATTENTION}
"""
_FLUX2 = f"""
txt_in  H  C
time_in.in_layer  H  256
time_in.out_layer  H  H
guidance_in.in_layer  H  256
guidance_in.out_layer  H  H
double_stream_modulation_(img|txt).lin  6H  H
single_stream_modulation.lin  3H  H
{_ATTENTION}
"""
_HUNYUAN = f"""
time_in.in_layer  H  256
time_in.out_layer  H  H
guidance_in.in_layer  H  256
guidance_in.out_layer  H  H
txt_in.input_embedder  H  C
txt_in.(t|c)_embedder.out_layer  H  H
txt_in.individual_token_refiner.blocks.#2
  adaLN_modulation.1  2H  H
  self_attn.qkv  3H  H
  self_attn.proj  H  H
  mlp.0  M  H
  mlp.2  H  M
{_MODULATED}
"""
_BYT5 = """
byt5_in.fc1  2048  1472
byt5_in.fc2  2048  2048
byt5_in.fc3  H  2048
"""


def _flux2(hidden: int, depth: int, single: int, context: int) -> str:
    return f"H={hidden} G={6 * hidden} M={3 * hidden} D={depth} S={single} C={context}"


def _four(hidden: int, depth: int, single: int, context: int) -> str:
    return f"H={hidden} G={4 * hidden} M={4 * hidden} D={depth} S={single} C={context}"


STREAMS = (
    Build("FLUX", "flux", _POOLED + _FLUX, _four(3072, 19, 38, 4096)),
    Build("Chroma", "flux", _CHROMA, _four(3072, 19, 38, 4096)),
    Build("FLUX.2", "flux", _FLUX2, _flux2(6144, 8, 48, 15360)),
    # klein 9B and 4B
    Build("FLUX.2", "flux", _FLUX2, _flux2(4096, 8, 24, 12288)),
    Build("FLUX.2", "flux", _FLUX2, _flux2(3072, 5, 20, 7680)),
    Build("HunyuanVideo", "flux", _POOLED + _HUNYUAN, _four(3072, 20, 40, 4096)),
    Build("HunyuanVideo 1.5", "flux", _BYT5 + _HUNYUAN, _four(2048, 54, 0, 3584)),
    Build("HunyuanImage", "flux", _BYT5 + _HUNYUAN, _four(3584, 20, 40, 3584)),
    Build("HunyuanImage refiner", "flux", _HUNYUAN, _four(3328, 20, 40, 3584)),
    Build("LongCat-Image", "flux", _FLUX, _four(3072, 10, 20, 3584)),
    # Ovis, which the host takes for FLUX: its gates lie apart, but in linear1.
    Build(
        "FLUX",
        "flux",
        """
        double_blocks.#6
          (img|txt)_attn.qkv  3H  H
          (img|txt)_attn.proj  H  H
          (img|txt)_mod.lin  6H  H
          (img|txt)_mlp.(gate|up)_proj  4H  H
          (img|txt)_mlp.down_proj  H  4H
        single_blocks.#27
          linear1  11H  H
          linear2  H  5H
          modulation.lin  3H  H
        """,
        "H=3072",
    ),
    Build("Hunyuan3D 2", None, f"latent_in  H  64\ncond_in  H  C\n{_MODULATED}", _four(1024, 16, 32, 1536)),
    Build("Hunyuan3D 2", None, f"latent_in  H  64\ncond_in  H  C\n{_MODULATED}", _four(1024, 8, 16, 1024)),
    Build(
        "JoyImage",
        None,
        """
        double_blocks.#40
          attn.(img|txt)_attn_qkv  3H  H
          attn.(img|txt)_attn_proj  H  H
          (img|txt)_mlp.net.0.proj  4H  H
          (img|txt)_mlp.net.2  H  4H
        """,
        "H=4096",
    ),
    Build(
        "HiDream",
        None,
        """
        double_stream_blocks.#16
          block.adaLN_modulation.1  12H  H
          block.attn1.to_(q|k|v|out)(|_t)  H  H
          block.ff_i.shared_experts.w(1|3)  3584  H
          block.ff_i.shared_experts.w2  H  3584
          block.ff_i.experts.#.w(1|3)  6912  H
          block.ff_i.experts.#.w2  H  6912
          block.ff_t.w(1|3)  6912  H
          block.ff_t.w2  H  6912
        single_stream_blocks.#32
          block.adaLN_modulation.1  6H  H
          block.attn1.to_(q|k|v|out)  H  H
          block.ff_i.shared_experts.w(1|3)  3584  H
          block.ff_i.shared_experts.w2  H  3584
          block.ff_i.experts.#.w(1|3)  6912  H
          block.ff_i.experts.#.w2  H  6912
        """,
        "H=2560",
    ),
    Build(
        "AuraFlow",
        "auraflow",
        """
        double_layers.#4
          mlp(C|X).c_fc(1|2)  8192  H
          mlp(C|X).c_proj  H  8192
          mod(C|X).1  6H  H
          attn.w(1|2)(q|k|v|o)  H  H
        single_layers.#32
          modCX.1  6H  H
          attn.w1(q|k|v|o)  H  H
          mlp.c_fc(1|2)  8192  H
          mlp.c_proj  H  8192
        """,
        "H=3072",
    ),
)
