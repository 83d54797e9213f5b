"""NP-LoRA against a dense float64 oracle, by role."""

from __future__ import annotations

import pytest
import torch

from klora_core.deltas import LowRank
from tests.support.merging import dense, lora, merged, rows


def oracle(subjects, styles, others, mu):
    """sum dW_s + sum dW_c (I - mu / (1 + mu) P) + sum dW_o; P projects on the styles' joint row space."""
    n = (subjects or styles or others)[0].shape[1]
    p = torch.zeros(n, n, dtype=torch.float64)
    if styles:
        stacked = torch.cat(styles)
        p = torch.linalg.pinv(stacked, rcond=1e-6) @ stacked
    kept = torch.eye(n).double() - mu / (1 + mu) * p
    return sum(s @ kept for s in subjects) + sum(styles) + sum(others)


@pytest.mark.parametrize("mu", [0.0, 0.5, 3.0, 1e6])
@pytest.mark.parametrize(
    "roles",
    [
        ("subject", "style"),
        ("style", "subject"),
        ("subject", "style", "style"),
        ("subject", "subject", "style"),
        ("subject", "style", "other"),
        ("subject", "other"),
        ("style", "style"),
    ],
)
def test_against_the_dense_oracle(mu, roles):
    loras = [[lora(30, 40, 3 + i, 7 * i), lora(20, 30, 3, 7 * i + 1)] for i in range(len(roles))]
    weights = (1.0, 0.6, -0.8)[: len(roles)]
    table = rows(*loras)
    result, done = merged(table, "np-lora", weights, roles=roles, values={"mu": mu})
    for row, matrix in zip(table, result.values(), strict=True):
        by_role = {"subject": [], "style": [], "other": []}
        for delta, weight, role in zip(row.deltas, weights, roles, strict=True):
            by_role[role].append(dense(delta) * weight)
        want = oracle(by_role["subject"], by_role["style"], by_role["other"], mu)
        assert float((matrix - want).norm() / want.norm()) < 2e-6
    assert [c.rank for c in done.deltas.values()] == [sum(d.rank for d in row.deltas) for row in table]


def test_on_the_style_s_inputs_the_subject_is_a_third_less():
    """mu = 0.5: mu / (1 + mu) = 1/3 of what the subject does there is gone, outside nothing is."""
    subject, style = lora(30, 40, 4, 1), lora(30, 40, 3, 2)
    (matrix,) = merged(rows([subject], [style]), "np-lora")[0].values()
    x = style.down.double().T @ torch.randn(3, 5).double()
    assert torch.allclose((matrix - dense(style)) @ x, dense(subject) @ x * 2 / 3, atol=1e-4)
    outside = torch.linalg.svd(style.down.double(), full_matrices=True).Vh[3:].T
    assert torch.allclose(matrix @ outside, dense(subject) @ outside, atol=1e-4)


def test_a_style_that_does_nothing_takes_nothing():
    subject, style = lora(30, 40, 4, 1), LowRank(torch.zeros(30, 3), torch.randn(3, 40))
    (matrix,) = merged(rows([subject], [style]), "np-lora")[0].values()
    assert torch.allclose(matrix, dense(subject), atol=1e-6)


def test_equal_styles_count_once_in_the_projection():
    subject, style = lora(30, 40, 4, 1), lora(30, 40, 3, 2)
    (one,) = merged(rows([subject], [style]), "np-lora", (1.0, 2.0))[0].values()
    (two,) = merged(rows([subject], [style], [style]), "np-lora")[0].values()
    assert torch.allclose(one, two, atol=1e-5)
