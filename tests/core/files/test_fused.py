"""Fused layers in a file: the rows of each part, in each kind, and what a newer host made of them."""

from __future__ import annotations

import pytest
import torch

from klora_core import files
from klora_core.deltas import LayerWeight
from klora_core.errors import KLoraError
from klora_core.files import Left, What, bound, told_once, unfused
from klora_core.files.header import changes
from klora_core.files.reading import read_tensors
from klora_core.names import base_model_of
from tests.support import kinds

R = torch.randn
RAW = "transformer.transformer_blocks.0.attn.to_qkv"
ROWS = {"to_q": slice(0, 8), "to_k": slice(8, 12), "to_v": slice(12, 16)}


def parts(tensors):
    found = unfused(read_tensors(tensors))
    assert not found.left
    return {module.raw.rsplit(".", 1)[1]: module for module in found.modules}


def test_all_parts_have_the_tensors_of_the_whole():
    tensors = {f"{RAW}.lora_A.weight": R(2, 8), f"{RAW}.lora_B.weight": R(16, 2), f"{RAW}.diff_b": R(16)}
    whole = tensors[f"{RAW}.lora_B.weight"] @ tensors[f"{RAW}.lora_A.weight"]
    for name, module in parts(tensors).items():
        torch.testing.assert_close(module.change.delta().dense(), whole[ROWS[name]])
        assert torch.equal(module.bias.tensor, tensors[f"{RAW}.diff_b"][ROWS[name]])
        assert set(module.all_keys) == set(tensors)


@pytest.mark.parametrize("make", [kinds.dora_rows, kinds.glora, kinds.old_glora])
def test_kinds_that_need_the_weight_are_cut_with_it(make):
    weight = R(16, 8)
    made, expected = make(weight, torch.Generator().manual_seed(3))
    change = expected - weight
    for name, module in parts({RAW + end: tensor for end, tensor in made.items()}).items():
        rows = ROWS[name]
        base = LayerWeight.of(lambda device, rows=rows: weight[rows].to(device), torch.device("cpu"))
        torch.testing.assert_close(
            bound(module.change, base).dense(), change[rows].float(), rtol=1e-4, atol=1e-4
        )


OTHER = "transformer.transformer_blocks.1.attn.to_qkv"
UNCUT = {
    "OFT": (lambda: {".oft_blocks": R(2, 8, 8)}, "it is OFT or BOFT, which turns"),
    "DoRA": (
        lambda: {".lora_A.weight": R(2, 8), ".lora_B.weight": R(16, 2), ".dora_scale": R(1, 8)},
        "it is a DoRA with magnitudes of the inputs",
    ),
    "rows": (lambda: {".diff": R(15, 8)}, "its rows can't be told apart"),
}


@pytest.mark.parametrize("kind", UNCUT)
def test_what_can_t_be_taken_apart_is_left_by_name_and_refused_alone(kind):
    make, reason = UNCUT[kind]
    tensors = {OTHER + end: tensor for end, tensor in make().items()}
    with pytest.raises(KLoraError, match=f"^Use a plain LoRA: layer {OTHER}: {reason}"):
        unfused(read_tensors(tensors))
    found = unfused(read_tensors({**tensors, f"{RAW}.diff": R(24, 8)}))
    assert [module.raw.rsplit(".", 1)[1] for module in found.modules] == ["to_q", "to_k", "to_v"]
    (left,) = found.left
    assert (left.name, left.what, set(left.keys)) == (OTHER, What.LAYER, set(tensors))
    assert left.reason.startswith(reason)


def test_what_is_beside_the_fused_layer_for_its_parts_is_left_by_name():
    block = RAW.removesuffix("to_qkv")
    beside = {
        f"{block}to_q.diff": torch.zeros(8, 8),
        f"{block}to_k.diff": R(4, 8),
        f"{block}to_v.diff_b": R(4),
    }
    tensors = {f"{RAW}.diff": R(16, 8), f"{block}to_out.0.diff": R(8, 8), **beside, "x.odd": R(2)}
    found = unfused(read_tensors(tensors))
    assert [module.raw.removeprefix(block) for module in found.modules] == [
        "to_out.0",
        "to_q",
        "to_k",
        "to_v",
    ]
    unread, covered, empty, bias = found.left
    assert unread.name == "x.odd" and all(each.what is What.LAYER for each in (empty, covered, bias))
    assert (bias.keys, bias.reason) == ((f"{block}to_v.diff_b",), covered.reason)
    assert (empty.name, empty.keys, empty.reason[:5]) == (f"{block}to_q", (f"{block}to_q.diff",), "empty")
    assert (covered.name, covered.keys) == (f"{block}to_k", (f"{block}to_k.diff",))
    assert covered.reason.startswith("the fused layer")


@pytest.mark.parametrize(
    "text",
    [
        "text_encoder.text_model.encoder.layers.0.self_attn.q_proj",
        "text_encoder.transformer_blocks.0.attn.to_qkv",
    ],
)
def test_text_layers_are_not_taken_apart(text):
    found = unfused(read_tensors({f"{text}.diff": R(24, 8), f"{RAW}.diff": R(24, 8)}))
    assert [module.is_text for module in found.modules] == [True, False, False, False]


def test_each_fused_layer_is_taken_apart_and_a_bias_alone_is_not():
    last = OTHER.replace("1", "2")
    tensors = {f"{RAW}.diff": R(24, 8), f"{OTHER}.diff": R(24, 8), f"{last}.diff_b": R(24)}
    found = unfused(read_tensors(tensors))
    blocks = [RAW.removesuffix("to_qkv"), OTHER.removesuffix("to_qkv")]
    assert [module.raw for module in found.modules] == [
        last,
        *(block + part for block in blocks for part in ROWS),
    ]
    with pytest.raises(KLoraError, match="its rows can't be told apart"):
        unfused(read_tensors({f"{RAW}.diff": R(15, 8), f"{last}.diff_b": R(24)}))


def test_a_model_that_has_the_layer_itself_keeps_it():
    found = unfused(read_tensors({f"{RAW}.diff": R(16, 8)}), {RAW}.__contains__)
    assert [module.raw for module in found.modules] == [RAW]


@pytest.mark.parametrize(("start", "rows"), [(0, slice(0, 8)), (8, slice(8, 12)), (12, slice(12, 16))])
def test_a_whole_that_a_newer_host_keeps_under_each_name(start, rows):
    w1, w2, name = R(2, 2), R(8, 4), "diffusion_model.blocks.0.attn.wk"
    tensors = {f"{name}.lokr_w1": w1, f"{name}.lokr_w2": w2, f"{name}.row_offset": torch.tensor(start)}
    (delta,) = files.from_tensors("a", tensors).slots.values()
    torch.testing.assert_close(delta.dense(), torch.kron(w1, w2)[rows])


@pytest.mark.parametrize("shape", [(-1, 1), (-1,)])
@pytest.mark.parametrize(("start", "length"), [(0, 8), (8, 4), (12, 4)])
def test_magnitudes_of_its_rows_that_a_newer_host_has_cut(start, length, shape):
    name, magnitudes = "diffusion_model.blocks.0.attn.wk", R(length).view(shape)
    tensors = {f"{name}.{part}": tensor for part, tensor in {**WHOLE, "dora_scale": magnitudes}.items()}
    (module,) = read_tensors({**tensors, f"{name}.row_offset": torch.tensor(start)}).modules
    change = module.change
    assert (change.shape, change.rows, change.by_rows) == ((length, 8), (start, length), True)
    assert torch.equal(change.dora, magnitudes)
    whole = torch.kron(WHOLE["lokr_w1"], WHOLE["lokr_w2"])
    torch.testing.assert_close(change.delta().dense(), whole[start : start + length])


def test_the_least_that_is_kept_whole():
    w2 = R(3, 1)
    for start in range(3):
        tensors = {"a.lokr_w1": torch.ones(1, 1), "a.lokr_w2": w2, "a.row_offset": torch.tensor(start)}
        (module,) = read_tensors(tensors).modules
        assert torch.equal(module.change.delta().dense(), w2[start : start + 1])


WHOLE = {"lokr_w1": R(2, 2), "lokr_w2": R(8, 4)}


@pytest.mark.parametrize(
    ("start", "parts", "message"),
    [
        *(
            (start, WHOLE, f"no queries, keys or values of 16 x 8 start at its row_offset {start}")
            for start in (-1, 4, 16)
        ),
        (0, {"oft_blocks": R(2, 4, 4)}, "no queries, keys or values of 8 x 0 start at its row_offset 0"),
        (
            8,
            {**WHOLE, "dora_scale": R(1, 8)},
            "it is a DoRA with magnitudes of the inputs",
        ),
        (8, {**WHOLE, "dora_scale": R(())}, "it is a DoRA with magnitudes of the inputs"),
    ],
)
def test_what_has_no_such_part(start, parts, message):
    name = "diffusion_model.blocks.0.attn.wk"
    tensors = {f"{name}.{part}": tensor for part, tensor in parts.items()}
    with pytest.raises(KLoraError, match=f"^(Use a plain LoRA|Download [^:]+): layer {name}: {message}"):
        files.from_tensors("a", {**tensors, f"{name}.row_offset": torch.tensor(start)}, for_model=True)


def test_a_row_alone_is_left_by_name():
    tensors = {f"{RAW}.diff": R(16, 8), "blocks.0.attn.wq.row_offset": torch.tensor(0)}
    (left,) = files.from_tensors("a", tensors).left
    assert left.name == "blocks.0.attn.wq.row_offset" and "no factors" in left.reason


def test_krea_2_is_known_by_its_fused_attention_alone():
    shapes = changes({f"{RAW}.lora_A.weight": (16, 6144), f"{RAW}.lora_B.weight": (9216, 16)})
    assert shapes["transformer_blocks.0.attn.to_k"] == (1536, 6144)
    assert str(base_model_of(shapes)) == "Krea 2"
    tensors = {f"{RAW}.lora_A.weight": R(1, 6144), f"{RAW}.lora_B.weight": R(9216, 1)}
    found = files.from_tensors("a", tensors)
    assert {slot.name for slot in found.slots} == {f"blocks.0.attn.{name}" for name in ("wq", "wk", "wv")}


def test_flux_rows_are_those_of_its_own_fused_layer():
    """diffusers' fused layer of a network that ComfyUI has fused too."""
    tensors = {f"{RAW}.lora_A.weight": R(1, 8), f"{RAW}.lora_B.weight": R(24, 1)}
    tensors |= {"transformer.single_transformer_blocks.0.proj_mlp.diff": R(32, 8)}
    slots = files.from_tensors("a", tensors).slots
    assert [slot.name for slot in slots if "double" in slot.name] == [
        f"double_blocks.0.img_attn.qkv[{start}:{start + 8}]" for start in (0, 8, 16)
    ]


def test_each_tensor_is_told_once():
    one = Left("a", "x", What.LAYER, ("k", "l"))
    found = told_once([one, one, Left("b", "x", What.LAYER, ("k", "m"))], {"l"})
    assert [(item.name, item.keys) for item in found] == [("a", ("k",)), ("b", ("m",))]
