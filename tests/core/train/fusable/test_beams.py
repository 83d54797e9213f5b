"""BeamLoRA's gates, prunings and copies, against loops over single numbers."""

from __future__ import annotations

import math

import pytest
import torch

from klora_core.train.fusable.beams import (
    Beams,
    copy_ranks,
    folded,
    gate_weights,
    level,
    pruned_share,
    survivors,
    temperature,
)


def by_hand(gate: list[float], tau: float) -> list[float]:
    powers = [math.exp(value / tau) for value in gate]
    return [len(gate) * power / sum(powers) for power in powers]


def test_weights_have_the_mean_one():
    gate = [0.02, -0.01, 0.0, 0.07]
    weights = gate_weights(torch.tensor(gate, dtype=torch.float64))
    assert weights.tolist() == pytest.approx(by_hand(gate, 0.05))
    assert gate_weights(torch.zeros(5)).tolist() == [1.0] * 5
    assert (temperature(1e-4), temperature(9e-5), temperature(1e-3)) == (0.05, 0.03, 0.05)


def test_the_folded_down_is_the_gated_forward():
    rng = torch.Generator().manual_seed(0)
    up, down, gate, x = (
        torch.randn(*shape, generator=rng).double() for shape in ((5, 3), (3, 4), (3,), (2, 4))
    )
    gate *= 0.05
    gated = (x @ down.T * torch.tensor(by_hand(gate.tolist(), 0.03))) @ up.T
    torch.testing.assert_close(x @ folded(down, gate, 0.03).T @ up.T, gated)


@pytest.mark.parametrize(
    "steps, prunes, remembers",
    [
        (80, [10, 20, 30, 40, 50, 60, 70], [5, 15, 25, 35, 45, 55, 65]),
        # The turn is 12 steps; after 96 fewer than a turn is left.
        (100, [12, 24, 36, 48, 60, 72, 84], [6, 18, 30, 42, 54, 66, 78]),
        (16, [2, 4, 6, 8, 10, 12, 14], [1, 3, 5, 7, 9, 11, 13]),
        # Too short for half a turn.
        (15, [], []),
        (1, [], []),
    ],
)
def test_when_ranks_are_remembered_and_pruned(steps, prunes, remembers):
    beams = Beams(steps)
    assert [done for done in range(steps + 1) if beams.prunes(done)] == prunes
    assert [done for done in range(steps + 1) if beams.remembers(done)] == remembers


def test_the_pruned_share_falls_to_nothing():
    assert pruned_share(0, 80) == pytest.approx(0.05)
    assert pruned_share(40, 80) == pytest.approx(0.025)
    assert pruned_share(80, 80) == pytest.approx(0)
    assert pruned_share(20, 80) == pytest.approx(0.025 * (1 + math.sqrt(0.5)))


def survivors_by_hand(gates: list[list[float]], q: float, tau: float) -> list[list[tuple[int, int]]]:
    table = [(w, s, r) for s, gate in enumerate(gates) for r, w in enumerate(by_hand(gate, tau))]
    table.sort(reverse=True)
    total, held, kept = sum(w for w, _, _ in table), 0.0, set()
    for w, s, r in table:
        if held >= (1 - q) * total:
            break
        held += w
        kept.add((s, r))
    pairs = []
    for s, gate in enumerate(gates):
        order = sorted(range(len(gate)), key=lambda r: -gate[r])
        out = [r for r in order[::-1] if (s, r) not in kept][: len(gate) // 2]
        pairs.append([(r, order[i]) for i, r in enumerate(out)])
    return pairs


@pytest.mark.parametrize("seed", range(12))
def test_who_is_pruned_and_whose_place_is_whose(seed):
    rng = torch.Generator().manual_seed(seed)
    sizes = torch.randint(1, 9, (6,), generator=rng).tolist()
    gates = [(torch.randn(size, generator=rng) * 0.06).double() for size in sizes]
    for q in (0.0, 0.02, 0.05, 0.4):
        assert survivors(gates, q) == survivors_by_hand([g.tolist() for g in gates], q, 0.05)


def test_of_one_slot_at_most_half_are_pruned():
    gates = [torch.tensor([0.0, 1.0, 0.0, 0.0, 0.0]), torch.zeros(4)]
    (first, second) = survivors(gates, 0.05)
    assert first == [(4, 1), (3, 0)] and len(second) <= 2
    assert survivors([torch.zeros(1)], 0.9) == [[]]


def test_copies_are_of_the_others_as_they_were():
    now, then = torch.arange(12.0).view(4, 3), torch.arange(100.0, 112.0).view(4, 3)
    rows, columns = now.clone(), now.T.contiguous()
    pairs = [(2, 0), (1, 3)]
    copy_ranks(rows, then, pairs, 0)
    copy_ranks(columns, then.T, pairs, 1)
    assert rows.tolist() == [[0, 1, 2], [109, 110, 111], [100, 101, 102], [9, 10, 11]]
    assert torch.equal(columns, rows.T)
    copy_ranks(rows, then, [], 0)
    assert torch.equal(columns, rows.T)


def test_gates_of_a_rank_and_its_copy_are_their_mean():
    gate = torch.tensor([0.4, -0.2, 0.1, 0.3])
    level(gate, [(1, 0), (2, 3)])
    assert gate.tolist() == pytest.approx([0.1, 0.1, 0.2, 0.2])
