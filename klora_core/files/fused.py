"""Layers that a file keeps fused, as the projections that they are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from .. import names
from ..errors import KLoraError, printable
from ..names import Part
from .change import Change
from .keys import ALPHA
from .left import Left, What
from .reading import Module, Reading, Vector
from .values import SHARED

_EMPTY = "empty, since their weights are in the fused layer beside them"
_COVERED = "the fused layer beside them changes the same weights"
_UNCUT = "its rows can't be told apart as those of queries, keys and values"
_OFT = "it is OFT or BOFT, which turns queries, keys and values together"


def unfused(reading: Reading, has: Callable[[str], bool] = lambda _: False) -> Reading:
    """A LoRA with its fused projections apart, but those that the model ``has`` as a layer of that name.

    All parts have the tensors of the whole. What a file has beside it for a part is left by name, as by
    ComfyUI: trainers write the layers that rest while the fused one is trained. Raises KLoraError for a LoRA
    of nothing else than fused layers that can't be taken apart.
    """
    modules: list[Module] = []
    parts: list[Module] = []
    left: list[Left] = []
    for module in reading.modules:
        change = module.change
        if module.is_text or change is None or not names.is_fused(module.raw) or has(module.raw):
            modules.append(module)
        elif reason := _hindrance(module.raw, change):
            left.append(Left(printable(module.raw), reason, What.LAYER, module.all_keys))
        else:
            parts += [_part(module, change, part) for part in names.parts_of(module.raw, change.shape)]
    covered = {_path(part) for part in parts}
    beside = [m for m in modules if covered and not m.is_text and _path(m) in covered]
    left += [Left(printable(m.raw), _fate(m), What.LAYER, m.all_keys) for m in beside]
    modules = [*(module for module in modules if module not in beside), *parts]
    if left and not any(module.change is not None and not module.is_text for module in modules):
        raise KLoraError(f"layer {left[0].name}: {left[0].reason}.", "Use a plain LoRA")
    return replace(reading, modules=tuple(modules), left=(*reading.left, *left))


def _path(module: Module) -> str:
    return names.flat(names.module(module.raw)[0])


def _hindrance(raw: str, change: Change) -> str | None:
    if change.kind.name == "oft":
        return _OFT
    if change.dora is not None and not change.by_rows:
        return SHARED
    return None if names.parts_of(raw, change.shape) else _UNCUT


def _part(module: Module, change: Change, part: Part) -> Module:
    bias = module.bias
    if bias is not None and bias.tensor.numel() == change.shape[0]:
        bias = Vector(bias.key, bias.tensor.flatten().narrow(0, part.start, part.length))
    return replace(module, raw=part.raw, change=change.cut(part.start, part.length), bias=bias)


def _fate(module: Module) -> str:
    change = module.change
    tensors = (change.parts[name] for name in change.parts if name != ALPHA) if change is not None else ()
    return _EMPTY if any(not tensor.any() for tensor in tensors) else _COVERED
