"""Putting the buffers' deltas onto layers: y = base(x) + dW x, while a gate is open.

Forward hooks do it. Two cases need another door (``doors``): layers whose weight may take the delta instead,
or whose input is scaled, and compiled models.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from torch import nn

from ..deltas import Remapped
from . import doors
from .buffers import Buffers
from .doors import Gate, Handle
from .forms import form_on
from .targets import HostRules, Target

_PLAIN = HostRules()


def attach_all(
    model: nn.Module, buffers: Buffers, gate: Gate, rules: HostRules = _PLAIN, compiled: bool = False
) -> ExitStack:
    """Make the layers of ``model`` add what ``buffers`` show while ``gate.open``; all of them, or none.

    ``compiled``: whether torch.compile runs the model or a part of it. ``close()`` of the result takes
    everything off, the last first, so that layers with several targets end as they were. Where a layer fails,
    for example AttributeError for a name that the model lacks, those before it are taken off again.
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
            attached.callback(_attach(module, buffers, i, gate, rules, compiled, alone).remove)
            if _remaps(target):
                before.append(target)
        return attached.pop_all()


def _remaps(target: Target) -> bool:
    return any(isinstance(delta, Remapped) for delta in target.candidates)


def _overlap(one: Target, other: Target) -> bool:
    if one.rows is None or other.rows is None:
        return True
    return one.rows[0] < sum(other.rows) and other.rows[0] < sum(one.rows)


def _attach(
    module: Any, buffers: Buffers, i: int, gate: Gate, rules: HostRules, compiled: bool, alone: bool
) -> Handle:
    """Make a linear or convolution ``module`` add target ``i`` of ``buffers`` to its output.

    ``alone``: no target whose change depends on the layer's output was put on the same rows before.
    """
    target = buffers.targets[i]
    forms = tuple(form_on(module, delta, target.rows, rules, alone, compiled) for delta in buffers.forms(i))
    if compiled:
        return doors.compiled(module, forms, gate)
    if _remaps(target) or any(form.fold is not None for form in forms):
        return doors.instance(module, forms, buffers.states[i], gate)
    return doors.hook(module, forms, buffers.states[i], gate)
