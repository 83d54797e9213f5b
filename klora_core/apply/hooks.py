"""Putting the buffers' deltas onto layers: y = base(x) + dW x, while a gate is open.

Forward hooks do it. Two cases need another door, a ``forward`` on the instance: layers whose weight may take
the delta instead (``fold``), and compiled models, since torch.compile does not notice hooks that come or go
after its first call.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from types import MethodType
from typing import Any, Protocol, Union

from torch import Tensor, nn

from ..deltas import Remapped
from .additions import Add, addition
from .buffers import NO_FORM, Buffers
from .fold import Fold, can_fold
from .remapping import Remapping
from .targets import HostRules, Target

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
    targets = buffers.targets
    # What depends on a layer's output goes on first: it has to see the layer's own.
    order = sorted(range(len(targets)), key=lambda i: not _remaps(targets[i]))
    seen: dict[str, list[Target]] = {}
    with ExitStack() as attached:
        for i in order:
            target = targets[i]
            # By name on the very model that runs: a copy on another device has modules of its own.
            module = model.get_submodule(target.layer)
            before = seen.setdefault(target.layer, [])
            alone = not any(_overlap(target, other) for other in before)
            attached.callback(attach(module, buffers, i, gate, rules, compiled, alone).remove)
            if _remaps(target):
                before.append(target)
        return attached.pop_all()


def _remaps(target: Target) -> bool:
    return any(isinstance(delta, Remapped) for delta in target.candidates)


def _overlap(one: Target, other: Target) -> bool:
    if one.rows is None or other.rows is None:
        return True
    return one.rows[0] < sum(other.rows) and other.rows[0] < sum(one.rows)


def attach(
    module: Any,
    buffers: Buffers,
    i: int,
    gate: Gate,
    rules: HostRules = _PLAIN,
    compiled: bool = False,
    alone: bool = True,
) -> Handle:
    """Make a linear or convolution ``module`` add target ``i`` of ``buffers`` to its output.

    ``compiled``: whether torch.compile runs the module. All forms are computed then, the inactive ones are
    zero: a choice among them would be compiled again at every switch. ``alone``: no target whose change
    depends on the layer's output was put on the same rows before.
    """
    rows, forms = buffers.targets[i].rows, buffers.forms(i)
    remapped = {
        f: _remapping(module, delta, rows, rules, alone, compiled)
        for f, delta in enumerate(forms)
        if isinstance(delta, Remapped)
    }
    adds = [
        remapped[f].add if isinstance(delta, Remapped) else addition(module, delta, rows)
        for f, delta in enumerate(forms)
    ]
    scaling = {f: each.input_factor for f, each in remapped.items() if each.scales_input}
    inner = module.__dict__.get("forward")
    if compiled:
        plain = _over_class if inner is None else _over(inner)
        return Swap(module, _adding(plain, _all(adds), gate, _product(scaling)))
    add = _active(adds, buffers.active, i)
    folds = [
        # What depends on the weight is less work on the layer's output.
        Fold(module, delta, rules)
        if rows is None and not isinstance(delta, Remapped) and can_fold(module, delta, rules)
        else None
        for delta in forms
    ]
    if any(folds) or remapped:
        plain = _over_class if inner is None or any(folds) else _over(inner)
        beside = _adding(plain, add, gate, _of_active(scaling, buffers.active, i))
        return Swap(module, _folding(folds, beside, gate, buffers.active, i) if any(folds) else beside)
    return _hook(module, add, gate)


Factor = Callable[[Any, Tensor], Union[Tensor, None]]
"""(module, its input) -> what the input is multiplied with, None for nothing."""


def _remapping(
    module: Any, delta: Remapped, rows: Any, rules: HostRules, alone: bool, compiled: bool
) -> Remapping:
    inner = None if delta.inner is None else addition(module, delta.inner, rows)
    return Remapping(delta, rows, inner, rules, alone, compiled)


def _product(scaling: Mapping[int, Callable[[Any, Tensor], Tensor]]) -> Factor | None:
    if not scaling:
        return None

    def factor(module: Any, x: Tensor) -> Tensor:
        # Those that are not shown are 1.
        product = None
        for one in scaling.values():
            product = one(module, x) if product is None else product * one(module, x)
        assert product is not None
        return product

    return factor


def _of_active(
    scaling: Mapping[int, Callable[[Any, Tensor], Tensor]], active: list[int], i: int
) -> Factor | None:
    if not scaling:
        return None

    def factor(module: Any, x: Tensor) -> Tensor | None:
        one = scaling.get(active[i])
        return None if one is None else one(module, x)

    return factor


def _all(adds: Sequence[Add]) -> Add:
    def add(module: Any, x: Tensor, output: Tensor) -> None:
        for one in adds:
            one(module, x, output)

    return add


def _active(adds: Sequence[Add], active: list[int], i: int) -> Add:
    def add(module: Any, x: Tensor, output: Tensor) -> None:
        form = active[i]
        if form != NO_FORM:
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


def _over_class(self: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    return type(self).forward(self, x, *args, **kwargs)


def _over(inner: Forward) -> Forward:
    return lambda self, x, *args, **kwargs: inner(x, *args, **kwargs)


def _adding(plain: Forward, add: Add, gate: Gate, factor: Factor | None) -> Forward:
    """``plain`` and, while the gate is open, what ``add`` adds; its input is multiplied with ``factor``."""

    def forward(self: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if not gate.open:
            return plain(self, x, *args, **kwargs)
        scale = None if factor is None else factor(self, x)
        output = plain(self, x if scale is None else x * scale, *args, **kwargs)
        add(self, x, output)
        return output

    return forward


def _folding(folds: Sequence[Fold | None], beside: Forward, gate: Gate, active: list[int], i: int) -> Forward:
    def forward(self: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if gate.open and not args and not kwargs:
            fold = None if active[i] == NO_FORM else folds[active[i]]
            if fold is not None and fold.pays(self, x):
                return fold(self, x)
        return beside(self, x, *args, **kwargs)

    return forward


def is_compiled(model: nn.Module) -> bool:
    """Whether torch.compile runs the model or a part of it."""
    # Never imported here: torch brings it in, slowly, once something is compiled.
    dynamo = sys.modules.get("torch._dynamo.eval_frame")
    return dynamo is not None and any(
        isinstance(m, dynamo.OptimizedModule) or m._compiled_call_impl is not None for m in model.modules()
    )
