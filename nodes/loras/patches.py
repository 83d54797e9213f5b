"""Changes that the side path can't carry as ordinary patches of the host: only such that really fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import comfy.weight_adapter
from torch import Tensor

from ...klora_core.errors import printable
from ...klora_core.files import MISSING_REASON, Left, Module, Vector, What, twice
from ..host import HostWeight

# How the host's adapters spell the parts; the others are called as in the file.
_SPELLED = {
    **{"up": "lora_up.weight", "down": "lora_down.weight", "mid": "lora_mid.weight"},
    **{f"glora_{name}": f"{name}.weight" for name in ("a1", "a2", "b1", "b2")},
    "oft_rescale": "rescale",
}
_RESCALE = "the host's own loader, which changes these layers, leaves the rescale of an OFT out"
_PART = "they are parts of a fused layer, which an ordinary patch can't carry"
_SIZE = "their sizes do not fit this model"
_DIFF = "diff"


class Patches:
    """Ordinary patches for a network whose parameters have ``shapes``; what does not fit goes to ``left``."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], left: list[Left], applied: set[str]) -> None:
        self.shapes = shapes
        self.found: dict[Any, Any] = {}
        self._left, self._applied = left, applied

    def add_change(self, target: HostWeight, module: Module, what: What) -> None:
        """The weight change of ``module`` as a patch of the host's own adapters."""
        assert module.change is not None
        shape = self._shape(target)
        reason = MISSING_REASON if shape is None else None if shape and _fits(module, shape) else _SIZE
        if "oft_rescale" in module.change.parts and module.change.parts["oft_blocks"].ndim == 3:
            reason = reason or _RESCALE
        if module.change.rows is not None:
            reason = reason or _PART
        if reason is not None:
            self._left.append(Left(printable(module.raw), reason, what, module.keys))
            return
        self._put(target, _adapter(module, shape or ()), module.raw, module.keys)

    def add_vector(self, target: HostWeight | None, vector: Vector, module: Module) -> None:
        """What is added to a bias or a norm."""
        shape = None if target is None else self._shape(target)
        if target is None or shape is None or shape != tuple(vector.tensor.shape):
            reason = MISSING_REASON if shape is None else _SIZE
            self._left.append(Left(printable(vector.key), reason, What.VECTOR, (vector.key,)))
            return
        self._put(target, (_DIFF, (vector.tensor,)), module.raw, (vector.key,))

    def add_vectors(self, target: HostWeight, module: Module) -> None:
        """The norm and the bias of ``module``, whose weight is ``target``."""
        if module.norm is not None:
            self.add_vector(target, module.norm, module)
        if module.bias is not None:
            self.add_vector(target.bias(), module.bias, module)

    def _shape(self, target: HostWeight) -> tuple[int, ...] | None:
        shape = self.shapes.get(target.key)
        return None if shape is None else target.shape_in(shape)

    def _put(self, target: HostWeight, patch: Any, raw: str, keys: tuple[str, ...]) -> None:
        if target.patch_key in self.found:
            raise twice(raw)
        self.found[target.patch_key] = patch
        self._applied.update(keys)


def _fits(module: Module, shape: tuple[int, ...]) -> bool:
    change = module.change
    assert change is not None
    if change.kind.name == _DIFF:
        return tuple(change.parts[_DIFF].shape) == shape
    if len(shape) < 2:
        return False
    inputs = 1
    for size in shape[1:]:
        inputs *= size
    # What an OFT turns are the outputs, whatever the inputs are.
    if change.shape not in ((shape[0], inputs), (shape[0], 0)):
        return False
    dora = change.dora
    # The magnitude of a DoRA counts the rows, or the channels that come in.
    return dora is None or dora.numel() == shape[0] or (dora.shape[0] == 1 and dora.numel() == shape[1])


def _adapter(module: Module, shape: tuple[int, ...]) -> Any:
    """The patch as the host's own loader makes it from these tensors."""
    change = module.change
    assert change is not None
    if change.kind.name == _DIFF:
        return _DIFF, (change.parts[_DIFF],)
    tensors: dict[str, Tensor] = {f"m.{_SPELLED.get(p, p)}": tensor for p, tensor in change.parts.items()}
    dora, alpha = change.dora, change.alpha
    if dora is not None and dora.shape[0] != 1:
        # PEFT writes it flat.
        dora = dora.reshape(-1, *(1 for _ in shape[1:]))
    if change.kind.name == "oft" and alpha is None:
        # BOFT's adapter compares it.
        alpha = 0.0
    loaded = (kind.load("m", tensors, alpha, dora, set()) for kind in comfy.weight_adapter.adapters)
    return next(adapter for adapter in loaded if adapter is not None)
