"""What is asked of every kind of delta: where its matrix is made, and the rank that is left of it."""

from __future__ import annotations

import pytest
import torch

from klora_core.deltas import Dense

from .test_kron_hadamard import MAKES


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
