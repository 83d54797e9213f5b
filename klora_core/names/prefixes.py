"""What stands around a module's own name: trainers' prefixes, and what programs wrap models in."""

from __future__ import annotations

import re

# torch.compile, FSDP and activation checkpointing, wherever they stand; PEFT around a layer.
_AROUND = re.compile(
    r"(?<![^._])_?(?:orig_mod|(?:fsdp|checkpoint)_wrapped_module)(?:[._]+|$)|\.base_layer(?=\.|$)"
)
# DataParallel, and the pipeline that DiffSynth-Studio trains.
_OUTSIDE = re.compile(r"(?:(?:module|pipe|pipeline)\.)+(?=.)")
_DOTTED = re.compile(
    r"(?:diffusion_model|base_model|model|module|transformer|unet|dit|denoiser|net)\.(?=.)"
    r"|lora_unet__?(?=.)|lora_(?:prior_unet|transformer)_(?=.)|lycoris_(?=.)"
    # Flattened by hand, with what diffusers calls the model.
    r"|unet_(?=[^.]+$)|transformer_(?=(?:single_)?transformer_blocks_[^.]+$)"
)
# What a trainer calls its network, before what it has flattened.
_NAMED = re.compile(
    r"(?!lora_|lycoris_)\w+?_(?:(?=lora_(?:unet|transformer(?!_blocks)|prior|te)[_\d])|lora_(?=\w))"
)
_FLATTENED = re.compile(r"(?:diffusion_model|model|module|unet|dit|denoiser|net)_(?=.)")


def unwrapped(raw: str) -> str:
    """A module's name as its trainer spells it, without what programs have wrapped around the model."""
    name = _AROUND.sub("", raw)
    if name != raw:
        name = name.rstrip("._")
    return _OUTSIDE.sub("", name, count=1) if _OUTSIDE.match(name) else name or raw


def bare(raw: str) -> str:
    """A module's own name, dotted or flattened: without wrappers and prefixes."""
    return stages(raw)[-1]


def stages(raw: str) -> list[str]:
    """:func:`unwrapped`, then the name after each prefix, down to :func:`bare`."""
    names = [unwrapped(raw)]
    if match := _NAMED.match(names[0]):
        names.append(names[0][match.end() :])
    while (
        match := _DOTTED.match(names[-1]) or (_is_flattened(*names) and _FLATTENED.match(names[-1])) or None
    ):
        names.append(names[-1][match.end() :])
    return names


def _is_flattened(raw: str, *rest: str) -> bool:
    """Whether the last prefix was one of flattened names."""
    return bool(rest) and "." not in rest[-1] and raw.removesuffix(rest[-1]).endswith("_")
