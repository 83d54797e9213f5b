"""Where a LoRA's text layers belong in a CLIP of the host: its own key map, and what the names alone tell."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import comfy.lora

from ...klora_core import names
from .names import SUFFIX

# What the host, transformers and PEFT put before a module of the same encoder.
_BEFORE = re.compile(r"(?:base_model_|transformer_|model_|language_model_|text_model_|bert_)+")
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class _Encoder:
    """An encoder's weights by its own names of modules; ``kinds`` are the names without their numbers."""

    weights: dict[str, str]
    kinds: frozenset[str]

    @classmethod
    def of(cls, weights: dict[str, str]) -> _Encoder:
        return cls(weights, frozenset(map(_numberless, weights)))


class TextEncoders:
    """A CLIP of the host, or none, by the names and shapes of its parameters."""

    def __init__(self, clip: Any | None) -> None:
        state = {} if clip is None else clip.state_dict()
        self.shapes: dict[str, tuple[int, ...]] = {key: tuple(value.shape) for key, value in state.items()}
        self._key_map: dict[str, str] = {} if clip is None else comfy.lora.model_lora_keys_clip(clip, {})
        # By encoder, in the pipeline's order.
        encoders: dict[str, dict[str, str]] = defaultdict(dict)
        for key in self.shapes:
            encoder, _, path = key.partition(".")
            if path.startswith("transformer.") and path.endswith(SUFFIX):
                encoders[encoder][_own(path.removesuffix(SUFFIX))] = key
        self._encoders = {_letters(name): _Encoder.of(weights) for name, weights in encoders.items()}

    def weight(self, raw: str) -> str | None:
        """The weight that the module ``raw`` of a LoRA changes, None where no encoder has it.

        Of several encoders with such modules it is the one that the name tells, else the first.
        """
        if raw in self._key_map:
            return self._key_map[raw]
        module = names.text_module(raw)
        if module is None:
            return None
        path = _own(module.path)
        there = next((e for e in self._meant(module) if _numberless(path) in e.kinds), None)
        return None if there is None else there.weights.get(path)

    def _meant(self, module: names.TextModule) -> list[_Encoder]:
        if module.network is None:
            every = list(self._encoders.values())
            return every if module.place is None else every[module.place - 1 : module.place]
        name = _letters(module.network)
        if name in self._encoders:
            return [self._encoders[name]]
        return [there for encoder, there in self._encoders.items() if _is_called(encoder, name)]


def _is_called(encoder: str, name: str) -> bool:
    return encoder.startswith(name) or name.startswith(encoder) or (name == "t5" and "t5" in encoder)


def _own(path: str) -> str:
    """An encoder's own name of a module, flattened."""
    flat = names.flat(path)
    before = _BEFORE.match(flat)
    return flat if before is None else flat[before.end() :]


def _numberless(path: str) -> str:
    return _NUMBER.sub("#", path)


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
