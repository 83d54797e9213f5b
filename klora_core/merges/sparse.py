"""Merges on the entries of dW: magnitude pruning, TIES (arXiv 2306.01708), DARE (arXiv 2311.03099).

``stack`` is [N, rows, n]: N LoRAs, some rows of a slot. PEFT's ``merge_utils`` has the same conventions:
LoRAs are pruned and signs elected without the weights, which come in afterwards.
"""

from __future__ import annotations

import hashlib
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from ..deltas import Delta, LowRank
from ..names import Slot
from .method import MergeMethod, Parameter, Settings, SlotTerms, Term, Value, sum_of_ranks
from .thresholds import scaled_tiles, threshold

MODEL, LAYER = SCOPES = ("model", "layer")

# Some rows of a LoRA's dW, pruned; the rule that joins the stack of them.
Prune = Callable[[Tensor], Tensor]
Rule = Callable[[Tensor, Tensor], Tensor]


def pruned(rows: Tensor, limit: float) -> Tensor:
    """Magnitude pruning: entries of at least ``limit`` in magnitude, 0 for the others."""
    return torch.where(rows.abs() >= limit, rows, 0.0)


def dropped(rows: Tensor, density: float, generator: torch.Generator) -> Tensor:
    """DARE, Eq. 1 to 3: m ~ Bernoulli(density), m * dW / density; the expectation is dW."""
    mask = torch.rand(rows.shape, generator=generator, device=rows.device) < density
    return torch.where(mask, rows / density, 0.0)


def weighted_sum(stack: Tensor, weights: Tensor) -> Tensor:
    """sum_i w_i dW_i of ``stack`` [N, rows, n], ``weights`` [N]: task arithmetic."""
    return torch.tensordot(weights, stack, dims=1)


def disjoint_mean(stack: Tensor, weights: Tensor) -> Tensor:
    """TIES, elect sign and disjoint merge: the mean of w_i dW_i over the LoRAs that agree with the sign.

    The sign of an entry is that of the sum of the pruned LoRAs (+ where they cancel). Those of the other
    sign and those pruned to 0 do not count in the mean; 0 where nobody is left.
    """
    sign = torch.where(stack.sum(dim=0) >= 0, 1.0, -1.0)
    agree = stack * sign > 0
    total = (weights[:, None, None] * stack).mul_(agree).sum(dim=0)
    return total / agree.sum(dim=0).clamp(min=1)


def join(terms: Sequence[Term], prunes: Sequence[Prune], rule: Rule) -> Tensor:
    """A rule on a slot, some rows at a time: float32 [out, n]. Each LoRA is pruned by its own function.

    A negative weight turns its LoRA round before signs are elected; the rule gets the weight's size.
    """
    device = terms[0].device
    signs = [-1.0 if term.weight < 0 else 1.0 for term in terms]
    weights = torch.tensor([abs(term.weight) for term in terms], device=device)
    merged = torch.empty(terms[0].delta.shape, device=device)
    for parts in zip(*(scaled_tiles(term.delta, device) for term in terms), strict=True):
        stack = torch.stack([prune(rows) for prune, (_, rows) in zip(prunes, parts, strict=True)])
        if min(signs) < 0:
            stack *= torch.tensor(signs, device=device)[:, None, None]
        start = parts[0][0]
        merged[start : start + stack.shape[1]] = rule(stack, weights)
    return merged


def limits(
    terms: SlotTerms, values: Mapping[str, Value], done: Callable[[], None]
) -> dict[int, float] | None:
    """Each LoRA's own threshold over all its slots, by its number; None where every layer has its own."""
    if values["scope"] == LAYER:
        return None
    changes: dict[int, list[Delta]] = defaultdict(list)
    devices = {}
    for found in terms.values():
        for term in found:
            changes[term.lora].append(term.delta)
            devices[term.lora] = term.device
    density = float(values["density"])
    return {lora: threshold(deltas, density, done, devices[lora]) for lora, deltas in changes.items()}


def streams(terms: Sequence[Term], slot: Slot, seed: int) -> Iterator[torch.Generator]:
    """A generator for each LoRA of a slot, from the seed, the slot and what the LoRA is.

    Not from its place in the order, so that reordering LoRAs changes nothing; equal LoRAs draw apart.
    """
    seen: Counter[int] = Counter()
    for term in terms:
        content = _fingerprint(term.delta)
        seen[content] += 1
        name = f"{seed}/{slot.name}/{content}/{seen[content]}"
        digest = hashlib.blake2b(name.encode(), digest_size=7).digest()
        yield torch.Generator(term.device).manual_seed(int.from_bytes(digest, "big"))


def _fingerprint(delta: Delta) -> int:
    stored = (delta.up, delta.down) if isinstance(delta, LowRank) else (delta.dense(),)
    return zlib.crc32(b"".join(part.contiguous().view(torch.uint8).numpy().tobytes() for part in stored))


def _by_magnitude(rule: Rule, terms: Sequence[Term], settings: Settings) -> Tensor:
    density, over_all = float(settings.values["density"]), settings.evidence
    found = [
        threshold([term.delta], density, None, term.device) if over_all is None else over_all[term.lora]
        for term in terms
    ]
    return join(terms, [partial(pruned, limit=limit) for limit in found], rule)


def _by_chance(rule: Rule, terms: Sequence[Term], settings: Settings) -> Tensor:
    density = float(settings.values["density"])
    draws = streams(terms, settings.slot, int(settings.values["seed"]))
    return join(terms, [partial(dropped, density=density, generator=draw) for draw in draws], rule)


def _density(default: float, what: str) -> Parameter:
    return Parameter("density", default, f"share of each LoRA's entries that is kept: {what}", 0.0, 1.0)


def _scope(default: str) -> Parameter:
    words = "whether the largest entries are found over the whole LoRA or in each layer"
    return Parameter("scope", default, words, choices=SCOPES)


_LARGEST, _CHANCE = "the largest", "chosen by chance, then divided by the density"
_SEED = Parameter("seed", 0, "which entries chance keeps", low=0, high=2**53)
# Above 0: DARE divides by it.
_KEPT = replace(_density(0.5, _CHANCE), low=0.01)
_TIES, _DARE = "TIES-Merging, arXiv 2306.01708", "DARE, arXiv 2311.03099"

METHODS = (
    MergeMethod(
        "magnitude-prune",
        "Magnitude prune",
        "pruned task arithmetic, as in PEFT's merge_utils",
        partial(_by_magnitude, weighted_sum),
        (_density(0.5, _LARGEST), _scope(LAYER)),
        limits,
        passes=1,
        default_rank=sum_of_ranks,
        multiplies_out=True,
    ),
    MergeMethod(
        "ties",
        "TIES",
        _TIES,
        partial(_by_magnitude, disjoint_mean),
        (_density(0.2, _LARGEST), _scope(MODEL)),
        limits,
        passes=1,
        default_rank=sum_of_ranks,
        multiplies_out=True,
    ),
    MergeMethod(
        "dare",
        "DARE",
        _DARE,
        partial(_by_chance, weighted_sum),
        (_KEPT, _SEED),
        default_rank=sum_of_ranks,
        multiplies_out=True,
    ),
    MergeMethod(
        "dare-ties",
        "DARE-TIES",
        f"{_DARE}; {_TIES}",
        partial(_by_chance, disjoint_mean),
        (_KEPT, _SEED),
        default_rank=sum_of_ranks,
        multiplies_out=True,
    ),
)
