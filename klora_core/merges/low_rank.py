"""Factors of a weight change, exact or cut to a rank, without a large SVD where there is a smaller one."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ..deltas import Delta, Dense, LowRank, spans
from ..scores import energy

OVERSAMPLING = 10
POWER_ITERATIONS = 2
# What the rounding of a stored entry leaves of a matrix that was of low rank before it was stored.
_ROUNDING = {torch.float32: 1e-5, torch.float64: 1e-5, torch.float16: 1e-3, torch.bfloat16: 1e-2}
_RANK_TOLERANCE = 1e-5
_AT_ONCE = 1 << 26


def factors(delta: Delta, tolerance: float | None = None) -> LowRank:
    """``delta`` as float32 factors; a :class:`LowRank` keeps its rank and its scale, others have scale 1.

    Any other delta is cut to the smallest rank whose relative Frobenius error is at most ``tolerance``
    (None: what the rounding of its dtype explains), and at most to the rank its parametrisation allows.
    """
    if isinstance(delta, LowRank):
        return LowRank(delta.up.float(), delta.down.float(), delta.scale)
    if tolerance is None:
        stored = delta.weight.dtype if isinstance(delta, Dense) else torch.float32
        tolerance = _ROUNDING.get(stored, 0.1)
    return matrix_factors(delta.dense(), delta.rank, tolerance)


def matrix_factors(matrix: Tensor, bound: int, tolerance: float = _RANK_TOLERANCE) -> LowRank:
    """The factors of smallest rank, at most ``bound``, that leave ``tolerance`` of ``matrix`` [out, n].

    ``tolerance`` is relative to its Frobenius norm. The sketch doubles until the measured error is small
    enough, so a matrix of low rank costs little and any other a full SVD.
    """
    total = _squares(matrix) if matrix.numel() else 0.0
    if total == 0:
        return LowRank(matrix.new_zeros(matrix.shape[0], 1), matrix.new_zeros(1, matrix.shape[1]))
    allowed = tolerance**2 * total
    size = 32
    while True:
        u, s, v = matrix_svd(matrix, min(size, bound))
        # Measured on the matrix itself: the singular values can't see what their own rounding lost.
        left = _squares(matrix, u * s, v)
        if left <= allowed or len(s) >= min(bound, *matrix.shape):
            break
        size *= 2
    tails = s.double().square().flip(0).cumsum(0).flip(0)
    keep = max(1, int((tails > max(allowed - left, 0.0)).sum()))
    return _balanced(u[:, :keep], s[:keep], v[:keep])


def svd(change: LowRank) -> tuple[Tensor, Tensor, Tensor]:
    """(U [out, k], s [k], V [k, n]) of dW = up @ down, through QR of the factors and SVD of the small core.

    Exact, k = min(out, n, rank); s descends and may end in zeros. float32, the core in float64.
    """
    q_up, r_up = torch.linalg.qr(change.up.float())
    q_down, r_down = torch.linalg.qr(change.down.float().T)
    u, s, v = torch.linalg.svd(r_up.double() @ r_down.double().T, full_matrices=False)
    sign = -1.0 if change.scale < 0 else 1.0
    return q_up @ u.float() * sign, s.float() * abs(change.scale), v.float() @ q_down.T


def input_space(change: LowRank) -> Tensor:
    """Q [n, k], an orthonormal basis of the inputs that dW looks at: its row space.

    Where ``up`` has full column rank that is the span of the rows of ``down``. Unlike a plain thin QR of
    ``down``, it gives no direction for inputs that dW maps to zero: a zero dW has k = 0.
    """
    _, s, v = svd(change)
    return v[: numerical_rank(s)].T


def numerical_rank(s: Tensor) -> int:
    """How many of the descending singular values ``s`` are more than rounding, 1e-5 of the largest."""
    return int((s > _RANK_TOLERANCE * s[0]).sum()) if len(s) and s[0] != 0 else 0


def cut(change: LowRank, rank: int) -> tuple[LowRank, float]:
    """The best approximation of dW of ``rank`` (Eckart and Young), and the share of ||dW||_F^2 it keeps."""
    u, s, v = svd(change)
    total = s.double().square().sum().item()
    rank = max(1, min(rank, numerical_rank(s)))
    kept = s[:rank].double().square().sum().item()
    return _balanced(u[:, :rank], s[:rank], v[:rank]), kept / total if total else 1.0


def cut_matrix(matrix: Tensor, rank: int) -> tuple[LowRank, float]:
    """An approximation of ``matrix`` [out, n] of ``rank``, and the share of its ||.||_F^2 it keeps.

    Exact SVD where the matrix is small, else :func:`matrix_svd`'s randomized one.
    """
    u, s, v = matrix_svd(matrix, rank)
    total = _squares(matrix)
    keep = max(1, numerical_rank(s))
    kept = s.double().square().sum().item()
    return _balanced(u[:, :keep], s[:keep], v[:keep]), min(1.0, kept / total) if total else 1.0


def matrix_svd(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """(U [out, r], s [r], V [r, n]) of the ``rank`` largest singular values of ``matrix`` [out, n].

    Randomized range finder with power iterations (Halko, Martinsson, Tropp, arXiv 0909.4061, algorithms
    4.4 and 5.1), from a fixed seed; the exact SVD where the sketch would be as wide as a quarter of it.
    """
    small = min(matrix.shape)
    width = rank + OVERSAMPLING
    if 4 * width >= small:
        u, s, v = torch.linalg.svd(matrix, full_matrices=False)
        return u[:, :rank], s[:rank], v[:rank]
    seeded = torch.Generator().manual_seed(0)
    sketch = torch.randn(matrix.shape[1], width, generator=seeded).to(matrix.device)
    q, _ = torch.linalg.qr(matrix @ sketch)
    for _ in range(POWER_ITERATIONS):
        q, _ = torch.linalg.qr(matrix.T @ q)
        q, _ = torch.linalg.qr(matrix @ q)
    u, s, v = torch.linalg.svd(q.T @ matrix, full_matrices=False)
    return q @ u[:, :rank], s[:rank], v[:rank]


def stacked(pieces: Mapping[tuple[int, int], LowRank], out: int) -> LowRank:
    """Pieces of one weight by their rows (start, length) as one change of ``out`` rows, zero elsewhere."""
    down = torch.cat([change.down.float() for change in pieces.values()])
    up = torch.zeros(out, len(down))
    at = 0
    for (start, length), change in pieces.items():
        up[start : start + length, at : at + change.rank] = change.up.float() * change.scale
        at += change.rank
    # The pieces of a fused LoRA that was cut share their rows of ``down``.
    rows, place = torch.unique(down, dim=0, return_inverse=True)
    if len(rows) == len(down):
        return LowRank(up, down)
    return LowRank(torch.zeros(out, len(rows)).index_add_(1, place, up), rows)


def norm(change: LowRank) -> float:
    """||dW||_F from the factors."""
    return abs(change.scale) * math.sqrt(energy(LowRank(change.up, change.down)))


def _squares(matrix: Tensor, up: Tensor | None = None, down: Tensor | None = None) -> float:
    """||matrix - up @ down||_F^2 in float64, some rows at a time where the whole would be large."""
    total = 0.0
    for start, length in spans((matrix.shape[0], matrix.shape[1]), _AT_ONCE):
        rows = matrix.narrow(0, start, length)
        if up is not None and down is not None:
            rows = rows - up.narrow(0, start, length) @ down
        total += rows.double().square().sum().item()
    return total


def _balanced(u: Tensor, s: Tensor, v: Tensor) -> LowRank:
    root = s.clamp(min=0).sqrt()
    return LowRank(u * root, root[:, None] * v)
