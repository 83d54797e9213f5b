"""LoKr's and LoHa's products, kept as factors: rows, order, strength and rank as of the dense matrix."""

from __future__ import annotations

import pytest
import torch

from klora_core.deltas import Dense, Hadamard, Kron, LowRank, project_off_inputs

DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float8_e4m3fn)


def randn(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def factor(m, n, rank, seed, dtype=torch.float32):
    """A whole matrix where ``rank`` is None, else a pair."""
    if rank is None:
        return randn(m, n, seed=seed, dtype=dtype)
    return randn(m, rank, seed=seed, dtype=dtype), randn(rank, n, seed=seed + 1, dtype=dtype)


def matrix(found):
    """A factor in float64."""
    return found.double() if isinstance(found, torch.Tensor) else found[0].double() @ found[1].double()


def kron(r1=None, r2=None, dtype=torch.float32, scale=0.7):
    """[3 * 5, 4 * 6], and the same by torch's own product in float64."""
    w1, w2 = factor(3, 4, r1, 1, dtype), factor(5, 6, r2, 3, dtype)
    return Kron(w1, w2, scale), torch.kron(matrix(w1), matrix(w2)) * scale


def hadamard(dtype=torch.float32, scale=-0.3):
    """[15, 24] of ranks 2 and 3, and the same in float64."""
    (u1, d1), (u2, d2) = factor(15, 24, 2, 5, dtype), factor(15, 24, 3, 7, dtype)
    dense = (u1.double() @ d1.double()) * (u2.double() @ d2.double()) * scale
    return Hadamard(u1, d1, u2, d2, scale), dense


def low_rank(dtype=torch.float32, scale=1.5):
    up, down = factor(15, 24, 2, 9, dtype)
    return LowRank(up, down, scale), up.double() @ down.double() * scale


def dense(dtype=torch.float32, scale=0.9):
    weight = randn(15, 24, seed=11, dtype=dtype)
    return Dense(weight, 15, scale), weight.double() * scale


MAKES = {
    "kron": kron,
    "kron, first a pair": lambda **k: kron(r1=2, **k),
    "kron, second a pair": lambda **k: kron(r2=2, **k),
    "kron, both pairs": lambda **k: kron(r1=2, r2=3, **k),
    "hadamard": hadamard,
    "low rank": low_rank,
    "dense": dense,
}


def same(delta, expected):
    assert delta.shape == tuple(expected.shape)
    found = delta.dense()
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected.float(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(delta.product().float() * delta.scale, expected.float(), rtol=0.1, atol=0.1)


@pytest.fixture(params=MAKES)
def made(request):
    return MAKES[request.param]()


def test_the_matrix(made):
    same(*made)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
def test_stored_dtypes_are_kept_and_multiplied_in_float32(make, dtype):
    delta, expected = make(dtype=dtype)
    assert {t.dtype for t in delta.tensors} == {dtype}
    torch.testing.assert_close(delta.dense(), expected.float(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(delta.rows(3, 7).dense(), expected[3:10].float(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "window", [(0, 15), (0, 5), (0, 1), (4, 1), (4, 2), (5, 5), (3, 9), (14, 1), (1, 14)]
)
def test_rows(made, window):
    delta, expected = made
    start, length = window
    same(delta.rows(*window), expected[start : start + length])


def test_rows_of_rows(made):
    delta, expected = made
    same(delta.rows(2, 11).rows(3, 6), expected[5:11])


@pytest.mark.parametrize("bad", [(-1, 3), (10, 6), (3, -1)])
def test_rows_that_are_not_there(made, bad):
    with pytest.raises(RuntimeError):
        made[0].rows(*bad)


def test_another_order(made):
    delta, expected = made
    order = torch.randperm(15, generator=torch.Generator().manual_seed(2))
    same(delta.reordered(order), expected[order])
    same(delta.reordered(order).rows(4, 6), expected[order][4:10])
    same(delta.rows(4, 6).reordered(order[order < 6]), expected[4:10][order[order < 6]])
    same(delta.reordered(order).reordered(order), expected[order][order])


def test_strength_goes_into_the_scale_alone(made):
    delta, expected = made
    scaled = delta.scaled(-2.0)
    same(scaled, expected * -2)
    assert all(a is b for a, b in zip(scaled.tensors, delta.tensors, strict=True))


def test_nothing_is_copied_but_cut_rows_of_ups(made):
    delta, _ = made
    owners = {t.untyped_storage().data_ptr() for t in delta.tensors}
    assert {t.untyped_storage().data_ptr() for t in delta.rows(3, 7).tensors} == owners


def test_other_tensors_in_the_same_form(made):
    delta, expected = made
    doubled = delta.with_tensors([2 * t for t in delta.tensors])
    assert doubled.scale == 1
    same(doubled, expected / delta.scale * 2 ** len(delta.tensors))
    cut = delta.rows(3, 7)
    same(cut.with_tensors(cut.tensors), expected[3:10] / delta.scale)


@pytest.mark.parametrize(
    ("delta", "rank"),
    [
        (Kron(randn(4, 8), randn(6, 5)), 4 * 5),
        (Kron((randn(4, 3), randn(3, 8)), randn(6, 5)), 3 * 5),
        (Kron(randn(2, 2), (randn(12, 2), randn(2, 20))), 2 * 2),
        (Kron((randn(4, 1), randn(1, 8)), (randn(6, 2), randn(2, 5))), 2),
        (Kron((randn(2, 9), randn(9, 2)), randn(3, 3)), 6),
        (Kron(randn(4, 8), randn(6, 5)).rows(0, 7), 7),
        (Hadamard(randn(24, 3), randn(3, 40), randn(24, 2), randn(2, 40)), 6),
        (Hadamard(randn(24, 8), randn(8, 40), randn(24, 8), randn(8, 40)), 24),
        (Hadamard(randn(24, 3), randn(3, 40), randn(24, 2), randn(2, 40)).rows(1, 4), 4),
    ],
)
def test_rank_is_what_the_parametrisation_allows_within_the_shape(delta, rank):
    assert delta.rank == rank


@pytest.mark.parametrize(
    "make",
    [
        lambda: Kron((randn(4, 2), randn(3, 8)), randn(6, 5)),
        lambda: Kron(randn(4, 2), (randn(3, 1), randn(2, 3))),
        lambda: Kron(randn(4), randn(6, 5)),
        lambda: Kron((randn(4, 3), randn(3, 2, 2)), randn(6, 5)),
        lambda: Kron(randn(4, 4), randn(6, 5, 3, 3)),
        lambda: Hadamard(randn(4, 2), randn(3, 8), randn(4, 2), randn(2, 8)),
        lambda: Hadamard(randn(4, 2), randn(2, 8), randn(5, 2), randn(2, 8)),
        lambda: Hadamard(randn(4, 2), randn(2, 8), randn(4, 2), randn(2, 7)),
    ],
)
def test_factors_that_do_not_fit_are_refused_at_once(make):
    with pytest.raises(RuntimeError):
        make()


def projector(down):
    """Onto the rows of ``down``, by its pseudo-inverse, in float64."""
    down = down.double()
    return torch.linalg.pinv(down) @ down


def off(delta, winner):
    return project_off_inputs(delta, winner).dense().double(), delta.dense().double()


def test_a_projected_delta_answers_to_what_the_winner_does_not_read():
    delta = LowRank(randn(15, 4), randn(4, 24, seed=1), 0.5)
    winner = LowRank(randn(15, 3, seed=2), randn(3, 24, seed=3), 2.0)
    found, whole = off(delta, winner)
    torch.testing.assert_close(found, whole - whole @ projector(winner.down), rtol=1e-4, atol=1e-5)
    assert (found @ winner.down.double().T).abs().max() < 1e-5
    assert project_off_inputs(delta, winner).rank == 4


def test_dependent_and_zero_rows_of_the_winner_project_off_nothing_else():
    delta = LowRank(randn(15, 4), randn(4, 24, seed=1))
    rows = randn(2, 24, seed=3)
    down = torch.stack([rows[0], rows[1], rows[0] + rows[1], rows[0] * 3, torch.zeros(24)])
    found, whole = off(delta, LowRank(randn(15, 5), down))
    torch.testing.assert_close(found, whole - whole @ projector(rows), rtol=1e-4, atol=1e-5)
    found, whole = off(delta, LowRank(randn(15, 2), torch.zeros(2, 24)))
    torch.testing.assert_close(found, whole)


def test_small_rows_of_the_winner_count_too():
    delta = LowRank(randn(15, 4), randn(4, 24, seed=1))
    rows = randn(2, 24, seed=3)
    found, whole = off(delta, LowRank(randn(15, 2), rows * torch.tensor([[1.0], [1e-9]])))
    torch.testing.assert_close(found, whole - whole @ projector(rows), rtol=1e-4, atol=1e-5)


def test_a_winner_of_more_rows_than_inputs_leaves_nothing():
    delta = LowRank(randn(15, 4), randn(4, 24, seed=1))
    found, _ = off(delta, LowRank(randn(15, 30), randn(30, 24, seed=3)))
    assert found.abs().max() < 1e-4
