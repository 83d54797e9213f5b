"""What is asked of every kind of delta: where its matrix is made, and the rank that is left of it."""

from __future__ import annotations

import pytest
import torch

from klora_core.deltas import Dense, Kron, LowRank, lora
from klora_core.scores import energy
from klora_core.scores.entries import sum_entries

from .test_products import MAKES, randn


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
def test_the_matrix_is_made_on_the_device_that_is_asked_for(make):
    delta, _ = make()
    assert delta.dense("meta").device.type == "meta"
    assert delta.dense().device.type == "cpu"


def test_a_matrixs_bound_on_its_rank_stays_with_it():
    delta = Dense(torch.randn(15, 24), 4, 0.5)
    order = torch.arange(14, -1, -1)
    assert [d.rank for d in (delta, delta.reordered(order), delta.with_tensors(delta.tensors))] == [4] * 3
    assert (delta.rows(2, 9).rank, delta.rows(2, 3).rank) == (4, 3)


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
def test_the_energy_of_some_rows(make):
    delta, dense = make()
    order = torch.tensor([14, 0, 7, 7, 3])
    for found, rows in (
        (delta, dense),
        (delta.rows(2, 9), dense[2:11]),
        (delta.rows(4, 1), dense[4:5]),
        (delta.reordered(order), dense[order]),
        (delta.reordered(order).rows(1, 3), dense[order][1:4]),
    ):
        assert energy(found) == pytest.approx(float(rows.square().sum()), rel=1e-6)


def test_some_rows_of_a_product_in_another_order_are_not_taken_for_all():
    """As many of them as the rows of the first factor by those of the second."""
    delta = Kron(randn(6, 3, seed=1), randn(2, 5, seed=2)).reordered(torch.tensor([1, 8, 11]))
    entries = delta.dense().double().abs().flatten().sort(descending=True).values
    found = sum_entries(delta, 7, torch.device("cpu")).tolist()
    assert found == pytest.approx([float(entries[:7].sum()), float(entries.sum())], rel=1e-6)


def test_a_tucker_core_is_folded_into_a_float32_down():
    up, down, mid = randn(8, 3, 1, 1), randn(3, 5, 1, 1, seed=1), randn(3, 3, 2, 2, seed=2)
    found = lora(*(t.half() for t in (up, down)), 6.0, mid.half())
    assert (found.up.dtype, found.down.dtype, found.scale) == (torch.float16, torch.float32, 2.0)
    exact = torch.einsum(
        "op,pqxy,qi->oixy", *(t.half().double() for t in (up[..., 0, 0], mid, down[..., 0, 0]))
    )
    torch.testing.assert_close(found.dense().double(), 2 * exact.flatten(1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("count", [1, 3])
def test_as_many_tensors_as_there_are(count):
    with pytest.raises(ValueError, match=f"{count} tensors in the place of 2"):
        LowRank(torch.ones(4, 2), torch.ones(2, 3)).with_tensors([torch.ones(2, 2)] * count)
