"""Putting the buffers' deltas onto layers: y = base(x) + dW x, while a gate is open.

Forward hooks do it. Two cases need another door (``doors``): layers whose weight may take the delta instead,
or whose input is scaled, and compiled models.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from torch import nn

from ..deltas import Remapped
from ..errors import naming
from . import doors
from .buffers import Buffers, State
from .doors import Handle
from .forms import Form, form_on
from .gates import Record, unheard
from .targets import Gate, HostRules, Target
from .witness import Mark, Witness

_PLAIN = HostRules()


def attach_all(
    model: nn.Module,
    buffers: Buffers,
    gate: Gate,
    rules: HostRules = _PLAIN,
    compiled: bool = False,
    witness: Witness | None = None,
    record: Record | None = None,
) -> ExitStack:
    """Make the layers of ``model`` add what ``buffers`` show while ``gate.open``; all of them, or none.

    ``compiled``: whether torch.compile runs the model or a part of it; ``witness`` learns which layers run,
    ``record`` what gates give.
    ``close()`` of the result takes everything off, the last first, so that layers with several targets end as
    they were. Where a layer fails, for example AttributeError for a name that the model lacks, those before
    it are taken off again.
    """
    witness = witness or Witness()
    targets = buffers.targets
    # What depends on a layer's output goes on first: it has to see the layer's own.
    order = sorted(range(len(targets)), key=lambda i: not _remaps(targets[i]))
    seen: dict[str, list[Target]] = {}
    modules: dict[str, Any] = {}
    with ExitStack() as attached:
        for i in order:
            target = targets[i]
            # By name on the very model that runs: a copy on another device has modules of its own.
            module = modules[target.layer] = model.get_submodule(target.layer)
            before = seen.setdefault(target.layer, [])
            alone = not any(_overlap(target, other) for other in before)
            hear = unheard if record is None else record.ear(i)
            with naming(target.layer):
                forms = tuple(
                    form_on(module, delta, target.rows, rules, alone, compiled, hear)
                    for delta in buffers.forms(i)
                )
            inside, mark = _remaps(target), witness.mark(target.layer)
            on = _attach(module, forms, inside, buffers.states[i], gate, mark, compiled)
            attached.callback(on.remove)
            if inside:
                before.append(target)
        attached.callback(rules.calls(list(modules.values()), gate))
        return attached.pop_all()


def _remaps(target: Target) -> bool:
    return any(isinstance(delta, Remapped) for delta in target.candidates)


def _overlap(one: Target, other: Target) -> bool:
    if one.rows is None or other.rows is None:
        return True
    return one.rows[0] < sum(other.rows) and other.rows[0] < sum(one.rows)


def _attach(
    module: Any, forms: tuple[Form, ...], inside: bool, state: State, gate: Gate, mark: Mark, compiled: bool
) -> Handle:
    """Make a linear or convolution ``module`` add to its output what its target's ``state`` shows.

    ``inside``: one of the forms has to do with more of the layer's call than its output.
    """
    if compiled:
        return doors.compiled(module, forms, gate, mark)
    if inside or any(form.fold is not None for form in forms):
        return doors.instance(module, forms, state, gate, mark)
    return doors.hook(module, forms, state, gate, mark)
