"""A trained gate: e and tau of each slot, and of which LoRAs, in which order, it was trained."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ...deltas.gates import POOLS, TOTALS
from ...errors import KLoraError, naming, printable
from ..values import AGAIN, check_values
from .content import content_of

_HEAD = "klora_gate."
ABOUT = "klora_gate"
"""The key of the header's text. A tensor holds the same: what saves tensors alone, as core's Save LoRA does,
loses a header."""
_SAID = f"{_HEAD}about"
_E, _TAU = ".e", ".tau"
# A gate of more LoRAs than this has no use, and a text of this length no gate.
_MOST, _LONGEST = 64, 1 << 20


@dataclass(frozen=True)
class LoraMark:
    """A LoRA as its gate knows it: what it was called, and its content."""

    name: str
    content: str


@dataclass(frozen=True, eq=False)
class SlotGate:
    """The gate of one slot: ``e`` [N out, N] of the N LoRAs that change it, and its temperature."""

    e: Tensor
    tau: float = 1.0


@dataclass(frozen=True, eq=False)
class GateFile:
    """A trained gate. ``slots`` are by the slot's name in ComfyUI's model; of Arrow there are none.

    ``total`` is what the gates of a layer sum to, 1 or N; ``top`` how many LoRAs take part, None for all;
    ``base`` the base model in words. ``name`` is what to call it.
    """

    name: str
    method: str
    pool: str
    total: str
    loras: tuple[LoraMark, ...]
    slots: Mapping[str, SlotGate] = field(default_factory=dict)
    base: str | None = None
    top: int | None = None

    @property
    def content(self) -> str:
        """What tells it from any other gate, 32 hexadecimal digits."""
        tensors = {name: slot.e for name, slot in self.slots.items()}
        taus = sorted((name, slot.tau.hex()) for name, slot in self.slots.items())
        whole = f"{content_of(tensors)} {taus} {json.dumps(_about(self), sort_keys=True)}"
        return hashlib.blake2b(whole.encode(), digest_size=16).hexdigest()


def is_gate(tensors: Mapping[str, object]) -> bool:
    """Whether these are the tensors of a trained gate."""
    return any(isinstance(key, str) and key.startswith(_HEAD) for key in tensors)


def gate_tensors(gate: GateFile) -> tuple[dict[str, Tensor], dict[str, str]]:
    """(the tensors of a gate, the text of its header); :func:`gate_of` reads them back."""
    said = json.dumps(_about(gate))
    tensors = {_SAID: torch.frombuffer(bytearray(said.encode()), dtype=torch.uint8)}
    for name, slot in gate.slots.items():
        tensors[f"{_HEAD}{name}{_E}"] = slot.e.detach().to(torch.float32).contiguous()
        tensors[f"{_HEAD}{name}{_TAU}"] = torch.tensor(float(slot.tau))
    return tensors, {"format": "pt", ABOUT: said}


def _about(gate: GateFile) -> dict[str, Any]:
    marks = [{"name": lora.name, "content": lora.content} for lora in gate.loras]
    top = {} if gate.top is None else {"top": gate.top}
    return {
        **{"method": gate.method, "pool": gate.pool, "sum": gate.total, "base": gate.base},
        **{"loras": marks, **top},
    }


def gate_of(name: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> GateFile:
    """The gate in these tensors. Raises KLoraError, with its ``name`` and the layer, for what is none."""
    with naming(printable(name)):
        if not is_gate(tensors):
            raise KLoraError("is no trained gate (no klora_gate tensors).", "Choose a file of a trained gate")
        about = _said(tensors, metadata or {})
        read = {key: tensors[key] for key in sorted(tensors, key=str) if key != _SAID}
        return GateFile(
            printable(name),
            _text(about, "method"),
            _one_of(about, "pool", POOLS),
            _one_of(about, "sum", TOTALS),
            _loras(about),
            _slots(read),
            _base(about),
            _top(about),
        )


def _said(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Mapping[str, Any]:
    text = metadata.get(ABOUT)
    if text is None and _SAID in tensors:
        told = tensors[_SAID]
        if not isinstance(told, Tensor) or told.dtype != torch.uint8 or told.numel() > _LONGEST:
            raise KLoraError(f"{_SAID} is no text.", AGAIN)
        text = bytes(told.flatten().tolist()).decode(errors="replace")
    if text is None:
        raise KLoraError(f"does not say which LoRAs the gate is of: its {_SAID} is missing.", AGAIN)
    try:
        about = json.loads(text) if len(text) <= _LONGEST else None
    except (ValueError, RecursionError):
        about = None
    if not isinstance(about, dict):
        raise KLoraError("what it says of its gate is no JSON object.", AGAIN)
    return about


def _text(about: Mapping[str, Any], key: str) -> str:
    value = about.get(key)
    if not isinstance(value, str) or not value:
        raise KLoraError(f"does not say the {key} of its gate.", AGAIN)
    return printable(value)


def _one_of(about: Mapping[str, Any], key: str, offered: tuple[str, ...]) -> str:
    value = _text(about, key)
    if value not in offered:
        raise KLoraError(
            f"its {key} is {value!r}, not {' or '.join(offered)}.", "Use a newer version of this pack"
        )
    return value


def _loras(about: Mapping[str, Any]) -> tuple[LoraMark, ...]:
    told = about.get("loras")
    if not isinstance(told, list) or not 2 <= len(told) <= _MOST:
        raise KLoraError("does not name the two or more LoRAs of its gate.", AGAIN)
    marks = []
    for each in told:
        values = [each.get(key) for key in ("name", "content")] if isinstance(each, dict) else []
        if not values or not all(isinstance(value, str) and value for value in values):
            raise KLoraError("a LoRA of its gate has no name or no content.", AGAIN)
        marks.append(LoraMark(*map(printable, values)))
    return tuple(marks)


def _base(about: Mapping[str, Any]) -> str | None:
    base = about.get("base")
    return printable(base) if isinstance(base, str) and base else None


def _top(about: Mapping[str, Any]) -> int | None:
    top = about.get("top")
    if top is not None and (not isinstance(top, int) or isinstance(top, bool) or not 1 <= top <= _MOST):
        raise KLoraError(f"its top is {printable(top)}, no number of LoRAs.", AGAIN)
    return top


def _slots(tensors: Mapping[str, Tensor]) -> dict[str, SlotGate]:
    parts: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        end = next((end for end in (_E, _TAU) if isinstance(key, str) and key.endswith(end)), None)
        layer = "" if end is None else key.removeprefix(_HEAD).removesuffix(end)
        if end is None or not key.startswith(_HEAD) or not layer or not key.isprintable():
            raise KLoraError(f"{printable(key)} is no part of a trained gate.", AGAIN)
        if not isinstance(tensor, Tensor):
            raise KLoraError(f"layer {printable(layer)}: {end[1:]} is no tensor.", AGAIN)
        check_values(printable(layer), end[1:], tensor)
        parts.setdefault(layer, {})[end] = tensor
    return {layer: _slot(printable(layer), own) for layer, own in parts.items()}


def _slot(layer: str, parts: Mapping[str, Tensor]) -> SlotGate:
    if missing := [end[1:] for end in (_E, _TAU) if end not in parts]:
        raise KLoraError(f"layer {layer} has no {missing[0]}.", AGAIN)
    e, tau = parts[_E].detach(), parts[_TAU]
    if e.ndim != 2 or not 2 <= e.shape[1] <= _MOST or e.shape[0] == 0 or e.shape[0] % e.shape[1]:
        raise KLoraError(f"layer {layer}: e is {tuple(e.shape)}, not N out x N.", AGAIN)
    if tau.numel() != 1 or not float(tau) > 0:
        raise KLoraError(f"layer {layer}: tau must be one number above 0.", AGAIN)
    return SlotGate(e, float(tau))
