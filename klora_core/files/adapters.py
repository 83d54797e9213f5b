"""Tensors of one module of a LoRA file to its weight change: checked by shape before anything is made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from ..errors import KLoraError
from .change import Change, Misfit, need
from .keys import ALPHA, DORA, GATE, MAGNITUDE, RANKS, SINGULAR
from .kinds import KINDS, kind_of
from .values import AGAIN, SHARED, empty

# More entries than any layer of a model has; and how far a Tucker core may spread what a file holds.
_LARGEST_LAYER, _TUCKER_ENTRIES, _TUCKER_GROWTH = 2**32, 2**24, 32
_LARGEST_FLOAT = torch.finfo(torch.float32).max
# BeamLoRA's T: a constant of its published code, which no file says.
_GATE_TEMPERATURE = 0.05
_WEIGHTS = {GATE: "gates", SINGULAR: "singular values"}
_CORES = {"mid", "hada_t1", "hada_t2", "lokr_t1", "lokr_t2"}


def change_of(module: str, parts: Mapping[str, Tensor]) -> Change:
    """The weight change of ``module`` from its tensors by part (see :func:`klora_core.files.keys.split`).

    Raises KLoraError, naming the module, for missing counterparts, tensors that belong to no common kind,
    shapes that do not fit or are empty (a rank of 0 is not), and a Tucker core that would blow the factors
    up.
    """
    dora = {part: tensor for part, tensor in parts.items() if part in (DORA, MAGNITUDE)}
    parts = {part: tensor for part, tensor in parts.items() if part not in dora}
    kinds = {kind_of(part) for part in parts if part != ALPHA}
    if len(kinds) != 1:
        raise KLoraError(f"layer {module} has {' and '.join(sorted(kinds)) or 'only an alpha'}.", AGAIN)
    kind = kinds.pop()
    without = [part for part, tensor in {**parts, **dora}.items() if tensor.numel() == 0]
    if without and not KINDS[kind].ranked:
        raise empty(module, without[0])
    try:
        shape = KINDS[kind].shape(module, parts)
    except Misfit as error:
        sizes = ", ".join(f"{part} {tuple(t.shape)}" for part, t in parts.items() if part != ALPHA)
        raise KLoraError(f"layer {module} has tensors that do not fit together ({sizes}).", AGAIN) from error
    if without and (0 in shape or without[-1] in dora):
        raise empty(module, without[-1])
    if math.prod(shape) > _LARGEST_LAYER:
        raise KLoraError(f"layer {module} would be {shape[0]} x {shape[1]}, larger than any model's.", AGAIN)
    if dora and (len(dora) > 1 or kind in ("oft", "ranks")):
        raise KLoraError(f"layer {module} has {' and '.join((kind, *dora))}.", AGAIN)
    found = Change(
        module,
        KINDS[kind],
        shape,
        parts,
        _alpha(module, parts),
        next(iter(dora.values()), None),
        MAGNITUDE in dora,
    )
    for core in _CORES & parts.keys():
        _bounded(found, parts[core].shape[0])
    return found


def plain(module: str, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The parts of a LoRA whose ranks have weights as those of an ordinary one; others as they are.

    BeamLoRA (arXiv 2502.13604) is dW = B diag(r softmax(g / T)) A, AdaLoRA (arXiv 2303.10512) is
    dW = B diag(E) A. The weights go into ``up``, in float32. Raises KLoraError, naming the module, where the
    factors are missing or of another rank.
    """
    own = {name: tensor for name, tensor in parts.items() if name in (GATE, SINGULAR, RANKS)}
    if not own:
        return dict(parts)
    rest = {name: tensor for name, tensor in parts.items() if name not in own}
    up, _ = need(module, rest, "up", "down")
    for name in own.keys() & {GATE, SINGULAR}:
        weights = own[name].to(torch.float32).flatten()
        if up.ndim < 2 or up.shape[1] != len(weights):
            what = f"{len(weights)} {_WEIGHTS[name]} for an up of {tuple(up.shape)}"
            raise KLoraError(f"layer {module} has {what}.", AGAIN)
        if name == GATE:
            weights = torch.softmax(weights / _GATE_TEMPERATURE, 0) * len(weights)
        up = up.to(torch.float32) * weights.view(-1, *(1 for _ in up.shape[2:]))
    return {**rest, "up": up}


def divided(change: Change, ranks: Tensor | None) -> Change:
    """``change`` with the alpha that makes its scale alpha / ``ranks``; as it is without one of them."""
    if ranks is None or change.alpha is None:
        return change
    number, rank = float(ranks.to(torch.float64).reshape(())), change.parts["down"].shape[0]
    if number == rank:
        return change
    # A rank next to nothing makes a scale that no float32 holds.
    if not 0 < number < math.inf or abs(alpha := change.alpha * rank / number) > _LARGEST_FLOAT:
        raise KLoraError(f"layer {change.module}: {RANKS} is {number:g}.", AGAIN)
    return replace(change, alpha=alpha)


def from_row(change: Change, start: int) -> Change:
    """Of queries, keys and values in one the one that starts at a row: as many queries as inputs come first.

    Newer ComfyUI keeps a fused LoKr whole, under each of the three names, and cuts a DoRA's magnitudes of the
    rows. Raises KLoraError for another row, and for a DoRA by inputs, whose norms are those of all rows.
    """
    out, n = change.shape
    others = (out - n) // 2
    length = {0: n, n: others, n + others: others}.get(start, 0)
    if length <= 0 or not n or n + 2 * others != out:
        what = f"no queries, keys or values of {out} x {n} start at its row_offset {start}"
        raise KLoraError(f"layer {change.module}: {what}.", AGAIN)
    dora = change.dora
    if dora is None or change.by_rows:
        return change.cut(start, length)
    if not dora.shape[:1] == (dora.numel(),) == (length,):
        raise KLoraError(f"layer {change.module}: {SHARED}.", "Use a plain LoRA")
    return replace(replace(change, dora=None).cut(start, length), dora=dora)


def _alpha(module: str, parts: Mapping[str, Tensor]) -> float | None:
    if ALPHA not in parts:
        return None
    alpha = float(parts[ALPHA].to(torch.float64).reshape(()))
    if not math.isfinite(alpha):
        raise KLoraError(f"layer {module}: alpha is {alpha}.", AGAIN)
    return alpha


def _bounded(change: Change, rank: int) -> None:
    """A Tucker core is folded into ``down`` [rank, n]: refused where that is out of all proportion."""
    held = sum(tensor.numel() for tensor in change.parts.values())
    if rank * change.shape[1] > max(_TUCKER_ENTRIES, _TUCKER_GROWTH * held):
        raise KLoraError(
            f"layer {change.module} would grow from {held} to {rank} x {change.shape[1]}.", AGAIN
        )
