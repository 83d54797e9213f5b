"""Top-K and L1 sums are exact, whatever the tiles and blocks do."""

from __future__ import annotations

import pytest
import torch

from klora_core.deltas import Dense, Kron, LowRank
from klora_core.methods.klora.evidence import top_k
from klora_core.scores import Request, entries, score, scoring

CPU = torch.device("cpu")


def expected(delta, k):
    entries = delta.dense().double().abs().flatten().sort(descending=True).values
    return float(entries[:k].sum()), float(entries.sum())


def heavy(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    normal = torch.randn(*shape, generator=generator)
    return normal / torch.rand(*shape, generator=generator).clamp_min(1e-3)


@pytest.fixture(params=["top_on_cpu", "top_on_device"])
def sum_entries(request, monkeypatch):
    """The two ways to the sums; the one for other devices runs on the CPU as well."""
    monkeypatch.setattr(entries, "top_on_cpu", getattr(entries, request.param))
    return entries.sum_entries


@pytest.mark.parametrize("k", [1, 2, 16, 63, 64, 1000, 4095, 4096])
@pytest.mark.parametrize("tile", [1, 64, 100, 1 << 18])
def test_sums_equal_a_full_sort(sum_entries, k, tile, monkeypatch):
    monkeypatch.setattr(entries, "TILE_CPU", tile)
    monkeypatch.setattr(entries, "TILE_DEVICE", tile)
    delta = LowRank(heavy(64, 8, seed=k), heavy(8, 64, seed=k + 1), 0.3)
    assert sum_entries(delta, k, CPU).tolist() == pytest.approx(expected(delta, k), rel=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 37), (37, 1), (13, 11)])
@pytest.mark.parametrize("k", [1, 5, 37, 143])
def test_odd_shapes_and_k_beyond_the_entries(sum_entries, shape, k):
    delta = Dense(heavy(*shape, seed=3), 1, -2.0)
    assert sum_entries(delta, k, CPU).tolist() == pytest.approx(expected(delta, k), rel=1e-5)


def test_large_entries_side_by_side_are_all_found(sum_entries):
    weight = torch.zeros(256, 256)
    weight[17, 100:132] = torch.arange(1.0, 33.0)
    weight[200, 3] = -50.0
    found = sum_entries(Dense(weight, 1), 20, CPU).tolist()
    assert found == [50 + sum(range(14, 33)), 50 + sum(range(1, 33))]


def test_ties_count_k_times(sum_entries):
    found = sum_entries(Dense(torch.full((64, 64), -0.5), 1), 10, CPU).tolist()
    assert found == [5.0, 2048.0]


@pytest.mark.parametrize("tile", [64, 1000, 1 << 18])
@pytest.mark.parametrize("values", [2, 9, 4000])
def test_ties_between_blocks_and_tiles_count_once_each(sum_entries, tile, values, monkeypatch):
    """Whole numbers, so that the sums are exact whatever their order."""
    monkeypatch.setattr(entries, "TILE_CPU", tile)
    monkeypatch.setattr(entries, "TILE_DEVICE", tile)
    weight = torch.randint(values, (64, 80), generator=torch.Generator().manual_seed(values)).float()
    for rows in (weight, weight.sort(dim=0).values, weight.sort(dim=0, descending=True).values):
        delta = Dense(rows, 80)
        for k in (1, 2, 31, 256, 257, 2000, 5119):
            assert tuple(sum_entries(delta, k, CPU).tolist()) == expected(delta, k)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_stored_dtypes_are_multiplied_in_float32(sum_entries, dtype):
    delta = LowRank(torch.randn(40, 4).to(dtype), torch.randn(4, 56).to(dtype), 0.5)
    assert sum_entries(delta, 16, CPU).tolist() == pytest.approx(expected(delta, 16), rel=1e-5)


def test_no_more_than_a_tile_is_materialised(monkeypatch):
    """Counted, not timed: the products asked for cover each row once, and none is larger than a tile."""
    made = []
    mm = torch.mm
    monkeypatch.setattr(torch, "mm", lambda a, b, out: made.append(len(a) * b.shape[1]) or mm(a, b, out=out))
    entries.sum_entries(LowRank(torch.randn(3000, 4), torch.randn(4, 1000)), 16, CPU)
    assert sum(made) == 3_000_000
    assert max(made) <= entries.TILE_CPU


def test_room_is_used_where_it_is_large_enough():
    delta = LowRank(heavy(30, 4), heavy(4, 20))
    for size in (1, 600, 1 << 18):
        room = torch.full((size,), torch.nan)
        assert entries.sum_entries(delta, 16, CPU, room).tolist() == pytest.approx(
            expected(delta, 16), rel=1e-5
        )
        assert bool(room.isnan().any()) is (size != 600)


def test_scoring_makes_one_tile_a_thread_however_many_slots_there_are(monkeypatch):
    made, empty = [], torch.empty

    def counted(*size, **options):
        made.append(size)
        return empty(*size, **options)

    deltas = [Dense(heavy(4, 4), 4), LowRank(heavy(4, 2), heavy(2, 4))] * 10
    monkeypatch.setattr(torch, "empty", counted)
    score([Request(delta, 4) for delta in deltas])
    assert 1 <= len(made) <= torch.get_num_threads()


def test_the_callers_threads_are_left_as_they_were():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        score([Request(Dense(heavy(4, 4), 4), 4)] * 5)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_k_is_the_product_of_the_ranks_within_the_entries():
    assert top_k(4, 16, 32 * 32) == 64
    assert top_k(8, 8, 5 * 7) == 35
    (found,) = score([Request(LowRank(heavy(5, 8), heavy(8, 7)), 35)])
    assert found.top_k == pytest.approx(found.l1)


def test_sums_over_tiles_are_kept_in_float64(monkeypatch):
    monkeypatch.setattr(entries, "TILE_CPU", 1)
    (found,) = score([Request(Dense(torch.tensor([[2.0**24], [1.0], [0.5]]), 1), 2)])
    assert found == (2**24 + 1, 2**24 + 1.5)


def test_one_by_one_as_other_devices_are_scored():
    requests = [Request(LowRank(heavy(9, 3, seed=i), heavy(3, 7)), 5) for i in range(3)]
    found = [tuple(sums.tolist()) for sums in scoring._one_by_one(requests, CPU)]
    assert found == [tuple(each) for each in score(requests)]


def test_progress_is_told_after_each_delta():
    told = []
    score([Request(Dense(heavy(4, 4), 4), 2)] * 3, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert score([]) == []


def test_scoring_leaves_the_tensors_alone():
    weight, up, down = -heavy(8, 8), -heavy(8, 2), heavy(2, 8)
    kept = [t.clone() for t in (weight, up, down)]
    score([Request(Dense(weight, 8), 8), Request(LowRank(up, down), 8)])
    assert all(torch.equal(a, b) for a, b in zip((weight, up, down), kept, strict=True))


def test_one_change_at_several_k_is_made_once(monkeypatch):
    made, top = [], entries.top_on_cpu
    monkeypatch.setattr(entries, "top_on_cpu", lambda *given: made.append(given[0]) or top(*given))
    one, other = (LowRank(heavy(64, 8, seed=seed), heavy(8, 64, seed=seed + 1), -0.3) for seed in (1, 5))
    ks = [1, 16, 63, 1000, 4096, 9999]
    found = score([*(Request(one, k) for k in ks), Request(other, 16), Request(one, 5)])
    assert made == [one, other, one], "neighbours share the work"
    alone = [score([Request(delta, k)])[0] for delta, k in [*((one, k) for k in ks), (other, 16), (one, 5)]]
    assert [pair.l1 for pair in found] == [pair.l1 for pair in alone]
    assert [pair.top_k for pair in found] == pytest.approx([pair.top_k for pair in alone], rel=1e-14)
    assert [tuple(pair) for pair in found[:6]] == [pytest.approx(expected(one, k), rel=1e-5) for k in ks]


def test_kinds_that_make_no_matrix_are_summed_at_each_k():
    delta = Kron(heavy(4, 4), heavy(8, 8, seed=2), 0.5)
    found = score([Request(delta, k) for k in (3, 40)])
    assert [tuple(pair) for pair in found] == [pytest.approx(expected(delta, k), rel=1e-5) for k in (3, 40)]
