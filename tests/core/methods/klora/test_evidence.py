"""Scores, energies and ranks of LoRAs of which each lacks some slots, and what becomes of odd dtypes."""

from __future__ import annotations

import pytest
import torch

from klora_core.deltas import LowRank, Row
from klora_core.methods.klora import Evidence, energies_of, evidence_of
from klora_core.methods.klora.outside import beside
from klora_core.names import Slot
from klora_core.scores import Score

ROLES = ("subject", "style", "style", "other")


def delta(rank, out=8, n=6):
    return LowRank(torch.randn(out, rank), torch.randn(rank, n))


def rows():
    """Two slots: the first style lacks the first, the second the second."""
    return [
        Row(Slot("a"), (delta(2), None, delta(4), None)),
        Row(Slot("b"), (delta(3), delta(1), None, None)),
    ]


def test_a_lora_that_lacks_a_slot_counts_as_zero_there():
    found = evidence_of(
        rows(), ROLES, lambda requests: [Score(float(r.k), 2.0 * r.k) for r in requests], "cste"
    )
    assert found == (
        Evidence(8, (2, 0, 4, 0), (8.0, 0.0, 8.0, 0.0), (16.0, 0.0, 16.0, 0.0)),
        Evidence(3, (3, 1, 0, 0), (3.0, 3.0, 0.0, 0.0), (6.0, 6.0, 0.0, 0.0)),
    )


def test_energies_of_what_is_there_by_any_measure():
    given = []

    def measure(deltas):
        given.extend(deltas)
        return [10.0 * (i + 1) for i in range(len(deltas))]

    there = rows()
    assert energies_of(there, ROLES, "cste", measure) == (
        Evidence(8, (2, 0, 4, 0), (), (), (10.0, 0.0, 20.0, 0.0)),
        Evidence(3, (3, 1, 0, 0), (), (), (30.0, 40.0, 0.0, 0.0)),
    )
    assert [id(d) for d in given] == [id(d) for row in there for d in row.deltas if d is not None]
    alone = energies_of(there, ROLES, "cste")
    assert alone[0].energies[0] == pytest.approx(float(there[0].deltas[0].dense().double().square().sum()))
    assert alone[0].energies[1] == 0.0


@pytest.mark.parametrize("dtype", [torch.float16, torch.float8_e4m3fn])
def test_a_loser_of_another_dtype_stands_beside_the_winner_in_float32(dtype):
    g = torch.Generator().manual_seed(1)
    winner = LowRank(*(torch.randn(s, generator=g) for s in ((8, 2), (2, 6))))
    loser = LowRank(*(torch.randn(s, generator=g).to(dtype) for s in ((8, 3), (3, 6))))
    exact = LowRank(loser.up.float(), loser.down.float())
    for made, wanted in zip(beside(winner, loser, 0.5), beside(winner, exact, 0.5), strict=True):
        assert made.up.dtype == torch.float32 and made.rank == 5
        torch.testing.assert_close(made.dense(), wanted.dense())
