"""The ranks of a LoRA's layers: none at all, and with a weight each, as AdaLoRA trains them."""

from __future__ import annotations

import pytest
import torch

from klora_core import files
from klora_core.errors import KLoraError
from klora_core.files import What, reading

R = torch.randn
LAYER = "input_blocks.1.1.transformer_blocks.0.attn1.to_q"
OTHER, TEXT = "middle_block.1.proj_in", "lora_te_text_model_encoder_layers_0_mlp_fc1"
GOOD = {f"{LAYER}.lora_up.weight": R(4, 2), f"{LAYER}.lora_down.weight": R(2, 6)}

# What a layer of rank 0 is made of, by kind; one rank of 0 makes all of it nothing.
NOTHING = {
    "LoRA": {"lora_up.weight": R(4, 0), "lora_down.weight": R(0, 6)},
    "PEFT": {"lora_B.weight": R(4, 0), "lora_A.weight": R(0, 6)},
    "convolution": {"lora_up.weight": R(4, 0, 1, 1), "lora_down.weight": R(0, 6, 3, 3)},
    "Tucker": {
        "lora_up.weight": R(4, 0, 1, 1),
        "lora_mid.weight": R(0, 0, 3, 3),
        "lora_down.weight": R(0, 6, 1, 1),
    },
    "LoHa": {"hada_w1_a": R(4, 0), "hada_w1_b": R(0, 6), "hada_w2_a": R(4, 0), "hada_w2_b": R(0, 6)},
    "half a LoHa": {"hada_w1_a": R(4, 2), "hada_w1_b": R(2, 6), "hada_w2_a": R(4, 0), "hada_w2_b": R(0, 6)},
    "LoKr": {"lokr_w1": R(2, 2), "lokr_w2_a": R(2, 0), "lokr_w2_b": R(0, 3)},
    "GLoRA": {"a1.weight": R(6, 0), "a2.weight": R(0, 6), "b1.weight": R(4, 0), "b2.weight": R(0, 6)},
    "DoRA": {"lora_up.weight": R(4, 0), "lora_down.weight": R(0, 6), "dora_scale": R(4, 1)},
    "AdaLoRA": {"lora_B": R(4, 0), "lora_A": R(0, 6), "lora_E": R(0, 1)},
    "BeamLoRA": {"lora_B.weight": R(4, 0), "lora_A.weight": R(0, 6), "lora_gate": R(1, 0)},
}


@pytest.mark.parametrize("alpha", [{}, {"alpha": torch.tensor(4.0)}, {"alpha": torch.tensor(0.0)}])
@pytest.mark.parametrize("kind", NOTHING)
def test_a_layer_of_rank_0_costs_itself(kind, alpha):
    odd = {f"{OTHER}.{part}": tensor for part, tensor in {**NOTHING[kind], **alpha}.items()}
    found = files.from_tensors("a", {**GOOD, **odd}, for_model=True)
    (left,) = found.left
    assert (left.name, left.what, set(left.keys)) == (OTHER, What.LAYER, set(odd))
    assert left.reason == "its rank is 0, so that it changes nothing"
    assert found.applied == set(GOOD)


def test_the_bias_beside_it_and_a_text_layer_of_rank_0():
    beside = {f"{OTHER}.{part}": tensor for part, tensor in NOTHING["PEFT"].items()}
    own = reading.read_tensors({**GOOD, **beside, f"{OTHER}.diff_b": R(4)})
    assert [module.bias is not None for module in own.modules if module.raw == OTHER] == [True]
    scaled = {**GOOD, **beside, f"{OTHER}.lora_B.bias": R(4), f"{OTHER}.alpha": torch.tensor(1.0)}
    (left,) = reading.read_tensors(scaled).left
    assert set(left.keys) == set(scaled) - set(GOOD)
    text = {f"{TEXT}.{part}": tensor for part, tensor in NOTHING["LoRA"].items()}
    assert [item.what for item in reading.read_tensors({**GOOD, **text}).left] == [What.TEXT]


ONE = torch.tensor(1.0)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"lora_up.weight": R(0, 2), "lora_down.weight": R(2, 6)}, "is empty"),
        ({"lora_up.weight": R(4, 2), "lora_down.weight": R(2, 0)}, "down is empty"),
        ({"lora_up.weight": R(4, 0), "lora_down.weight": R(2, 6)}, "do not fit together"),
        ({"lora_up.weight": R(4, 2), "lora_down.weight": R(2, 6), "dora_scale": R(0)}, "dora_scale is empty"),
        ({"lokr_w1": R(2, 0), "lokr_w2": R(2, 3)}, "is empty"),
        ({"diff": R(4, 0)}, "diff is empty"),
        ({"w_norm": R(0)}, "norm is empty"),
        ({"diff_b": R(0)}, "bias is empty"),
        ({"oft_blocks": R(0, 2, 2)}, "oft_blocks is empty"),
        ({"oft_blocks": R(0, 2, 2, 2)}, "oft_blocks is empty"),
        ({"oft_blocks": R(1, 2, 0, 0)}, "oft_blocks is empty"),
        ({"lora_up.weight": R(4, 2), "lora_down.weight": R(2, 6), "alpha": R(0)}, "alpha has 0 values"),
        ({"lora_B": R(4, 2), "lora_A": R(2, 6), "lora_E": R(3, 1)}, "3 singular values for an up of"),
        ({"lora_E": R(2, 1)}, "but no up and no down"),
        (
            {"lora_B": R(4, 2), "lora_A": R(2, 6), "alpha": torch.tensor(2.0), "ranknum": torch.zeros(1)},
            "ranknum is 0",
        ),
        ({"lora_B": R(4, 2), "lora_A": R(2, 6), "alpha": ONE, "ranknum": -ONE}, "ranknum is -1"),
        ({"lora_B": R(4, 2), "lora_A": R(2, 6), "alpha": ONE, "ranknum": ONE * 1e-45}, "ranknum is 1.4"),
        (
            {"lora_B": R(4, 2), "lora_A": R(2, 6), "alpha": -ONE, "ranknum": ONE.double() * 1e-320},
            "is 9.99989e-321",
        ),
        ({"lora_B": R(4, 2), "lora_A": R(2, 6), "alpha": ONE, "ranknum": ONE * torch.nan}, "NaN or inf"),
        ({"lora_B": R(4, 2), "lora_A": R(2, 6), "alpha": ONE, "ranknum": ONE * torch.inf}, "NaN or inf"),
    ],
)
def test_what_is_empty_otherwise_is_damaged(tensors, message):
    with pytest.raises(KLoraError, match=f"layer {OTHER}.*{message}"):
        reading.read_tensors({**GOOD, **{f"{OTHER}.{part}": tensor for part, tensor in tensors.items()}})


def test_a_lora_of_rank_0_alone_is_refused_as_that():
    with pytest.raises(KLoraError, match=f"layer {LAYER}: its rank is 0.*no other layer does"):
        files.from_tensors("a", {f"{LAYER}.lora_B.weight": R(4, 0), f"{LAYER}.lora_A.weight": R(0, 6)})


B, A, E = R(4, 3), R(3, 6), R(3, 1)


@pytest.mark.parametrize(
    ("more", "scale"),
    [
        ({}, 1.0),
        ({".alpha": torch.tensor(6.0)}, 2.0),
        ({".ranknum": torch.tensor([3.0])}, 1.0),
        ({".ranknum": torch.tensor([3.0]), ".alpha": torch.tensor(6.0)}, 2.0),
        ({".ranknum": torch.tensor([2])}, 1.0),
        ({".ranknum.default": torch.tensor([2]), ".alpha": torch.tensor(6.0)}, 3.0),
        ({".ranknum": torch.tensor([1.0]), ".alpha": torch.tensor(6.0)}, 6.0),
    ],
)
@pytest.mark.parametrize("name", ["", ".default"])
def test_an_adalora_is_applied_with_its_singular_values(name, more, scale):
    raw = f"base_model.model.unet.{LAYER}"
    tensors = {f"{raw}.lora_{part}{name}": tensor for part, tensor in (("A", A), ("B", B), ("E", E))}
    tensors |= {raw + part: tensor for part, tensor in more.items()}
    found = files.from_tensors("a", tensors)
    ((slot, delta),) = found.slots.items()
    assert slot.name == LAYER and not found.left and found.applied == set(tensors)
    torch.testing.assert_close(delta.dense(), B @ torch.diag(E.flatten()) @ A * scale)


def test_an_adalora_takes_its_alpha_from_pefts_settings():
    tensors = {f"unet.{LAYER}.lora_{part}": tensor for part, tensor in (("A", A), ("B", B), ("E", E))}
    tensors[f"unet.{LAYER}.ranknum"] = torch.tensor([2.0])
    about = {"lora_adapter_metadata": '{"unet.lora_alpha": 6}'}
    (delta,) = files.from_tensors("a", tensors, about).slots.values()
    torch.testing.assert_close(delta.dense(), B @ torch.diag(E.flatten()) @ A * 3)


def test_the_sizes_of_an_adalora_tell_its_base_model():
    key = f"unet.{LAYER}.lora_"
    shapes = {f"{key}A": (3, 6), f"{key}B": (4, 3), f"{key}E": (3, 1), f"unet.{LAYER}.ranknum": (1,)}
    assert files.changes(shapes) == {LAYER: (4, 6)}


def test_what_is_left_of_an_adalora_without_factors():
    found = reading.read_tensors({**GOOD, f"{OTHER}.ranknum": torch.ones(1)})
    assert [left.keys for left in found.left] == [(f"{OTHER}.ranknum",)]
