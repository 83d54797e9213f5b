"""The buffers of the side path: for each target the factors of the candidate that is active there."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..deltas import Delta, Gated, Kron, LowRank, Remapped
from ..methods import NOBODY
from .targets import Target

NO_FORM = -1


class Buffers(nn.Module):
    """Buffers for each target, overwritten in place at a switch, so that tensors keep their identity.

    A target has one set of buffers for each form among its candidates: low-rank factors of any rank are one
    form, zero-padded to the largest; others share a form where all their tensors have the same shapes. At
    most one form of a target is active. What a target's buffers hold before it is shown first is not defined.
    An nn.Module, so that a host can count and move it. On the device ``meta`` they have a size and take no
    memory, until ``to`` brings them to another one; from then on they keep their identity.
    """

    states: tuple[State, ...]
    """By target: what its buffers are for, and hold."""

    def __init__(
        self, targets: tuple[Target, ...], dtype: torch.dtype, device: torch.device | str = "cpu"
    ) -> None:
        super().__init__()
        self.targets = targets
        self.states = tuple(state_of(i, target) for i, target in enumerate(targets))
        for state in self.states:
            for names, template in zip(state.names, state.templates, strict=True):
                kept = zip(names, template.tensors, template.stored_as(dtype), strict=True)
                for name, own, stored in kept:
                    self._add(name, own.shape, stored, device)

    def _add(self, name: str, shape: torch.Size, dtype: torch.dtype, device: torch.device | str) -> None:
        # Inference tensors could not be overwritten by a sampler that runs outside inference mode.
        with torch.inference_mode(False):
            empty = torch.empty(shape, dtype=dtype, device=device)
            self.register_parameter(name, nn.Parameter(empty, requires_grad=False))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Buffers:
        """What ``to`` and its like do to every parameter: from ``meta`` there is nothing to move."""
        if self.where.type == "meta":
            for name, parameter in list(self.named_parameters()):
                wanted = fn(torch.empty(0, dtype=parameter.dtype))
                self._add(name, parameter.shape, wanted.dtype, wanted.device)
            return self
        return super()._apply(fn, recurse)

    @property
    def where(self) -> torch.device:
        """The device of the buffers (``device`` is an attribute that a host may set)."""
        first = next(self.parameters(), None)
        return torch.device("cpu") if first is None else first.device

    def forms(self, i: int) -> tuple[Delta, ...]:
        """The buffers of target ``i``, each form as a delta of scale 1; inactive ones are zero."""
        state = self.states[i]
        return tuple(
            template.with_tensors(self._named(names))
            for names, template in zip(state.names, state.templates, strict=True)
        )

    def _named(self, names: tuple[str, ...]) -> list[Tensor]:
        return [getattr(self, name) for name in names]

    def show(self, i: int, who: int) -> None:
        """Put candidate ``who`` into the buffers of target ``i``, nothing for NOBODY.

        Nothing happens where it is there already. Raises IndexError for a candidate that is not there.
        """
        state = self.states[i]
        if state.whole == who:
            return
        delta = None if who == NOBODY else self.targets[i].candidates[who]
        # An interrupt half way leaves a target that nobody takes for whole.
        state.whole, state.active = None, NO_FORM
        form = NO_FORM if delta is None or delta.scale == 0 else state.forms[who]
        for f, names in enumerate(state.names):
            buffers = self._named(names)
            if f == form and delta is not None:
                for n, (buffer, source) in enumerate(zip(buffers, delta.tensors, strict=True)):
                    fill(buffer, source, delta.scale if n == 0 else 1.0)
            else:
                # What is compiled computes all forms: a product with one factor zero is zero, of any numbers.
                for buffer in buffers if state.blank else buffers[:1]:
                    buffer.zero_()
        state.blank = False
        state.active = form
        state.whole = who


@dataclass(eq=False)
class State:
    """What the buffers of one target are for, and what they hold."""

    templates: tuple[Delta, ...]
    """An example of each form, the largest."""
    names: tuple[tuple[str, ...], ...]
    """By form: its buffers, one for each tensor."""
    forms: tuple[int, ...]
    """By candidate: its form, NO_FORM for None."""
    active: int = NO_FORM
    """The form that is shown, NO_FORM where nothing is added."""
    whole: int | None = None
    """The candidate, or NOBODY, that is there as a whole; None before the first, and after an interrupt."""
    blank: bool = True
    """Whether nothing was ever written: the buffers hold any numbers."""


def state_of(i: int, target: Target) -> State:
    """``target``, number ``i``, before anything is shown there: its candidates by what can share buffers."""
    keys = [NO_FORM if delta is None else _form(delta) for delta in target.candidates]
    templates: dict[Hashable, Delta] = {}
    for key, delta in zip(keys, target.candidates, strict=True):
        if delta is not None and (key not in templates or delta.rank > templates[key].rank):
            templates[key] = delta.outline()
    at = {key: form for form, key in enumerate(templates)}
    names = (
        tuple(f"target_{i}_{form}_{n}" for n in range(len(template.tensors)))
        for form, template in enumerate(templates.values())
    )
    return State(tuple(templates.values()), tuple(names), tuple(at.get(key, NO_FORM) for key in keys))


def _form(delta: Delta) -> Hashable:
    """Equal for deltas that can share buffers."""
    if isinstance(delta, LowRank):
        return LowRank, delta.shape
    shapes = tuple(tuple(tensor.shape) for tensor in delta.tensors)
    if isinstance(delta, Kron):
        return Kron, isinstance(delta.w1, tuple), isinstance(delta.w2, tuple), delta.window, shapes
    if isinstance(delta, Remapped):
        maps = None if delta.left is None else delta.left.form
        inner = None if delta.inner is None else _form(delta.inner)
        return Remapped, maps, delta.columns is None, inner, shapes
    if isinstance(delta, Gated):
        return Gated, type(delta.gate), delta.gate.settings, shapes
    return type(delta), shapes


def fill(buffer: Tensor, source: Tensor, scale: float) -> None:
    """The beginning of ``buffer`` in each dimension = scale * source, the rest zero."""
    if scale != 1.0:
        source = source.to(torch.promote_types(torch.float32, buffer.dtype)) * scale
    pinned = buffer.is_cuda and source.device.type == "cpu"
    if pinned:
        # Pinned memory lets the copy run behind the kernels in flight instead of waiting for them.
        source = source.to(buffer.dtype).pin_memory()
    for dim, used in enumerate(source.shape):
        rest = buffer.shape[dim] - used
        if rest:
            buffer.narrow(dim, used, rest).zero_()
            buffer = buffer.narrow(dim, 0, used)
    # Elsewhere (MPS) a copy that does not wait may read memory that is gone.
    buffer.copy_(source, non_blocking=pinned)
