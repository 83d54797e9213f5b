"""Scales that only a file's header says: PEFT's settings as diffusers writes them, against PEFT itself."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from klora_core import files
from klora_core.cli import main
from klora_core.files import reading

Q, K = "blocks.0.attn.to_q", "blocks.0.attn.to_k"


def lora(*names, rank=4, alpha=None, prefix="transformer."):
    tensors = {}
    for name in names:
        tensors[f"{prefix}{name}.lora_A.weight"] = torch.ones(rank, 8)
        tensors[f"{prefix}{name}.lora_B.weight"] = torch.ones(8, rank)
        if alpha is not None:
            tensors[f"{prefix}{name}.alpha"] = torch.tensor(float(alpha))
    return tensors


def header(settings, prefix="transformer."):
    return {"lora_adapter_metadata": json.dumps({f"{prefix}{key}": value for key, value in settings.items()})}


def scales(tensors, metadata):
    found = reading.read_tensors(tensors, metadata)
    return {module.raw: module.change.scale for module in found.modules}, found.notes


@pytest.mark.parametrize("rs", [False, True])
def test_the_scales_are_those_that_peft_makes_of_the_same_settings(rs):
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(
        r=4,
        lora_alpha=6,
        use_rslora=rs,
        target_modules=["to_q", "to_k", "to_v"],
        rank_pattern={K: 2},
        alpha_pattern={K: 7, "to_v": 5},
    )

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            for name in ("to_q", "to_k", "to_v"):
                setattr(self, name, nn.Linear(8, 8))

    model = nn.Module()
    model.blocks = nn.ModuleList([nn.Module()])
    model.blocks[0].attn = Attention()
    peft.inject_adapter_in_model(config, model)
    theirs, tensors = {}, {}
    for name in ("to_q", "to_k", "to_v"):
        layer = getattr(model.blocks[0].attn, name)
        theirs[f"transformer.blocks.0.attn.{name}"] = layer.scaling["default"]
        tensors |= lora(f"blocks.0.attn.{name}", rank=layer.r["default"])
    written = {k: sorted(v) if isinstance(v, set) else v for k, v in config.to_dict().items()}
    found, _ = scales(
        tensors,
        {
            "lora_adapter_metadata": json.dumps(
                {f"transformer.{k}": v for k, v in written.items()}, default=str
            )
        },
    )
    assert found == pytest.approx(theirs) and len(set(theirs.values())) == 3


@pytest.mark.parametrize("prefix", ["transformer.", "unet.", ""])
def test_with_the_models_prefix_and_without(prefix):
    settings = header({"lora_alpha": 8, "r": 4}, prefix)
    found, notes = scales(lora(Q, K, prefix=prefix), settings)
    assert set(found.values()) == {2.0}
    assert notes == ("scale (alpha / rank) from the file's metadata: 8 / 4 in 2 layers",)


def test_an_alpha_among_the_tensors_counts_more():
    tensors = {**lora(Q, alpha=1), **lora(K)}
    found, _ = scales(tensors, header({"lora_alpha": 8, "use_rslora": True}))
    assert found == {f"transformer.{Q}": 0.25, f"transformer.{K}": 4.0}


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {},
        {"format": "pt"},
        header({"r": 4}),
        header({"lora_alpha": 8}, "text_encoder."),
        # LyCORIS has worked it into the alphas that it writes.
        {"ss_network_args": json.dumps({"algo": "lora", "rs_lora": "True"}), "ss_network_alpha": "8"},
    ],
)
def test_a_header_that_says_nothing_of_it_changes_nothing(metadata):
    assert scales(lora(Q), metadata) == ({f"transformer.{Q}": 1.0}, ())


def test_settings_equal_to_the_rank_are_not_worth_a_sentence():
    assert scales(lora(Q), header({"lora_alpha": 4})) == ({f"transformer.{Q}": 1.0}, ())


@pytest.mark.parametrize("text", ["{", "[1]", "7", '"x"', "[" * 100_000, "{" + " " * (1 << 23)])
def test_a_header_that_is_not_understood_is_said(text):
    found, notes = scales(lora(Q), {"lora_adapter_metadata": text})
    assert found == {f"transformer.{Q}": 1.0}
    assert len(notes) == 1 and "not understood" in notes[0]


@pytest.mark.parametrize(
    ("settings", "scale"),
    [
        # PEFT's own alpha is 8; sqrt(4) divides it.
        ({"use_rslora": True}, 4.0),
        ({"use_rslora": 1, "lora_alpha": 6}, 1.5),
        ({"lora_alpha": 8, "alpha_pattern": {f"^{Q}": 12}}, 3.0),
        ({"lora_alpha": 8, "alpha_pattern": {"attn.to_q": 12}}, 3.0),
        # Layers are told by their names in the model, and whole.
        ({"lora_alpha": 8, "alpha_pattern": {f"transformer.{Q}": 12, "o_q": 16}}, 2.0),
        ({"lora_alpha": 8, "alpha_pattern": [Q]}, 2.0),
        ({"lora_alpha": 0}, 0.0),
    ],
)
def test_what_the_settings_say_of_a_layer(settings, scale):
    assert scales(lora(Q), header(settings))[0] == {f"transformer.{Q}": scale}


def test_a_pattern_is_a_layers_name_to_its_first_letter():
    settings = header({"lora_alpha": 8, "alpha_pattern": {"^Xs.to_q": 12}})
    assert scales(lora("Xs.to_q"), settings)[0] == {"transformer.Xs.to_q": 3.0}


@pytest.mark.parametrize(
    ("ranks", "more"),
    [
        ((2, 4, 4), "8 / 4 in 2 layers, 8 / 2 in 1 layer"),
        ((1, 2, 4), "8 / 1 in 1 layer, 8 / 2 in 1 layer, 8 / 4 in 1 layer"),
        (
            (1, 2, 2, 3, 5, 5, 5),
            "8 / 5 in 3 layers, 8 / 2 in 2 layers, 8 / 1 in 1 layer and 1 more",
        ),
    ],
)
def test_the_most_frequent_scales_are_told(ranks, more):
    layers = [lora(f"blocks.{i}.attn.to_q", rank=rank) for i, rank in enumerate(ranks)]
    tensors = {key: tensor for layer in layers for key, tensor in layer.items()}
    _, notes = scales(tensors, header({"lora_alpha": 8}))
    assert notes == (f"scale (alpha / rank) from the file's metadata: {more}",)


@pytest.mark.parametrize("alpha", ["8", None, True, [8], 10**9, 10**400, float("inf"), float("nan")])
def test_an_alpha_that_is_no_number_is_peft_s_default(alpha):
    found, _ = scales(lora(Q), header({"lora_alpha": alpha, "alpha_pattern": {"to_q": alpha, "x": 2}}))
    assert found == {f"transformer.{Q}": 2.0}


def test_the_command_line_reads_headers_too(tmp_path, capsys):
    layer = "transformer.transformer_blocks.0.attn.to_q"
    tensors = {
        f"{layer}.lora_A.weight": torch.randn(2, 8),
        f"{layer}.lora_B.weight": torch.randn(8, 2),
    }
    path, plain = tmp_path / "who.safetensors", tmp_path / "how.safetensors"
    save_file(tensors, path, metadata=header({"lora_alpha": 6}))
    save_file(tensors, plain)
    (delta,) = files.read(path).slots.values()
    assert delta.scale == 3.0
    assert main(["report", str(path), str(plain)]) == 0
    assert (
        "who.safetensors: scale (alpha / rank) from the file's metadata: 6 / 2 in 1 layer"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("prefix", "name"), [("module.transformer.", Q), ("transformer.", f"_orig_mod.{Q}"), ("_orig_mod.", Q)]
)
def test_a_wrapper_hides_no_layer_from_the_settings(prefix, name):
    settings = header(
        {"lora_alpha": 2, "alpha_pattern": {Q: 8}}, "" if prefix == "_orig_mod." else "transformer."
    )
    found, _ = scales(lora(name, prefix=prefix), settings)
    assert found == {prefix + name: 2.0}
