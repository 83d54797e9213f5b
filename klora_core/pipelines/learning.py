"""What klora_core.train asks of a model, answered by a diffusers network and its scheduler; a merge by it.

The network sees what it sees in a run: x = sqrt(a) latent + sqrt(1 - a) noise of a scheduler with
``alphas_cumprod`` (eps, v or the picture as its output), else the straight line of a flow.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .. import files, train
from ..apply import Spot
from ..deltas import LowRank, check_ungated, rows
from ..errors import KLoraError
from ..names import Slot
from ..train import Changes, Checkpointed, Item, Keep, Noised, Options, State
from .fitting import fit
from .fusion import RULES
from .places import Layers, inner, layers_of

Source = str | Path | Mapping[str, Tensor]
Call = Callable[[Tensor, Tensor, Any], Tensor]
"""(x [b, ...], timestep [b], an item's condition) -> the network's output."""
_TARGETS: Mapping[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "epsilon": lambda latent, noise, a: noise,
    "v_prediction": lambda latent, noise, a: a.sqrt() * noise - (1 - a).sqrt() * latent,
    "sample": lambda latent, noise, a: latent,
}


class OnPipeline:
    """A network with hooks on the layers of a merge as klora_core.train's ``Model``."""

    def __init__(self, model: nn.Module, scheduler: Any, layers: train.Layers, call: Call) -> None:
        self._layers, self._call = layers, call
        weight = next(model.parameters())
        self._device, self._dtype = weight.device, weight.dtype
        self._steps = int(scheduler.config.num_train_timesteps)
        self._shift = float(scheduler.config.get("shift") or 1.0)
        self._alphas = getattr(scheduler, "alphas_cumprod", None)
        kind = scheduler.config.get("prediction_type", "epsilon")
        if self._alphas is not None and kind not in _TARGETS:
            raise KLoraError(
                f"this scheduler predicts {kind!r}.", f"Use a scheduler that predicts {', '.join(_TARGETS)}"
            )
        self._target = _TARGETS.get(kind)

    def noised(self, latent: Tensor, noise: Tensor, percent: Tensor) -> Noised:
        shape = (-1, *([1] * (latent.ndim - 1)))
        if self._alphas is None or self._target is None:
            level = self._shift * (1 - percent) / (1 + (self._shift - 1) * (1 - percent))
            x = torch.lerp(latent, noise, level.view(shape))
            found = x, level * self._steps, noise - latent
        else:
            step = ((1 - percent) * (self._steps - 1)).round().long()
            a = self._alphas.cpu().to(latent.dtype)[step].view(shape)
            found = a.sqrt() * latent + (1 - a).sqrt() * noise, step, self._target(latent, noise, a)
        return Noised(*(each.to(self._device) for each in found))

    def predict(self, x: Tensor, sigma: Tensor, condition: Any, changes: Changes | None) -> Tensor:
        with self._layers.showing(changes):
            return self._call(x.to(self._dtype), sigma, condition).float()


def teach(
    model: nn.Module,
    loras: Sequence[Source],
    items: Sequence[Item],
    scheduler: Any,
    *,
    strengths: Sequence[float] = (),
    options: Options | None = None,
    call: Call | None = None,
    callback: Callable[[int, float], None] | None = None,
    state: State | None = None,
    keep: Keep | None = None,
) -> dict[str, Tensor]:
    """One LoRA of several, by pictures of the combination (:func:`klora_core.train.taught`).

    ``model`` is a pipeline's unet or transformer, ``items`` are latents [1, ...] as it sees them, each with
    the arguments that its call has beside latent and timestep; ``call`` calls models that need more than
    that. The result has the model's own names: the pipeline's ``load_lora_weights`` takes it. The model is as
    before, whatever happens. Raises KLoraError for what does not fit.
    """
    places, named = layers_of(model), [f"LoRA {i}" for i, _ in enumerate(loras, 1)]
    found = [fit(_read(each, name), places, model).slots for each, name in zip(loras, named, strict=True)]
    table = rows(found, named)
    check_ungated(table, named, "merged")
    options = replace(options or Options(), start=tuple(strengths))
    heights = {row.slot: row.shape[0] for row in table}
    network = inner(model)
    asks = [parameter for parameter in network.parameters() if parameter.requires_grad]
    try:
        for parameter in asks:
            parameter.requires_grad_(False)
        with (
            train.Layers(network, heights, places.spots, RULES) as layers,
            Checkpointed(network, layers),
        ):
            on = OnPipeline(network, scheduler, layers, call or _called(network))
            device = next(network.parameters()).device
            made = train.taught(
                train.factored(table, device),
                _plain(items, device),
                on,
                options,
                callback=callback,
                state=state,
                keep=keep,
            )
    finally:
        for parameter in asks:
            parameter.requires_grad_(True)
    return _stored(made.deltas, places, network)


def _read(source: Source, name: str) -> files.LoraFile:
    if isinstance(source, Mapping):
        return files.from_tensors(name, source, for_model=True)
    return files.read(source, for_model=True)


def _plain(items: Sequence[Item], device: torch.device) -> list[Item]:
    """Without the graphs of what encoded them. Items of the same tensors have one condition, and so may be
    in one call."""
    conditions = {_key(item.condition): _detached(item.condition, device) for item in items}
    return [Item(item.latent.detach().cpu().float(), conditions[_key(item.condition)]) for item in items]


def _key(value: Any) -> Hashable:
    return (
        tuple((name, _key(each)) for name, each in value.items()) if isinstance(value, Mapping) else id(value)
    )


def _detached(value: Any, device: torch.device) -> Any:
    if isinstance(value, Mapping):
        return {key: _detached(each, device) for key, each in value.items()}
    return value.detach().to(device) if isinstance(value, Tensor) else value


def _is_unet(model: nn.Module) -> bool:
    return "sample" in inspect.signature(model.forward).parameters


def _called(model: nn.Module) -> Call:
    name = "sample" if _is_unet(model) else "hidden_states"

    def call(x: Tensor, timestep: Tensor, condition: Mapping[str, Any]) -> Tensor:
        own = {key: _as_many(value, len(x)) for key, value in condition.items()}
        return model(**{name: x}, timestep=timestep, **own, return_dict=False)[0]

    return call


def _as_many(value: Any, count: int) -> Any:
    """A condition of one picture for each picture of a call."""
    if isinstance(value, Mapping):
        return {key: _as_many(each, count) for key, each in value.items()}
    if isinstance(value, Tensor) and value.ndim > 0 and len(value) == 1:
        return value.expand(count, *value.shape[1:])
    return value


def _stored(deltas: Mapping[Slot, LowRank], places: Layers, network: nn.Module) -> dict[str, Tensor]:
    """By the model's own layers, in PEFT's form."""
    pairs: dict[str, list[tuple[Tensor, Tensor]]] = defaultdict(list)
    for slot, change in deltas.items():
        for spot in places.spots(slot, change.shape[0]):
            pairs[spot.layer].append((_placed(change.up, spot, places.sizes[spot.layer]), change.down))
    tensors, prefix = {}, "unet" if _is_unet(network) else "transformer"
    for layer, own in pairs.items():
        up, down = torch.cat([up for up, _ in own], dim=1), torch.cat([down for _, down in own])
        kernel = getattr(network.get_submodule(layer), "kernel_size", ())
        name = f"{prefix}.{layer}"
        tensors[f"{name}.lora_A.weight"] = down.reshape(len(down), -1, *kernel).contiguous()
        tensors[f"{name}.lora_B.weight"] = up.reshape(*up.shape, *([1] * len(kernel))).contiguous()
    return tensors


def _placed(up: Tensor, spot: Spot, height: int) -> Tensor:
    """The rows of a slot that lie in a layer, where they lie there."""
    own = up if spot.part is None else up.narrow(0, *spot.part)
    if spot.rows is None:
        return own
    whole = own.new_zeros(height, own.shape[1])
    whole.narrow(0, *spot.rows).copy_(own)
    return whole
