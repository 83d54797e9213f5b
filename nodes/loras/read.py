"""LORA_MODEL and model to slots and deltas: the core's reader, placed by the host's own key map."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import comfy.model_management
import torch
from torch import Tensor

from ...klora_core import names
from ...klora_core.deltas import Delta
from ...klora_core.errors import KLoraError, naming, printable
from ...klora_core.files import (
    MISSING_REASON,
    Left,
    Module,
    What,
    bound,
    few_misfits,
    hindered,
    misfit,
    read_tensors,
    split,
    told_once,
    twice,
    unfused,
)
from ...klora_core.memo import Memo
from ...klora_core.names import Slot, base_model_of, is_understood
from ..host import PREFIX, SUFFIX, HostWeight, LayerWeights, Network, TextEncoders, of_model, row_order
from .converted import converted
from .errors import misfits, no_slot
from .host_lora import HostLora
from .patches import Patches
from .proof import contents_of

NO_CLIP, NOT_IN_CLIP = "connect clip to apply them", "this CLIP does not have them"


# A dial that is turned must not read again what it reads anyway. They go with the models and the LoRAs.
_networks: Memo[Network] = Memo(8)
_loras: Memo[HostLora] = Memo(32)


def read(lora: Mapping[str, Tensor], name: str, model: Any, clip: Any | None) -> HostLora:
    """Read a LORA_MODEL for ``model`` (a ModelPatcher) and ``clip`` (a CLIP or None).

    The very object of last time where the same tensors still hold the same, unless a kind is bound to the
    model's weights. Raises KLoraError, with the LoRA's ``name`` and the layer, for a LoRA of another base
    model, for one with missing tensors or wrong shapes, and for one of nothing but kinds that can't be used.
    """
    base, encoder = model.model, None if clip is None else clip.cond_stage_model
    network = _networks.of((base, base.diffusion_model), None, lambda: Network(base))

    def reader() -> HostLora:
        with naming(printable(name)):
            return _Reader(lora, model, network, encoder).result(name)

    tensors = list(lora.values())
    if not tensors or not all(map(_is_plain, tensors)):
        return reader()
    layout = tuple((key, t.data_ptr(), t.dtype, t.shape, t.stride()) for key, t in lora.items())
    owners = (tensors[0], base, base.diffusion_model, *(() if encoder is None else (encoder,)))
    metadata = repr(getattr(lora, "metadata", None))
    key = name, metadata, layout, contents_of(tensors)
    return _loras.of(owners, key, reader, keep=lambda found: not found.bound)


def _is_plain(tensor: Any) -> bool:
    return isinstance(tensor, Tensor) and tensor.is_cpu and tensor.layout is torch.strided


class _Reader:
    """One LoRA's way into one model."""

    def __init__(self, lora: Mapping[str, Tensor], model: Any, network: Network, encoder: Any | None) -> None:
        tensors, self.origin, lost = converted(lora)
        self.found = unfused(read_tensors(tensors, getattr(lora, "metadata", None)), network.has)
        self.left = [*self.found.left, *getattr(lora, "left", ()), *lost]
        self.applied: set[str] = set()
        self.slots: dict[Slot, Delta] = {}
        self.seen: set[str] = set()
        self.doubled: KLoraError | None = None
        self.misfits: list[Left] = []
        self.bound: Counter[str] = Counter()
        self.weights = LayerWeights(model)
        self.network = network
        self.model_name = of_model(model.model)
        self.shapes = {
            names.module(module.raw)[0]: module.change.shape
            for module in self.found.modules
            if module.change is not None and not module.is_text
        }
        self.base_model = base_model_of(self.shapes, getattr(lora, "metadata", None))
        self.vectors = Patches(self.network.shapes, self.left, self.applied)
        self.before = Patches(self.network.shapes, self.left, self.applied)
        self.no_clip = encoder is None
        self.encoders = TextEncoders(encoder)
        self.clip = Patches(self.encoders.shapes, self.left, self.applied)

    def result(self, name: str) -> HostLora:
        for module in self.found.modules:
            self._text(module) if module.is_text else self._module(module)
        self._settle_misfits()
        # After that: names of another base model can fall together in this one.
        if self.doubled is not None:
            raise self.doubled
        applied = frozenset(self.origin.get(key, key) for key in self.applied)
        left = told_once(map(self._in_file, self.left), applied)
        lora = HostLora(
            printable(name),
            self.slots,
            self.vectors.found,
            self.before.found,
            self.clip.found,
            left,
            applied,
            self.base_model,
            (*self.found.notes, *(_worked_out(kind, count) for kind, count in self.bound.items())),
            bool(self.bound),
        )
        if not self.slots:
            raise no_slot(lora, self.model_name, is_understood(self.shapes))
        return lora

    def _in_file(self, item: Left) -> Left:
        """The same with the names of the file, where the host's converters have changed them."""
        keys = tuple(self.origin.get(key, key) for key in item.keys)
        if keys == item.keys:
            return item
        pair = split(keys[0]) if item.what in (What.LAYER, What.MISSING, What.TEXT) else None
        return Left(printable(pair[0] if pair else keys[0]), item.reason, item.what, keys)

    def _text(self, module: Module) -> None:
        key = self.encoders.weight(module.raw)
        if key is None:
            reason = NO_CLIP if self.no_clip else NOT_IN_CLIP
            self.left.append(Left(printable(module.raw), reason, What.TEXT, module.all_keys))
            return
        target = HostWeight(key)
        if module.change is not None:
            self.clip.add_change(target, module, What.TEXT)
        self.clip.add_vectors(target, module)

    def _module(self, module: Module) -> None:
        size = module.vectors[0].tensor.numel() if module.vectors else 0
        shape = module.change.shape if module.change else (size, size)
        target = self._target(module.raw, shape)
        if target is None or target.key not in self.network.shapes:
            if module.change is not None:
                self._is_new(self.network.known_as(module.raw, shape), module)
            self.left.append(Left(printable(module.raw), MISSING_REASON, What.MISSING, module.all_keys))
            return
        patches = self.before if self.network.runs_before_sampling(target.key) else self.vectors
        patches.add_vectors(target, module)
        if module.change is None:
            return
        layer = self.network.layer_shape(target.key)
        if layer is None or (target.offset is not None and target.offset[0] != 0):
            patches.add_change(target, module, What.LAYER)
            return
        slot = _slot_of(target)
        if not self._is_new(slot.name, module):
            return
        if (reason := misfit(module.change.shape, target.shape_in(layer))) is not None:
            self.misfits.append(Left(printable(module.raw), reason, What.LAYER, module.keys))
        elif patches is self.before:
            patches.add_change(target, module, What.LAYER)
        else:
            self._slot(slot, module, target, layer)

    def _target(self, raw: str, shape: tuple[int, int]) -> HostWeight | None:
        target = self.network.target(raw, shape)
        layer = None if target is None or shape[1] else self.network.layer_shape(target.key)
        # An OFT does not know its inputs, which some names need to be placed.
        return target if layer is None else self.network.target(raw, (shape[0], layer[1]))

    def _settle_misfits(self) -> None:
        """Layers of another size are left, as long as they are not what shows another base model."""
        layers = len(self.misfits) + len(self.slots)
        if not few_misfits(len(self.misfits), layers):
            raise misfits(self.misfits, layers, self.base_model, self.model_name)
        self.left += self.misfits

    def _is_new(self, layer: str, module: Module) -> bool:
        is_new = layer not in self.seen
        if not is_new and self.doubled is None:
            self.doubled = twice(module.raw)
        self.seen.add(layer)
        return is_new

    def _slot(self, slot: Slot, module: Module, target: HostWeight, layer: tuple[int, int]) -> None:
        change = module.change
        assert change is not None
        order = row_order(target.function, change.shape[0])
        if (reason := hindered(change, order)) is not None:
            self.left.append(Left(printable(module.raw), reason, What.LAYER, module.keys))
            return
        self.slots[slot] = self._delta(module, target, layer, order)
        self.applied.update(module.keys)

    def _delta(
        self, module: Module, target: HostWeight, layer: tuple[int, int], order: Tensor | None
    ) -> Delta:
        change = module.change
        assert change is not None
        if not change.needs_weight:
            delta = change.delta()
            return delta if order is None else delta.reordered(order)
        self.bound[change.label] += 1
        device = comfy.model_management.get_torch_device()
        base = self.weights.of(target.key, self.network.weight_shape(target.key, layer), device)
        if target.offset is not None:
            base = base.rows(*target.offset[1:])
        return bound(change, base, device, order, norms_of_base=True)


def _slot_of(target: HostWeight) -> Slot:
    rows = None if target.offset is None else (target.offset[1], target.offset[2])
    return Slot(target.key.removeprefix(PREFIX).removesuffix(SUFFIX), rows)


def _worked_out(kind: str, count: int) -> str:
    layers = f"{count} layer{'' if count == 1 else 's'}"
    return f"{kind} in {layers}: what it changes there was worked out with this checkpoint's weights"
