"""Text encoders' modules in LoRA files: of which encoder, and what it calls them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .prefixes import stages

# Encoders as ComfyUI, diffusers and trainers call them: by network, or by their place in the pipeline.
_NETWORK = (
    r"(?P<network>(?:hydit_|sam3_)?clip(?:_?[lgh])?|jina(?:_clip_2)?|bert|mllm"
    r"|(?:um|m|pile_)?t5(?:[_-]?(?:xxl|xl|base|small|gemma|encoder))?|byt5(?:_small|_encoder)?"
    r"|(?:llama|qwen|gemma|mistral|ministral|gpt_oss)(?:_?(?:\d|vl)[0-9a-z_-]*)?)"
)
_PLACE = r"(?:prior_)?(?:te|text_?encoders?)(?:_?(?P<place>\d))?(?:_lora)?"
_HEADS = tuple(
    re.compile(rf"{head}(?P<path>.+)", re.IGNORECASE)
    for head in (
        rf"(?:lora_|lycoris_)?{_PLACE}[._]",
        rf"(?:lora_|lycoris_)?{_NETWORK}(?:\.|_(?=(?:transformer|model|encoder|text_model|layers)_))",
        r"conditioner\.embedders\.(?P<before>\d)\.",
        r"(?:cond_stage_model|conditioner)\.",
    )
)
# What no diffusion model has: CLIP's own names, OpenCLIP's and T5's.
_OWN = re.compile(r"text_model[._]|(?:transformer\.)?resblocks\.\d|encoder[._]block[._]\d+[._]layer[._]")
# Heads that are an encoder's wherever they stand.
_INSIDE = re.compile(
    r"\.(?=(?:text_encoders?(?:_?\d)?|cond_stage_model|conditioner|lora_te\d?|clip_[lgh]|(?:um)?t5xxl)\.)"
    r"|_(?=text_encoders?_)"
)


@dataclass(frozen=True)
class TextModule:
    """A module ``path``, dotted or flattened, of the encoder ``network`` or, where no name tells it, of the
    one that has that ``place`` in the pipeline, from 1 on; None where it tells neither."""

    path: str
    network: str | None = None
    place: int | None = None


def text_module(raw: str) -> TextModule | None:
    """The text encoder's module that a name in a LoRA file means, None for another network's."""
    return next(filter(None, map(_of, stages(raw))), None)


def is_text_encoder(raw: str) -> bool:
    """Whether a module name of a LoRA file belongs to a text encoder."""
    return text_module(raw) is not None


def _of(name: str) -> TextModule | None:
    for head in _HEADS:
        if match := head.match(name):
            found = match.groupdict()
            path = found["path"]
            place = int(found.get("before") or -1) + 1 or (int(found.get("place") or 0) or None)
            network = found.get("network")
            inner = None if network else _of(path)
            if inner is None or inner.network:
                return inner or TextModule(path, network, place)
            # By hand, what the pipeline calls the encoder stands behind the trainer's prefix.
            return TextModule(inner.path, None, place or inner.place)
    if _OWN.match(name):
        return TextModule(name)
    inside = _INSIDE.search(name)
    return None if inside is None else _of(name[inside.end() :])
