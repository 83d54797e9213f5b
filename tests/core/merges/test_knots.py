"""KnOTS against the SVD of the dense concatenation and TIES in plain loops."""

from __future__ import annotations

import pytest
import torch

from klora_core.deltas import LowRank
from klora_core.merges.knots import common_basis, coordinates
from tests.support.merging import dense, lora, merged, rows


def literal(deltas_by_slot, weights, density, scope):
    """KnOTS as its paper has it: dense, in float64, entry by entry."""
    bases, z = [], []
    for deltas in deltas_by_slot:
        matrices = [dense(delta) for delta in deltas]
        u, s, v = torch.linalg.svd(torch.cat(matrices, dim=1), full_matrices=False)
        keep = s > 1e-5 * s[0]
        bases.append(u[:, keep])
        z.append((s[keep, None] * v[keep]).split([m.shape[1] for m in matrices], dim=1))
    merged_slots = []
    for i, basis in enumerate(bases):
        kept = []
        for lora_ in range(len(weights)):
            pool = [z[j][lora_] for j in (range(len(z)) if scope == "model" else [i])]
            magnitudes = sorted((abs(float(e)) for part in pool for e in part.flatten()), reverse=True)
            limit = magnitudes[int(density * len(magnitudes)) - 1]
            kept.append(
                [[float(e) if abs(float(e)) >= limit - 1e-6 else 0.0 for e in row] for row in z[i][lora_]]
            )
        out = torch.zeros(basis.shape[1], len(kept[0][0]), dtype=torch.float64)
        for row in range(out.shape[0]):
            for column in range(out.shape[1]):
                entries = [matrix[row][column] for matrix in kept]
                sign = 1 if sum(entries) >= 0 else -1
                agree = [w * e for w, e in zip(weights, entries, strict=True) if e * sign > 0]
                out[row, column] = sum(agree) / len(agree) if agree else 0.0
        merged_slots.append(basis @ out)
    return merged_slots


@pytest.mark.parametrize("scope", ["model", "layer"])
@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.8, 0.5, 1.2)])
def test_against_the_dense_literal(scope, weights):
    loras = [[lora(14, 18, 3, seed), lora(18, 10, 2, seed + 50, size=2.0)] for seed in range(len(weights))]
    table = rows(*loras)
    result, done = merged(table, "knots", weights, values={"scope": scope, "density": 0.4})
    want = literal([row.deltas for row in table], weights, 0.4, scope)
    for matrix, expected in zip(result.values(), want, strict=True):
        assert float((matrix - expected).norm() / expected.norm()) < 1e-5
    assert [change.rank for change in done.deltas.values()] == [min(14, 3 * len(weights)), 2 * len(weights)]


def test_the_basis_and_the_coordinates_are_the_svd_s():
    changes = [lora(16, 20, 3, 1), lora(16, 20, 2, 2)]
    basis = common_basis(changes)
    u, s, v = torch.linalg.svd(torch.cat([dense(c) for c in changes], dim=1), full_matrices=False)
    assert basis.shape == (16, 5)
    overlap = (basis.double().T @ u[:, :5]).abs()
    assert torch.allclose(overlap, torch.eye(5).double(), atol=1e-5)
    z = dense(coordinates(basis, changes[1]))
    assert torch.allclose(z.abs(), (s[:5, None] * v[:5, 20:]).abs(), atol=1e-5)


@pytest.mark.parametrize("scope", ["model", "layer"])
def test_a_negative_weight_is_the_lora_turned_round(scope):
    a, b = lora(14, 18, 3, 1), lora(14, 18, 2, 2)
    turned, values = LowRank(b.up, b.down, -b.scale), {"scope": scope, "density": 0.4}
    (found,) = merged(rows([a], [b]), "knots", (1.0, -0.7), values=values)[0].values()
    (wanted,) = merged(rows([a], [turned]), "knots", (1.0, 0.7), values=values)[0].values()
    assert torch.allclose(found, wanted, atol=1e-5) and float(found.norm()) > 0


def test_equal_loras_have_one_basis():
    change = lora(16, 20, 3, 1)
    assert common_basis([change, change]).shape == (16, 3)


def test_all_kept_and_alone_is_the_lora():
    one = [lora(16, 20, 3, 1)]
    result, _ = merged(rows(one), "knots", (0.7,), values={"density": 1.0})
    (matrix,) = result.values()
    assert torch.allclose(matrix, 0.7 * dense(one[0]), atol=1e-5)
