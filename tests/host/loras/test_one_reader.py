"""What the nodes do with every tensor of a LoRA: applied, named in the report, or the LoRA is refused."""

from __future__ import annotations

import logging
import time
from functools import partial

import pytest
import torch

from tests.support.host.lora_accounts import accounted, lora, moved, notes_of
from tests.support.host.nodes import UNET_LAYERS, unet_pair

R = torch.randn
LAYER = UNET_LAYERS[0]
AT = f"diffusion_model.{LAYER}"
UP, DOWN = f"{AT}.lora_B.weight", f"{AT}.lora_A.weight"
TEXT = "lora_te_text_model_encoder_layers_0_mlp_fc1"


@pytest.fixture(scope="module")
def subject(_sd15):
    return unet_pair(_sd15.model.model)[0]


@pytest.fixture
def read(pack, sd15):
    """`read(tensors, clip=None)` -> HostLora for the tiny SD1.5."""
    return lambda tensors, clip=None: accounted(pack, tensors, sd15.model, clip)


@pytest.fixture
def notes(pack):
    return partial(notes_of, pack)


def without(tensors, *keys):
    return {key: tensor for key, tensor in tensors.items() if key not in keys}


SIZES = ((768, 2), (2, 768), (3072, 2), (2, 768))
FLAT = "lora_unet_" + LAYER.replace(".", "_")
LOHA = {
    f"{FLAT}.hada_{x}": R(320, 2) if x.endswith("a") else R(2, 320) for x in ("w1_a", "w1_b", "w2_a", "w2_b")
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: without(t, UP), f"layer {AT} has down but no up"),
        (
            lambda t: {**without(t, UP, DOWN, f"{AT}.alpha"), **without(LOHA, f"{FLAT}.hada_w1_a")},
            "no hada_w1_a",
        ),
        (lambda t: {**without(t, UP), f"{UP}\u200b": t[UP]}, f"layer {AT} has down but no up"),
        (
            lambda t: {**t, **lora(FLAT, 320, 320)},
            f"layer {LAYER} is there twice|layer {FLAT} is there twice",
        ),
        (lambda t: {**t, f"{AT}.lora_up.weight": t[UP]}, "two tensors for up"),
        (lambda t: {**t, f"{AT}.diff": R(320, 320)}, f"layer {AT} has diff and lora"),
        (lambda t: {**t, f"{AT}.lora_magnitude_vector": R(32)}, f"layer {AT}: its DoRA has 32 magnitudes"),
        (lambda t: {**t, f"{AT}.oft_blocks": R(4, 80, 80)}, f"layer {AT} has lora and oft"),
        (lambda t: {**t, f"{AT}.diff_b": R(320) * torch.nan}, f"layer {AT}: bias holds NaN"),
        (
            lambda t: {**t, "diffusion_model.out.0.w_norm": R(320) / 0},
            "layer diffusion_model.out.0: diff holds",
        ),
        (lambda t: {**t, f"{TEXT}.diff": R(3072, 768) * torch.nan}, f"layer {TEXT}: diff holds NaN"),
        (lambda t: {**t, f"{AT}.alpha": torch.ones(2)}, f"layer {AT}: alpha has 2 values"),
        (lambda t: {**t, f"{AT}.alpha": torch.ones(0)}, f"layer {AT}: alpha has 0 values"),
        (lambda t: {**t, f"{AT}.alpha": torch.tensor(1j)}, f"layer {AT}: alpha is stored as complex64"),
        (
            lambda t: (
                {**without(t, UP, DOWN), f"{AT}.lokr_w1_a": R(2, 3), f"{AT}.lokr_w1_b": R(2, 2)}
                | {f"{AT}.lokr_w2": R(160, 160)}
            ),
            f"layer {AT} has tensors that do not fit together",
        ),
        (
            lambda t: {f"{AT}.lokr_w1": R(40, 40), f"{AT}.lokr_w2": R(40, 40)},
            f"layer {AT} is 1600 x 1600 in the LoRA and 320 x 320 in the model",
        ),
    ],
)
def test_damaged_loras_are_refused_in_one_line(read, subject, change, message):
    with pytest.raises(ValueError, match=message) as caught:
        read(change(subject))
    assert type(caught.value).__name__ == "KLoraError"
    assert caught.value.why.startswith("odd.safetensors: ") and str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (f"{AT}.vera_lambda_b", "not understood"),
        (f"{AT}.lora_A.bias", "not understood"),
        (f"{UP}\x1b[31m", "not understood"),
        (f"{AT}.set_weight", "replaces"),
        ("diffusion_model.out.2.alpha", "no factors"),
    ],
)
def test_what_is_not_understood_is_named_with_the_reason(notes, read, subject, key, reason):
    found = read({**subject, key: R(1)})
    (left,) = found.left
    assert left.keys == (key,) and reason in left.reason
    (line,) = notes(found)
    assert left.name in line and reason in line and "NOT applied" in line and line.isprintable()


def test_the_bias_of_a_lora_is_added_at_its_scale(sd15, read, subject):
    layer = "diffusion_model.input_blocks.1.1.transformer_blocks.0.ff.net.2"
    bias = R(320)
    found = read(
        {
            **subject,
            **lora(layer, 320, 1280),
            f"{layer}.alpha": torch.tensor(1.0),
            f"{layer}.lora_B.bias": bias,
        }
    )
    weight = sd15.model.model.get_submodule(layer).bias.float()
    torch.testing.assert_close(moved(found.vectors, weight, f"{layer}.bias"), bias / 2, rtol=1e-5, atol=1e-5)


def test_vectors_that_do_not_fit_are_not_called_applied(notes, sd15, read, subject):
    odd = {
        "diffusion_model.out.2.diff_b": R(5),
        "diffusion_model.out.0.w_norm": R(7),
        # This layer has no bias.
        f"{AT}.diff_b": R(320),
        "diffusion_model.input_blocks.0.0.diff_b": R(320),
    }
    found = read({**subject, **odd})
    assert list(found.vectors) == ["diffusion_model.input_blocks.0.0.bias"]
    assert {item.name: item.reason for item in found.left} == {
        "diffusion_model.out.2.diff_b": "their sizes do not fit this model",
        "diffusion_model.out.0.w_norm": "their sizes do not fit this model",
        f"{AT}.diff_b": "this model does not have them",
    }
    patched = sd15.model.clone()
    assert set(patched.add_patches(found.vectors, 1.0)) == set(found.vectors)
    lines = notes(found)
    assert lines[0] == "subject: 1 bias or norm tensor, applied as usual at strength 0.7."
    assert any(
        "2 bias or norm tensors, NOT applied: their sizes do not fit this model" in line for line in lines
    )
    assert any("1 bias or norm tensor, NOT applied: this model does not have them" in line for line in lines)


@pytest.mark.parametrize(
    "kind",
    [
        "lora",
        "lora with a name",
        "diff",
        "loha",
        "dora",
        "peft dora",
        "dora of columns",
        "oft",
        "boft",
        "glora",
    ],
)
def test_text_encoder_layers_are_applied_as_the_host_does(sd15, read, subject, kind, caplog):
    factors = lora(TEXT, 3072, 768)
    tensors = {
        "lora": factors,
        "lora with a name": {
            f"{TEXT}.lora_B.mine.weight": factors[f"{TEXT}.lora_up.weight"],
            f"{TEXT}.lora_A.mine.weight": factors[f"{TEXT}.lora_down.weight"],
        },
        "diff": {f"{TEXT}.diff": R(3072, 768), f"{TEXT}.diff_b": R(3072)},
        "loha": {
            f"{TEXT}.hada_{x}": R(3072, 2) if x.endswith("a") else R(2, 768)
            for x in ("w1_a", "w1_b", "w2_a", "w2_b")
        },
        "dora": {**factors, f"{TEXT}.dora_scale": R(3072, 1)},
        "peft dora": {**factors, f"{TEXT}.lora_magnitude_vector": R(3072)},
        "dora of columns": {**factors, f"{TEXT}.dora_scale": R(1, 768)},
        "oft": {f"{TEXT}.oft_blocks": R(384, 8, 8)},
        "boft": {f"{TEXT}.oft_blocks": R(2, 384, 8, 8)},
        "glora": {f"{TEXT}.{n}.weight": R(*s) for n, s in zip(("a1", "a2", "b1", "b2"), SIZES, strict=True)},
    }[kind]
    found = read({**subject, **tensors}, clip=sd15.clip)
    assert found.left == () and set(tensors) <= found.applied
    key = "clip_l.transformer.text_model.encoder.layers.0.mlp.fc1.weight"
    patched = sd15.clip.clone()
    assert set(patched.add_patches(found.clip, 1.0)) == set(found.clip)
    weight = sd15.clip.cond_stage_model.state_dict()[key].float()
    with caplog.at_level(logging.WARNING):
        change = moved(found.clip, weight, key, 0.5)
    assert not caplog.records
    if kind in ("lora", "lora with a name"):
        expected = factors[f"{TEXT}.lora_up.weight"] @ factors[f"{TEXT}.lora_down.weight"] / 2
        torch.testing.assert_close(change, expected, rtol=1e-4, atol=1e-4)
    assert change.any()


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        (lora(TEXT, 3072, 512), "their sizes do not fit"),
        ({f"{TEXT}.diff": R(768, 3072)}, "their sizes do not fit"),
        ({**lora(TEXT, 3072, 768), f"{TEXT}.dora_scale": R(7, 1)}, "their sizes do not fit"),
        (lora("lora_te2_text_model_encoder_layers_0_mlp_fc1", 3072, 768), "this CLIP does not have them"),
        ({f"{TEXT}.oft_blocks": R(4, 8, 8)}, "their sizes do not fit"),
        ({f"{TEXT}.oft_R.weight": R(4, 28)}, "PEFT's OFT or BOFT of a text encoder"),
        (
            {f"{TEXT}.oft_blocks": R(384, 8, 8), f"{TEXT}.rescale": R(3072, 1)},
            "leaves the rescale of an OFT out",
        ),
    ],
)
def test_text_encoder_layers_that_do_not_fit_are_named(notes, sd15, read, subject, tensors, reason):
    found = read({**subject, **tensors}, clip=sd15.clip)
    assert found.clip == {} and len(found.text) == 1
    assert all(reason in item.reason for item in found.left)
    (line,) = notes(found, clip=True)
    assert line.startswith("subject: 1 text-encoder layer, NOT applied: ")


def test_a_list_of_thousands_of_unknown_layers_is_no_work(read, subject):
    many = {f"nobody.{i}.{end}": R(1, 1) for i in range(4000) for end in ("lora_A.weight", "lora_B.weight")}
    start = time.process_time()
    found = read({**subject, **many})
    assert len(found.unknown) == 4000
    assert time.process_time() - start < 5
