"""Layers that the host computes with itself, past their modules: called as modules while their gate is open.

With INT8 weights ``comfy.ops.linear_input_act`` reads a layer's weight, so that no hook and no ``forward`` of
the layer sees the call. Other kernels of the host take a norm, a projection or a whole feed-forward in one;
they leave a layer alone whose weights have to be cast.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import comfy.ops
import torch
from comfy.quant_ops import QuantizedTensor

from ...klora_core.apply import Gate, Swap

_NAME = "linear_input_act"
_OURS = "klora_calls"
_CASTS = "comfy_force_cast_weights"
_INT8 = "TensorWiseINT8Layout"


class _Calls:
    """Of one layer: the gates of those who have to see its calls, and what the host finds of it meanwhile."""

    def __init__(self, module: Any) -> None:
        self.gates: list[Gate] = []
        self.stand_in = _StandIn(module)
        self.inside = 0
        self.usual, self.had = getattr(module, _CASTS, False), _CASTS in module.__dict__

    def asked(self) -> bool:
        """Whether a call of the layer in this moment shall go through it."""
        return any(gate.open for gate in self.gates)

    def __bool__(self) -> bool:
        # In the place of the host's flag: cast for who looks from outside, as ever for the layer itself.
        return bool(self.usual) or (not self.inside and self.asked())


class _StandIn:
    """Takes a layer's place in a call of the host's: there is no weight here that could be read past it."""

    weight = torch.empty(0)
    bias = None
    # Newer hosts take this for a layer whose product is not theirs to choose.
    _full_precision_mm = True

    def __init__(self, module: Any) -> None:
        self._module = module

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return self._module(x)


class _Door:
    """The host's function, replaced for as long as any run needs it."""

    def __init__(self) -> None:
        self._lock, self._users = threading.Lock(), 0
        self._swap: Swap | None = None

    def open(self) -> None:
        with self._lock:
            self._users += 1
            if self._swap is None and hasattr(comfy.ops, _NAME):
                self._swap = Swap(comfy.ops, _through(getattr(comfy.ops, _NAME)), _NAME)

    def close(self) -> None:
        with self._lock:
            self._users -= 1
            if not self._users and self._swap is not None:
                self._swap.remove()
                self._swap = None


_DOOR = _Door()


def _through(inner: Callable[..., Any]) -> Callable[..., Any]:
    def linear_input_act(ops: Any, linear: Any, *args: Any, **kwargs: Any) -> Any:
        calls = getattr(linear, _OURS, None)
        if calls is not None and calls.asked():
            # The host does then what it does with any layer that it can't fuse.
            linear = calls.stand_in
        return inner(linear, *args, **kwargs)

    return linear_input_act


def calls(modules: Sequence[Any], gate: Gate) -> Callable[[], None]:
    """Make the host call ``modules`` while ``gate`` is open; the result undoes it."""
    with ExitStack() as on:
        for module in modules:
            _enter(module, gate)
            on.callback(_leave, module, gate)
            if _in_int8(module):
                on.callback(Swap(module, _from_inside(module)).remove)
        _DOOR.open()
        on.callback(_DOOR.close)
        return on.pop_all().close


def _in_int8(module: Any) -> bool:
    weight = module._parameters.get("weight")
    return isinstance(weight, QuantizedTensor) and weight._layout_cls == _INT8


def _enter(module: Any, gate: Gate) -> None:
    known = module.__dict__.get(_OURS)
    if known is None:
        known = _Calls(module)
        setattr(module, _OURS, known)
        if _in_int8(module):
            setattr(module, _CASTS, known)
    known.gates.append(gate)


def _leave(module: Any, gate: Gate) -> None:
    known = module.__dict__[_OURS]
    known.gates.remove(gate)
    if not known.gates:
        delattr(module, _OURS)
        # Loaded anew in between, the layer has the host's own flag again.
        if module.__dict__.get(_CASTS) is known:
            delattr(module, _CASTS)
            if known.had:
                setattr(module, _CASTS, known.usual)


def _from_inside(module: Any) -> Callable[..., Any]:
    """The layer's call as it is now, which finds the host's flag as it ever was."""
    known, plain = module.__dict__[_OURS], module.forward

    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        known.inside += 1
        try:
            return plain(*args, **kwargs)
        finally:
            known.inside -= 1

    return forward
