"""The one reader: what a module's tensors are, and what is refused, whoever asks."""

from __future__ import annotations

import os

import pytest
import torch
from safetensors.torch import save_file

from klora_core import files
from klora_core.errors import KLoraError, printable
from klora_core.files import What, reading

R = torch.randn
LAYER = "input_blocks.1.1.transformer_blocks.0.attn1.to_q"
GOOD = {f"{LAYER}.lora_up.weight": R(4, 2), f"{LAYER}.lora_down.weight": R(2, 4)}
OTHER = "middle_block.1.proj_in"
TEXT = "lora_te_text_model_encoder_layers_0_mlp_fc1"


def only(tensors):
    (module,) = reading.read_tensors(tensors).modules
    return module


def test_a_module_holds_its_change_and_its_vectors():
    module = only({**GOOD, f"{LAYER}.alpha": torch.tensor(1.0), f"{LAYER}.diff_b": R(4)})
    assert (module.raw, module.is_text, module.change.shape) == (LAYER, False, (4, 4))
    assert module.change.scale == 0.5
    assert set(module.keys) == {*GOOD, f"{LAYER}.alpha"}
    assert [vector.key for vector in module.vectors] == [f"{LAYER}.diff_b"]
    assert set(module.all_keys) == {*GOOD, f"{LAYER}.alpha", f"{LAYER}.diff_b"}


@pytest.mark.parametrize("ending", [".lora_up.bias", ".lora_B.bias", ".lora_B.default.bias"])
def test_the_bias_of_a_lora_counts_alpha_over_rank_times(ending):
    bias = R(4).half()
    module = only({**GOOD, f"{LAYER}.alpha": torch.tensor(1.0), LAYER + ending: bias})
    assert torch.equal(module.bias.tensor, bias.float() * 0.5) and module.bias.key == LAYER + ending


def test_norms_by_lycoris_and_by_cores_trainer():
    for weight, bias in ((".diff", ".diff_b"), (".w_norm", ".b_norm")):
        found = reading.read_tensors({**GOOD, OTHER + weight: R(4), OTHER + bias: R(4)})
        module = next(module for module in found.modules if module.raw == OTHER)
        assert module.change is None
        assert (module.norm.key, module.bias.key) == (OTHER + weight, OTHER + bias)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (f"{OTHER}.set_weight", "replaces"),
        (f"{OTHER}.bias", "replaces"),
        (f"{OTHER}.alpha", "no factors that it could scale"),
        (f"{LAYER}.lora_A.bias", "not understood"),
        (f"{LAYER}.vera_lambda_b", "not understood"),
        (f"{LAYER}.lora_up.weight\u200b", "not understood"),
        ("anything", "not understood"),
    ],
)
def test_what_is_left_has_a_name_and_a_reason(key, reason):
    found = reading.read_tensors({**GOOD, key: R(1)})
    (left,) = found.left
    assert (left.what, left.keys) == (What.TENSOR, (key,))
    assert reason in left.reason and left.name == printable(key)
    assert len(found.modules) == 1


def test_all_that_is_left_is_told():
    numbered = {"unet:0:up": R(7, 1), "unet:0:down": R(1, 5), "text_encoder:0:up": R(7, 1)}
    tensors = {
        **GOOD,
        **numbered,
        "text_encoder:0:down": R(1, 5),
        "anything": R(1),
        "aword": R(1, 4),
        "bundle_emb.cat": R(1, 4),
        f"{OTHER}.set_weight": R(4),
        "out.0.alpha": R(1),
        "out.1.lora_up.weight": R(4, 0),
        "out.1.lora_down.weight": R(0, 4),
        "out.2.oft_R.weight": R(4, 2, 2),
        "out.3.dora_scale": R(4, 1),
        "out.3.row_offset": torch.tensor(0),
    }
    found = reading.read_tensors(tensors, {"aword": "<embed>", "anything": "else"})
    assert {left.keys: (left.what, left.reason.split(",")[0]) for left in found.left} == {
        ("anything",): (What.TENSOR, "not understood"),
        ("aword",): (What.TENSOR, "a word's embedding (textual inversion)"),
        ("bundle_emb.cat",): (What.TENSOR, "a word's embedding (textual inversion)"),
        (f"{OTHER}.set_weight",): (
            What.TENSOR,
            "it replaces the model's values instead of adding to them",
        ),
        ("out.0.alpha",): (What.TENSOR, "its layer has no factors that it could scale"),
        ("out.1.lora_down.weight", "out.1.lora_up.weight"): (What.LAYER, "its rank is 0"),
        ("out.2.oft_R.weight",): (What.LAYER, "it is PEFT's OFT or BOFT"),
        ("out.3.dora_scale",): (What.TENSOR, "its layer has no factors that it could scale"),
        ("out.3.row_offset",): (What.TENSOR, "its layer has no factors that it could scale"),
        ("text_encoder:0:down", "text_encoder:0:up"): (What.TEXT, "it is told by a number alone"),
        ("unet:0:down", "unet:0:up"): (What.LAYER, "it is told by a number alone"),
    }
    assert [module.raw for module in found.modules] == [LAYER]


def test_layers_of_an_unknown_order_alone():
    unet = {"unet:0:up": R(7, 1), "unet:0:down": R(1, 5)}
    text = {"text_encoder:0:up": R(7, 1), "text_encoder:0:down": R(1, 5)}
    for tensors in (unet, {**unet, **text}):
        with pytest.raises(
            KLoraError, match="^Use .* names its layers: layer .*:0: it is told by a number alone"
        ):
            reading.read_tensors(tensors)
    (left,) = reading.read_tensors(text).left
    assert (left.name, left.what) == ("text_encoder:0", What.TEXT)
    with pytest.raises(KLoraError, match="changes only the text encoder"):
        files.from_tensors("a", text)


def test_a_name_that_is_no_text_is_left_by_what_it_prints():
    found = reading.read_tensors({**GOOD, 5: R(1)})
    assert [(left.name, left.keys) for left in found.left] == [("5", ("5",))]
    assert len(found.modules) == 1


def test_a_layer_that_cant_be_used_is_named_with_all_its_tensors():
    keys = tuple(f"{OTHER}.oft_{name}.weight" for name in "Rs")
    found = reading.read_tensors({**GOOD, **{key: R(4, 2, 2) for key in keys}})
    assert [left.keys for left in found.left] == [keys]


def test_an_alpha_beside_a_full_difference_is_named():
    found = reading.read_tensors({f"{LAYER}.diff": R(4, 4), f"{LAYER}.alpha": torch.tensor(8.0)})
    assert [left.keys for left in found.left] == [(f"{LAYER}.alpha",)]
    assert found.modules[0].change.scale == 1


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({f"{LAYER}.lora_down.weight": R(2, 4)}, f"layer {LAYER} has down but no up"),
        (
            {f"{LAYER}.hada_{x}": R(2, 2) for x in ("w1_b", "w2_a", "w2_b")},
            f"layer {LAYER} has hada_w1_b, hada_w2_a, hada_w2_b but no hada_w1_a",
        ),
        ({f"{LAYER}.lokr_w1": R(2, 2)}, f"layer {LAYER} has lokr_w1 but no lokr_w2_a"),
        (
            {f"{LAYER}.lora_up.weight": R(4, 2), f"{LAYER}.lora_down.weight\u200b": R(2, 4)},
            f"layer {LAYER} has up but no down",
        ),
        ({**GOOD, f"{LAYER}.diff": R(4, 4)}, f"layer {LAYER} has diff and lora"),
        ({**GOOD, f"{LAYER}.lora_B.weight": R(4, 2)}, r"two tensors for up, .*lora_B.weight and .*lora_up"),
        ({**GOOD, f"{LAYER}.lora_B.bias": R(4), f"{LAYER}.diff_b": R(4)}, "a LoRA's bias and another bias"),
        ({**GOOD, f"{OTHER}.lora_B.bias": R(4)}, f"layer {OTHER} has a LoRA's bias and no lora_up"),
        ({**GOOD, f"{LAYER}.oft_R.weight": R(4, 2, 2)}, f"plain LoRA.*: layer {LAYER} is PEFT's OFT"),
        ({**GOOD, f"{LAYER}.reshape_weight": R(2)}, f"layer {LAYER} is a LoRA that changes the layer's size"),
        (
            {
                f"{TEXT}.lora_up.weight": R(4, 2),
                f"{TEXT}.lora_down.weight": R(2, 4),
                f"{LAYER}.oft_R.weight": R(4, 2, 2),
            },
            f"layer {LAYER} is PEFT's OFT",
        ),
        (
            {**GOOD, f"{LAYER}.dora_scale": R(4, 1), f"{LAYER}.lora_magnitude_vector": R(4)},
            f"layer {LAYER} has lora and dora_scale and magnitude",
        ),
        (
            {**GOOD, f"{LAYER}.oft_blocks": R(2, 2, 2), f"{LAYER}.rescale": R(4, 1)},
            f"layer {LAYER} has lora and oft",
        ),
        ({**GOOD, f"{LAYER}.diff_b": R(4) * torch.nan}, f"layer {LAYER}: bias holds NaN"),
        ({**GOOD, f"{OTHER}.w_norm": R(4) / 0}, f"layer {OTHER}: diff holds NaN or inf"),
        (
            {**GOOD, f"{TEXT}.lora_up.weight": R(4, 2) * torch.nan, f"{TEXT}.lora_down.weight": R(2, 4)},
            f"layer {TEXT}: up holds NaN",
        ),
        ({**GOOD, f"{LAYER}.alpha": torch.zeros(2)}, "alpha has 2 values"),
        ({**GOOD, f"{LAYER}.alpha": 2.0}, "alpha is no tensor"),
        ({**GOOD, f"{LAYER}.alpha": torch.ones((1,) * 33)}, f"layer {LAYER}: alpha has 33 dimensions"),
        ({f"{OTHER}.diff": R(4, 4, *(1,) * 63)}, f"layer {OTHER}: diff has 65 dimensions, as no layer has"),
        ({**GOOD, f"{OTHER}.diff_b": R(4, *(1,) * 99)}, f"layer {OTHER}: bias has 100 dimensions"),
        ({**GOOD, f"{LAYER}.dora_scale": R(4, *(1,) * 64)}, f"layer {LAYER}: dora_scale has 65 dimensions"),
        ({f"{LAYER}.oft_blocks": R(*(1,) * 70, 2, 2)}, f"layer {LAYER}: oft_blocks has 72 dimensions"),
        (
            {"img_in.lora_A.weight": R(2, 4), "single_blocks.0.norm.key_norm.scale": R(4)},
            "control LoRA that changes the layer's size",
        ),
    ],
)
def test_what_is_refused(tensors, message):
    with pytest.raises(KLoraError, match=message) as caught:
        reading.read_tensors(tensors)
    assert "\n" not in str(caught.value)


def test_a_layer_of_a_kind_that_cant_be_used_costs_that_layer():
    odd = {
        f"{OTHER}.reshape_weight": R(2),
        f"{OTHER}.lora_up.weight": R(4, 2),
        f"{OTHER}.lora_down.weight": R(2, 4),
    }
    found = reading.read_tensors({**GOOD, **odd})
    (left,) = found.left
    assert (left.name, left.what, set(left.keys)) == (OTHER, What.LAYER, set(odd))
    assert "changes the layer's size" in left.reason and "plain LoRA" in left.reason
    assert [module.raw for module in found.modules] == [LAYER]


@pytest.mark.parametrize(
    "key", ["dora_scale", "lora_magnitude_vector", "lora_magnitude_vector.default.weight"]
)
def test_the_magnitude_of_a_dora_belongs_to_its_change(key):
    (module,) = reading.read_tensors({**GOOD, f"{LAYER}.{key}": R(4, 1)}).modules
    assert module.change.label == "DoRA" and module.change.needs_weight
    assert module.change.peft == (key != "dora_scale") and set(module.keys) == {*GOOD, f"{LAYER}.{key}"}


def test_other_kinds_in_the_text_encoder_alone():
    found = reading.read_tensors({**GOOD, f"{TEXT}.oft_R.weight": R(4, 2), f"{TEXT}.rescale": R(4, 1)})
    (left,) = found.left
    assert (left.name, left.what, len(left.keys)) == (TEXT, What.TEXT, 2)
    assert left.reason == "PEFT's OFT or BOFT of a text encoder"
    found = reading.read_tensors({**GOOD, f"{TEXT}.oft_R.weight": R(4, 2), f"{TEXT}.reshape_weight": R(2)})
    assert found.left[0].reason.startswith("PEFT's OFT or BOFT and a LoRA that changes the layer's size of")
    factors = {f"{TEXT}.lora_up.weight": R(4, 2), f"{TEXT}.lora_down.weight": R(2, 4)}
    found = reading.read_tensors({**GOOD, **factors, f"{TEXT}.dora_scale": R(4, 1)})
    assert not found.left
    text = next(module for module in found.modules if module.is_text)
    assert text.change.dora is not None and len(text.keys) == 3


def test_names_never_reach_a_terminal_as_commands(tmp_path):
    assert printable("a\x1b[31m\x07\x00b\u202e") == "a\\x1b[31m\\x07\\x00b\\u202e"
    assert str(KLoraError("bad\x1b]0;title\x07 name\nnext")).isprintable()
    assert len(printable("x" * 10_000)) <= 240
    assert printable("ä\N{SNOWMAN} b") == "ä\N{SNOWMAN} b"
    path = tmp_path / "cut\x1b[2J.safetensors"
    path.write_bytes(b"nothing")
    with pytest.raises(KLoraError, match=r"^Download [^:]+: cut\\x1b\[2J\.safetensors: ") as caught:
        files.read(path)
    assert str(caught.value).isprintable()
    evil = {**GOOD, "note\x1b[31m": R(2), "note\x00": R(2)}
    found = files.from_tensors("a", evil)
    assert {item.name for item in found.left} == {"note\\x1b[31m", "note\\x00"}


def test_a_file_name_that_is_no_utf8_is_no_damage(tmp_path):
    path = os.path.join(os.fsencode(tmp_path), b"caf\xe9.safetensors")
    save_file(GOOD, tmp_path / "plain.safetensors")
    os.rename(tmp_path / "plain.safetensors", path)
    found = files.read(os.fsdecode(path))
    assert found.name == "caf\N{REPLACEMENT CHARACTER}.safetensors"
    assert len(found.slots) == 1


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        # Rows of one weight: pairing sees two slots that have nothing to do with each other.
        (
            "transformer.single_transformer_blocks.0.attn.to_k",
            "transformer.single_transformer_blocks.0.attn.to_k",
        ),
        (
            "transformer.single_transformer_blocks.0.attn.to_k",
            "transformer.single_transformer_blocks.0.attn.to_q",
        ),
        ("transformer.single_transformer_blocks.0.attn.to_v", "single_blocks.0.linear1"),
    ],
)
def test_layers_of_two_base_models_are_refused_in_rows_too(ours, theirs):
    shared = {
        "single_blocks.1.linear2.lora_B.weight": R(8, 1),
        "single_blocks.1.linear2.lora_A.weight": R(1, 8),
    }
    small = {f"{ours}.lora_B.weight": R(4, 1), f"{ours}.lora_A.weight": R(1, 4)}
    large = {f"{theirs}.lora_B.weight": R(320, 1), f"{theirs}.lora_A.weight": R(1, 320)}
    pair = [files.from_tensors(n, {**shared, **t}) for n, t in (("who.st", small), ("how.st", large))]
    for order in (pair, pair[::-1]):
        with pytest.raises(KLoraError, match="4 x 4 in who.st|4 x 4.*who.st") as caught:
            files.settle([*order])
        assert "different base models" in str(caught.value)
