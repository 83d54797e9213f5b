"""Prune, TIES and DARE: by hand, and entry by entry against PEFT's merge_utils."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import pytest
import torch

from klora_core.deltas import Dense, LowRank
from klora_core.merges import sparse, thresholds
from klora_core.merges.method import Term
from klora_core.merges.sparse import disjoint_mean, dropped, pruned, streams, weighted_sum
from klora_core.merges.thresholds import threshold
from klora_core.names import Slot
from tests.support.merging import Row, dense, lora, merged, rows

HAND = (
    torch.tensor([[4.0, -3, 0, 1], [2, 2, -2, -2], [0, 0, 5, -1], [1, -6, 1, 0]]),
    torch.tensor([[-1.0, -2, 3, 1], [-2, 1, -4, 2], [0, 1, -5, 3], [7, 2, 1, 0]]),
)


@pytest.fixture(scope="module")
def peft():
    """PEFT's merge_utils by its path: the package itself needs transformers."""
    found = importlib.util.find_spec("peft")
    assert found and found.submodule_search_locations, "peft is a development requirement"
    path = Path(found.submodule_search_locations[0]) / "utils" / "merge_utils.py"
    spec = importlib.util.spec_from_file_location("peft_merge_utils", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def whole(matrices):
    return [Row(Slot("a"), tuple(Dense(matrix, min(matrix.shape)) for matrix in matrices))]


def as_matrix(matrices, method, weights=(1.0, 1.0), **values):
    """A method's result on whole 4 x 4 matrices, at full rank."""
    result, _ = merged(whole(matrices), method, weights, rank=4, values=values)
    return result[Slot("a")]


def test_prune_by_hand():
    # Half of 16 entries each: 6 5 4 3 2 2 2 2, and 7 5 4 3 3 2 2 2 2 (all that equal the eighth stay).
    want = torch.tensor([[4.0, -5, 3, 0], [0, 2, -6, 0], [0, 0, 0, 3], [7, -4, 0, 0]])
    assert torch.allclose(as_matrix(HAND, "magnitude-prune", density=0.5), want.double(), atol=1e-5)


def test_ties_by_hand():
    # A quarter each: 6 5 4 3, and 7 5 4 3 (both threes stay). Where they meet (row 2, column 2) they
    # cancel, the sign is +, and the one that is positive stays.
    want = torch.tensor([[4.0, -3, 3, 0], [0, 0, -4, 0], [0, 0, 5, 3], [7, -6, 0, 0]])
    assert torch.allclose(as_matrix(HAND, "ties", density=0.25), want.double(), atol=1e-5)


def test_ties_takes_the_mean_of_those_that_agree():
    a, b, c = torch.tensor([[[4.0, 4.0, -1.0]], [[2.0, -5.0, -3.0]], [[-3.0, 2.0, 0.0]]])
    stack = torch.stack((a, b, c))
    assert torch.equal(disjoint_mean(stack, torch.ones(3)), torch.tensor([[3.0, 3.0, -2.0]]))
    # Weights come after the vote: the sign stays, the values change.
    assert torch.equal(disjoint_mean(stack, torch.tensor([1.0, 0.5, 2.0])), torch.tensor([[2.5, 4.0, -1.25]]))


def test_a_negative_weight_votes_for_the_other_sign():
    assert torch.allclose(
        as_matrix(HAND, "ties", (1.0, -1.0), density=1.0),
        as_matrix((HAND[0], -HAND[1]), "ties", density=1.0),
        atol=1e-6,
    )


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0), (0.7, 1.3, 0.2)])
@pytest.mark.parametrize("density", [0.1, 0.5, 0.83, 1.0])
def test_against_peft_entry_by_entry(peft, weights, density, monkeypatch):
    deltas = [lora(20, 30, 4, seed) for seed in range(3)]
    matrices = [delta.dense() for delta in deltas]
    weight = torch.tensor(weights)
    terms = [Term(i, delta, w) for i, (delta, w) in enumerate(zip(deltas, weights, strict=True))]
    monkeypatch.setattr(thresholds, "TILE", 100)
    limits = [threshold([delta], density) for delta in deltas]
    keep = [lambda rows, limit=limit: pruned(rows, limit) for limit in limits]
    with pytest.warns(UserWarning) if density == 1 else _quiet():
        want = peft.magnitude_prune(matrices, weight, density)
        assert torch.allclose(sparse.join(terms, keep, weighted_sum), want, atol=1e-6)
        want = peft.ties(matrices, weight, density)
        assert torch.allclose(sparse.join(terms, keep, disjoint_mean), want, atol=1e-6)
        if density < 1:
            # One stream of random numbers for all, as PEFT draws them.
            torch.manual_seed(11)
            want = peft.dare_linear(matrices, weight, density), peft.dare_ties(matrices, weight, density)
            torch.manual_seed(11)
            stacks = [
                torch.stack([dropped(m, density, torch.default_generator) for m in matrices])
                for _ in range(2)
            ]
            assert torch.allclose(weighted_sum(stacks[0], weight), want[0], atol=1e-6)
            assert torch.allclose(disjoint_mean(stacks[1], weight), want[1], atol=1e-6)


def _quiet():
    import contextlib

    return contextlib.nullcontext()


@pytest.mark.parametrize("method", ["magnitude-prune", "ties", "dare", "dare-ties"])
def test_the_rows_cut_to_tiles_are_the_same(method, monkeypatch):
    """One tile or many: the same result (DARE draws in the order of the rows)."""
    table = rows([lora(40, 30, 3, 1)], [lora(40, 30, 3, 2)])
    large, _ = merged(table, method, (1, 0.5))
    monkeypatch.setattr(thresholds, "TILE", 64)
    small, _ = merged(table, method, (1, 0.5))
    for slot in large:
        assert torch.allclose(large[slot], small[slot], atol=1e-5)


def test_a_slot_that_one_lora_alone_changes():
    matrix = torch.randn(6, 4)
    for weight in (2.0, -2.0):
        term = Term(3, Dense(matrix, 4), weight)
        kept = torch.where(matrix.abs() >= 0.5, matrix, 0.0)
        for rule in (weighted_sum, disjoint_mean):
            found = sparse.join([term], [lambda rows: pruned(rows, 0.5)], rule)
            torch.testing.assert_close(found, weight * kept)


def test_dense_methods_equal_the_whole_computation():
    """The merge, at full rank, against plain tensors: TIES over the whole model and in each layer."""
    one = [lora(24, 30, 3, 1), lora(24, 16, 3, 2, size=4.0)]
    two = [lora(24, 30, 3, 3), lora(24, 16, 3, 4)]
    for scope in ("model", "layer"):
        result, _ = merged(
            rows(one, two), "ties", (1.0, 0.6), rank=30, values={"scope": scope, "density": 0.3}
        )
        flat = [torch.cat([dense(d).flatten() for d in lora_]) for lora_ in (one, two)]
        for i, matrix in enumerate(result.values()):
            kept = []
            for lora_, everything in zip((one, two), flat, strict=True):
                pool = everything if scope == "model" else dense(lora_[i]).flatten()
                limit = pool.abs().sort().values[len(pool) - int(0.3 * len(pool))]
                d = dense(lora_[i])
                kept.append(torch.where(d.abs() >= limit - 1e-7, d, 0.0))
            sign = torch.where(sum(kept) >= 0, 1.0, -1.0)
            agree = [(d * sign > 0).double() for d in kept]
            want = (kept[0] * agree[0] + 0.6 * kept[1] * agree[1]) / sum(agree).clamp(min=1)
            assert torch.allclose(matrix, want, atol=1e-5)


@pytest.mark.parametrize("density", [0.0, 0.001, 0.2, 0.5, 0.99, 1.0])
@pytest.mark.parametrize("kind", ["normal", "heavy", "ties", "zeros"])
def test_threshold_is_the_k_th_largest(density, kind, monkeypatch):
    monkeypatch.setattr(thresholds, "TILE", 3000)
    rng = torch.Generator().manual_seed(5)
    changes = [lora(90, 110, 3, 1), lora(70, 200, 2, 2, scale=3.0)]
    if kind == "heavy":
        changes = [Dense(torch.randn(90, 110, generator=rng) ** 5, 90) for _ in range(2)]
    if kind == "ties":
        changes = [Dense(torch.randint(-3, 4, (90, 110), generator=rng).float(), 90) for _ in range(2)]
    if kind == "zeros":
        changes = [
            Dense(torch.randn(90, 110, generator=rng) * (torch.rand(90, 110, generator=rng) > 0.9), 90)
        ]
    entries = torch.cat([change.dense().abs().flatten() for change in changes]).sort(descending=True).values
    k = int(density * len(entries))
    found = threshold(changes, density)
    if k == 0:
        assert found == math.inf
    elif k == len(entries):
        assert found == 0
    else:
        assert found == pytest.approx(float(entries[k - 1]), rel=1e-6)


def test_threshold_widens_its_bracket(monkeypatch):
    """A sample that says nothing costs another pass, never a wrong answer."""
    changes = [lora(90, 110, 3, 1)]
    exact = threshold(changes, 0.2)
    passes = []
    monkeypatch.setattr(thresholds, "sampled", lambda changes, total: torch.full((400,), 1e9))
    assert threshold(changes, 0.2, lambda: passes.append(1)) == pytest.approx(exact)
    assert len(passes) > 1


def test_a_threshold_among_many_that_are_near():
    """More entries between the sample's two values than there is room for at first."""
    change = Dense(torch.rand(1500, 1600, generator=torch.Generator().manual_seed(3)), 1500)
    entries = change.dense().flatten()
    k = len(entries) // 2
    assert threshold([change], 0.5) == float(entries.kthvalue(len(entries) - k + 1).values)


def test_dare_keeps_its_share_and_the_expectation():
    ones = torch.ones(400, 500)
    drawn = dropped(ones, 0.3, torch.Generator().manual_seed(1))
    assert set(drawn.unique().tolist()) == {0.0, ones[0, 0].item() / 0.3} or torch.allclose(
        drawn.unique(), torch.tensor([0.0, 1 / 0.3])
    )
    # Five standard errors of a share of 200,000 draws.
    assert float((drawn > 0).float().mean()) == pytest.approx(0.3, abs=5 * math.sqrt(0.21 / 200_000))


def test_the_parameters_of_the_methods():
    density, scope = ("density", 0.0, 1.0, ()), ("scope", None, None, ("model", "layer"))
    chance = [("density", 0.01, 1.0, ()), ("seed", 0, 2**53, ())]
    defaults = {
        "magnitude-prune": (0.5, "layer"),
        "ties": (0.2, "model"),
        "dare": (0.5, 0),
        "dare-ties": (0.5, 0),
    }
    assert [method.name for method in sparse.METHODS] == list(defaults)
    for method in sparse.METHODS:
        found = [(p.name, p.low, p.high, p.choices) for p in method.parameters]
        assert found == (chance if method.name.startswith("dare") else [density, scope])
        assert tuple(p.default for p in method.parameters) == defaults[method.name]
        assert all(p.help for p in method.parameters)


def test_a_seed_draws_the_same_for_ever():
    ones = LowRank(torch.ones(2, 1), torch.ones(1, 3))
    dense_ones = Dense(torch.ones(2, 3), 2)
    for delta, first in ((ones, [0.5004628, 0.9857374]), (dense_ones, [0.2322444, 0.5103745])):
        terms = [Term(0, delta, 1.0), Term(1, delta, 1.0)]
        drawn = [torch.rand(1, generator=stream).item() for stream in streams(terms, Slot("x", (0, 2)), 7)]
        assert drawn == pytest.approx(first, abs=1e-7)


def test_dare_draws_by_seed_slot_and_lora():
    a, b = lora(12, 9, 2, 1), lora(12, 9, 2, 2)

    def draws(deltas, slot="x", seed=0):
        terms = [Term(i, delta, 1.0) for i, delta in enumerate(deltas)]
        return [torch.rand(4, generator=stream).tolist() for stream in streams(terms, Slot(slot), seed)]

    first = draws((a, b))
    assert draws((b, a)) == first[::-1]
    assert draws((a, b), seed=1) != first and draws((a, b), slot="y") != first
    twins = draws((a, a))
    assert twins[0] == first[0] and twins[1] != twins[0]
    assert len({tuple(each) for each in draws((a, a, a))}) == 3
