"""The first LoRA format: layers by their number, in the order of the network's own modules."""

from __future__ import annotations

import json
import random

import pytest
import torch

from klora_core import files
from klora_core.errors import KLoraError
from klora_core.files import What

OLD = ("attn1", "ff", "attn2")
NEW = ("attn1", "attn2", "ff")
# By hand, of SD 1.5: where attention is, in the order in which diffusers holds it, and how wide.
BLOCKS = [
    *(
        (f"down_blocks.{level}.attentions.{i}", (320, 640, 1280)[level])
        for level in range(3)
        for i in range(2)
    ),
    *((f"up_blocks.{n}.attentions.{i}", (1280, 640, 320)[n - 1]) for n in (1, 2, 3) for i in range(3)),
    ("mid_block.attentions.0", 1280),
]


def order(parts, context=768, blocks=BLOCKS):
    """(path, out, n) of each layer."""
    for place, width in blocks:
        for part in parts:
            path = f"{place}.transformer_blocks.0.{part}"
            if part == "ff":
                yield f"{path}.net.0.proj", 8 * width, width
                continue
            n = context if part == "attn2" else width
            yield from (
                (f"{path}.to_q", width, width),
                (f"{path}.to_k", width, n),
                (f"{path}.to_v", width, n),
            )
            yield f"{path}.to_out.0", width, width


def saved(layers, network="unet", rank=2):
    """The file of layers (path, out, n), in any order; and their products by path."""
    tensors, products = {}, {}
    for i, (path, out, n) in enumerate(layers):
        up, down = torch.randn(out, rank), torch.randn(rank, n)
        tensors |= {f"{network}:{i}:up": up, f"{network}:{i}:down": down}
        products[path] = up, down
    keys = list(tensors)
    random.Random(0).shuffle(keys)
    return {key: tensors[key] for key in keys}, products


def classes(*names):
    return {"unet": json.dumps(names)}


@pytest.mark.parametrize("parts", [OLD, NEW, ("attn1", "attn2")], ids=["2022", "2023", "attention"])
@pytest.mark.parametrize("context", [768, 1024])
@pytest.mark.parametrize("told", [True, False])
def test_each_number_is_its_layer(parts, context, told):
    tensors, products = saved(order(parts, context), rank=1)
    header = classes("CrossAttention", "Attention", *(("GEGLU",) if "ff" in parts else ())) if told else {}
    found = files.from_tensors("a", tensors, header)
    assert len(found.slots) == len(products) and not found.left and found.applied == set(tensors)
    assert found.base_model is not None and found.base_model.names[0] == (
        "SD1.5" if context == 768 else "SD2"
    )
    for path, (up, down) in products.items():
        delta = found.slots[found.placed[path]]
        assert torch.equal(delta.up, up) and torch.equal(delta.down, down) and delta.scale == 1
    shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    assert files.changes(shapes) == {path: (len(up), down.shape[1]) for path, (up, down) in products.items()}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sd15", "sd2", "sdxl"])
@pytest.mark.parametrize(
    "below", [{"Attention"}, {"Attention", "GEGLU"}, {"Attention", "GEGLU", "ResnetBlock2D"}]
)
def test_the_order_is_that_of_diffusers_own_modules(kind, below):
    diffusers = pytest.importorskip("diffusers")
    settings = {
        "sd15": {"cross_attention_dim": 768},
        "sd2": {"cross_attention_dim": 1024, "use_linear_projection": True},
        "sdxl": {
            "block_out_channels": (320, 640, 1280),
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            "transformer_layers_per_block": [1, 2, 10],
            "cross_attention_dim": 2048,
        },
    }
    with torch.device("meta"):
        unet = diffusers.UNet2DConditionModel(**settings[kind])
    layers = [
        (f"{place}.{name}", layer.weight)
        for place, module in unet.named_modules()
        if type(module).__name__ in below
        for name, layer in module.named_modules()
        if isinstance(layer, (torch.nn.Linear, torch.nn.Conv2d))
    ]
    tensors = {}
    for i, (_, weight) in enumerate(layers):
        ones = [1] * (weight.ndim - 2)
        tensors |= {f"unet:{i}:up": torch.ones(len(weight), 1, *ones)}
        tensors |= {f"unet:{i}:down": torch.ones(1, *weight.shape[1:])}
    found = files.from_tensors("a", tensors, classes(*below))
    assert set(found.modules) == {path for path, _ in layers}
    for i, (path, _) in enumerate(layers):
        assert found.keys[path] == (f"unet:{i}:down", f"unet:{i}:up")


def test_the_text_encoder_and_the_words_beside_it_are_named():
    tensors, _ = saved(order(OLD), rank=1)
    text, _ = saved([(str(i), 64, 64) for i in range(8)], "text_encoder")
    words = {"<s1>": torch.randn(64), "<s2>": torch.randn(64)}
    header = {**classes("GEGLU", "CrossAttention"), "text_encoder": '["CLIPAttention"]'}
    found = files.from_tensors("a", {**tensors, **text, **words}, header | dict.fromkeys(words, "<embed>"))
    layers = [item for item in found.left if item.what is What.TEXT]
    assert {item.keys for item in layers} == {
        (f"text_encoder:{i}:down", f"text_encoder:{i}:up") for i in range(8)
    }
    by_number = {item.keys[0].split(":")[1]: item.name for item in layers}
    assert by_number["0"].endswith("layers.0.self_attn.k_proj")
    assert by_number["6"].endswith("layers.1.self_attn.q_proj")
    embeddings = [item for item in found.left if item.what is What.TENSOR]
    assert [item.name for item in embeddings] == ["<s1>", "<s2>"]
    assert all("word's embedding" in item.reason for item in embeddings)


def test_alphas_gaps_and_layers_of_rank_0():
    tensors, products = saved(order(OLD), rank=2)
    del tensors["unet:3:up"], tensors["unet:3:down"]
    tensors |= {"unet:5:up": torch.zeros(320, 0), "unet:5:down": torch.zeros(0, 320)}
    tensors["unet:7:alpha"] = torch.tensor(1.0)
    found = files.from_tensors("a", tensors, classes("CrossAttention", "GEGLU"))
    assert len(found.slots) == len(products) - 2
    assert [item.keys for item in found.left] == [("unet:5:down", "unet:5:up")]
    assert sorted({delta.scale for delta in found.slots.values()}) == [0.5, 1]
    assert found.slots[found.placed[list(products)[7]]].scale == 0.5


@pytest.mark.parametrize(
    ("change", "header"),
    [
        # Of another network, one layer too many, other sizes in one place, or counted below other classes.
        (lambda layers: [(p, o, n) for p, o, n in layers[:-1]] + [(layers[-1][0], 1280, 320)], {}),
        (lambda layers: [*layers, layers[-1]], {}),
        (lambda layers: [(p, o * 2 if i == 70 else o, n) for i, (p, o, n) in enumerate(layers)], {}),
        (
            lambda layers: [(p, o, 640 if n == 768 and i > 40 else n) for i, (p, o, n) in enumerate(layers)],
            {},
        ),
        (lambda layers: layers, classes("Transformer2DModel")),
        (lambda layers: layers, classes("CrossAttention")),
        (lambda layers: layers[::-1], {}),
        (lambda layers: [("", 64, 64)] * 100, {}),
        (lambda layers: [("", 64, 64)], {}),
    ],
)
def test_numbers_that_fit_no_order_are_refused_as_that(change, header):
    tensors, _ = saved(change(list(order(OLD))), rank=1)
    with pytest.raises(
        KLoraError, match="^Use .* names its layers: layer unet:.*told by a number alone.*SD 1.5, SD 2, SDXL"
    ):
        files.from_tensors("a", tensors, header)


def test_a_network_that_nobody_knows_costs_its_layers():
    tensors, products = saved(order(OLD), rank=1)
    other, _ = saved([("", 8, 8)], "prior")
    text, _ = saved([("", 8, 8), ("", 8, 4)], "text_encoder")
    found = files.from_tensors("a", {**tensors, **other, **text})
    assert len(found.slots) == len(products)
    assert {item.name for item in found.left} == {"prior:0", "text_encoder:0", "text_encoder:1"}
    assert all("told by a number" in item.reason or item.what is What.TEXT for item in found.left)


@pytest.mark.parametrize("text", ["", "nothing", "[" * 5000, "5", "[]", "{}"])
def test_a_header_that_tells_no_classes_is_no_hindrance(text):
    tensors, products = saved(order(OLD), rank=1)
    assert len(files.from_tensors("a", tensors, {"unet": text}).slots) == len(products)
