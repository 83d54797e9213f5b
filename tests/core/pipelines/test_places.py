"""Slots found among the modules of models that keep their layers otherwise; no diffusers needed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from klora_core.apply import Spot
from klora_core.errors import KLoraError
from klora_core.files import What, from_tensors
from klora_core.names import Slot
from klora_core.pipelines import fit, layers_of
from klora_core.pipelines.places import inner

W = 8


def model(shapes: dict[str, tuple[int, ...]]) -> nn.Module:
    """A tree of layers by their paths: linear by [out, in], convolutions by [out, in, kernel, kernel]."""
    root = nn.Module()
    for path, shape in shapes.items():
        *parents, leaf = path.split(".")
        here = root
        for name in parents:
            if not hasattr(here, name):
                here.add_module(name, nn.Module())
            here = getattr(here, name)
        layer = nn.Linear(shape[1], shape[0]) if len(shape) == 2 else nn.Conv2d(shape[1], shape[0], shape[2])
        here.add_module(leaf, layer)
    return root


SD3 = {
    "pos_embed.proj": (W, 4, 2, 2),
    "context_embedder": (W, 6),
    "time_text_embed.timestep_embedder.linear_1": (W, W),
    "transformer_blocks.0.norm1.linear": (6 * W, W),
    "transformer_blocks.0.norm1_context.linear": (2 * W, W),
    **{f"transformer_blocks.0.attn.to_{x}": (W, W) for x in "qkv"},
    **{f"transformer_blocks.0.attn.add_{x}_proj": (W, W) for x in "qkv"},
    "transformer_blocks.0.ff.net.0.proj": (4 * W, W),
    "norm_out.linear": (2 * W, W),
    "proj_out": (16, W),
}
FUSED = {"joint_blocks.0.x_block.attn.qkv": (3 * W, W), "joint_blocks.0.x_block.mlp.fc1": (4 * W, W)}


def lora(*names: str, spelling: str = "transformer.{}", out: int = W, n: int = W):
    tensors = {}
    for name in names:
        tensors[f"{spelling.format(name)}.lora_A.weight"] = torch.randn(2, n)
        tensors[f"{spelling.format(name)}.lora_B.weight"] = torch.randn(out, 2)
    return from_tensors("a.safetensors", tensors)


def test_a_small_model_is_known_by_all_of_its_names():
    """Its widths say nothing, as they do of a LoRA file."""
    found = layers_of(model(SD3))
    assert found.layout.network == "sd3"
    assert found.spots(Slot("joint_blocks.0.x_block.mlp.fc1"), 4 * W) == (
        Spot("transformer_blocks.0.ff.net.0.proj", None),
    )
    assert found.spots(Slot("x_embedder.proj"), W) == (Spot("pos_embed.proj", None),)


def test_fused_rows_on_split_layers():
    found = layers_of(model(SD3))
    qkv = Slot("joint_blocks.0.x_block.attn.qkv")
    whole = found.spots(qkv, 3 * W)
    assert whole == tuple(
        Spot(f"transformer_blocks.0.attn.to_{x}", None, (i * W, W)) for i, x in enumerate("qkv")
    )
    # A piece that lies across a border, as another LoRA's rows may cut it.
    across = found.spots(Slot(qkv.weight, (W // 2, W)), W)
    assert across == (
        Spot("transformer_blocks.0.attn.to_q", (W // 2, W // 2), (0, W // 2)),
        Spot("transformer_blocks.0.attn.to_k", (0, W // 2), (W // 2, W // 2)),
    )
    assert found.spots(qkv, 4 * W) == ()


def test_split_rows_on_a_fused_layer():
    found = layers_of(model(FUSED))
    assert found.spots(Slot("joint_blocks.0.x_block.attn.qkv", (W, W)), W) == (
        Spot("joint_blocks.0.x_block.attn.qkv", (W, W)),
    )
    file = fit(lora("transformer_blocks.0.attn.to_v"), found)
    assert list(file.slots) == [Slot("joint_blocks.0.x_block.attn.qkv", (2 * W, W))]


def test_halves_that_change_places():
    """Diffusers keeps scale before shift in its last norms, the file formats shift before scale."""
    found = layers_of(model(SD3))
    for weight, layer in (
        ("final_layer.adaLN_modulation.1", "norm_out.linear"),
        ("joint_blocks.0.context_block.adaLN_modulation.1", "transformer_blocks.0.norm1_context.linear"),
    ):
        assert found.spots(Slot(weight), 2 * W) == (Spot(layer, (W, W), (0, W)), Spot(layer, (0, W), (W, W)))
    file = fit(lora("norm_out.linear", out=2 * W), found)
    delta, original = next(iter(file.slots.values())), file.modules["norm_out.linear"]
    rebuilt = torch.zeros(2 * W, W)
    for spot in found.spots(next(iter(file.slots)), 2 * W):
        start, length = spot.rows
        rebuilt[start : start + length] = delta.rows(*spot.part).dense()
    torch.testing.assert_close(rebuilt, original.dense())


def test_a_network_that_no_table_knows_keeps_its_own_names():
    shapes = {
        "transformer_blocks.0.attn.to_q": (W, W),
        "transformer_blocks.0.odd_part": (W, W),
        "my_in": (W, W),
    }
    found = layers_of(model(shapes))
    for spelling in ("transformer.{}", "diffusion_model.{}"):
        file = fit(lora(*shapes, spelling=spelling), found)
        assert not file.left
        assert {found.spots(slot, W)[0].layer for slot in file.slots} == set(shapes)
    kohya = {f"lora_unet_{name.replace('.', '_')}": name for name in shapes}
    file = fit(lora(*kohya, spelling="{}"), found)
    assert {found.spots(slot, W)[0].layer for slot in file.slots} == set(shapes)


def test_two_layers_of_one_name_mean_another_network():
    """UNets with more layers a block than the formula of their names allows."""
    found = layers_of(
        model({f"down_blocks.{b}.resnets.{i}.conv1": (W, W, 3, 3) for b in (0, 1) for i in range(4)})
    )
    assert found.layout.network == "other"
    assert len(found.pieces) == 8


def test_layers_under_adapters_of_others():
    found = layers_of(model({"transformer_blocks.0.attn.to_q.base_layer": (W, W), "x.odd": (W, W)}))
    assert found.spots(Slot("transformer_blocks.0.attn.to_q"), W)[0].layer.endswith("to_q.base_layer")


def test_what_does_not_fit():
    found = layers_of(model(SD3))
    file = fit(lora("transformer_blocks.9.attn.to_q", "transformer_blocks.0.attn.to_q"), found)
    (left,) = file.left
    assert (left.what, left.reason) == (What.MISSING, "this model does not have them")
    assert [left.name for left in file.left] == ["transformer_blocks.9.attn.to_q"]
    missing = "transformer.transformer_blocks.9.attn.to_q"
    assert set(file.left[0].keys) == {f"{missing}.lora_A.weight", f"{missing}.lora_B.weight"}
    assert len(file.applied) == 2 and not file.applied & set(file.left[0].keys)
    with pytest.raises(KLoraError, match="another base model.*none of its 1 layers"):
        fit(lora("transformer_blocks.9.attn.to_q"), found)
    with pytest.raises(
        KLoraError, match="a.safetensors: .*another base.*is 8 x 5 in the LoRA and 24 x 8 in the model"
    ):
        fit(lora("transformer_blocks.0.attn.to_q", n=5), found)
    with pytest.raises(KLoraError, match="no linear or convolution layer"):
        layers_of(nn.LayerNorm(4))


def test_a_layer_of_another_size_costs_that_layer():
    """As where an inpainting model takes more channels in."""
    found, both = (
        layers_of(model(SD3)),
        lora("transformer_blocks.0.attn.to_q", "transformer_blocks.0.attn.to_k"),
    )
    other = lora("transformer_blocks.0.attn.to_k", n=5).modules
    file = fit(replace(both, modules={**both.modules, **other}), found)
    (left,) = file.left
    assert left.what is What.LAYER and left.name == "transformer_blocks.0.attn.to_k"
    assert left.reason == "it is 8 x 5 in the LoRA and 24 x 8 in the model"
    assert len(file.slots) == 1 and len(file.applied) == 2


@pytest.mark.parametrize("layer", ["transformer_blocks.0.attn.to_q", "transformer_blocks.0.no_such"])
def test_a_layer_in_two_spellings_is_refused_also_where_the_model_lacks_it(layer):
    plain = lora(layer, "transformer_blocks.0.attn.to_k")
    own = plain.modules[layer]
    both = replace(plain, modules={**plain.modules, layer.replace(".", "_"): own})
    guessed = replace(both, guessed=frozenset({layer.replace(".", "_")}))
    found = layers_of(model({**SD3, "transformer_blocks.0.other.no_such": (W, W)}))
    spelling = {**found.spelling, layer.replace(".", "_"): layer}
    with pytest.raises(KLoraError, match=r"a\.safetensors: layer \S+ is there twice, in two spellings"):
        fit(guessed, replace(found, spelling=spelling))


def test_rows_that_the_model_has_in_part_are_missing():
    """The fused weight is there, but not as far as this LoRA's rows."""
    found = layers_of(model({k: v for k, v in SD3.items() if not k.endswith("attn.to_v")}))
    assert found.layout.network == "sd3"
    file = fit(lora("transformer_blocks.0.attn.to_v", "transformer_blocks.0.attn.to_q"), found)
    assert [left.name for left in file.left] == ["transformer_blocks.0.attn.to_v"]
    assert found.spots(Slot("no.such.layer"), W) == ()


def test_the_middle_of_the_network_is_named_where_nothing_fits():
    names = [f"transformer_blocks.{i}.attn.to_q" for i in range(3, 9)]
    with pytest.raises(KLoraError, match=r"such as transformer_blocks\.6\S* and transformer_blocks\.7\S*;"):
        fit(lora(*names), layers_of(model(SD3)))


def test_a_compiled_model_is_the_one_that_it_wraps():
    wrapped = model(SD3)
    outer = nn.Module()
    outer.add_module("_orig_mod", wrapped)
    assert inner(outer) is wrapped and inner(wrapped) is wrapped
    assert layers_of(outer) == layers_of(wrapped)


def fused_model() -> nn.Module:
    """Its queries, keys and values are one layer on request, beside those that rest from then on."""
    made = model({**SD3, "transformer_blocks.0.attn.to_qkv": (3 * W, W)})
    made.get_submodule("transformer_blocks.0.attn").fused_projections = True
    return made


def test_layers_that_rest_are_found_in_the_one_that_runs_in_their_place():
    layer = "transformer_blocks.0.attn.to_qkv"
    found = layers_of(fused_model())
    qkv = "joint_blocks.0.x_block.attn.qkv"
    assert found.spots(Slot(qkv), 3 * W) == (Spot(layer, None),), "neighbours in one layer are one piece"
    for i in range(3):
        assert found.spots(Slot(qkv, (i * W, W)), W) == (Spot(layer, (i * W, W)),)
    assert found.spots(Slot(qkv, (4, 12)), 12) == (Spot(layer, (4, 12)),)
    text = found.spots(Slot("joint_blocks.0.context_block.attn.qkv"), 3 * W)
    assert [spot.layer.rsplit(".", 1)[1] for spot in text] == ["add_q_proj", "add_k_proj", "add_v_proj"]


def test_a_layer_that_is_fused_by_name_alone_is_no_fused_one():
    made = model(SD3)
    made.get_submodule("transformer_blocks.0.attn").fused_projections = True
    assert layers_of(made) == layers_of(model(SD3))


def test_the_words_fused_beside_an_image_that_is_not():
    """What follows a fused layer, and layers of the model behind it, keep their places."""
    made = model({**SD3, "transformer_blocks.0.attn.to_added_qkv": (3 * W, W)})
    made.get_submodule("transformer_blocks.0.attn").fused_projections = True
    found = layers_of(made)
    text = found.spots(Slot("joint_blocks.0.context_block.attn.qkv"), 3 * W)
    assert text == (Spot("transformer_blocks.0.attn.to_added_qkv", None),)
    assert len(found.spots(Slot("joint_blocks.0.x_block.attn.qkv"), 3 * W)) == 3
    assert len(found.spots(Slot("joint_blocks.0.x_block.mlp.fc1"), 4 * W)) == 1


def test_a_layer_that_is_missing_first_takes_no_other_with_it():
    file = lora("transformer_blocks.0.attn.to_q", "transformer_blocks.0.attn.absent")
    for names in (file.modules, dict(reversed(file.modules.items()))):
        found = fit(replace(file, modules=names), layers_of(model(SD3)))
        assert list(found.slots) == [Slot("joint_blocks.0.x_block.attn.qkv", (0, W))]
        assert [left.name for left in found.left] == ["transformer_blocks.0.attn.absent"]
        kept = file.modules["transformer_blocks.0.attn.to_q"].dense()
        torch.testing.assert_close(next(iter(found.slots.values())).dense(), kept)


def test_names_without_dots_take_the_models_own():
    found = layers_of(model({"my_net.3.odd_part.to_q": (W, W), "other": (W, W)}))
    file = fit(lora("lora_unet_my_net_3_odd_part_to_q", "lora_unet_not_there", spelling="{}"), found)
    assert list(file.slots) == [Slot("my_net.3.odd_part.to_q")]
    assert len(file.left) == 1 and "not" in file.left[0].name


def test_the_inputs_of_a_convolution_are_counted_with_its_kernel():
    found = layers_of(model({"odd.conv": (W, 4, 3, 3), "odd.to_q": (W, W)}))
    file = fit(lora("odd.conv", n=36), found)
    assert list(file.slots) == [Slot("odd.conv")]
    with pytest.raises(KLoraError, match="is 8 x 35 in the LoRA and 8 x 36 in the model"):
        fit(lora("odd.conv", n=35), found)


def test_known_names_behind_a_prefix_that_nobody_knows_are_refused_as_such():
    found = from_tensors(
        "a.safetensors",
        {
            f"student.double_blocks.0.img_attn.qkv.{end}": torch.randn(*shape)
            for end, shape in {"lora_A.weight": (2, W), "lora_B.weight": (3 * W, 2)}.items()
        },
        for_model=True,
    )
    said = r"a.safetensors: it names its layers in a way that is not known here: 'student.double_blocks.0"
    with pytest.raises(KLoraError, match=said):
        fit(found, layers_of(model({"double_blocks.0.img_attn.qkv": (3 * W, W)})))
