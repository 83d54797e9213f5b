"""Putting the buffers' deltas onto layers: y = base(x) + dW x, while a gate is open.

Forward hooks do it. Two cases need another door, a ``forward`` on the instance: layers whose weight may take
the delta instead (``fold``), and compiled models, since torch.compile does not notice hooks that come or go
after its first call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import MethodType
from typing import Any, Protocol

from torch import Tensor, nn

from .additions import Add, addition
from .buffers import NOBODY, Buffers
from .fold import Fold, HostRules, can_fold

Forward = Callable[..., Tensor]
_PLAIN = HostRules()


class Gate(Protocol):
    """Says whether the model call in progress is one of ours."""

    open: bool


class Handle(Protocol):
    """Takes off what was put on a module."""

    def remove(self) -> None: ...


def attach_all(
    model: nn.Module, buffers: Buffers, gate: Gate, rules: HostRules = _PLAIN, compiled: bool = False
) -> ExitStack:
    """Make the layers of ``model`` add what ``buffers`` show while ``gate.open``; all of them, or none.

    ``close()`` of the result takes everything off, the last first, so that layers with several targets end
    as they were. Where a layer fails, for example AttributeError for a name that the model lacks, those
    before it are taken off again.
    """
    with ExitStack() as attached:
        for i, target in enumerate(buffers.targets):
            # By name on the very model that runs: a copy on another device has modules of its own.
            module = model.get_submodule(target.layer)
            attached.callback(attach(module, buffers, i, gate, rules, compiled).remove)
        return attached.pop_all()


def attach(
    module: Any, buffers: Buffers, i: int, gate: Gate, rules: HostRules = _PLAIN, compiled: bool = False
) -> Handle:
    """Make a linear or convolution ``module`` add target ``i`` of ``buffers`` to its output.

    ``compiled``: whether torch.compile runs the module. All forms are computed then, the inactive ones are
    zero: a choice among them would be compiled again at every switch.
    """
    rows, forms = buffers.targets[i].rows, buffers.forms(i)
    adds = [addition(module, delta, rows) for delta in forms]
    if compiled:
        inner = module.__dict__.get("forward")
        return Swap(
            module, _over_class(_all(adds), gate) if inner is None else _over(inner, _all(adds), gate)
        )
    add = _active(adds, buffers.active, i)
    folds = [
        Fold(module, delta, rules) if rows is None and can_fold(module, delta, rules) else None
        for delta in forms
    ]
    if any(folds):
        return Swap(module, _folding(folds, add, gate, buffers.active, i))
    return _hook(module, add, gate)


def _all(adds: Sequence[Add]) -> Add:
    def add(module: Any, x: Tensor, output: Tensor) -> None:
        for one in adds:
            one(module, x, output)

    return add


def _active(adds: Sequence[Add], active: list[int], i: int) -> Add:
    def add(module: Any, x: Tensor, output: Tensor) -> None:
        form = active[i]
        if form != NOBODY:
            adds[form](module, x, output)

    return add


def _hook(module: Any, add: Add, gate: Gate) -> Handle:
    def hook(module: Any, args: tuple, output: Tensor) -> None:
        if gate.open:
            add(module, args[0], output)

    return module.register_forward_hook(hook)


class Swap:
    """A method on the instance, over the class's or over one that somebody else put there."""

    def __init__(self, module: Any, method: Forward, name: str = "forward") -> None:
        self._module, self._name = module, name
        self._before = module.__dict__.get(name)
        self._ours = MethodType(method, module)
        setattr(module, name, self._ours)

    def remove(self) -> None:
        """Take it off again, except under somebody else's later one: there it has to stay and pass on."""
        if self._module.__dict__.get(self._name) is not self._ours:
            return
        if self._before is None:
            delattr(self._module, self._name)
        else:
            setattr(self._module, self._name, self._before)


def _over_class(add: Add, gate: Gate) -> Forward:
    def forward(self: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        output = type(self).forward(self, x, *args, **kwargs)
        if gate.open:
            add(self, x, output)
        return output

    return forward


def _over(inner: Forward, add: Add, gate: Gate) -> Forward:
    def forward(self: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        output = inner(x, *args, **kwargs)
        if gate.open:
            add(self, x, output)
        return output

    return forward


def _folding(folds: Sequence[Fold | None], add: Add, gate: Gate, active: list[int], i: int) -> Forward:
    beside = _over_class(add, gate)

    def forward(self: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if gate.open and not args and not kwargs:
            fold = None if active[i] == NOBODY else folds[active[i]]
            if fold is not None and fold.pays(self, x):
                return fold(self, x)
        return beside(self, x, *args, **kwargs)

    return forward
