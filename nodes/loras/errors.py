"""Why a LoRA can't be used in a model: its base model and the model's by name, or names that nobody knows."""

from __future__ import annotations

from collections.abc import Sequence

from ...klora_core.errors import KLoraError
from ...klora_core.files import Left, strange
from ...klora_core.names import BaseModel
from .host_lora import HostLora


def misfits(found: Sequence[Left], layers: int, base: BaseModel | None, model: str) -> KLoraError:
    """The error for a LoRA of whose ``layers`` too many have another size than the model's."""
    return KLoraError(
        f"made for another base model{_pair(base, model)}: layer {found[0].name} "
        f"{found[0].reason.removeprefix('it ')} ({len(found)} of {layers} layers differ).",
        _choose(model),
    )


def no_slot(lora: HostLora, model: str, understood: bool) -> KLoraError:
    """The error for a LoRA of which nothing can compete; ``understood``: its names are of a known network."""
    if lora.unknown:
        none = f"none of its {len(lora.unknown)} layers exists in this model ({model})"
        if not understood:
            return strange(lora.unknown, f"{none}: ")
        example = f"{none}, for example {lora.unknown[0]!r}."
        if lora.base_model and lora.base_model.fits(model):
            return KLoraError(f"made for {model}, but {example}", "Choose another LoRA")
        return KLoraError(
            f"made for another base model{_pair(lora.base_model, model)}: {example}", _choose(model)
        )
    if lora.text or lora.clip:
        return KLoraError(
            "it changes the text encoder alone, nothing to fuse in the model.", "Use a LoRA loader for it"
        )
    what = "only biases and norms" if lora.vectors else "nothing that can be applied"
    return KLoraError(f"holds {what} for this model ({model}).", "Choose a LoRA with weight layers")


def _choose(model: str) -> str:
    return f"Choose a LoRA made for {model}"


def _pair(base: BaseModel | None, model: str) -> str:
    """`` (FLUX LoRA, SD1.5 checkpoint)``; nothing where the LoRA's base is unknown or the same."""
    return "" if base is None or base.fits(model) else f" ({base} LoRA, {model} checkpoint)"
