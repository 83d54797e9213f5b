"""What a node is sent, checked against its own schema: the page sends what it offers, an API prompt anything.

The host checks plain inputs itself, but drops a choice with inputs of its own (a dynamic combo) that it does
not know, and checks nothing that comes by a wire of any type. Nodes with such choices accept all inputs, so
that what the host would drop arrives here: by ``method.schedule`` for a part of the choice ``method``.
"""

from __future__ import annotations

import inspect
import logging
import math
import reprlib
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from numbers import Real
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from comfy_api.latest import io

from ..klora_core.errors import KLoraError

_LOG = logging.getLogger("klora")
# By this key the host is sent lists that are no links.
_VALUE = "__value__"


class _Row(Protocol):
    @property
    def label(self) -> str: ...


R = TypeVar("R", bound=_Row)


class _Wire(NamedTuple):
    what: str
    source: str
    fits: Callable[[Any], bool]


def _is_set(value: Any) -> bool:
    # With none in it where all of its LoRAs are switched off.
    if not isinstance(value, (tuple, list)) or value == []:
        return False
    return all(hasattr(each, "role") for each in value)


_SET = "LORA_SET"
# By the host's name of what comes by a wire alone.
_WIRES = {
    "MODEL": _Wire("a model", "a checkpoint loader", lambda value: hasattr(value, "get_model_object")),
    "CLIP": _Wire("a CLIP", "a checkpoint loader", lambda value: hasattr(value, "cond_stage_model")),
    "LORA_MODEL": _Wire("a LoRA", "Load LoRA for Fusion", lambda value: isinstance(value, Mapping)),
    _SET: _Wire("a set of LoRAs", "LoRA Set", _is_set),
    "LORA_STACK": _Wire("a stack of LoRAs", "a LoRA stacker", lambda v: isinstance(v, (tuple, list))),
    "KLORA_PLAN": _Wire("a plan", "K-LoRA Fuse or Compose LoRAs", lambda value: hasattr(value, "method")),
    "VAE": _Wire(
        "a VAE", "a checkpoint loader", lambda value: hasattr(value, "decode") and hasattr(value, "encode")
    ),
    "IMAGE": _Wire("images", "Load Image", lambda value: isinstance(value, torch.Tensor) and value.ndim == 4),
    "LATENT": _Wire("a latent", "a sampler", lambda value: isinstance(value, Mapping) and "samples" in value),
    "SIGMAS": _Wire("sigmas", "a scheduler node", lambda value: isinstance(value, torch.Tensor)),
}


def checked(execute: Callable[..., io.NodeOutput]) -> Callable[..., io.NodeOutput]:
    """``execute`` of a node, which gets only what its schema allows. Raises KLoraError for anything else."""
    names = list(inspect.signature(execute).parameters)[1:]

    @wraps(execute)
    def run(cls: Any, *args: Any, **kwargs: Any) -> io.NodeOutput:
        schema = cls.define_schema()
        given = dict(zip(names, args, strict=False)) | kwargs
        for name in sorted(name for name in given if name.partition(".")[0] not in names):
            _refuse_part(schema, name)
            # As the host does for all nodes: other packs' widgets may send what is theirs.
            _LOG.warning("%s has no input %s: it is not used.", schema.display_name, shown(name))
        values = _values(schema.inputs, given, "")
        for each in schema.inputs:
            if each.id not in values and not each.optional:
                _refuse_nothing(each, each.id)
        return execute(cls, **values)

    return run


def check_number(name: str, value: Any, low: float | None = None, high: float | None = None) -> float:
    """``value``, a finite number. Raises KLoraError for any other; its bounds are said, and not checked."""
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        span = "" if low is None or high is None else f" from {low:g} to {high:g}"
        raise KLoraError(
            f"{name} must be a finite number{span}, got {shown(value)}.", "Give a number, such as 1"
        )
    return value if isinstance(value, (int, float)) else float(value)


def check_counts(**counts: int) -> None:
    """Numbers of which there is one at least. Raises KLoraError, by their names: by a wire comes any."""
    for name, count in counts.items():
        if count < 1:
            raise KLoraError(f"{name} is {count}.", f"Give {name} 1 or more")


def shown(value: Any) -> str:
    """``value`` in a message: short, whatever it is."""
    return _SHORT.repr(value)


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 0


def _values(inputs: Sequence[io.Input], given: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Of each of ``inputs`` its value in ``given``, where it is there and not None."""
    found = {}
    for each in inputs:
        below = f"{each.id}."
        parts = {key.removeprefix(below): value for key, value in given.items() if key.startswith(below)}
        value, name = given.get(each.id), f"{path}{each.id}"
        if isinstance(each, io.DynamicCombo.Input) and (parts or each.id in given):
            found[each.id] = _choice(each, value, parts, name)
        elif value is not None:
            found[each.id] = _value(each, value, name)
    return found


def _value(each: io.Input, value: Any, name: str) -> Any:
    if isinstance(each, io.Float.Input):
        return check_number(name, value, each.min, each.max)
    if isinstance(each, io.Int.Input):
        number = check_number(name, value, each.min, each.max)
        if number != int(number):
            raise KLoraError(f"{name} must be a whole number, got {shown(value)}.", f"Give {number:.0f}")
        return int(number)
    # Which texts there are is checked behind every door alike.
    if isinstance(each, io.Combo.Input) and not isinstance(value, str):
        raise KLoraError(f"{name} must be one of {', '.join(each.options)}, got {shown(value)}.")
    if isinstance(each, io.Boolean.Input) and not isinstance(value, bool):
        raise KLoraError(f"{name} must be true or false, got {shown(value)}.")
    if isinstance(each, io.String.Input) and not isinstance(value, str):
        raise KLoraError(f"{name} must be a text, got {shown(value)}.", "Put it in quotation marks")
    wire = _WIRES.get(each.get_io_type())
    # To a node that takes lists the host sends what came by the wire as one.
    if wire is not None and not (wire.fits(value) or (_is_list(value) and all(map(wire.fits, value)))):
        raise KLoraError(f"{name} must be {wire.what}, got {shown(value)}.", f"Connect {wire.source}")
    if wire is _WIRES[_SET] and not value and not each.optional:
        raise KLoraError("in its LoRA Sets every one is off.", f"Switch a LoRA of {name} on")
    return value


def _choice(each: io.DynamicCombo.Input, value: Any, parts: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The choice and its own inputs, as the host nests them; a choice that is not offered as it was sent."""
    if isinstance(value, Mapping) and _VALUE in value:
        value = value[_VALUE]
    nested = dict(value) if isinstance(value, Mapping) else {each.id: value}
    chosen = nested.pop(each.id, None)
    if not isinstance(chosen, str):
        raise _no_choice(each, name, value)
    offered = {option.key: option.inputs for option in each.options}
    if chosen not in offered:
        # Whoever takes it by its name says which there are; some have another name, too.
        return {each.id: chosen, **nested, **parts}
    own = [inner.id for inner in offered[chosen]]
    of_others = {inner.id for inputs in offered.values() for inner in inputs}
    # What belongs to another choice stays in a prompt where the choice is changed: the host drops it.
    sent = [*nested, *(key for key in parts if key.partition(".")[0] not in of_others)]
    if unknown := [key for key in sent if key.partition(".")[0] not in own]:
        has = f"It has {', '.join(own)}" if own else "It has none"
        raise KLoraError(
            f"{chosen} has no such input: {shown(unknown[0])}. {has}.", f"Leave {shown(unknown[0])} out"
        )
    return {each.id: chosen, **_values(offered[chosen], {**nested, **parts}, f"{name}.")}


def _refuse_part(schema: io.Schema, name: str) -> None:
    """Raise KLoraError where ``name`` is that of a choice's own input, which would act by its whole name."""
    for each in schema.inputs:
        if isinstance(each, io.DynamicCombo.Input):
            own = [inner.id for option in each.options for inner in option.inputs]
            if name in own:
                raise KLoraError(f"{name} belongs to {each.id}.", f'Send it as "{each.id}.{name}"')


def _refuse_nothing(each: io.Input, name: str) -> None:
    """Raise KLoraError for what must be sent, and may be dropped by the host where it is not."""
    if isinstance(each, io.DynamicCombo.Input):
        raise _no_choice(each, name, None)
    if each.get_io_type() in _WIRES:
        wire = _WIRES[each.get_io_type()]
        raise KLoraError(f"{name} must be {wire.what}, got nothing.", f"Connect {wire.source}")


def _no_choice(each: io.DynamicCombo.Input, name: str, value: Any) -> KLoraError:
    options = [option.key for option in each.options]
    own = next((f"{name}.{inner.id}" for option in each.options for inner in option.inputs), None)
    beside = f', and what belongs to it beside it, such as "{own}"' if own else ""
    got = "nothing" if value is None else shown(value)
    return KLoraError(
        f"{name} must be one of {', '.join(options)}, got {got}. In the API format, send "
        f'"{name}": "{options[0]}"{beside}.'
    )


def chosen(method: Mapping[str, Any], rows: Sequence[R]) -> tuple[R, dict[str, Any]]:
    """Of the ``rows`` of a dynamic combo named method the one that was chosen, by its label or its name, and
    what was sent beside it. Raises KLoraError."""
    sent = dict(method)
    choice = sent.pop("method")
    for row in rows:
        if choice in (row.label, getattr(row, "name", row.label)):
            return row, sent
    raise KLoraError(f"method must be one of {', '.join(row.label for row in rows)}, got {shown(choice)}.")


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
