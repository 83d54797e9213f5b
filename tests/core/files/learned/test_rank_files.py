"""LoRAs whose ranks are chosen, as files: read as every LoRA is."""

from __future__ import annotations

import pytest
import torch

from klora_core import files
from klora_core.deltas import Gated, LowRank
from klora_core.errors import KLoraError
from klora_core.files.learned import RanksOf, rank_tensors
from klora_core.methods import Given, making
from klora_core.names import Slot

LAYER = "input_blocks.1.1.transformer_blocks.0.attn1.to_q"
HEAD = f"klora_ranks.{LAYER}"


def tensors(**changed):
    generator = torch.Generator().manual_seed(0)
    own = RanksOf(*(torch.randn(s, generator=generator) for s in ((8, 4), (4, 6), (4, 6), (4,))), 2, 3.0)
    found = {**rank_tensors({LAYER: own}), **{f"{HEAD}.{key}": value for key, value in changed.items()}}
    return {key: value for key, value in found.items() if value is not None}


def test_a_file_is_read_as_a_lora():
    file = files.from_tensors("r", tensors())
    delta = file.slots[Slot(LAYER)]
    assert isinstance(delta, Gated) and delta.kind == "SMoRA" and delta.scale == 1.5 and delta.shape == (8, 6)
    assert delta.gate.k == 2 and torch.equal(delta.down[:4], tensors()[f"{HEAD}.down"])
    assert torch.equal(delta.down[4:], tensors()[f"{HEAD}.router"]) and not file.left
    assert file.base_model is None or file.base_model.names


@pytest.mark.parametrize("k", [1, 2, 4])
def test_how_many_ranks_are_chosen(k):
    delta = files.from_tensors("r", tensors(k=torch.tensor(float(k)))).slots[Slot(LAYER)]
    assert (delta.gate.k, delta.scale) == (k, 3.0 / k)
    assert torch.equal(delta.gate.bias, tensors()[f"{HEAD}.bias"])


def test_without_an_alpha_the_scale_is_one():
    assert files.from_tensors("r", tensors(alpha=None)).slots[Slot(LAYER)].scale == 1.0
    stored = rank_tensors(
        {LAYER: RanksOf(torch.ones(8, 4), *(torch.ones(4, 6) for _ in "12"), torch.ones(4), 2)}
    )
    assert {key: stored[f"{HEAD}.{key}"].item() for key in ("k", "alpha")} == {"k": 2.0, "alpha": 2.0}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"router": None}, r"has ranks_\S+, .* but no ranks_router"),
        ({"k": None}, "but no ranks_k"),
        ({"k": torch.tensor(0.0)}, "k must be a whole number from 1 to its 4 ranks"),
        ({"k": torch.tensor(5.0)}, "k must be a whole number from 1 to its 4 ranks"),
        ({"k": torch.tensor(1.5)}, "k must be a whole number"),
        ({"k": torch.ones(2)}, "k must be a whole number"),
        ({"k": torch.tensor(float("inf"))}, "ranks_k holds NaN or inf"),
        ({"bias": torch.zeros(3)}, "has tensors that do not fit together"),
        ({"router": torch.zeros(4, 5)}, "has tensors that do not fit together"),
        ({"up": torch.zeros(8, 3)}, "has tensors that do not fit together"),
        ({"up": torch.zeros(8)}, "has tensors that do not fit together"),
        ({"down": torch.full((4, 6), float("nan"))}, "ranks_down holds NaN or inf"),
        ({"bias": torch.zeros(4, dtype=torch.int32)}, "ranks_bias is stored as int32"),
        ({"up": torch.zeros(8, 0), "down": torch.zeros(0, 6)}, "is empty"),
    ],
)
def test_what_is_wrong_is_said_with_the_layer(changed, said):
    with pytest.raises(KLoraError, match=rf"^[A-Z][^:]+: layer diffusion_model.{LAYER}.*{said}"):
        files.from_tensors("r", tensors(**changed))


def test_two_kinds_in_a_layer():
    more = {
        f"diffusion_model.{LAYER}.lora_up.weight": torch.ones(8, 2),
        f"diffusion_model.{LAYER}.lora_down.weight": torch.ones(2, 6),
    }
    with pytest.raises(KLoraError, match="has lora and ranks"):
        files.from_tensors("r", {**tensors(), **more})
    with pytest.raises(KLoraError, match="has ranks and dora_scale"):
        files.from_tensors("r", {**tensors(), f"diffusion_model.{LAYER}.dora_scale": torch.ones(8, 1)})


def test_it_has_no_size_to_compare():
    ranks = files.from_tensors("r", tensors()).slots
    plain = {Slot(LAYER): LowRank(torch.ones(8, 2), torch.ones(2, 6))}
    with pytest.raises(KLoraError, match=f"r: layer {LAYER} is SMoRA, .* can't be compared by size"):
        making.klora()(Given((ranks, plain), ("subject", "style"), ("r", "s")))
    with pytest.raises(TypeError, match="no matrix"):
        ranks[Slot(LAYER)].dense()
    rows, method = making.composite()(Given((ranks, plain), ("subject", "style"), ("r", "s")))
    assert method.candidates(0, rows.competing[0].deltas)[0] is ranks[Slot(LAYER)]
