"""The three ways into a layer's call: a forward hook, and two kinds of ``forward`` on the instance.

These functions run in every call of every layer: all that can be settled before is settled before.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from types import MethodType
from typing import Any, Protocol

from torch import Tensor, nn

from .buffers import NO_FORM, State
from .forms import Form
from .targets import Gate
from .witness import Mark

Forward = Callable[..., Tensor]
"""``forward`` of a module, which is its first argument."""


class Handle(Protocol):
    """Takes off what was put on a module."""

    def remove(self) -> None: ...


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


class _Hooks:
    def __init__(self, *hooks: Handle) -> None:
        self._hooks = hooks

    def remove(self) -> None:
        for hook in self._hooks:
            hook.remove()


def hook(module: Any, forms: Sequence[Form], state: State, gate: Gate, mark: Mark) -> Handle:
    """After the call, add the form that is shown."""
    adds = [form.add for form in forms]

    def after(module: Any, args: tuple, output: Tensor) -> None:
        if gate.open:
            active = state.active
            if active != NO_FORM:
                adds[active](module, args[0], output)

    def first(module: Any, args: tuple, output: Tensor) -> None:
        if gate.open:
            mark.ran = True
            # Later calls shall not pay for it.
            watching.remove()

    adding, watching = module.register_forward_hook(after), module.register_forward_hook(first)
    return _Hooks(adding, watching)


def instance(module: Any, forms: Sequence[Form], state: State, gate: Gate, mark: Mark) -> Handle:
    """Round the call, what the form that is shown asks for."""
    # A layer that may be folded runs its class's forward, whatever spells it on the instance.
    plain = _of_class if any(form.fold is not None for form in forms) else _plain(module)

    def forward(self: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if not gate.open:
            return plain(self, x, *args, **kwargs)
        mark.ran = True
        active = state.active
        if active == NO_FORM:
            return plain(self, x, *args, **kwargs)
        form = forms[active]
        fold, factor = form.fold, form.input_factor
        # A fold knows nothing of further arguments.
        if fold is not None and not args and not kwargs and fold.pays(self, x):
            return fold(self, x)
        output = plain(self, x if factor is None else x * factor(self, x), *args, **kwargs)
        form.add(self, x, output)
        return output

    return Swap(module, forward)


def compiled(module: Any, forms: Sequence[Form], gate: Gate, mark: Mark) -> Handle:
    """Round the call, all forms: those that are not shown are zero, as additions, or 1, as factors.

    torch.compile does not notice hooks that come or go after its first call, and a choice among the forms
    would be compiled again at every switch.
    """
    plain = _plain(module)
    adds = [form.add for form in forms]
    factors = [form.input_factor for form in forms if form.input_factor is not None]

    def forward(self: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if not gate.open:
            return plain(self, x, *args, **kwargs)
        mark.ran = True
        scale = None
        for factor in factors:
            scale = factor(self, x) if scale is None else scale * factor(self, x)
        output = plain(self, x if scale is None else x * scale, *args, **kwargs)
        for add in adds:
            add(self, x, output)
        return output

    return Swap(module, forward)


def _plain(module: Any) -> Forward:
    """The call as it is now, by the class or by what somebody else put on the instance."""
    inner = module.__dict__.get("forward")
    return _of_class if inner is None else lambda self, x, *args, **kwargs: inner(x, *args, **kwargs)


def _of_class(self: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    return type(self).forward(self, x, *args, **kwargs)


def is_compiled(model: nn.Module) -> bool:
    """Whether torch.compile runs the model or a part of it."""
    # Never imported here: torch brings it in, slowly, once something is compiled.
    dynamo = sys.modules.get("torch._dynamo.eval_frame")
    return dynamo is not None and any(
        isinstance(m, dynamo.OptimizedModule) or m._compiled_call_impl is not None for m in model.modules()
    )
