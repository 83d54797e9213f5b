"""The methods that Compose LoRAs offers: a row for each, with its inputs and how it is made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from comfy_api.latest import io

from ..klora_core.errors import KLoraError
from ..klora_core.method import Method
from ..klora_core.methods.b_lora import BLora, b_lora
from ..klora_core.methods.in_turn import DEFAULT_TAU, ORDERS, LoraSwitch, Turns
from ..klora_core.methods.klora import KLora
from ..klora_core.methods.mixed import CmLora, LoraComposite
from ..klora_core.methods.taking_part import Presence
from ..klora_core.pairing import Rows, meet_all
from ..klora_core.roles import STYLE, SUBJECT
from . import klora_inputs
from .composing import Found, Make

STEPS, PART = TURNS = ("steps", "part of the run")
DEFAULT_PART = 0.25
LATE = {"none": (), "styles": (STYLE,), "subjects": (SUBJECT,)}


@dataclass(frozen=True)
class MethodOption:
    """A method of the node: its inputs, and what makes it of their values."""

    name: str
    inputs: tuple[Callable[[], io.Input], ...]
    make: Callable[..., Make]


def of_value(value: Any) -> Make:
    """The method of the node's dynamic combo, or of its bare name at its defaults. Raises KLoraError."""
    given = {"method": value} if isinstance(value, str) else dict(value) if isinstance(value, Mapping) else {}
    name = given.pop("method", None)
    if name not in OPTIONS:
        raise KLoraError(f"method must be one of {', '.join(OPTIONS)}, got {value!r}.")
    try:
        return OPTIONS[name].make(**{key: own for key, own in given.items() if own is not None})
    except TypeError as error:
        raise KLoraError(f"{name} has no such input: {error}.") from error


def _everyone(found: Found, make: Callable[[Presence], Method]) -> tuple[Rows, Method]:
    rows = _all_rows(found)
    return rows, make(Presence.of(rows.competing, found.competitors))


def _all_rows(found: Found) -> Rows:
    return found.once("meet all", lambda: meet_all(found.slots, found.roles))


def _switch(turn: Any = STEPS, order: str = ORDERS[0], reserve: int = 0) -> Make:
    chosen = dict(turn) if isinstance(turn, Mapping) else {"turn": turn}
    kind, tau = chosen.get("turn", STEPS), chosen.get("tau")
    if kind not in TURNS:
        raise KLoraError(f"turn must be one of {', '.join(TURNS)}, got {kind!r}.")
    length = int(tau or DEFAULT_TAU) if kind == STEPS else float(tau or DEFAULT_PART)

    def make(found: Found) -> tuple[Rows, Method]:
        # The subject, or where there is none the first.
        last = found.roles.index(SUBJECT) if SUBJECT in found.roles else 0
        return _everyone(found, lambda there: LoraSwitch(there, Turns(length, order, reserve, last)))

    return make


def _composite() -> Make:
    return lambda found: _everyone(found, LoraComposite)


def _cm_lora(late: str = "none", order: str = ORDERS[0], dominance: float = 0.0) -> Make:
    if late not in LATE:
        raise KLoraError(f"late must be one of {', '.join(LATE)}, got {late!r}.")

    def make(found: Found) -> tuple[Rows, Method]:
        at = tuple(i for i, role in enumerate(found.roles) if role in LATE[late])
        return _everyone(found, lambda there: CmLora(there, dominance or None, at, order))

    return make


def _b_lora() -> Make:
    def make(found: Found) -> tuple[Rows, Method]:
        rows = _all_rows(found)
        return rows, b_lora(rows.competing, found.roles)

    return make


def _turn() -> io.Input:
    steps = io.Int.Input(
        "tau", optional=True, default=DEFAULT_TAU, min=1, max=1000, tooltip="Steps in a turn."
    )
    part = io.Float.Input(
        "tau", optional=True, default=DEFAULT_PART, min=0.01, max=1.0, step=0.01, tooltip="Part in a turn."
    )
    return io.DynamicCombo.Input(
        "turn",
        options=[io.DynamicCombo.Option(STEPS, [steps]), io.DynamicCombo.Option(PART, [part])],
        tooltip="How long each LoRA works before it is the next one's turn. The paper's 5 steps are 5 of 100 "
        "to 200: with few steps take fewer, or a part of the run.",
    )


def _order(tooltip: str) -> io.Input:
    return klora_inputs.advanced("order", ORDERS, tooltip)


def _switch_order() -> io.Input:
    return _order(
        "code: as in the published code, where the first LoRA has one step more. paper: as the paper says."
    )


def _reserve() -> io.Input:
    return io.Int.Input(
        "reserve",
        default=0,
        min=0,
        max=1000,
        optional=True,
        advanced=True,
        tooltip="So many last steps belong to the subject.",
    )


def _late() -> io.Input:
    return klora_inputs.advanced("late", tuple(LATE), "LoRAs that lead only after 60 % of the steps.")


def _late_order() -> io.Input:
    return _order(
        "What late LoRAs do then. code: as published, the first LoRA no longer leads. paper: they join."
    )


def _dominance() -> io.Input:
    return io.Float.Input(
        "dominance",
        default=0.0,
        min=0.0,
        max=100.0,
        step=0.1,
        optional=True,
        advanced=True,
        tooltip="How many times as much as another the leading prediction counts. 0: the paper's number of "
        "LoRAs less a half. 1: LoRA Composite.",
    )


_OPTIONS: Sequence[MethodOption] = (
    MethodOption(
        KLora.name,
        (
            klora_inputs.balance,
            klora_inputs.schedule,
            klora_inputs.gamma,
            klora_inputs.layers,
            klora_inputs.score,
            klora_inputs.loser,
            klora_inputs.outside,
        ),
        klora_inputs.make_klora,
    ),
    MethodOption(LoraSwitch.name, (_turn, _switch_order, _reserve), _switch),
    MethodOption(LoraComposite.name, (), _composite),
    MethodOption(CmLora.name, (_late, _late_order, _dominance), _cm_lora),
    MethodOption(BLora.name, (), _b_lora),
)
OPTIONS = {option.name: option for option in _OPTIONS}
