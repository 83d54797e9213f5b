"""Builds of networks that make videos, and sound."""

from __future__ import annotations

from .blueprint import Build

_WAN_BLOCK = """
  self_attn.(q|k|v|o)  H  H
  cross_attn.(q|k|v|o|k_img|v_img)  H  H
  ffn.0  M  H
  ffn.2  H  M
"""
_WAN = f"""
time_embedding.0  H  256
time_embedding.2  H  H
time_projection.1  6H  H
text_embedding.0  H  4096
text_embedding.2  H  H
blocks.#D{_WAN_BLOCK}
  audio_cross_attn_wrapper.audio_cross_attn.(q|o)  H  H
  audio_cross_attn_wrapper.audio_cross_attn.(k|v)  H  1536
vace_blocks.#E{_WAN_BLOCK}
  (before|after)_proj  H  H
face_adapter.fuser_blocks.#8
  linear1_kv  2H  H
  linear1_q  H  H
  linear2  H  H
audio_injector.injector.#12
  (q|k|v|o)  H  H
"""
_LTX = """
  attn(1|2).to_(q|out.0)  H  H
  attn1.to_(k|v)  H  H
  attn2.to_(k|v)  H  C
  ff.net.0.proj  4H  H
  ff.net.2  H  4H
"""
_LTX_TIME = """
adaln_single.emb.timestep_embedder.linear_1  H  256
adaln_single.emb.timestep_embedder.linear_2  H  H
"""
_LTX2 = f"""
{_LTX_TIME}
audio_adaln_single.emb.timestep_embedder.linear_2  A  A
transformer_blocks.#48{_LTX}
  attn(1|2).to_gate_logits  32  H
  audio_attn(1|2).to_gate_logits  32  A
  audio_attn(1|2).to_(q|k|v|out.0)  A  A
  audio_ff.net.0.proj  4A  A
  audio_ff.net.2  A  4A
  audio_to_video_attn.to_q  A  H
  audio_to_video_attn.to_(k|v)  A  A
  audio_to_video_attn.to_out.0  H  A
  video_to_audio_attn.to_(q|out.0)  A  A
  video_to_audio_attn.to_(k|v)  A  H
(audio|video)_embeddings_connector.transformer_1d_blocks.#8
  attn1.to_(q|k|v|out.0)  3840  3840
  ff.net.0.proj  15360  3840
  ff.net.2  3840  15360
"""
_COSMOS = """
blocks.#D
  blocks.(0|1).block.attn.to_(q|out).0  H  H
  blocks.0.block.attn.to_(k|v).0  H  H
  blocks.1.block.attn.to_(k|v).0  H  1024
  blocks.2.block.layer1  4H  H
  blocks.2.block.layer2  H  4H
  blocks.(0|1|2).adaLN_modulation.1  256  H
  blocks.(0|1|2).adaLN_modulation.2  3H  256
"""
_COSMOS2 = """
blocks.#D
  (self|cross)_attn.(q|output)_proj  H  H
  self_attn.(k|v)_proj  H  H
  cross_attn.(k|v)_proj  H  1024
  mlp.layer1  4H  H
  mlp.layer2  H  4H
  adaln_modulation_(self_attn|cross_attn|mlp).1  256  H
  adaln_modulation_(self_attn|cross_attn|mlp).2  3H  256
"""
_ANIMA = f"""
{_COSMOS2}
llm_adapter.out_proj  1024  1024
llm_adapter.blocks.#6
  (self|cross)_attn.(q|k|v|o)_proj  1024  1024
  mlp.0  4096  1024
  mlp.2  1024  4096
"""
_COGVIDEO = """
blocks.#D
  (norm1|norm2).linear  6H  512
  (q|k|v|attn_out)  H  H
  ff_proj  4H  H
  ff_out  H  4H
"""
_KANDINSKY = """
text_transformer_blocks.#E
  text_modulation.out_layer  6H  T
  self_attention.(to_query|to_key|to_value|out_layer)  H  H
  feed_forward.in_layer  4H  H
  feed_forward.out_layer  H  4H
visual_transformer_blocks.#D
  visual_modulation.out_layer  9H  T
  (self|cross)_attention.(to_query|to_key|to_value|out_layer)  H  H
  feed_forward.in_layer  4H  H
  feed_forward.out_layer  H  4H
"""
_MOCHI = """
blocks.#48
  mod_x  4X  X
  mod_y  Y/4Y  X
  attn.qkv_x  3X  X
  attn.qkv_y  3X  Y
  attn.proj_x  X  X
  attn.proj_y  Y  X
  mlp_x.w1  16384  X
  mlp_x.w2  X  8192
  mlp_y.w1  8192  Y
  mlp_y.w2  Y  4096
"""
_SEED = """
blocks.#D
  attn.proj_qkv.(vid|txt|all)  3H  H
  attn.proj_out.(vid|txt|all)  H  H
  mlp.(vid|txt|all).proj_in(|_gate)  M  H
  mlp.(vid|txt|all).proj_out  H  M
"""
_ACE = """
transformer_blocks.#24
  attn.to_(q|k|v|out.0)  H  H
  cross_attn.(to_q|to_k|to_v|add_q_proj|add_k_proj|add_v_proj|to_out.0|to_add_out)  H  H
  ff.inverted_conv.conv  5H  H
  ff.point_conv.conv  H  6400
lyric_encoder.encoders.#6
  self_attn.linear_(q|k|v|out|pos)  1024  1024
  feed_forward.w_1  4096  1024
  feed_forward.w_2  1024  4096
"""

VIDEO = (
    Build("Wan", "wan", _WAN, "H=5120 M=13824 D=40 E=8"),
    Build("Wan", "wan", _WAN, "H=1536 M=8960 D=30 E=15"),
    Build("Wan", "wan", _WAN, "H=3072 M=14336 D=30 E=15"),
    Build("LTX-Video", "ltx", f"{_LTX_TIME}transformer_blocks.#28{_LTX}", "H=2048 C=2048"),
    Build("LTX-Video", "ltx", f"{_LTX_TIME}transformer_blocks.#48{_LTX}", "H=4096 C=4096"),
    Build("LTX-2", "ltx", _LTX2, "H=4096 C=4096 A=2048"),
    Build("Cosmos Predict 2", "cosmos2", _COSMOS2, "H=2048 D=28"),
    Build("Cosmos Predict 2", "cosmos2", _COSMOS2, "H=5120 D=36"),
    Build("Anima", "cosmos2", _ANIMA, "H=2048 D=28"),
    Build("Cosmos", "cosmos", _COSMOS, "H=4096 D=28"),
    Build("Cosmos", "cosmos", _COSMOS, "H=5120 D=36"),
    Build("CogVideoX", "cogvideox", _COGVIDEO, "H=1920 D=30"),
    Build("CogVideoX", "cogvideox", _COGVIDEO, "H=3072 D=42"),
    Build("Mochi", "mochi", _MOCHI, "X=3072 Y=1536"),
    Build("Kandinsky 5", None, _KANDINSKY, "H=1792 T=512 D=32 E=2"),
    Build("Kandinsky 5", None, _KANDINSKY, "H=4096 T=1024 D=60 E=4"),
    Build("Kandinsky 5", None, _KANDINSKY, "H=2560 T=512 D=50 E=2"),
    Build("SeedVR2", None, _SEED, "H=2560 M=6912 D=32"),
    Build("SeedVR2", None, _SEED, "H=3072 M=12288 D=36"),
    Build("ACE-Step", None, _ACE, "H=2560"),
)
