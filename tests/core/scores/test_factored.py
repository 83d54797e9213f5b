"""Top-K and L1 sums of LoKr and LoHa: those of the dense matrices in float64, in little memory."""

from __future__ import annotations

import sys

import pytest
import torch

from klora_core.deltas import Hadamard, Kron
from klora_core.scores import entries, kronecker

CPU = torch.device("cpu")


def heavy(*shape, seed=0, dtype=torch.float32):
    g = torch.Generator().manual_seed(seed)
    return (torch.randn(*shape, generator=g) / torch.rand(*shape, generator=g).clamp_min(1e-2)).to(dtype)


def factor(m, n, rank, seed, dtype):
    if rank is None:
        return heavy(m, n, seed=seed, dtype=dtype)
    return heavy(m, rank, seed=seed, dtype=dtype), heavy(rank, n, seed=seed + 1, dtype=dtype)


def matrix(found):
    return found.double() if isinstance(found, torch.Tensor) else found[0].double() @ found[1].double()


def kron(r1=None, r2=None, w1=(6, 4), w2=(7, 9), dtype=torch.float32, seed=0):
    """A product, and the same by torch in float64."""
    one, two = factor(*w1, r1, seed + 1, dtype), factor(*w2, r2, seed + 3, dtype)
    return Kron(one, two, -0.7), torch.kron(matrix(one), matrix(two)) * 0.7


def hadamard(out=42, n=36, dtype=torch.float32):
    (u1, d1), (u2, d2) = factor(out, n, 2, 5, dtype), factor(out, n, 3, 7, dtype)
    return Hadamard(u1, d1, u2, d2, -0.3), (u1.double() @ d1.double()) * (u2.double() @ d2.double()) * 0.3


MAKES = {
    "whole factors": kron,
    "pairs": lambda **k: kron(r1=2, r2=3, **k),
    "first a pair": lambda **k: kron(r1=2, **k),
    "second a pair": lambda **k: kron(r2=3, **k),
    "a large first factor": lambda **k: kron(w1=(14, 18), w2=(3, 2), **k),
    "one entry first": lambda **k: kron(w1=(1, 1), w2=(42, 36), **k),
    "hadamard": hadamard,
}
WINDOWS = [None, (0, 42), (0, 7), (7, 14), (3, 2), (3, 4), (5, 30), (0, 40), (2, 40), (41, 1), (13, 2)]


def expected(dense, k):
    found = dense.abs().flatten().sort(descending=True).values
    return [float(found[:k].sum()), float(found.sum())]


@pytest.fixture(params=["top_on_cpu", "top_on_device"])
def sum_entries(request, monkeypatch):
    """The two ways to the sums; the one for other devices runs on the CPU as well."""
    monkeypatch.setattr(entries, "top_on_cpu", getattr(entries, request.param))
    if request.param == "top_on_device":
        monkeypatch.setattr(kronecker, "ascending", lambda found: found.sort().values)
    return entries.sum_entries


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
@pytest.mark.parametrize("tile", [1, 100, 1 << 18])
@pytest.mark.parametrize("k", [1, 2, 24, 63, 500, 1511, 1512, 9999])
def test_sums_equal_a_full_sort(sum_entries, make, tile, k, monkeypatch):
    monkeypatch.setattr(entries, "TILE_CPU", tile)
    monkeypatch.setattr(entries, "TILE_DEVICE", tile)
    delta, dense = make()
    assert sum_entries(delta, k, CPU).tolist() == pytest.approx(expected(dense, k), rel=2e-6)


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
@pytest.mark.parametrize("window", WINDOWS[1:])
def test_row_windows(sum_entries, make, window):
    delta, dense = make()
    cut, rows = delta.rows(*window), dense[window[0] : sum(window)]
    for k in (1, 17, 63, rows.numel() // 2, rows.numel()):
        assert sum_entries(cut, k, CPU).tolist() == pytest.approx(expected(rows, k), rel=2e-6)


def test_a_window_is_at_most_three_products_and_all_of_its_rows():
    delta, _ = kron()
    for start in range(42):
        for length in range(1, 43 - start):
            found = kronecker.pieces(delta.rows(start, length))
            assert 1 <= len(found) <= 3
            assert sum(one.shape[0] * two.shape[0] for one, two in found) == length


@pytest.mark.parametrize("cut", [None, (4, 20)])
def test_another_order(sum_entries, cut):
    delta, dense = kron(r2=3)
    order = torch.randperm(42, generator=torch.Generator().manual_seed(1))
    delta, dense = delta.reordered(order), dense[order]
    if cut is not None:
        delta, dense = delta.rows(*cut), dense[cut[0] : sum(cut)]
    assert sum_entries(delta, 40, CPU).tolist() == pytest.approx(expected(dense, 40), rel=2e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn])
@pytest.mark.parametrize("make", [MAKES["whole factors"], MAKES["pairs"], hadamard])
def test_stored_dtypes(sum_entries, make, dtype):
    delta, dense = make(dtype=dtype)
    assert sum_entries(delta, 40, CPU).tolist() == pytest.approx(expected(dense, 40), rel=2e-6)
    cut = delta.rows(5, 30)
    assert sum_entries(cut, 40, CPU).tolist() == pytest.approx(expected(dense[5:35], 40), rel=2e-6)


def test_ties_and_zeros(sum_entries):
    ones = Kron(torch.full((4, 4), -0.5), torch.full((6, 6), 2.0))
    assert sum_entries(ones, 10, CPU).tolist() == [10.0, 576.0]
    sparse = torch.zeros(4, 4)
    sparse[1, 2], sparse[3, 0] = -3.0, 2.0
    few = Kron(sparse, torch.eye(6))
    assert sum_entries(few, 8, CPU).tolist() == [6 * 3 + 2 * 2, 30.0]
    assert sum_entries(few, 100, CPU).tolist() == [30.0, 30.0], "more than there are entries above zero"
    nothing = Kron(torch.zeros(4, 4), torch.randn(6, 6))
    assert sum_entries(nothing, 7, CPU).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("size", [1e-18, 1e-9, 1e9, 1e18])
def test_very_small_and_very_large_factors(sum_entries, size):
    delta, dense = kron()
    delta = Kron(delta.w1 * size, delta.w2, delta.scale)
    assert sum_entries(delta, 77, CPU).tolist() == pytest.approx(expected(dense * size, 77), rel=2e-6)


@pytest.mark.parametrize("seed", range(20))
def test_random_shapes(sum_entries, seed):
    g = torch.Generator().manual_seed(seed)
    m1, n1, m2, n2 = torch.randint(1, 12, (4,), generator=g).tolist()
    delta, dense = kron(w1=(m1, n1), w2=(m2, n2), seed=seed)
    start = int(torch.randint(0, m1 * m2, (), generator=g))
    length = int(torch.randint(1, m1 * m2 - start + 1, (), generator=g))
    rows = dense[start : start + length]
    k = int(torch.randint(1, rows.numel() + 1, (), generator=g))
    found = sum_entries(delta.rows(start, length), k, CPU).tolist()
    assert found == pytest.approx(expected(rows, k), rel=2e-6)


def test_single_precision_is_enough_for_devices_without_more():
    delta, dense = kron(w1=(6, 5), w2=(40, 30))
    lists = [kronecker.Lists(*(d.dense().abs().flatten() for d in both)) for both in kronecker.pieces(delta)]
    found = kronecker.largest_products(lists, 300, torch.float32)
    assert found.dtype == torch.float32
    assert float(found) * 0.7 == pytest.approx(expected(dense, 300)[0], rel=1e-5)


# What is loaded at a first call is none of the work's.
WARM = """
sum_entries(Kron(r(4, 4), r(8, 8)), 9, cpu), sum_entries(Hadamard(r(9, 2), r(2, 9), r(9, 2), r(2, 9)), 9, cpu)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
@pytest.mark.parametrize(
    ("delta", "k", "limit"),
    [
        ("Kron(r(16, 16), r(768, 192))", 4096, 8),
        ("Kron(r(16, 16), r(768, 192)).rows(1000, 9000)", 4096, 8),
        ("Kron(r(16, 16), (r(768, 4), r(4, 192)))", 1024, 8),
        ("Hadamard(r(12288, 16), r(16, 3072), r(12288, 16), r(16, 3072))", 4096, 8),
    ],
)
def test_memory_at_a_large_layers_shape(peaks, delta, k, limit):
    """12288 x 3072, 144 MiB multiplied out, in a process of its own."""
    work = f"assert sum_entries(delta, {k}, cpu).isfinite().all()"
    assert peaks.of(f"{WARM}delta = {delta}", work) < limit


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_memory_does_not_grow_with_the_slots(peaks):
    """A result that stays in the memory between two large arrays would keep the first one's place empty."""
    shapes = "((640, 640), (1280, 1280), (1280, 2048))"
    deltas = f"[Hadamard(r(o, 16), r(16, n), r(o, 16), r(16, n)) for o, n in {shapes}]"
    work = "torch.set_num_threads(2); score([Request(each, 65536) for each in delta] * 60)"
    assert peaks.of(f"{WARM}delta = {deltas}", work) < 24
