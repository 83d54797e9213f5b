"""Two LoRAs as slots to one plan: pair, filter, and join with the scores. Shared by CLI and nodes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from .deltas import Delta, Slot
from .errors import KLoraError
from .methods.klora import make_plan
from .order import depth_key, is_attention
from .pairing import Pairing, pair
from .plan import LoraInfo, Plan, ScoredSlot, Unmatched
from .schedules import Schedule

LAYERS = ("shared", "attention")
OTHER_LAYERS = ("keep", "drop")
_EXAMPLES = 2


def prepare(subject: Mapping[Slot, Delta], style: Mapping[Slot, Delta], layers: str = LAYERS[0]) -> Pairing:
    """The slots that compete, and those that do not.

    ``layers``: ``shared`` lets every slot compete that both LoRAs change, ``attention`` only the attention
    projections among them; the others then are in ``subject_only`` and in ``style_only``.
    Raises KLoraError where no slot competes, where shapes differ, or for another ``layers``.
    """
    if layers not in LAYERS:
        raise KLoraError(f"Unknown choice of layers {layers!r}: use one of {', '.join(LAYERS)}.")
    paired = pair(subject, style)
    if not paired.shared:
        raise KLoraError(_nothing_shared(subject, style))
    if layers == "shared":
        return paired
    competing = tuple(p for p in paired.shared if is_attention(p.slot.name))
    if not competing:
        raise KLoraError(
            f"The LoRAs share {len(paired.shared)} layers, for example {paired.shared[0].slot.name}, but no "
            "attention layer: let all shared layers compete."
        )
    rest = [p for p in paired.shared if not is_attention(p.slot.name)]
    return Pairing(
        competing,
        _by_depth({**paired.subject_only, **{p.slot: p.subject for p in rest}}),
        _by_depth({**paired.style_only, **{p.slot: p.style for p in rest}}),
    )


def plan_from(
    pairing: Pairing,
    scored: Sequence[ScoredSlot],
    schedule: Schedule,
    gamma_mode: str,
    subject: LoraInfo,
    style: LoraInfo,
    other_layers: str = OTHER_LAYERS[0],
    notes: tuple[str, ...] = (),
) -> Plan:
    """The K-LoRA plan of a pairing whose shared slots have the scores ``scored``, in the same order.

    ``other_layers`` says what becomes of the slots that do not compete: ``keep`` applies them, ``drop``
    does not. Raises KLoraError for scores that are not finite, naming layer and LoRA.
    """
    if other_layers not in OTHER_LAYERS:
        raise KLoraError(f"Unknown choice for other layers {other_layers!r}: {' or '.join(OTHER_LAYERS)}.")
    for slot in scored:
        _check_finite(slot, (slot.score_subject, slot.l1_subject), subject)
        _check_finite(slot, (slot.score_style, slot.l1_style), style)
    unmatched = Unmatched(
        subject=tuple(slot.name for slot in pairing.subject_only),
        style=tuple(slot.name for slot in pairing.style_only),
        applied=other_layers == "keep",
        notes=tuple(notes),
    )
    return make_plan(scored, schedule, gamma_mode, subject=subject, style=style, unmatched=unmatched)


def _by_depth(deltas: Mapping[Slot, Delta]) -> dict[Slot, Delta]:
    return {slot: deltas[slot] for slot in sorted(deltas, key=lambda s: depth_key(s.name))}


def _check_finite(slot: ScoredSlot, numbers: Iterable[float], lora: LoraInfo) -> None:
    if not all(map(math.isfinite, numbers)):
        raise KLoraError(
            f"{lora.name}: layer {slot.name} holds values that are not finite or overflow when multiplied "
            "out. The file is damaged or the training diverged: use another version of this LoRA."
        )


def _nothing_shared(subject: Mapping[Slot, Delta], style: Mapping[Slot, Delta]) -> str:
    return (
        "The two LoRAs share no layer, so nothing can compete. "
        f"The subject changes {_described(subject)}; the style {_described(style)}. "
        "They are probably for different base models: use two LoRAs of the same one."
    )


def _described(deltas: Mapping[Slot, Delta]) -> str:
    names = [slot.name for slot in _by_depth(deltas)]
    if not names:
        return "no layer of the diffusion model"
    # The middle of the network says more about the base model than its embedders.
    middle = names[len(names) // 2 :][:_EXAMPLES]
    return f"{len(names)} layers such as {' and '.join(middle)}"
