"""k-means on a Gram matrix: points that are few and long cost no more than their inner products."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[np.float64]
Labels = NDArray[np.intp]

RESTARTS = 10
MAX_ITERATIONS = 300
# Points from which on members are added one by one: a product with all of them costs k times as much.
_MANY = 512


def k_means(
    gram: Array,
    k: int,
    seed: int = 0,
    restarts: int = RESTARTS,
    step: Callable[[float], None] = lambda share: None,
) -> Labels:
    """The cluster [m] of each of m points: the best of several runs of Lloyd's algorithm, k <= m.

    ``gram`` [m, m] holds the points' inner products. Runs start by k-means++ (Arthur and Vassilvitskii
    2007) from ``seed``; the one of least inertia wins, the first of equals. Each cluster has a member.
    ``step`` is told the share that is done, after each iteration.
    """
    rng = np.random.default_rng(seed)
    runs: list[Labels] = []

    def told(share: float) -> None:
        step((len(runs) + share) / restarts)

    for _ in range(restarts):
        runs.append(lloyd(gram, starts(gram, k, rng), told))
    return min(runs, key=lambda labels: inertia(gram, labels))


def starts(gram: Array, k: int, rng: np.random.Generator) -> Labels:
    """k points [k] by k-means++: each next one with probability in proportion to its squared distance."""
    squares = np.diagonal(gram)
    chosen = [int(rng.integers(len(gram)))]
    nearest = np.full(len(gram), np.inf)
    while len(chosen) < k:
        last = chosen[-1]
        nearest = np.minimum(nearest, np.maximum(squares - 2 * gram[last] + squares[last], 0))
        # Rounding must not make copies of a chosen point worth choosing.
        nearest[nearest <= 1e-12 * squares.max()] = 0
        total = nearest.sum()
        if total > 0:
            chosen.append(int(rng.choice(len(gram), p=nearest / total)))
        else:
            chosen.append(int(np.setdiff1d(np.arange(len(gram)), chosen)[0]))
    return np.array(chosen)


def lloyd(gram: Array, start: Labels, step: Callable[[float], None] = lambda share: None) -> Labels:
    """Lloyd's algorithm from the points ``start`` [k] as centres until no label changes: labels [m].

    A cluster that runs empty takes the point that is farthest from its own centre, as scikit-learn does.
    ``step`` is told the share of the iterations that are done.
    """
    k = len(start)
    # Of each centre c = sum_j member[c, j] x_j its products with all points, and with itself.
    cross, own = gram[start], gram[start, start]
    labels = None
    for iteration in range(MAX_ITERATIONS):
        distance = own[:, None] - 2 * cross + np.diagonal(gram)
        found = distance.argmin(axis=0)
        _fill_empty(found, distance, k)
        if labels is not None and np.array_equal(found, labels):
            break
        labels = found
        cross, own = _centres(gram, labels, k)
        step((iteration + 1) / MAX_ITERATIONS)
    assert labels is not None
    return labels


def inertia(gram: Array, labels: Labels) -> float:
    """The sum over all points of the squared distance to the mean of their cluster."""
    sizes = np.bincount(labels)
    if len(gram) > _MANY:
        return float(np.trace(gram) - (_centres(gram, labels, len(sizes))[1] * sizes).sum())
    member = (labels == np.unique(labels)[:, None]).astype(np.float64)
    within = ((member @ gram) * member).sum(axis=1) / member.sum(axis=1)
    return float(np.trace(gram) - within.sum())


def _centres(gram: Array, labels: Labels, k: int) -> tuple[Array, Array]:
    """Of the means of k clusters the products [k, m] with all points, and [k] with themselves."""
    if len(gram) <= _MANY:
        member = (labels == np.arange(k)[:, None]).astype(np.float64)
        member /= member.sum(axis=1, keepdims=True)
        cross = member @ gram
        return cross, (cross * member).sum(axis=1)
    sizes = np.bincount(labels, minlength=k)
    sums = torch.zeros(k, len(gram), dtype=torch.float64)
    cross = sums.index_add_(0, torch.from_numpy(labels), torch.from_numpy(gram)).numpy()
    cross /= sizes[:, None]
    own = np.bincount(labels, weights=cross[labels, np.arange(len(gram))], minlength=k)
    return cross, own / sizes


def _fill_empty(labels: Labels, distance: Array, k: int) -> None:
    for empty in np.setdiff1d(np.arange(k), labels):
        sizes = np.bincount(labels, minlength=k)
        own = distance[labels, np.arange(len(labels))]
        # Only from clusters that can spare one.
        labels[np.where(sizes[labels] > 1, own, -np.inf).argmax()] = empty
