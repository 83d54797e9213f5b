"""The base model of a LoRA by name, from its layers and from what trainers write into files."""

from __future__ import annotations

import pytest

from klora_core.names import BaseModel, base_model_of, is_understood, words_of

H = 3072
FLUX = "FLUX or Chroma"
ANY_FLUX = "FLUX or Chroma or HunyuanVideo or LongCat-Image"


def blocks(text, **counts):
    """Modules of blocks from rows ``blocks.# path OUTxIN``, with the number of each kind of block."""
    shapes = {}
    for row in filter(None, map(str.strip, text.splitlines())):
        path, size = row.split()
        out, n = map(int, size.split("x"))
        head = path.partition(".#")[0]
        numbers = range(counts.get(head.replace(".", "_"), 1))
        shapes |= {path.replace("#", str(i)): (out, n) for i in numbers}
    return shapes


def flux(hidden, within, gated, double, single, attention_only=False):
    """FLUX's blocks in ComfyUI's names."""
    text = f"""
    double_blocks.#.img_attn.qkv {3 * hidden}x{hidden}
    double_blocks.#.txt_attn.proj {hidden}x{hidden}
    """
    if not attention_only:
        text += f"""
        double_blocks.#.img_mlp.0 {gated}x{hidden}
        double_blocks.#.img_mlp.2 {hidden}x{within}
        single_blocks.#.linear1 {3 * hidden + gated}x{hidden}
        single_blocks.#.linear2 {hidden}x{hidden + within}
        """
    return blocks(text, double_blocks=double, single_blocks=single)


def unet(context, widths, deep=(1, 1, 1), middle=1):
    """The second attention of a U-Net's way down, and of its middle, in diffusers' names."""
    shapes = {}
    for level, (width, depth) in enumerate(zip(widths, deep, strict=True)):
        for i in range(depth):
            for place in ("0", "1"):
                block = f"down_blocks.{level}.attentions.{place}.transformer_blocks.{i}"
                shapes |= {f"{block}.attn2.to_k": (width, context), f"{block}.attn1.to_q": (width, width)}
    for i in range(middle):
        shapes[f"mid_block.attentions.0.transformer_blocks.{i}.attn2.to_k"] = (widths[-1], context)
    return shapes


ANIMA = {"llm_adapter.blocks.0.self_attn.q_proj": (1024, 1024)}
LAYERS = {
    "sd15": ("SD1.5", unet(768, (320, 640, 1280))),
    "sd2": ("SD2 or Stable Video Diffusion", unet(1024, (320, 640, 1280))),
    "svd": (
        "Stable Video Diffusion",
        unet(1024, (320, 640, 1280)) | {"input_blocks.1.1.time_stack.0.attn1.to_q": (320, 320)},
    ),
    "sdxl": ("SDXL", unet(2048, (0, 640, 1280), (0, 2, 10), 10)),
    "ssd-1b": ("SDXL or SSD-1B", unet(2048, (0, 640, 1280), (0, 2, 4), 0)),
    "vega": ("SDXL or SSD-1B or Segmind Vega", unet(2048, (0, 640, 1280), (0, 1, 2), 0)),
    "koala": (
        "KOALA 700M or KOALA 1B",
        {"input_blocks.5.1.transformer_blocks.4.attn2.to_k": (1280, 2048)},
    ),
    "koala 1b": (
        "KOALA 1B",
        {"input_blocks.5.1.transformer_blocks.5.attn2.to_k": (1280, 2048)},
    ),
    "refiner": ("SDXL refiner", {"input_blocks.4.1.transformer_blocks.3.attn2.to_v": (768, 1280)}),
    "a U-Net's convolutions": (
        "SDXL or SSD-1B",
        {
            "mid_block.resnets.0.conv1": (1280, 9 * 1280),
            "up_blocks.0.resnets.2.conv1": (1280, 9 * 1920),
            "down_blocks.1.attentions.0.transformer_blocks.1.attn1.to_q": (640, 640),
        },
    ),
    # SSD-1B and Vega have one such block in the middle, not two.
    "a U-Net's middle": (
        "SDXL",
        {
            "mid_block.resnets.0.conv1": (1280, 9 * 1280),
            "mid_block.resnets.1.conv1": (1280, 9 * 1280),
            "down_blocks.1.attentions.1.transformer_blocks.1.attn1.to_q": (640, 640),
        },
    ),
    "cascade": ("Stable Cascade", {"down_blocks.0.2.attention.attn.to_q": (1536, 1536)}),
    "flux": (FLUX, flux(H, 4 * H, 4 * H, 19, 38)),
    "flux, attention": (FLUX, flux(H, 4 * H, 4 * H, 19, 0, attention_only=True)),
    "flux, modulated": ("FLUX", blocks("single_blocks.#.modulation.lin 9216x3072", single_blocks=38)),
    "flux, some blocks": (ANY_FLUX, {"transformer_blocks.3.ff_context.net.0.proj": (4 * H, H)}),
    "flux in diffusers": (
        FLUX,
        blocks(
            """
            single_transformer_blocks.#.attn.to_q 3072x3072
            single_transformer_blocks.#.proj_mlp 12288x3072
            """,
            single_transformer_blocks=38,
        ),
    ),
    "chroma": ("Chroma", {"distilled_guidance_layer.in_proj": (5120, 64)} | flux(H, 4 * H, 4 * H, 19, 38)),
    "flux.2 dev": ("FLUX.2", flux(6144, 3 * 6144, 6 * 6144, 8, 48)),
    "klein 9b": ("FLUX.2", flux(4096, 3 * 4096, 6 * 4096, 8, 24)),
    "klein 4b": ("FLUX.2", flux(H, 3 * H, 6 * H, 5, 20)),
    "klein 4b in diffusers": (
        "FLUX.2",
        blocks("single_transformer_blocks.#.attn.to_qkv_mlp_proj 27648x3072", single_transformer_blocks=20),
    ),
    "klein 4b, attention": (
        "FLUX or Chroma or FLUX.2 or HunyuanVideo or LongCat-Image",
        flux(H, 3 * H, 6 * H, 5, 0, attention_only=True),
    ),
    "hunyuan video": ("HunyuanVideo", flux(H, 4 * H, 4 * H, 20, 40)),
    "hunyuan video 1.5": ("HunyuanVideo 1.5", {"double_blocks.53.img_attn_q": (2048, 2048)}),
    "hunyuan image": ("HunyuanImage", flux(3584, 4 * 3584, 4 * 3584, 20, 40)),
    "hunyuan image refiner": ("HunyuanImage refiner", flux(3328, 4 * 3328, 4 * 3328, 20, 40)),
    "longcat": ("FLUX or Chroma or HunyuanVideo or LongCat-Image", flux(H, 4 * H, 4 * H, 10, 20)),
    "longcat, its text": ("LongCat-Image", {"txt_in": (H, 3584), **flux(H, 4 * H, 4 * H, 10, 20)}),
    "joyimage": ("JoyImage", {"double_blocks.3.attn.img_attn_qkv": (12288, 4096)}),
    "hunyuan3d": ("Hunyuan3D 2", flux(1024, 4096, 4096, 16, 32)),
    "hunyuan3d 2.1": (
        "Hunyuan3D 2",
        {"blocks.3.attn1.to_q": (2048, 2048), "blocks.3.attn1.out_proj": (2048, 2048)},
    ),
    "sd3 medium": ("SD3", {"joint_blocks.0.x_block.attn.qkv": (4608, 1536)}),
    "sd3 large": ("SD3", {"transformer_blocks.37.attn.to_q": (2432, 2432)}),
    "sd3 or lens": ("SD3 or Lens", {"transformer_blocks.3.attn.to_out.0": (1536, 1536)}),
    "lens": (
        "Lens",
        {"transformer_blocks.3.attn.img_qkv": (4608, 1536), "transformer_blocks.3.img_mod.1": (9216, 1536)},
    ),
    "z-image": ("Z-Image", {"layers.3.attention.to_q": (3840, 3840)}),
    "lumina 2": ("Lumina 2", {"layers.3.attn.to_k": (768, 2304)}),
    "omnigen 2": ("OmniGen 2", {"layers.3.attn.to_q": (2520, 2520)}),
    "boogu": ("Boogu", {"single_stream_layers.3.attn.to_k": (840, 3360)}),
    "ideogram": ("Ideogram 4", {"layers.3.attention.qkv": (13824, 4608)}),
    "ernie": ("ERNIE-Image", {"layers.3.self_attention.to_q": (4096, 4096)}),
    "qwen-image": ("Qwen-Image", {"transformer_blocks.59.attn.to_q": (H, H)}),
    "mageflow": ("Qwen-Image or MageFlow", {"transformer_blocks.11.img_mod.1": (6 * H, H)}),
    "hidream": ("HiDream", {"double_stream_blocks.3.block.attn1.to_q": (2560, 2560)}),
    "auraflow": ("AuraFlow", {"joint_transformer_blocks.3.attn.to_q": (H, H)}),
    "auraflow or flux": (
        None,
        {"single_transformer_blocks.3.attn.to_q": (H, H)},
    ),
    "wan 1.3b": ("Wan", {"blocks.3.attn1.to_q": (1536, 1536)}),
    "wan 5b": ("Wan", {"blocks.29.ffn.0": (14336, 3072)}),
    "wan 14b": ("Wan", {"blocks.39.self_attn.q": (5120, 5120)}),
    "hunyuan dit": ("HunyuanDiT", {"blocks.3.attn1.to_q": (1408, 1408)}),
    "ltx 2b": ("LTX-Video", {"transformer_blocks.3.attn2.to_k": (2048, 2048)}),
    "ltx 13b": ("LTX-Video or LTX-2", {"transformer_blocks.3.attn2.to_k": (4096, 4096)}),
    "ltx-2": ("LTX-2", {"transformer_blocks.3.audio_attn1.to_q": (2048, 2048)}),
    "cogvideox": ("CogVideoX or Mochi", {"transformer_blocks.3.attn1.to_q": (H, H)}),
    "cogvideox 2b": ("CogVideoX", {"transformer_blocks.3.attn1.to_q": (1920, 1920)}),
    "mochi": ("Mochi", {"transformer_blocks.3.attn1.add_q_proj": (H, 1536)}),
    "pixart": ("PixArt", {"transformer_blocks.3.attn1.to_q": (1152, 1152)}),
    "krea": ("Krea 2", {"blocks.3.attn.wq": (6144, 6144)}),
    "krea in diffusers": ("Krea 2", {"transformer_blocks.3.attn.to_k": (1536, 6144)}),
    "anima": ("Anima", {"blocks.3.self_attn.q_proj": (2048, 2048)} | ANIMA),
    "cosmos 2 or anima": ("Cosmos Predict 2 or Anima", {"blocks.3.self_attn.q_proj": (2048, 2048)}),
    "cosmos 2 14b": ("Cosmos Predict 2", {"blocks.3.self_attn.q_proj": (5120, 5120)}),
    "cosmos": ("Cosmos", {"blocks.block3.blocks.0.block.attn.to_q.0": (4096, 4096)}),
    "kandinsky": ("Kandinsky 5", {"visual_transformer_blocks.3.self_attention.to_query": (2560, 2560)}),
    "ace-step": ("ACE-Step", {"transformer_blocks.3.cross_attn.add_q_proj": (2560, 2560)}),
    "seedvr2": ("SeedVR2", {"blocks.3.mlp.all.proj_in_gate": (6912, 2560)}),
}


@pytest.mark.parametrize("build", LAYERS)
def test_by_its_layers(build):
    name, shapes = LAYERS[build]
    assert words_of(base_model_of(shapes)) == name
    assert is_understood(shapes)


@pytest.mark.parametrize("build", LAYERS)
def test_no_single_layer_is_called_wrong(build):
    name, shapes = LAYERS[build]
    for path, shape in list(shapes.items())[:40]:
        found = base_model_of({path: shape})
        assert found is None or name is None or set(name.split(" or ")) & set(found.names), path


def test_a_flattened_name_says_the_same():
    shapes = {path.replace(".", "_"): shape for path, shape in flux(H, 3 * H, 6 * H, 5, 20).items()}
    assert words_of(base_model_of(shapes)) == "FLUX.2"


def test_a_build_knows_half_of_a_loras_modules_at_least():
    own = {"double_blocks.18.img_attn.qkv": (3 * H, H)}
    odd = [{f"odd.thing{i}": (3, 3)} for i in range(2)]
    assert words_of(base_model_of(own | odd[0])) == "FLUX or Chroma or HunyuanVideo"
    assert base_model_of(own | odd[0] | odd[1]) is None


def test_parts_of_a_fused_weight_are_those_of_its_network():
    part = {"double_blocks.18.img_attn.qkv[0:3072]": (H, H)}
    assert words_of(base_model_of(part)) == "FLUX or Chroma or HunyuanVideo"
    last = {f"double_blocks.18.img_attn.qkv[{2 * H}:{3 * H}]": (H, H)}
    assert words_of(base_model_of(last)) == "FLUX or Chroma or HunyuanVideo"
    assert base_model_of({f"double_blocks.18.img_attn.qkv[{2 * H + 1}:{3 * H + 1}]": (H, H)}) is None
    assert base_model_of({"double_blocks.18.img_attn.qkv[0:100]": (100, H)}) is None


@pytest.mark.parametrize(
    "shapes",
    [
        {},
        {"mystery.3.thing": (8, 8)},
        {"transformer_blocks.3.attn.to_q": (2561, 2561)},
        # Embedders are called alike in many networks.
        {"time_text_embed.timestep_embedder.linear_1": (H, 256)},
    ],
)
def test_what_tells_nothing(shapes):
    assert base_model_of(shapes) is None and not is_understood(shapes)


@pytest.mark.parametrize(
    ("shapes", "name"),
    [
        ({"blocks.3.self_attn.q": (256, 256)}, "Wan"),
        ({"input_blocks.4.1.transformer_blocks.0.attn2.to_k": (320, 2048)}, "SDXL"),
        ({"joint_blocks.0.x_block.attn.qkv": (384, 128)}, "SD3"),
        ({"blocks.3.attn.qkv_proj": (12288, 4096)}, "MiniMax H3"),
        ({"double_blocks.0.img_attn.qkv": (768, 256)}, None),
        ({"layers.0.attention.qkv": (768, 256)}, None),
        # One layer of another size: no build has it.
        (flux(H, 4 * H, 4 * H, 19, 38) | {"single_blocks.0.linear1": (21504, 4096)}, None),
        # A block too many.
        (flux(H, 4 * H, 4 * H, 21, 38), None),
    ],
)
def test_other_sizes_than_published_ones(shapes, name):
    assert words_of(base_model_of(shapes)) == name


@pytest.mark.parametrize(
    ("base", "model", "one"),
    [
        (("FLUX",), ("FLUX",), True),
        (("FLUX", "Chroma"), ("Chroma",), True),
        (("FLUX",), ("FLUX", "Chroma"), True),
        (("SDXL",), ("FLUX", "Chroma"), False),
        (("SD1.5",), ("SDXL",), False),
        # A name that holds the word is one name.
        (("FLUX or Chroma",), ("Chroma",), False),
    ],
)
def test_what_may_be_one_of_two_fits_either(base, model, one):
    assert BaseModel(base).fits(BaseModel(model)) is one
    if len(model) == 1:
        assert BaseModel(base).fits(model[0]) is one
    assert str(BaseModel(base)) == " or ".join(base)
