"""How strongly a LoRA works in which blocks: what is written, what it says of a layer, what is refused."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from klora_core.errors import KLoraError
from klora_core.names import Slot, block, family_of, strengths_of
from klora_core.names.blocks import check_blocks, in_blocks

UNET = {
    "time_embed.0": (8, 8),
    "input_blocks.1.1.transformer_blocks.0.attn1.to_q": (8, 8),
    "input_blocks.2.1.transformer_blocks.0.attn2.to_k": (8, 768),
    "input_blocks.4.1.proj_in": (8, 8),
    "middle_block.1.proj_in": (8, 8),
    "output_blocks.3.1.transformer_blocks.0.attn2.to_k": (8, 768),
    "output_blocks.11.1.proj_in": (8, 8),
}
SDXL = {
    "input_blocks.4.1.transformer_blocks.0.attn2.to_k": (8, 2048),
    "output_blocks.0.0.in_layers.2": (8, 8),
    "output_blocks.0.1.transformer_blocks.9.attn1.to_q": (8, 8),
    "output_blocks.1.1.transformer_blocks.9.attn2.to_k": (8, 2048),
    "output_blocks.10.1.proj_in": (8, 8),
}
FLUX = {
    "double_blocks.3.img_attn.qkv[0:8]": (8, 8),
    "single_blocks.0.linear1": (8, 8),
    "single_blocks.9.linear2": (8, 8),
    "single_blocks.10.linear1[0:8]": (8, 8),
    "single_blocks.37.linear2": (8, 8),
    "single_blocks.38.linear2": (8, 8),
}
LUMINA = {"layers.4.attention.qkv[0:8]": (8, 8), "context_refiner.1.attention.out": (8, 8)}


def of(text, names):
    strengths = strengths_of(text)
    check_blocks(strengths, names)
    return [strengths.of(name) for name in names]


@pytest.mark.parametrize(
    ("text", "names", "expected"),
    [
        ("", UNET, [1, 1, 1, 1, 1, 1, 1]),
        ("down 1-3: 0, middle: 0.5, up: 1", UNET, [1, 0, 0, 1, 0.5, 1, 1]),
        ("  Down 2 : -1;MID:2\nup 11 : 1e-1 ,", UNET, [1, 1, -1, 1, 2, 1, 0.1]),
        ("time_embed: 0, all: 0.25", UNET, [0, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25]),
        ("other: 0", UNET, [0, 1, 1, 1, 1, 1, 1]),
        ("down 1: 10, down 2: -10, down 4: 0", UNET, [1, 10, -10, 0, 1, 1, 1]),
        # A layer beside the stages whose name ends in a digit.
        ("mlp1: 0", {"mlp1": (8, 8), "mlp2": (8, 8)}, [0, 1]),
        # The narrower holds, wherever it stands.
        ("down 2: 3, down 1-4: 2, down 0-9: 1, down: 0", UNET, [1, 2, 3, 2, 1, 1, 1]),
        ("down: 0, down 0-9: 1, down 1-4: 2, down 2: 3", UNET, [1, 2, 3, 2, 1, 1, 1]),
        ("double: 0, single 10-40: 0.5", FLUX, [0, 1, 1, 0.5, 0.5, 0.5]),
        ("layer 4: 0, refiner: 2", LUMINA, [0, 2]),
        ("content", SDXL, [0, 0, 1, 0, 0]),
        ("Style", SDXL, [0, 0, 0, 1, 0]),
        ("content", FLUX, [0, 1, 1, 0, 0, 0]),
        ("style", FLUX, [0, 0, 0, 1, 1, 0]),
    ],
)
def test_what_is_said_of_each_layer(text, names, expected):
    assert of(text, names) == expected


def test_every_name_of_the_map_is_a_name_here():
    for names in (UNET, SDXL, FLUX, LUMINA):
        for name in names:
            assert strengths_of(f"{block(name)[1]}: 0").of(name) == 0
            assert strengths_of(f"{block(name)[0]}: 0").of(name) == 0


@pytest.mark.parametrize(
    ("text", "names", "words"),
    [
        ("left 3: 1", UNET, r"no left 3 here\. There are time_embed, down 1-2, 4, mid, up 3, 11; all names"),
        ("down 3: 1", UNET, "no down 3 here"),
        ("single: 1", UNET, "no single here"),
        ("down 5-7: 1", UNET, "no down 5-7 here"),
        ("down", UNET, "'down' has no strength"),
        (": 1", UNET, "has no strength"),
        ("down: much", UNET, "^Give a number from -10 to 10: .*strength of down is 'much'"),
        ("down: nan", UNET, "^Give a number"),
        ("down: 11", UNET, "^Give a number"),
        ("down 3-1: 0", UNET, "^Write down 1-3: .*goes down"),
        ("mid: 0, middle: 1", UNET, "name a block twice"),
        *(
            (text, UNET, "name a block twice")
            for text in ("down 1-2: 0, down 2-3: 1", "down 2-3: 1, down 1-2: 0")
        ),
        ("content, style", UNET, "^Write nothing beside it, .*: blocks: content is a preset"),
        ("up: 0, Style", UNET, "Style is a preset"),
        (f"down {'9' * 5000}: 0", UNET, r"^Give a number of the map's: .* no block 9+ \.\.\. 9+\."),
        (f"down 1-{'9' * 5000}: 0", UNET, "there is no block 9"),
        (f"{'x' * 5000}: 0", UNET, r"no x{,200} \.\.\. x{,200} here"),
        ("down: 1: 2", UNET, "strength of down is '1: 2'"),
        ("mlp1-2: 0", {"mlp1": (8, 8), "mlp2": (8, 8)}, "no mlp 1-2 here"),
        (
            "content",
            UNET,
            "^Name blocks of the LoRA .*content is known of SDXL and FLUX alone.*are time_embed, down",
        ),
        ("style", LUMINA, "style is known of SDXL and FLUX alone"),
        # SDXL's, beside both halves.
        (
            "style",
            {"input_blocks.7.1.transformer_blocks.0.attn2.to_k": (1280, 2048)},
            "this LoRA changes nothing that content or style names. Its blocks are down 7",
        ),
        ("double 7: 1", FLUX, "There are double 3, single 0, 9-10, 37-38"),
    ],
)
def test_what_is_refused_in_one_line(text, names, words):
    with pytest.raises(KLoraError, match=words) as told:
        of(text, names)
    assert "\n" not in str(told.value) and told.value.do


def test_the_blocks_that_there_are_in_the_order_of_the_network():
    names = [f"single_blocks.{i}.linear1" for i in (12, 3, 10, 11, 0)]
    names += ["double_blocks", "double_blocks.7.x", "5.odd", "img_in", "middle_block.1.proj_in"]
    there = r"There are 5, img_in, mid, double 7, single 0, 3, 10-12; all names them all"
    with pytest.raises(KLoraError, match=there):
        of("up: 0", dict.fromkeys(names, (8, 8)))


@pytest.mark.parametrize("text", ["style", " STYLE, ", ";style\n"])
def test_a_preset_alone_whatever_parts_are_empty(text):
    assert strengths_of(text).preset == strengths_of(text).text == "style"


@dataclass(frozen=True)
class Change:
    shape: tuple[int, int] = (8, 8)


def test_slots_at_strength_0_compete_with_nobody():
    changes = {Slot(name): Change(shape) for name, shape in UNET.items()}
    assert in_blocks(changes, "") is changes and in_blocks(changes, " , ") is changes
    found = in_blocks(changes, "down 1-3: 0, middle: 0.5, up: 1")
    assert found == {
        slot: change
        for slot, change in changes.items()
        if "input_blocks.4" in slot.name or not slot.name.startswith("input_blocks")
    }
    assert not in_blocks(changes, "all: 0")
    with pytest.raises(KLoraError, match="no up 5 here"):
        in_blocks(changes, "up 5: 0")
    assert in_blocks(changes, "up 5: 0", ["output_blocks.5.1.proj_in"]) == changes
    with pytest.raises(KLoraError, match="content is known of SDXL and FLUX alone"):
        in_blocks(changes, "content")
    sdxl = {Slot(name): Change(shape) for name, shape in SDXL.items()}
    assert [slot.name for slot in in_blocks(sdxl, "style")] == [
        "output_blocks.1.1.transformer_blocks.9.attn2.to_k"
    ]


def test_a_block_twice_with_one_strength_is_none_too_many():
    assert of("mid: 0, mid: 0, down 1-2: 2, down 2-3: 2", UNET) == [1, 2, 2, 1, 0, 1, 1]


def test_further_layers_of_the_network_may_be_named():
    strengths = strengths_of("up 5: 0")
    check_blocks(strengths, UNET, ["output_blocks.5.1.proj_in"])
    with pytest.raises(KLoraError, match="no up 5"):
        check_blocks(strengths, UNET)


@pytest.mark.parametrize(
    ("names", "family"),
    [
        (SDXL, "SDXL"),
        (FLUX, "FLUX"),
        (UNET, None),
        (LUMINA, None),
        ({**FLUX, "txt_in.individual_token_refiner.blocks.0.self_attn.qkv": (24, 8)}, None),
        ({**FLUX, "single_stream_modulation.lin": (24, 8)}, None),
        ({"output_blocks.3.1.transformer_blocks.0.attn2.to_k": (8, 2048)}, None),
        ({"output_blocks.1.1.transformer_blocks.0.attn2.to_k": (8, 2048)}, "SDXL"),
        ({"output_blocks.1.1.transformer_blocks.0.attn2.to_k": (8, 768)}, None),
    ],
)
def test_whose_halves_are_known(names, family):
    assert family_of(names) == family
