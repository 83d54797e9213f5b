"""Rows of small random LoRAs for the merge tests, and the merge of them as dense matrices."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from klora_core.deltas import Delta, LowRank
from klora_core.merges import merge, named
from klora_core.names import Slot


@dataclass(frozen=True)
class Row:
    """What ``merge`` wants of a row."""

    slot: Slot
    deltas: tuple[Delta | None, ...]


def lora(out, n, rank, seed, scale=0.5, size=1.0):
    """Random factors of one slot."""
    rng = torch.Generator().manual_seed(seed)
    up = torch.randn(out, rank, generator=rng) * size
    return LowRank(up, torch.randn(rank, n, generator=rng), scale)


def rows(*loras, names=None):
    """Rows from LoRAs given as lists of deltas, one a slot."""
    return [Row(Slot(f"slot.{i}"), deltas) for i, deltas in enumerate(zip(*loras, strict=True))]


def merged(table, method, weights=None, **options):
    """The dense float64 result by slot, and the merged LoRA."""
    weights = weights or [1.0] * len(table[0].deltas)
    done = merge(table, named(method), weights, **options)
    return {slot: change.up.double() @ change.down.double() for slot, change in done.deltas.items()}, done


def dense(delta):
    """dW in float64, without the code under test."""
    if isinstance(delta, LowRank):
        return delta.up.double() @ delta.down.double() * delta.scale
    return delta.weight.double() * delta.scale
