"""Factors and cuts against dense SVDs in float64."""

from __future__ import annotations

import pytest
import torch

from klora_core.deltas import Dense, LowRank
from klora_core.merges.low_rank import (
    cut,
    cut_matrix,
    factors,
    input_space,
    matrix_factors,
    matrix_svd,
    norm,
    svd,
)
from tests.support.merging import dense, lora


def relative(a, b):
    return float((a.double() - b.double()).norm() / b.double().norm())


@pytest.mark.parametrize("shape", [(30, 50), (50, 30), (6, 40), (40, 6)])
def test_svd_of_factors(shape):
    change = lora(*shape, 9, seed=1, scale=-0.3)
    u, s, v = svd(change)
    assert relative((u * s) @ v, dense(change)) < 1e-6
    exact = torch.linalg.svdvals(dense(change))[: len(s)]
    assert torch.allclose(s.double(), exact, rtol=1e-5, atol=1e-6)
    assert norm(change) == pytest.approx(float(dense(change).norm()), rel=1e-6)


def test_cut_is_the_best_of_its_rank():
    change = lora(30, 50, 9, seed=2)
    small, kept = cut(change, 4)
    exact = torch.linalg.svdvals(dense(change))
    left = float((dense(small) - dense(change)).norm())
    assert small.rank == 4
    assert left == pytest.approx(float(exact[4:].norm()), rel=1e-5)
    assert kept == pytest.approx(float(exact[:4].square().sum() / exact.square().sum()), rel=1e-6)


def test_factors_of_low_rank_are_the_lora_s_own():
    change = LowRank(torch.randn(6, 2).half(), torch.randn(2, 5).half(), 0.25)
    found = factors(change)
    assert torch.equal(found.up, change.up.float()) and found.scale == 0.25
    assert torch.equal(found.down, change.down.float())


@pytest.mark.parametrize(("dtype", "rank", "error"), [(torch.float32, 40, 1e-5), (torch.float16, 12, 1e-3)])
def test_factors_find_the_rank_of_a_matrix(dtype, rank, error):
    """A product of low rank that was stored as a matrix: its rank is found, the rounding is not fitted."""
    weight = lora(400, 300, rank, seed=3).dense().to(dtype)
    found = factors(Dense(weight, 300, scale=2.0))
    assert found.rank == rank
    assert relative(dense(found), weight.float() * 2) < error


def test_factors_of_a_full_matrix():
    weight = torch.randn(90, 70)
    found = factors(Dense(weight, 70))
    assert found.rank == 70
    assert relative(dense(found), weight) < 1e-5
    bound = matrix_factors(weight, bound=8)
    best = torch.linalg.svdvals(weight.double())
    assert bound.rank == 8
    assert float((dense(bound) - weight).norm()) == pytest.approx(float(best[8:].norm()), rel=1e-4)


def test_zero_matrix():
    found = factors(Dense(torch.zeros(20, 30), 20))
    assert (found.rank, float(dense(found).norm())) == (1, 0.0)
    small, kept = cut_matrix(torch.zeros(20, 30), 4)
    assert (float(dense(small).norm()), kept) == (0.0, 1.0)
    assert input_space(LowRank(torch.zeros(5, 2), torch.randn(2, 4))).shape == (4, 0)


def test_input_space_is_the_row_space():
    change = LowRank(torch.randn(20, 3), torch.randn(3, 30))
    q = input_space(change).double()
    assert relative(q.T @ q, torch.eye(3)) < 1e-6
    assert float((change.down.double() @ (torch.eye(30).double() - q @ q.T)).norm()) < 1e-5
    twice = LowRank(torch.cat((change.up, change.up), 1), torch.cat((change.down, change.down)))
    assert input_space(twice).shape == (30, 3)


def test_randomized_svd_keeps_what_the_exact_one_keeps():
    """On a flat spectrum with a low-rank part, as TIES and DARE leave it: under 1 % of the energy less."""
    torch.manual_seed(4)
    matrix = torch.randn(400, 16) @ torch.randn(16, 500) + 2 * torch.randn(400, 500)
    assert 4 * (24 + 10) < 400, "wide enough for the sketch"
    small, kept = cut_matrix(matrix, 24)
    exact = torch.linalg.svdvals(matrix.double()).square()
    best = float(exact[:24].sum() / exact.sum())
    assert best * 0.99 < kept <= best + 1e-6
    left = float((dense(small) - matrix).square().sum() / matrix.double().square().sum())
    assert 1 - left == pytest.approx(kept, abs=1e-5)
    again = matrix_svd(matrix, 24)
    assert all(torch.equal(a, b) for a, b in zip(again, matrix_svd(matrix, 24), strict=True))
