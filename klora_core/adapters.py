"""Tensors of one module of a LoRA file to its weight change: checked by shape before anything is made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from .adapter_kinds import KIND_OF, KINDS, Misfit, need
from .checks import AGAIN
from .deltas import Additive
from .errors import KLoraError
from .parts import ALPHA, DORA, GATE, MAGNITUDE

# More entries than any layer of a model has; and how far a Tucker core may spread what a file holds.
_LARGEST_LAYER, _TUCKER_ENTRIES, _TUCKER_GROWTH = 2**32, 2**24, 32
# BeamLoRA's T: a constant of its published code, which no file says.
_GATE_TEMPERATURE = 0.05
_CORES = {"mid", "hada_t1", "hada_t2", "lokr_t1", "lokr_t2"}


@dataclass(frozen=True, eq=False)
class Change:
    """The weight change of a module: its tensors by part, checked to fit together, not multiplied out.

    ``shape`` is [out, n] of the change, a convolution's kernel flat in n, and n 0 where only the layer knows
    it (OFT); ``alpha`` None means alpha = rank. ``dora`` is the magnitude of a DoRA, as LyCORIS means it or,
    with ``peft``, as PEFT does.
    """

    module: str
    kind: str
    shape: tuple[int, int]
    parts: Mapping[str, Tensor]
    alpha: float | None
    dora: Tensor | None = None
    peft: bool = False

    @property
    def label(self) -> str:
        """What people call the kind."""
        return "DoRA" if self.dora is not None else KINDS[self.kind].label

    @property
    def needs_weight(self) -> bool:
        """Whether the change depends on the layer's own weight: see :mod:`klora_core.weight_bound`."""
        return self.dora is not None or KINDS[self.kind].build is None

    @property
    def scale(self) -> float:
        """alpha / rank, 1 without an alpha; what a change that is a plain matrix ignores."""
        counted = next((self.parts[p] for p in KINDS[self.kind].counted if p in self.parts), None)
        return 1.0 if self.alpha is None or counted is None else self.alpha / counted.shape[0]

    def delta(self) -> Additive:
        """The change in the file's own factors, without the magnitude of a DoRA.

        Raises KLoraError for a kind that needs the weight.
        """
        build = KINDS[self.kind].build
        if build is None:
            raise unbound(self.module, self.label)
        return build(self)


def unbound(module: str, kind: str) -> KLoraError:
    """The error for a change that needs the layer's weight where there is none."""
    return KLoraError(
        f"layer {module} is {kind}, which depends on the checkpoint's own weights: files alone can't tell "
        "what it changes. Use the ComfyUI nodes, or fuse() with the model."
    )


def change(module: str, parts: Mapping[str, Tensor]) -> Change:
    """The weight change of ``module`` from its tensors by part (see :func:`klora_core.parts.split`).

    Raises KLoraError, naming the module, for missing counterparts, tensors that belong to no common kind,
    shapes that do not fit, and a Tucker core that would blow the factors up.
    """
    dora = {part: tensor for part, tensor in parts.items() if part in (DORA, MAGNITUDE)}
    parts = {part: tensor for part, tensor in parts.items() if part not in dora}
    kinds = {KIND_OF.get(part, part.partition("_")[0]) for part in parts if part != ALPHA}
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
        module, kind, shape, parts, _alpha(module, parts), next(iter(dora.values()), None), MAGNITUDE in dora
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
