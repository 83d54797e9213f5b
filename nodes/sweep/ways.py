"""What a sweep can go over: the inputs of each choice, and the models to make of their values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from comfy_api.latest import io

from ...klora_core.errors import KLoraError
from ...klora_core.methods import METHODS, Make
from ...klora_core.methods.klora import SCHEDULES
from .. import dials, methods
from ..inputs import shown
from .listed import listed, number

_BALANCES = "-0.4, -0.2, 0, 0.2, 0.4"
_STRENGTHS = "1, 0.8, 1:0.8, 0.8:1"
_SCHEDULES = ", ".join((*SCHEDULES, dials.STATIC))
_METHODS = "K-LoRA, LoRA Switch, LoRA Composite, CMLoRA, NP-LoRA"


class Way(NamedTuple):
    """One model of a sweep: its label, its method, the strengths of subject and style."""

    label: str
    make: Make
    strengths: tuple[float, float] = (1.0, 1.0)


class _Over(NamedTuple):
    inputs: tuple[Callable[[], io.Input], ...]
    ways: Callable[..., list[Way]]


def options() -> list[io.DynamicCombo.Option]:
    """What the node offers."""
    return [io.DynamicCombo.Option(name, [make() for make in over.inputs]) for name, over in _OVER.items()]


def of_value(value: Mapping[str, Any]) -> list[Way]:
    """The ways of the node's checked dynamic combo, in the order of its list. Raises KLoraError."""
    given = dict(value)
    name = given.pop("over")
    if name not in _OVER:
        raise KLoraError(f"over must be one of {', '.join(_OVER)}, got {shown(name)}.")
    return _OVER[name].ways(**given)


def _balances(balances: str = _BALANCES, schedule: Any = SCHEDULES[0]) -> list[Way]:
    read = partial(number, "balances", such_as=_BALANCES, low=-1.0, high=1.0)
    values = listed("balances", balances, _BALANCES, read)
    return [Way(f"balance {value:g}", dials.make_klora(schedule, balance=value)) for value in values]


def _strengths(strengths: str = _STRENGTHS, balance: float = 0.0, schedule: Any = SCHEDULES[0]) -> list[Way]:
    make = dials.make_klora(schedule, balance=balance)
    return [Way(_of(*both), make, both) for both in listed("strengths", strengths, _STRENGTHS, _both)]


def _of(subject: float, style: float) -> str:
    return f"strength {style:g}" if subject == style else f"subject {subject:g}, style {style:g}"


def _both(text: str) -> tuple[float, float]:
    """One number for both, or subject:style."""
    subject, colon, style = text.partition(":")
    low, high = dials.STRENGTHS
    read = partial(number, "strengths", such_as=_STRENGTHS, low=low, high=high)
    return read(subject.strip()), read((style if colon else subject).strip())


def _schedules(schedules: str = _SCHEDULES, balance: float = 0.0) -> list[Way]:
    names = listed("schedules", schedules, _SCHEDULES, _schedule)
    return [Way(f"schedule {name}", dials.make_klora(name, True, balance=balance)) for name in names]


def _schedule(text: str) -> str:
    if text not in (*SCHEDULES, dials.STATIC):
        raise KLoraError(f"{shown(text)} is none.", f"Write schedules by their names, {_SCHEDULES}")
    return text


def _methods(methods: str = _METHODS) -> list[Way]:
    return [_by(name) for name in listed("methods", methods, _METHODS, _method)]


def _by(name: str) -> Way:
    return Way(name, methods.of_value({"method": name}))


def _method(text: str) -> str:
    """A method by its name, in large or small letters."""
    offered = {name.casefold(): name for name in METHODS if not methods.connected(name)}
    known = {name.casefold(): name for name in METHODS}
    if text.casefold() in offered:
        return offered[text.casefold()]
    if text.casefold() in known:
        name = known[text.casefold()]
        needed = " and ".join(methods.connected(name))
        raise KLoraError(
            f"it needs {needed} connected, which a sweep can't have.", f"Use Compose LoRAs for {name}"
        )
    raise KLoraError(
        f"{shown(text)} is none.", f"Write methods by their names, {', '.join(offered.values())}"
    )


def _text(id: str, default: str, tooltip: str) -> Callable[[], io.Input]:
    return partial(io.String.Input, id, default=default, optional=True, tooltip=tooltip)


_BALANCE = partial(dials.balance, optional=True)
_SCHEDULE = partial(dials.schedule, optional=True)

_OVER = {
    "balance": _Over(
        (
            _text(
                "balances",
                _BALANCES,
                "Values of balance with commas between, from -1 (subject) to 1 (style). Go by tenths: at "
                "halves the ends often show one LoRA alone.",
            ),
            _SCHEDULE,
        ),
        _balances,
    ),
    "strength": _Over(
        (
            _text(
                "strengths",
                _STRENGTHS,
                "Strengths with commas between: a number for both LoRAs, or subject:style, such as 1:0.8.",
            ),
            _BALANCE,
            _SCHEDULE,
        ),
        _strengths,
    ),
    "schedule": _Over(
        (
            _text("schedules", _SCHEDULES, "Schedules of K-LoRA Fuse with commas between: s, s*, np-lora."),
            _BALANCE,
        ),
        _schedules,
    ),
    "method": _Over(
        (
            _text(
                "methods",
                _METHODS,
                "Methods of Compose LoRAs by name with commas between, each at its own defaults.",
            ),
        ),
        _methods,
    ),
}
