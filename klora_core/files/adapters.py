"""Tensors of one module of a LoRA file to its weight change: checked by shape before anything is made."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ..errors import KLoraError
from .change import Change, Misfit, need
from .keys import ALPHA, DORA, GATE, MAGNITUDE
from .kinds import KINDS, kind_of
from .values import AGAIN

# More entries than any layer of a model has; and how far a Tucker core may spread what a file holds.
_LARGEST_LAYER, _TUCKER_ENTRIES, _TUCKER_GROWTH = 2**32, 2**24, 32
# BeamLoRA's T: a constant of its published code, which no file says.
_GATE_TEMPERATURE = 0.05
_CORES = {"mid", "hada_t1", "hada_t2", "lokr_t1", "lokr_t2"}


def change_of(module: str, parts: Mapping[str, Tensor]) -> Change:
    """The weight change of ``module`` from its tensors by part (see :func:`klora_core.files.keys.split`).

    Raises KLoraError, naming the module, for missing counterparts, tensors that belong to no common kind,
    shapes that do not fit, and a Tucker core that would blow the factors up.
    """
    dora = {part: tensor for part, tensor in parts.items() if part in (DORA, MAGNITUDE)}
    parts = {part: tensor for part, tensor in parts.items() if part not in dora}
    kinds = {kind_of(part) for part in parts if part != ALPHA}
    if len(kinds) != 1:
        raise KLoraError(f"layer {module} has {' and '.join(sorted(kinds)) or 'only an alpha'}. {AGAIN}")
    kind = kinds.pop()
    try:
        shape = KINDS[kind].shape(module, parts)
    except Misfit as error:
        sizes = ", ".join(f"{part} {tuple(t.shape)}" for part, t in parts.items() if part != ALPHA)
        raise KLoraError(f"layer {module} has tensors that do not fit together ({sizes}). {AGAIN}") from error
    if math.prod(shape) > _LARGEST_LAYER:
        raise KLoraError(f"layer {module} would be {shape[0]} x {shape[1]}, larger than any model's. {AGAIN}")
    if dora and (len(dora) > 1 or kind == "oft"):
        raise KLoraError(f"layer {module} has {' and '.join((kind, *dora))}. {AGAIN}")
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


def gated(module: str, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The parts of a BeamLoRA (arXiv 2502.13604) as those of an ordinary LoRA.

    dW = B diag(r softmax(g / T)) A: the gate g [1, r] goes into ``up``, in float32. Raises KLoraError, naming
    the module, where the factors are missing or of another rank than the gate.
    """
    rest = {name: tensor for name, tensor in parts.items() if name != GATE}
    up, _ = need(module, rest, "up", "down")
    gate = parts[GATE].to(torch.float32).flatten()
    if up.ndim < 2 or up.shape[1] != len(gate):
        raise KLoraError(f"layer {module} has {len(gate)} gates for an up of {tuple(up.shape)}. {AGAIN}")
    shares = torch.softmax(gate / _GATE_TEMPERATURE, 0) * len(gate)
    return {**rest, "up": up.to(torch.float32) * shares.view(-1, *(1 for _ in up.shape[2:]))}


def _alpha(module: str, parts: Mapping[str, Tensor]) -> float | None:
    if ALPHA not in parts:
        return None
    alpha = float(parts[ALPHA].to(torch.float64).reshape(()))
    if not math.isfinite(alpha):
        raise KLoraError(f"layer {module}: alpha is {alpha}. {AGAIN}")
    return alpha


def _bounded(change: Change, rank: int) -> None:
    """A Tucker core is folded into ``down`` [rank, n]: refused where that is out of all proportion."""
    held = sum(tensor.numel() for tensor in change.parts.values())
    if rank * change.shape[1] > max(_TUCKER_ENTRIES, _TUCKER_GROWTH * held):
        raise KLoraError(
            f"layer {change.module} would grow from {held} to {rank} x {change.shape[1]}. {AGAIN}"
        )
