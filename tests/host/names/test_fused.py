"""Attention that a file keeps in one layer goes to the layers that the model keeps apart, on every host."""

from __future__ import annotations

import comfy.lora_convert
import comfy.weight_adapter
import pytest
import torch
from torch import nn

from klora_core import files
from klora_core.pipelines import fit, layers_of
from tests.support.families.nets import patcher
from tests.support.host import newer_host
from tests.support.host.lora_accounts import accounted, lora
from tests.support.host.nodes import fuse

G = torch.Generator()
# By fused layer: the layer of the host, its inputs, and the rows of queries, keys and values.
ATTENTION = {
    "transformer_blocks.0.attn": ("blocks.0.attn", 256, (256, 128, 128)),
    "transformer_blocks.1.attn": ("blocks.1.attn", 256, (256, 128, 128)),
    "text_fusion.layerwise_blocks.1.attn": ("txtfusion.layerwise_blocks.1.attn", 128, (128, 128, 128)),
    "text_fusion.refiner_blocks.0.attn": ("txtfusion.refiner_blocks.0.attn", 128, (128, 128, 128)),
}
SPELLINGS = (
    "transformer.",
    "diffusion_model.",
    "base_model.model.",
    "",
    "lycoris_",
    "lora_transformer_",
    "lora_unet_",
)


def R(*shape):
    return torch.randn(*shape, generator=G)


def _lokr(out, n, blocks):
    return {".lokr_w1": R(out // blocks, n // 4), ".lokr_w2": R(blocks, 4), ".alpha": torch.tensor(1.0)}


KINDS = {
    "lora": lambda out, n: {".lora_A.weight": R(4, n), ".lora_B.weight": R(out, 4)},
    "kohya": lambda out, n: {
        ".lora_down.weight": R(4, n),
        ".lora_up.weight": R(out, 4),
        ".alpha": torch.tensor(2.0),
    },
    "lokr": lambda out, n: _lokr(out, n, 16),
    # Blocks of rows that lie across the borders.
    "lokr across": lambda out, n: _lokr(out, n, out // 2),
    "lokr in factors": lambda out, n: {
        **{".lokr_w1_a": R(out // 16, 2), ".lokr_w1_b": R(2, n // 4), ".alpha": torch.tensor(3.0)},
        **{".lokr_w2_a": R(16, 2), ".lokr_w2_b": R(2, 4)},
    },
    "dora": lambda out, n: {
        ".lora_A.weight": R(4, n),
        ".lora_B.weight": R(out, 4),
        ".dora_scale": R(out, 1).abs(),
    },
    "dora of lokr": lambda out, n: {**_lokr(out, n, 16), ".dora_scale": R(out, 1).abs()},
    "dora of lokr across": lambda out, n: {**_lokr(out, n, out // 2), ".dora_scale": R(out, 1).abs()},
    # Those that newer hosts don't cut either.
    "loha": lambda out, n: {
        f".hada_w{i}_{x}": R(*((out, 3) if x == "a" else (3, n))) for i in (1, 2) for x in "ab"
    },
    "diff": lambda out, n: {".diff": R(out, n)},
    "glora": lambda out, n: {
        **{".a1.weight": R(n, 3), ".a2.weight": R(3, n), ".b1.weight": R(out, 3), ".b2.weight": R(3, n)}
    },
}
CUT_BY_HOSTS = tuple(KINDS)[:8]


def fused_lora(kind, spelling="transformer."):
    """A LoRA of attention, in one layer each; and its tensors by the layer of the host."""
    G.manual_seed(7)
    tensors, parts = {}, {}
    for attention, (layer, n, sizes) in ATTENTION.items():
        raw = spelling + (
            f"{attention}.to_qkv".replace(".", "_") if spelling.endswith("_") else f"{attention}.to_qkv"
        )
        own = KINDS[kind](sum(sizes), n)
        tensors |= {raw + end: tensor for end, tensor in own.items()}
        parts[layer] = own
    return tensors, parts


def by_the_host(model, own, attention):
    """What the host's own adapter makes of the three weights as one, cut afterwards."""
    layer, n, sizes = attention
    weights = [model.get_submodule(f"diffusion_model.{layer}.{name}").weight for name in ("wq", "wk", "wv")]
    whole = torch.cat(weights).float()
    alpha = own.get(".alpha")
    loaded = (
        adapter.load(
            "m",
            {f"m{end}": t for end, t in own.items()},
            alpha and alpha.item(),
            own.get(".dora_scale"),
            set(),
        )
        for adapter in comfy.weight_adapter.adapters
    )
    adapter = next((found for found in loaded if found is not None), None)
    if adapter is None:
        change = own[".diff"]
    else:
        change = (
            adapter.calculate_weight(whole.clone(), "m", 1.0, 1.0, None, lambda a: a, torch.float32) - whole
        )
    return dict(zip(("wq", "wk", "wv"), change.split(sizes), strict=True))


@pytest.fixture(scope="module")
def krea():
    return patcher("krea2")


def check(slots, model, parts, needs_dense=lambda delta: delta.dense()):
    dense = {slot.name: needs_dense(delta) for slot, delta in slots.items()}
    assert dense.keys() == {
        f"{layer}.{name}" for layer, _, _ in ATTENTION.values() for name in ("wq", "wk", "wv")
    }
    for attention in ATTENTION.values():
        for name, change in by_the_host(model, parts[attention[0]], attention).items():
            torch.testing.assert_close(dense[f"{attention[0]}.{name}"], change, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("newer", [False, True], ids=["0.33", "newer"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_parts_are_those_of_the_whole_on_both_hosts(pack, krea, monkeypatch, kind, newer):
    if newer:
        monkeypatch.setattr(comfy.lora_convert, "convert_lora", newer_host.convert_lora)
    tensors, parts = fused_lora(kind)
    found = accounted(pack, tensors, krea)
    assert not found.left
    check(found.slots, krea.model, parts)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling(pack, krea, spelling):
    tensors, parts = fused_lora("lora", spelling)
    check(accounted(pack, tensors, krea).slots, krea.model, parts)


@pytest.mark.parametrize("kind", CUT_BY_HOSTS)
def test_what_a_newer_host_has_converted_before_is_read_alike(pack, krea, kind):
    tensors, parts = fused_lora(kind)
    there = newer_host.convert_lora(tensors)
    assert any(key.endswith(".row_offset") for key in there) == ("across" in kind)
    found = accounted(pack, there, krea)
    assert not found.left
    check(found.slots, krea.model, parts)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "dora" not in kind and kind != "glora"])
def test_the_command_line_reads_the_same(pack, krea, kind):
    tensors, parts = fused_lora(kind)
    # Another layer, by which the network is known without its width.
    tensors |= lora("transformer.transformer_blocks.0.ff.gate", 1024, 256)
    slots = files.from_tensors("odd.safetensors", tensors).slots
    check({slot: delta for slot, delta in slots.items() if "mlp" not in slot.name}, krea.model, parts)


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("newer", [False, True])
def test_what_stands_beside_the_fused_layer_is_left_by_name(pack, krea, monkeypatch, trained, newer):
    if newer:
        monkeypatch.setattr(comfy.lora_convert, "convert_lora", newer_host.convert_lora)
    tensors, parts = fused_lora("lora")
    beside = {}
    for name, out in zip("qkv", (256, 128, 128), strict=True):
        raw = f"transformer.transformer_blocks.0.attn.to_{name}"
        beside |= {f"{raw}.lora_A.weight": R(4, 256), f"{raw}.lora_B.weight": R(out, 4) * trained}
    found = accounted(pack, {**tensors, **beside}, krea)
    check(found.slots, krea.model, parts)
    assert {key for item in found.left for key in item.keys} == set(beside)
    reason = "changes the same weights" if trained else "empty, since their weights are in the fused layer"
    assert all(reason in item.reason for item in found.left) and len(found.left) == 3


@pytest.mark.parametrize(
    ("own", "reason"),
    [
        ({".oft_blocks": R(64, 8, 8)}, "it is OFT or BOFT, which turns queries, keys and values together"),
        (
            {".lora_A.weight": R(2, 256), ".lora_B.weight": R(512, 2), ".dora_scale": R(1, 256)},
            "it is a DoRA with magnitudes of the inputs",
        ),
        ({".lora_A.weight": R(2, 256), ".lora_B.weight": R(511, 2)}, "its rows can't be told apart"),
    ],
)
def test_what_can_t_be_taken_apart_is_left_by_name_or_refused(pack, krea, own, reason):
    layer = "transformer.transformer_blocks.0.attn.to_qkv"
    tensors = {layer + end: tensor for end, tensor in own.items()}
    found = accounted(pack, {**tensors, **lora("diffusion_model.blocks.0.attn.wo", 256, 256)}, krea)
    (left,) = found.left
    assert left.name == layer and left.reason.startswith(reason)
    with pytest.raises(ValueError, match=f"layer {layer}: {reason}"):
        accounted(pack, tensors, krea)


def test_a_lora_of_another_width_is_told_by_its_sizes(pack, krea):
    raw = "transformer.transformer_blocks.0.attn.to_qkv"
    with pytest.raises(ValueError, match=r"to_q is 512 x 512 in the LoRA and 256 x 256 in the model"):
        accounted(pack, lora(raw, 1024, 512), krea)


def test_a_pair_is_fused_by_the_node(pack, krea):
    subject, style = fused_lora("lokr across")[0], fused_lora("kohya", "lycoris_")[0]
    said = fuse(pack, krea, subject, style).report
    assert "12 layers" in said and "NOT applied" not in said


@pytest.mark.parametrize("fused", [False, True], ids=["apart", "in one"])
def test_a_pipelines_model_gets_the_parts_too(krea, fused):
    """By ``fuse()``: on a model that keeps them apart, and on one that has them in one itself."""
    tensors, parts = fused_lora("lokr across")
    model = nn.Module()
    for path, (_, n, sizes) in ATTENTION.items():
        here = model
        for name in path.split("."):
            if not hasattr(here, name):
                here.add_module(name, nn.Module())
            here = getattr(here, name)
        for name, rows in (
            {"to_qkv": sum(sizes)}.items() if fused else zip(("to_q", "to_k", "to_v"), sizes, strict=True)
        ):
            here.add_module(name, nn.Linear(n, rows, bias=False))
    there = layers_of(model)
    found = fit(files.from_tensors("odd.safetensors", tensors, for_model=True), there)
    assert not found.left
    check(found.slots, krea.model, parts)
    spots = {spot for slot, delta in found.slots.items() for spot in there.spots(slot, delta.shape[0])}
    assert len(spots) == 12 and len({spot.layer for spot in spots}) == (4 if fused else 12)
