"""LoRA-LEGO: clusters against scikit-learn's, the identities of the paper, the gauge."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans

from klora_core.deltas import LowRank
from klora_core.errors import KLoraError
from klora_core.merges import clusters, merge, named
from klora_core.merges.clusters import inertia, k_means, lloyd, starts
from klora_core.merges.lego import canonical, centroids, lego, units
from tests.support.merging import dense, lora, merged, rows


def partition(labels):
    """Clusters as sets of points, whatever their numbers."""
    return {frozenset(np.flatnonzero(np.asarray(labels) == label)) for label in np.unique(labels)}


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("k", [2, 5, 16])
def test_lloyd_is_scikit_learn_s_from_the_same_start(seed, k):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(32, 60)) * rng.choice([0.2, 1, 3], size=(32, 1))
    start = starts(points @ points.T, k, np.random.default_rng(seed))
    ours = lloyd(points @ points.T, start)
    theirs = KMeans(k, init=points[start], n_init=1, tol=0, algorithm="lloyd").fit(points)
    assert partition(ours) == partition(theirs.labels_)
    assert inertia(points @ points.T, ours) == pytest.approx(theirs.inertia_, rel=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_as_good_as_scikit_learn_s_best_of_ten(seed):
    """Blobs apart enough to have one best answer: both find it."""
    rng = np.random.default_rng(seed)
    points = np.repeat(rng.normal(size=(6, 40)) * 5, 5, axis=0) + rng.normal(size=(30, 40))
    theirs = KMeans(6, n_init=10, random_state=0, tol=0).fit(points)
    ours = k_means(points @ points.T, 6)
    assert partition(ours) == partition(theirs.labels_)


def test_every_cluster_has_a_member():
    same = np.ones((5, 1)) @ np.arange(1.0, 4)[None]
    assert len(np.unique(k_means(same @ same.T, 3))) == 3


def test_an_empty_cluster_takes_the_farthest_point_that_another_can_spare():
    points = np.array([[0.0], [0.1], [5.0], [9.0]])
    # The third centre is the first once more: it runs empty. 5 is the farthest from its centre; 9 is alone.
    assert lloyd(points @ points.T, np.array([0, 3, 0])).tolist() == [0, 0, 2, 1]
    # Alone but for 5 and 6, which are two: one of them is spared, the farther.
    points = np.array([[0.0], [5.0], [6.0]])
    assert lloyd(points @ points.T, np.array([0, 1, 1])).tolist() == [0, 1, 2]


class Draws:
    """A generator that begins with the first point, draws the likeliest, and notes the chances."""

    def __init__(self):
        self.chances = []

    def integers(self, count):
        return 0

    def choice(self, count, p):
        self.chances.append(p.tolist())
        return int(np.argmax(p))


def test_starts_are_drawn_by_squared_distance_to_the_nearest():
    points, draws = np.array([[0.0], [1.0], [3.0], [3.0]]) / 100, Draws()
    assert starts(points @ points.T, 3, draws).tolist() == [0, 2, 1]
    # A copy of a point that was chosen is never drawn.
    assert draws.chances == [pytest.approx([0, 1 / 19, 9 / 19, 9 / 19]), pytest.approx([0, 1, 0, 0])]
    assert starts(points @ points.T, 4, Draws()).tolist() == [0, 2, 1, 3]


@pytest.mark.parametrize("gauge", ["raw", "svd"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_equal_loras_give_the_lora_back(gauge, count):
    one = [lora(30, 40, 4, 1, scale=0.3)]
    (matrix,) = merged(rows(*[one] * count), "lora-lego", rank=4, values={"gauge": gauge})[0].values()
    assert torch.allclose(matrix, dense(one[0]), atol=1e-5)


@pytest.mark.parametrize("gauge", ["raw", "svd"])
def test_as_many_clusters_as_units_is_the_plain_sum(gauge):
    deltas = [lora(30, 40, 4, 1), lora(30, 40, 3, 2), lora(30, 40, 2, 3)]
    weights = (1.0, 0.5, -0.7)
    table = rows(*([d] for d in deltas))
    plain = sum(w * dense(d) for w, d in zip(weights, deltas, strict=True))
    (matrix,) = merged(table, "lora-lego", weights, rank=9, values={"gauge": gauge, "reweight": "off"})[
        0
    ].values()
    assert torch.allclose(matrix, plain, atol=1e-5)
    (scaled,) = merged(table, "lora-lego", weights, rank=9, values={"gauge": gauge})[0].values()
    assert torch.allclose(scaled, plain * (4 / 9) ** 0.5, atol=1e-5)


def test_against_scikit_learn_and_plain_loops():
    """The merge itself: units, clusters and centroids written out, with scikit-learn's labels."""
    a, b = lora(30, 40, 4, 1, scale=0.5), lora(30, 40, 4, 2)
    near = LowRank(a.up + 0.01 * torch.randn(30, 4), a.down + 0.01 * torch.randn(4, 40), 0.5)
    (matrix,) = merged(rows([a], [near], [b]), "lora-lego", (1.0, 1.0, 0.3), rank=8)[0].values()
    pool = []
    for delta, weight in ((a, 1.0), (near, 1.0), (b, 0.3)):
        root = (weight * delta.scale) ** 0.5
        for j in range(4):
            pool.append(np.concatenate((delta.down[j].numpy() * root, delta.up[:, j].numpy() * root)))
    pool = np.array(pool, dtype=np.float64)
    labels = KMeans(8, n_init=20, random_state=0).fit(pool).labels_
    want = np.zeros((30, 40))
    for label in range(8):
        members = pool[labels == label]
        centre = members.mean(axis=0)
        centre = centre * np.mean([np.abs(m).max() for m in members]) / np.abs(centre).max()
        want += np.outer(centre[40:], centre[:40])
    want *= (4 / 8) ** 0.5
    assert len({frozenset(np.flatnonzero(labels == c)) for c in range(8)}) == 8
    assert np.linalg.norm(matrix.numpy() - want) / np.linalg.norm(want) < 1e-5


def test_units_add_up_to_the_change():
    change = lora(30, 40, 4, 1, scale=0.5)
    for weight in (0.8, -0.8):
        pool = units(change, weight)
        assert torch.allclose(
            pool[:, 40:].T.double() @ pool[:, :40].double(), weight * dense(change), atol=1e-5
        )


def test_a_mean_of_nothing_stays_nothing():
    pool = torch.tensor([[1.0, 2.0], [-1.0, -2.0], [3.0, 1.0]])
    assert torch.equal(centroids(pool, torch.tensor([0, 0, 1])), torch.tensor([[0.0, 0.0], [3.0, 1.0]]))


def test_the_canonical_gauge_does_not_see_how_the_factors_were_written():
    change = lora(30, 40, 4, 1)
    mixed = torch.randn(4, 4) + 2 * torch.eye(4)
    other = LowRank(change.up @ mixed, torch.linalg.solve(mixed, change.down), change.scale)
    second = lora(30, 40, 4, 2)
    by_gauge = {}
    for gauge in ("raw", "svd"):
        found = [
            merged(rows([first], [second]), "lora-lego", rank=5, values={"gauge": gauge})[0]
            for first in (change, other)
        ]
        a, b = (next(iter(result.values())) for result in found)
        by_gauge[gauge] = float((a - b).norm() / a.norm())
    assert by_gauge["svd"] < 1e-4
    assert by_gauge["raw"] > 0.01
    assert torch.allclose(dense(canonical(change)), dense(change), atol=1e-5)


def test_the_seed_chooses_the_start():
    pool = torch.randn(24, 30, generator=torch.Generator().manual_seed(3))
    results = [lego(pool, 8, 8, 12, seed, True) for seed in (0, 0, 1, 2, 3)]
    assert torch.equal(results[0].up, results[1].up)
    assert any(not torch.allclose(results[0].up, other.up) for other in results[2:])


def test_many_points_are_clustered_as_few_are(monkeypatch):
    """Members added one by one, or by a product with all of them."""
    points = np.random.default_rng(5).normal(size=(90, 40))
    found = {}
    for many in (1, 1000):
        monkeypatch.setattr(clusters, "_MANY", many)
        found[many] = k_means(points @ points.T, 20)
    assert np.array_equal(found[1], found[1000])


def test_progress_within_a_layer():
    """It rises, never past what the layer counts, and an exception from it stops the work."""
    table, seen = rows([lora(60, 50, 20, 1)], [lora(60, 50, 20, 2)]), []
    merge(table, named("lora-lego"), (1, 1), progress=lambda done, total: seen.append((done, total)))
    done = [step for step, _ in seen]
    assert done == sorted(done) and done[-1] == 2 and {total for _, total in seen} == {2}
    assert len([step for step in done if 0 < step < 2]) >= 10

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        merge(table, named("lora-lego"), (1, 1), progress=stop)


def test_ranks_in_the_thousands_have_a_bound():
    wide = LowRank(torch.ones(2, 1).expand(2, 2049), torch.ones(1, 2).expand(2049, 2))
    with pytest.raises(
        KLoraError,
        match=r"^Choose another .*: layer slot\.0: LoRA-LEGO compares each of 4098 ranks.* at most 4096",
    ):
        merged(rows([wide], [wide]), "lora-lego")
