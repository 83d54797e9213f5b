"""The cosine between two changes, against their dense matrices in float64; every kind with every other."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from klora_core.deltas import Dense, Hadamard, Kron, LowRank
from klora_core.scores import cosines, energy, inner

SHAPE = (24, 36)


def random(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


KINDS = {
    "lora": LowRank(random(24, 4), random(4, 36), 0.5),
    "negative": LowRank(random(24, 3), random(3, 36), -2.0),
    "half": LowRank(random(24, 5).half(), random(5, 36).half()),
    "dense": Dense(random(24, 36), 24, 3.0),
    "kron": Kron(random(4, 6), random(6, 6), 0.7),
    "hadamard": Hadamard(random(24, 2), random(2, 36), random(24, 3), random(3, 36), 1.5),
}


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations_with_replacement(KINDS, 2)))
def test_the_inner_product_is_that_of_the_matrices(one, other):
    a, b = KINDS[one], KINDS[other]
    wanted = float((a.dense().double() * b.dense().double()).sum())
    size = float(a.dense().double().norm() * b.dense().double().norm())
    assert inner(a, b) == pytest.approx(wanted, abs=1e-5 * size)
    assert inner(b, a) == pytest.approx(inner(a, b), abs=1e-6 * size)


def test_cosines():
    lora = KINDS["lora"]
    zero = LowRank(torch.zeros(24, 4), lora.down)
    changes = [lora, lora.scaled(-3.0), zero, KINDS["dense"]]
    found = cosines([(lora, c) for c in changes], [(energy(lora), energy(c)) for c in changes])
    assert found[:3] == [pytest.approx(1.0), pytest.approx(-1.0), None]
    assert all(-1 <= cosine <= 1 for cosine in found if cosine is not None)
    dense = KINDS["dense"].dense().double()
    by_hand = float((lora.dense().double() * dense).sum()) / float(
        lora.dense().double().norm() * dense.norm()
    )
    assert found[3] == pytest.approx(by_hand, rel=1e-4)


def test_tiny_and_huge_changes_have_a_cosine_too():
    """Their energies' product is no float."""
    tiny, huge = (KINDS["lora"].scaled(factor) for factor in (1e-90, 1e90))
    assert cosines([(tiny, huge)], [(energy(tiny), energy(huge))]) == [pytest.approx(1.0)]
    assert math.isfinite(inner(tiny, huge))


def test_two_shapes_have_none():
    with pytest.raises(ValueError, match="no inner product"):
        inner(KINDS["lora"], LowRank(random(24, 2), random(2, 35)))
