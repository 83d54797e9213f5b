"""The methods that Compose LoRAs offers, with the inputs of those that have any."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from comfy_api.latest import io

from ..klora_core.deltas.gates import TOKEN, TOTALS
from ..klora_core.errors import KLoraError
from ..klora_core.files.learned import gate_of
from ..klora_core.loras import STYLE, SUBJECT
from ..klora_core.methods import DEFAULT_TAU, METHODS, ORDERS, CmLora, LoraSwitch, Make, NpLora, making
from ..klora_core.methods.gates import ArrowRouting, TrainedGate
from ..klora_core.methods.klora import KLora
from . import dials
from .inputs import shown

STEPS, PART = TURNS = ("steps", "part of the run")
DEFAULT_PART = 0.25
LATE = {"none": None, "styles": STYLE, "subjects": SUBJECT}


_WIDGETS = (io.WidgetInput, io.DynamicCombo.Input)


class Dials(NamedTuple):
    """The inputs that a method has on the node, and what makes the method of their values."""

    inputs: tuple[Callable[[], io.Input], ...]
    make: Callable[..., Make]


def options() -> list[io.DynamicCombo.Option]:
    """What the node offers: every method, without inputs where it has none here."""
    return [io.DynamicCombo.Option(name, [make() for make in _of(name).inputs]) for name in METHODS]


def of_value(value: Mapping[str, Any]) -> Make:
    """The method of the node's checked dynamic combo. Raises KLoraError."""
    given = dict(value)
    name = given.pop("method")
    if name not in METHODS:
        raise KLoraError(f"method must be one of {', '.join(METHODS)}, got {shown(name)}.")
    return _of(name).make(**given)


def connected(name: str) -> list[str]:
    """The inputs of a method that something must be connected to."""
    inputs = [make() for make in _of(name).inputs]
    return [each.id for each in inputs if not (each.optional or isinstance(each, _WIDGETS))]


def _of(name: str) -> Dials:
    return _DIALS.get(name) or Dials((), METHODS[name].make)


def _switch(turn: Any = STEPS, order: str = ORDERS[0], reserve: int = 0) -> Make:
    chosen = dict(turn) if isinstance(turn, Mapping) else {"turn": turn}
    kind, tau = chosen["turn"], chosen.get("tau")
    if kind not in TURNS:
        raise KLoraError(f"turn must be one of {', '.join(TURNS)}, got {kind!r}.")
    length = int(tau or DEFAULT_TAU) if kind == STEPS else float(tau or DEFAULT_PART)
    return making.switch(length, order, reserve)


def _cm_lora(late: str = "none", order: str = ORDERS[0], dominance: float = 0.0) -> Make:
    if late not in LATE:
        raise KLoraError(f"late must be one of {', '.join(LATE)}, got {late!r}.")
    return making.cm_lora(LATE[late], order, dominance or None)


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
    return dials.advanced("order", ORDERS, tooltip)


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
    return dials.advanced("late", tuple(LATE), "LoRAs that lead only after 60 % of the steps.")


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


def _arrow(top: int = 2, pool: str = TOKEN, sum: str = TOTALS[0]) -> Make:
    return making.arrow(top, pool, sum)


def _mole(gate: Any = None) -> Make:
    if gate is None:
        raise KLoraError(
            "gate must be a trained gate, got nothing.",
            "Connect Train a Merge, or Load LoRA for Fusion with the file of one",
        )
    return making.mole(gate_of(getattr(gate, "file", "gate"), gate, getattr(gate, "metadata", None)))


def _gate() -> io.Input:
    return io.LoraModel.Input(
        "gate",
        tooltip="A trained gate, from Train a Merge or from its file by Load LoRA for Fusion. The set must "
        "hold the LoRAs that it was trained on, in their order; others may have the role other.",
    )


_DIALS = {
    KLora.name: Dials(
        (
            # Both, or the page would put the one that must be there before the other.
            partial(dials.balance, optional=True),
            partial(dials.schedule, optional=True),
            dials.gamma,
            dials.layers,
            dials.score,
            dials.loser,
            dials.outside,
        ),
        dials.make_klora,
    ),
    LoraSwitch.name: Dials((_turn, _switch_order, _reserve), _switch),
    ArrowRouting.name: Dials((dials.top, partial(dials.pool, TOKEN), dials.total), _arrow),
    TrainedGate.name: Dials((_gate,), _mole),
    NpLora.name: Dials((dials.mu, dials.layers), making.np_lora),
    CmLora.name: Dials((_late, _late_order, _dominance), _cm_lora),
}
