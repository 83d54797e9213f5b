"""LoRA files: what is read, what is set aside, and what a person is told about a file that is no good."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from klora_core import files
from klora_core.deltas import rows
from klora_core.errors import KLoraError
from klora_core.files import What
from klora_core.names import Slot
from tests.support import loras

R = torch.randn
LAYER = "middle_block.1.transformer_blocks.0.attn1.to_q"


def lora(module, out=8, n=8, rank=2):
    return {f"{module}.lora_B.weight": R(out, rank), f"{module}.lora_A.weight": R(rank, n)}


def written(path, tensors):
    save_file(tensors, path)
    return path


def test_spellings_of_one_module_meet(tmp_path):
    unet = [name for name in loras.SPELLINGS if name not in ("onetrainer", "transformer", "bfl")]
    found = [
        files.read(loras.make(tmp_path / f"{name}.safetensors", loras.UNET, name).path).slots for name in unet
    ]
    assert all(slots.keys() == found[0].keys() for slots in found)
    assert {slot.weight for slot in found[0]} == {layer.weight for layer in loras.UNET}


def test_tensors_keep_their_dtype(tmp_path):
    made = loras.make(tmp_path / "a.safetensors", loras.UNET, "peft", dtype="bf16", alpha=1.0)
    found = files.read(made.path)
    assert found.name == "a.safetensors"
    assert {delta.up.dtype for delta in found.slots.values()} == {torch.bfloat16}


def test_text_encoder_vectors_and_strangers_are_listed():
    found = files.from_tensors(
        "a",
        {
            **lora(LAYER),
            **lora("lora_te1_text_model_encoder_layers_0_mlp_fc1"),
            **lora("text_encoder_2.text_model.encoder.layers.0.mlp.fc1"),
            f"{LAYER}.diff_b": R(8),
            "middle_block.1.norm.diff": R(8),
            "out.0.alpha": torch.tensor(1.0),
            "bundle_emb.cat": R(4, 8),
        },
    )
    assert list(found.slots) == [Slot(LAYER)]
    text = [item for item in found.left if item.what is What.TEXT]
    assert {item.reason for item in text} == {files.TEXT_REASON}
    assert [item.name for item in text] == [
        "lora_te1_text_model_encoder_layers_0_mlp_fc1",
        "text_encoder_2.text_model.encoder.layers.0.mlp.fc1",
    ]
    assert {(item.name, item.reason.split(",")[0]) for item in found.left if item not in text} == {
        (f"{LAYER}.diff_b", "a bias or norm vector"),
        ("middle_block.1.norm.diff", "a bias or norm vector"),
        ("out.0.alpha", "its layer has no factors that it could scale"),
        ("bundle_emb.cat", "a word's embedding (textual inversion)"),
    }


def test_dora_in_the_text_encoder_alone_is_no_matter():
    tensors = {**lora(LAYER), "lora_te_text_model_encoder_layers_0_mlp_fc1.dora_scale": R(8, 1)}
    assert list(files.from_tensors("a", tensors).slots) == [Slot(LAYER)]


def test_flux_final_modulation_swaps_the_halves_of_its_rows():
    up, down = R(6, 2), R(2, 4)
    found = files.from_tensors(
        "a",
        {
            "transformer.norm_out.linear.lora_B.weight": up,
            "transformer.norm_out.linear.lora_A.weight": down,
            **lora("transformer.single_transformer_blocks.0.attn.to_q"),
        },
    )
    delta = found.slots[Slot("final_layer.adaLN_modulation.1")]
    torch.testing.assert_close(delta.dense(), torch.cat((up[3:] @ down, up[:3] @ down)))


def test_an_unsure_flux_file_follows_the_other_file():
    unsure = files.from_tensors("a", lora("transformer.transformer_blocks.0.attn.to_k"))
    assert list(unsure.slots) == [Slot("transformer_blocks.0.attn.to_k")]
    fused = files.from_tensors("b", lora("double_blocks.0.img_attn.qkv", out=24))
    first, second = files.settle([unsure, fused])
    assert list(first.slots) == [Slot("double_blocks.0.img_attn.qkv", (8, 8))]
    met = rows([first.slots, second.slots], "cs")
    assert [all(row.deltas) for row in met] == [False, True, False]


def test_an_unsure_flux_file_follows_the_other_file_in_either_place():
    unsure = files.from_tensors("a", lora("transformer.transformer_blocks.0.attn.to_k"))
    fused = files.from_tensors("b", lora("double_blocks.0.img_attn.qkv", out=24))
    assert list(files.settle([fused, unsure])[1].slots) == [Slot("double_blocks.0.img_attn.qkv", (8, 8))]


def test_rows_that_reach_beyond_the_other_files_weight():
    """The third of three equal parts, against a whole weight as high as two of them."""
    both = lora("transformer.single_transformer_blocks.0.attn.to_q")
    parts = files.from_tensors("a", {**both, **lora("transformer.transformer_blocks.0.attn.to_v")})
    whole = files.from_tensors("b", {**both, **lora("double_blocks.0.img_attn.qkv", out=16)})
    for order in ((parts, whole), (whole, parts)):
        with pytest.raises(KLoraError, match="different base models"):
            files.settle([*order])


def test_two_files_at_once_are_aligned(tmp_path):
    unsure = written(tmp_path / "a.safetensors", lora("transformer.transformer_blocks.0.attn.to_k"))
    fused = written(tmp_path / "b.safetensors", lora("double_blocks.0.img_attn.qkv", out=24))
    first, second = files.read_all([unsure, fused])
    assert list(first.slots) == [Slot("double_blocks.0.img_attn.qkv", (8, 8))]
    assert second.name == "b.safetensors"


def test_a_bias_is_named_as_what_it_is():
    found = files.from_tensors("a", {**lora(LAYER), f"{LAYER}.diff_b": R(8)})
    assert [(left.what, left.keys) for left in found.left] == [(What.VECTOR, (f"{LAYER}.diff_b",))]


def test_qwen_does_not_follow_a_flux_file():
    qwen = files.from_tensors(
        "a", {**lora("transformer_blocks.0.attn.to_k"), **lora("transformer_blocks.59.attn.to_k")}
    )
    flux = files.from_tensors("b", lora("double_blocks.0.img_attn.qkv", out=24))
    assert files.settle([qwen, flux])[0].slots.keys() == qwen.slots.keys()


def test_guessed_dots_give_way_to_the_other_files_dots():
    flat = files.from_tensors("a", lora("lora_unet_new_net_3_odd_part_to_q"))
    dotted = files.from_tensors("b", lora("diffusion_model.new_net.3.odd_part.to_q"))
    for pair_of_files in (files.settle([flat, dotted]), files.settle([dotted, flat])):
        assert [list(f.slots) for f in pair_of_files] == [[Slot("new_net.3.odd_part.to_q")]] * 2


def test_conv_only_files_learn_from_the_other_where_the_upsampler_sits():
    conv = files.from_tensors("a", lora("lora_unet_up_blocks_0_upsamplers_0_conv"))
    sdxl = files.from_tensors("b", lora("unet.up_blocks.0.attentions.0.proj_in"))
    assert list(files.settle([conv, sdxl])[0].slots) == [Slot("output_blocks.2.2.conv")]


GOOD = lora(LAYER)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (
            {"model.diffusion_model.out.2.weight": R(4, 4), "model.diffusion_model.out.2.bias": R(4)},
            "no LoRA",
        ),
        ({"decoder.conv_in.weight": R(4, 4, 3, 3), "decoder.act.alpha": R(4)}, "no LoRA"),
        (lora("lora_te_text_model_encoder_layers_0_mlp_fc1"), "only the text encoder"),
        (lora("t5.encoder.block.0.layer.0.SelfAttention.q"), "only the text encoder"),
        (lora(f"student.{LAYER}"), f"a way that is not known here: 'student.{LAYER}'\\."),
        ({"out.0.diff": R(8)}, "no weight matrix"),
        ({k: v for k, v in GOOD.items() if "lora_A" not in k}, f"layer {LAYER} has up but no down"),
        ({**GOOD, f"{LAYER}.dora_scale": R(8, 1)}, f"layer {LAYER} is DoRA"),
        ({**GOOD, "out.2.oft_blocks": R(2, 4, 4)}, "nodes.*layer out.2 is OFT.*checkpoint's own weights"),
        ({**GOOD, "out.2.a1.weight": R(4, 4)}, "layer out.2 has glora_a1 but no glora_a2"),
        ({**GOOD, f"{LAYER}.reshape_weight": torch.tensor([8, 8])}, "changes the layer's size"),
        ({**GOOD, **lora("lora_unet_" + LAYER.replace(".", "_"))}, "two spellings"),
        ({**GOOD, f"{LAYER}.lora_B.other.weight": R(8, 2)}, "two tensors for up"),
    ],
)
def test_bad_files(tensors, message, tmp_path):
    path = written(tmp_path / "bad.safetensors", tensors)
    with pytest.raises(KLoraError, match=message) as caught:
        files.read(path)
    assert str(caught.value).startswith(f"{caught.value.do}: bad.safetensors: ") and caught.value.do


def test_truncated_foreign_and_missing_files(tmp_path):
    path = written(tmp_path / "cut.safetensors", GOOD)
    whole = path.read_bytes()
    for size in (0, 5, 40, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(KLoraError, match=r"^Download the file again.*: cut\.safetensors: "):
            files.read(path)
    with pytest.raises(KLoraError, match=r"gone\.safetensors: there is no such file"):
        files.read(tmp_path / "gone.safetensors")
    with pytest.raises(KLoraError, match="is not a file"):
        files.read(tmp_path)


def test_each_tensor_is_read_once():
    class Counting(dict):
        reads: list[str] = []

        def __getitem__(self, key):
            self.reads.append(key)
            return super().__getitem__(key)

    tensors = Counting({**GOOD, **lora("lora_te_text_model_encoder_layers_0_mlp_fc1")})
    files.from_tensors("a", tensors)
    assert sorted(Counting.reads) == sorted(tensors)
