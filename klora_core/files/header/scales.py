"""How a LoRA without alphas is scaled: PEFT's settings, in the text of a file's header.

diffusers writes them as JSON under ``lora_adapter_metadata``, each setting after its model's prefix
(``transformer.lora_alpha``) or without one, and scales by them alone where it finds them. An alpha among the
tensors counts more here: it is of that layer, and what every other program reads. What kohya's
``ss_network_args`` say of rs_lora is not read: LyCORIS has worked it into the alphas that it writes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ... import written
from ...errors import printable
from ..change import Change

KEY = "lora_adapter_metadata"
_PREFIXES = ("transformer.", "unet.", "prior.", "text_encoder.", "text_encoder_2.", "text_encoder_3.", "")
_SHOWN = 3
_LARGEST, _PEFT_ALPHA = 1e9, 8.0


@dataclass(frozen=True)
class _Settings:
    """PEFT's settings of one model: alpha, those of single layers, and whether sqrt(rank) divides it."""

    prefix: str
    alpha: float
    of_layers: Mapping[str, float]
    by_root: bool


@dataclass
class Scales:
    """The scales that a file's metadata gives, and which of them were used."""

    settings: tuple[_Settings, ...] = ()
    problem: str | None = None
    _used: dict[tuple[float, int, bool], int] = field(default_factory=dict)

    @classmethod
    def of(cls, metadata: Mapping[str, str]) -> Scales:
        """The scales in the text of a header; none where it says nothing of them."""
        if not written.text_of(metadata, KEY):
            return cls()
        found = written.json_of(metadata, KEY)
        if not isinstance(found, dict):
            return cls(problem=f"{KEY} in its header is not understood, so that alpha is taken for the rank")
        return cls(tuple(s for prefix in _PREFIXES if (s := _settings(prefix, found)) is not None))

    def applied(self, raw: str, change: Change) -> Change:
        """``change`` of the module ``raw`` with the alpha of the settings, where it has none of its own.

        Its scale becomes alpha / rank, or alpha / sqrt(rank) for rs-LoRA (arXiv 2312.03732).
        """
        if change.kind.name != "lora" or change.alpha is not None:
            return change
        settings = next((s for s in self.settings if raw.startswith(s.prefix)), None)
        if settings is None:
            return change
        name, rank = raw.removeprefix(settings.prefix), change.parts["down"].shape[0]
        alpha = next((a for layer, a in settings.of_layers.items() if _is(name, layer)), settings.alpha)
        used = alpha, rank, settings.by_root
        self._used[used] = self._used.get(used, 0) + 1
        return replace(change, alpha=alpha * math.sqrt(rank) if settings.by_root else alpha)

    def notes(self) -> tuple[str, ...]:
        """A sentence about what was used, and one about what was not understood."""
        lines = [] if self.problem is None else [self.problem]
        if any(by_root or alpha != rank for alpha, rank, by_root in self._used):
            most = sorted(self._used.items(), key=lambda item: -item[1])
            shown = [
                f"{alpha:g} / {'sqrt ' if by_root else ''}{rank} in {count} layer{'' if count == 1 else 's'}"
                for (alpha, rank, by_root), count in most[:_SHOWN]
            ]
            more = f" and {len(most) - _SHOWN} more" if len(most) > _SHOWN else ""
            lines.append(f"scale (alpha / rank) from the file's metadata: {', '.join(shown)}{more}")
        return tuple(map(printable, lines))


def _settings(prefix: str, found: Mapping[str, Any]) -> _Settings | None:
    if f"{prefix}lora_alpha" not in found and f"{prefix}use_rslora" not in found:
        return None
    alpha = _number(found.get(f"{prefix}lora_alpha"))
    if alpha is None:
        alpha = _PEFT_ALPHA
    pattern = found.get(f"{prefix}alpha_pattern")
    layers = pattern if isinstance(pattern, Mapping) else {}
    of_layers = {str(layer).lstrip("^"): a for layer, v in layers.items() if (a := _number(v)) is not None}
    return _Settings(prefix, alpha, of_layers, found.get(f"{prefix}use_rslora") is True)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    # A whole number of JSON may be larger than any float.
    return float(value) if abs(value) < _LARGEST else None


def _is(name: str, layer: str) -> bool:
    """Whether PEFT would match them; its patterns may be expressions, which diffusers does not write."""
    return name == layer or name.endswith(f".{layer}")
