"""k-means on a Gram matrix: points that are few and long cost no more than their inner products."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Labels = NDArray[np.intp]

RESTARTS = 10
MAX_ITERATIONS = 300


def k_means(gram: Array, k: int, seed: int = 0, restarts: int = RESTARTS) -> Labels:
    """The cluster [m] of each of m points: the best of several runs of Lloyd's algorithm, k <= m.

    ``gram`` [m, m] holds the points' inner products. Runs start by k-means++ (Arthur and Vassilvitskii
    2007) from ``seed``; the one of least inertia wins, the first of equals. Each cluster has a member.
    """
    rng = np.random.default_rng(seed)
    runs = [lloyd(gram, starts(gram, k, rng)) for _ in range(restarts)]
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


def lloyd(gram: Array, start: Labels) -> Labels:
    """Lloyd's algorithm from the points ``start`` [k] as centres until no label changes: labels [m].

    A cluster that runs empty takes the point that is farthest from its own centre, as scikit-learn does.
    """
    k = len(start)
    member = np.zeros((k, len(gram)))
    member[np.arange(k), start] = 1.0
    labels = None
    for _ in range(MAX_ITERATIONS):
        distance = _distances(gram, member)
        found = distance.argmin(axis=0)
        _fill_empty(found, distance, k)
        if labels is not None and np.array_equal(found, labels):
            break
        labels = found
        member = (labels == np.arange(k)[:, None]).astype(np.float64)
        member /= member.sum(axis=1, keepdims=True)
    assert labels is not None
    return labels


def inertia(gram: Array, labels: Labels) -> float:
    """The sum over all points of the squared distance to the mean of their cluster."""
    member = (labels == np.unique(labels)[:, None]).astype(np.float64)
    within = ((member @ gram) * member).sum(axis=1) / member.sum(axis=1)
    return float(np.trace(gram) - within.sum())


def _distances(gram: Array, member: Array) -> Array:
    """Squared distances [k, m] of the points to the centres sum_j member[c, j] x_j."""
    cross = member @ gram
    return (cross * member).sum(axis=1)[:, None] - 2 * cross + np.diagonal(gram)


def _fill_empty(labels: Labels, distance: Array, k: int) -> None:
    for empty in np.setdiff1d(np.arange(k), labels):
        sizes = np.bincount(labels, minlength=k)
        own = distance[labels, np.arange(len(labels))]
        # Only from clusters that can spare one.
        labels[np.where(sizes[labels] > 1, own, -np.inf).argmax()] = empty
