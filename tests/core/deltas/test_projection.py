"""What LoRAs share of their inputs is worked out once for contents, whatever dial is turned."""

from __future__ import annotations

import pytest
import torch

from klora_core.deltas import Digests, LowRank, SharedInputs, digest, meet, project_off_inputs
from klora_core.methods.klora import KLora, energies_of, make_schedule, outside
from klora_core.names import Slot

ROLES = ("subject", "style")
COUNT = 6


def r(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def shared(monkeypatch):
    """Nothing is worked out yet."""
    new = SharedInputs(1 << 20)
    monkeypatch.setattr(outside, "SHARED", new)
    return new


def pair():
    return [
        {
            Slot(f"middle_block.{i}.attn1.to_q"): LowRank(r(9, k, seed=i), r(k, 20, seed=i + k))
            for i in range(COUNT)
        }
        for k in (4, 3)
    ]


def candidates(loras, balance=0.0, alpha=1.5, outside=0.5, strengths=(1.0, 1.0), memory=None):
    """All candidates of a Fuse at these dials."""
    rows = meet(loras, ROLES)
    method = KLora(
        make_schedule("s", alpha, balance=balance),
        "paper",
        ROLES,
        energies_of(rows.competing, ROLES, ROLES),
        "energy",
        outside,
    )
    return [
        method.candidates(i, [d.scaled(s) for d, s in zip(row.deltas, strengths, strict=True)], memory)
        for i, row in enumerate(rows.competing)
    ]


def test_dials_project_nothing_again(shared):
    loras = pair()
    candidates(loras)
    assert shared.misses == 2 * COUNT, "each leader against the other"
    for dials in (
        {"balance": 0.4},
        {"alpha": 2.0},
        {"outside": 0.1},
        {"outside": 1.0},
        {"strengths": (0.3, -1.2)},
        {"outside": 0.0},
    ):
        candidates(loras, **dials)
    candidates(
        [{s: LowRank(d.up.clone(), d.down.clone(), d.scale) for s, d in lora.items()} for lora in loras]
    )
    candidates(loras[::-1])
    assert shared.misses == 2 * COUNT, "neither dials, nor other tensors of one content, nor another order"
    slot = next(iter(loras[0]))
    loras[0][slot].down[0, 0] += 1
    found = candidates(loras)
    assert shared.misses == 2 * COUNT + 2, "what changed in place is worked out, and nothing else"
    fresh = project_off_inputs(loras[1][slot], loras[0][slot])
    torch.testing.assert_close(found[0][0].down[4:], fresh.down * 0.5, rtol=0, atol=0)


def test_another_strength_is_the_projection_times_it(shared):
    loras = pair()
    half, whole = candidates(loras, outside=0.5), candidates(loras, outside=1.0)
    for a, b in zip(half, whole, strict=True):
        torch.testing.assert_close(a[0].down[4:] * 2, b[0].down[4:])
        torch.testing.assert_close(a[0].down[:4], b[0].down[:4], rtol=0, atol=0)


def test_what_rests_is_read_once(shared):
    loras, read = pair(), []
    memory = Digests(lambda tensor: read.append(tensor) or digest(tensor))
    first = candidates(loras, memory=memory)
    again = candidates(loras, strengths=(2.0, 1.0), memory=memory)
    assert {id(tensor) for tensor in read} == {id(d.down) for lora in loras for d in lora.values()}
    assert len(read) == 2 * COUNT == shared.misses
    assert candidates(loras)[0][0].down.equal(first[0][0].down) and not again[0][0].down.equal(
        first[0][0].down
    )


def test_the_cache_is_bounded_in_bytes_and_keeps_the_last_used():
    downs = [r(4, 20, seed=i) for i in range(5)]
    # One pair is two matrices of 4 x 4 in float64.
    kept = SharedInputs(2 * 256)
    for i in (1, 2, 3):
        kept.both(downs[0], downs[i])
    assert kept.misses == 6 and kept.held == 2 * 256
    kept.both(downs[0], downs[2])
    kept.both(downs[0], downs[4])
    kept.both(downs[0], downs[2])
    assert kept.misses == 8, "the last used stays"
    kept.both(downs[0], downs[3])
    assert kept.misses == 10, "the one before it is gone"


@pytest.mark.parametrize("small", [1.0, 1e-2, 1e-4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_rows_that_nearly_depend_on_each_other(small, dtype):
    """The loser adds nothing on what the winner reads, however nearly its rows agree; QR is the oracle."""
    first = r(3, 40, seed=1)
    winner = torch.cat([first, first + small * r(3, 40, seed=2)]).to(dtype)
    loser = r(5, 40, seed=3).to(dtype)
    found = project_off_inputs(LowRank(r(7, 5), loser), LowRank(r(7, 6), winner)).down.double()
    unit = winner.double() / winner.double().norm(dim=1, keepdim=True)
    q = torch.linalg.qr(unit.T).Q
    wanted = loser.double() - loser.double() @ q @ q.T
    assert (found - wanted).norm() < 1e-5 * wanted.norm()
    assert (found @ q).norm() < 1e-5 * loser.double().norm()
