"""Builds of other networks that make images."""

from __future__ import annotations

from .blueprint import Build

_SD3 = """
context_embedder  H  4096
t_embedder.mlp.0  H  256
t_embedder.mlp.2  H  H
y_embedder.mlp.0  H  2048
y_embedder.mlp.2  H  H
joint_blocks.#D
  (x|context)_block.attn.qkv  3H  H
  (x|context)_block.attn.proj  H  H
  (x|context)_block.mlp.fc1  4H  H
  (x|context)_block.mlp.fc2  H  4H
  context_block.adaLN_modulation.1  2H/6H  H
"""
# In medium 3.5 the first blocks attend twice.
_SD35 = f"""{_SD3}
  x_block.adaLN_modulation.1  6H/9H  H
  x_block.attn2.qkv  3H  H
  x_block.attn2.proj  H  H
"""


def _lumina(modulation: str) -> str:
    """Of Lumina 2 and Z-Image, which modulate by other layers; Q are the rows of q, k and v."""
    rows = """
  attention.qkv  Q  H
  attention.out  H  H
  feed_forward.w(1|3)  M  H
  feed_forward.w2  H  M
"""
    return f"""
cap_embedder.1  H  C
layers.#D{rows}  {modulation}
noise_refiner.#2{rows}  {modulation}
context_refiner.#2{rows}
"""


# Grouped queries, of OmniGen 2 and Boogu; K are the rows of a key.
_GROUPED = """
  attn.to_(q|out.0)  H  H
  attn.to_(k|v)  K  H
  feed_forward.linear_(1|3)  M  H
  feed_forward.linear_2  H  M
  norm1.linear  4H  1024
"""
_REFINERS = f"noise_refiner.#2{_GROUPED}ref_image_refiner.#2{_GROUPED}context_refiner.#2{_GROUPED}"
_QWEN = """
transformer_blocks.#D
  (img|txt)_mod.1  6H  H
  (img|txt)_mlp.net.0.proj  4H  H
  (img|txt)_mlp.net.2  H  4H
  attn.to_(q|k|v|out.0|add_out)  H  H
  attn.add_(q|k|v)_proj  H  H
"""
_KREA = """
  attn.w(q|o)  H  H
  attn.gate  H  H
  attn.w(k|v)  K  H
  mlp.(gate|up)  M  H
  mlp.down  H  M
"""
_KREA_TEXT = """
  attn.w(q|k|v|o)  T  T
  attn.gate  T  T
  mlp.(gate|up)  6912  T
  mlp.down  T  6912
"""
IMAGES = (
    Build("SD3", "sd3", f"{_SD3}  x_block.adaLN_modulation.1  6H  H", "H=1536 D=24"),
    Build("SD3", "sd3", _SD35, "H=1536 D=24"),
    Build("SD3", "sd3", f"{_SD3}  x_block.adaLN_modulation.1  6H  H", "H=2432 D=38"),
    Build("Qwen-Image", None, f"txt_in  H  3584\n{_QWEN}", "H=3072 D=60"),
    Build("MageFlow", None, f"txt_in  H  2560\n{_QWEN}", "H=3072 D=12"),
    Build("Z-Image", "lumina", _lumina("adaLN_modulation.0  4H  256"), "H=3840 Q=11520 M=10240 D=30 C=2560"),
    Build("Lumina 2", "lumina", _lumina("adaLN_modulation.1  4H  1024"), "H=2304 Q=3840 M=9216 D=26 C=2304"),
    # NewBie
    Build("Lumina 2", "lumina", _lumina("adaLN_modulation.1  4H  1024"), "H=2304 Q=3840 M=9216 D=36 C=2560"),
    Build("OmniGen 2", None, f"layers.#32{_GROUPED}{_REFINERS}", "H=2520 K=840 M=10240"),
    Build(
        "Boogu",
        None,
        f"""
single_stream_layers.#32{_GROUPED}{_REFINERS}
double_stream_layers.#8
  img_instruct_attn.(to_out.0|processor.(img|instruct)_(to_q|out))  H  H
  img_instruct_attn.processor.(img|instruct)_to_(k|v)  K  H
  img_self_attn.to_(q|out.0)  H  H
  img_self_attn.to_(k|v)  K  H
  (img|instruct)_feed_forward.linear_(1|3)  M  H
  (img|instruct)_feed_forward.linear_2  H  M
  (img_norm|instruct_norm)(1|2|3).linear  4H  1024
""",
        "H=3360 K=840 M=13568",
    ),
    Build(
        "Ideogram 4",
        None,
        """
layers.#34
  attention.qkv  3H  H
  attention.o  H  H
  feed_forward.w(1|3)  12288  H
  feed_forward.w2  H  12288
  adaln_modulation  4H  512
""",
        "H=4608",
    ),
    Build(
        "ERNIE-Image",
        None,
        """
layers.#36
  self_attention.to_(q|k|v|out.0)  H  H
  mlp.(gate|up)_proj  3H  H
  mlp.linear_fc2  H  3H
""",
        "H=4096",
    ),
    Build(
        "Krea 2",
        "krea",
        f"""
blocks.#28{_KREA}txtfusion.layerwise_blocks.#2{_KREA_TEXT}txtfusion.refiner_blocks.#2{_KREA_TEXT}
txtfusion.projector  1  12
tmlp.0  H  256
tmlp.2  H  H
tproj.1  6H  H
txtmlp.1  H  T
txtmlp.3  H  H
""",
        "H=6144 K=1536 M=16384 T=2560",
    ),
    Build(
        "PixArt",
        "pixart",
        """
t_block.1  6H  H
y_embedder.y_proj.fc1  H  4096
y_embedder.y_proj.fc2  H  H
blocks.#28
  attn.qkv  3H  H
  attn.proj  H  H
  cross_attn.q_linear  H  H
  cross_attn.kv_linear  2H  H
  cross_attn.proj  H  H
  mlp.fc1  4H  H
  mlp.fc2  H  4H
""",
        "H=1152",
    ),
    Build(
        "HunyuanDiT",
        None,
        """
blocks.#40
  attn1.Wqkv  3H  H
  attn1.(out_proj|to_q|to_k|to_v|to_out.0)  H  H
  attn2.(q_proj|out_proj|to_q|to_out.0)  H  H
  attn2.kv_proj  2H  1024
  attn2.to_(k|v)  H  1024
  mlp.fc1  6144  H
  mlp.fc2  H  6144
  ff.net.0.proj  6144  H
  ff.net.2  H  6144
  default_modulation.1  H  H
  norm1.linear  H  H
  skip_linear  H  2H
""",
        "H=1408",
    ),
    Build(
        "Lens",
        None,
        """
transformer_blocks.#48
  attn.(img|txt)_qkv  3H  H
  attn.(to_out.0|to_add_out)  H  H
  (img|txt)_mod.1  6H  H
  (img|txt)_mlp.w(1|3)  4096  H
  (img|txt)_mlp.w2  H  4096
""",
        "H=1536",
    ),
)
