"""ZipLoRA (arXiv 2311.13600) on a network of a few numbers, against columns counted by hand."""

from itertools import combinations

import torch

from klora_core.deltas import Row
from klora_core.train import (
    ZipOptions,
    alone,
    at_strengths,
    distance,
    factored,
    known,
    overlap,
    zip_lora,
)
from tests.support.learning.flow import SLOTS, by_weights, dense, items, rows


def test_zip_lora_keeps_each_lora_and_parts_their_columns(model):
    table = rows(1, 2, 3)
    factors = factored(table)
    each = [known(model, items(i), 24, i, alone(factors, i), 8) for i in range(3)]
    right = [
        by_weights(
            model.net,
            dense(model.net, table, lambda s, j, c, i=i: c * (i == j)),
            *model.noised(
                each[i].items[each[i].copies[0].item].latent,
                torch.randn(1, 6, generator=torch.Generator().manual_seed(each[i].copies[0].seed)),
                torch.tensor([each[i].copies[0].percent]),
            )[:2],
            each[i].items[0].condition,
        )
        for i in range(3)
    ]
    assert all(
        torch.allclose(known.answers[0], one, atol=1e-5) for known, one in zip(each, right, strict=True)
    )
    ones = at_strengths(factors, (1.0,) * 3)
    made = zip_lora(factors, each, model, ZipOptions(steps=60, batch=8, at_once=8))
    before = [distance(model, own, ones, 8) for own in each]
    after = [distance(model, own, made.weighted, 8) for own in each]
    assert sum(after) < 0.6 * sum(before)
    slots = list(factors.slots)
    assert float(overlap(made.weighted.columns, slots).detach()) < float(
        overlap_by_hand(ones_like(made), slots)
    )
    found = float(overlap(made.weighted.columns, slots).detach())
    assert abs(found - float(overlap_by_hand(made.weighted.columns, slots))) < 1e-4


def ones_like(made):
    return {s: [torch.ones_like(m) for m in found] for s, found in made.weighted.columns.items()}


def overlap_by_hand(columns, slots):
    total = 0.0
    for slot in slots:
        for one, other in combinations(columns[slot], 2):
            total += sum(abs(a * b) for a, b in zip(one.tolist(), other.tolist(), strict=True)) / len(one)
    return total


def test_zip_lora_ends_where_nothing_overlaps(model):
    """LoRAs of different slots learn and have no term of overlap; those that are apart are done."""
    one, two = list(SLOTS)[:2]
    table = [Row(one, (rows(1)[0].deltas[0], None)), Row(two, (None, rows(2)[1].deltas[0]))]
    factors = factored(table)
    each = [known(model, items(i), 6, i, alone(factors, i), 8) for i in range(2)]
    made = zip_lora(factors, each, model, ZipOptions(steps=5))
    assert len(made.losses) == 5
    for slot, i in ((one, 0), (two, 1)):
        assert (
            isinstance(made.weighted.columns[slot][i], torch.Tensor)
            and made.weighted.columns[slot][1 - i] is None
        )
