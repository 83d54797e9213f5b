"""What the gates of runs were: read back when a run is over, for its node, and for reports made later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from weakref import finalize

from ...klora_core.apply import Composition, Record, mean_gates
from ...klora_core.methods.gates import ByInput, Ran
from ...klora_core.plan import Plan
from ..host import announce_gates

# Of the last run by each plan, gone with the plan.
_ran: dict[int, Ran] = {}


def run_over(node: str | None, composition: Composition, records: Sequence[Record], steps: int) -> None:
    """A run of ``steps`` steps is over; the device is waited for here, and nowhere before.

    ``node`` is the execution id of the node that made the plan, ``records`` are of all copies of the model.
    """
    plan = composition.plan
    ran = Ran.of(mean_gates(records, composition.owners, len(plan.slots), steps))
    if id(plan) not in _ran:
        finalize(plan, _ran.pop, id(plan), None)
    _ran[id(plan)] = ran
    shown = replace(plan, method=plan.method.with_run(ran)) if isinstance(plan.method, ByInput) else plan
    announce_gates(node, shown, steps)


def with_run(plan: Plan) -> Plan:
    """The plan with what its last run showed, as it is before one."""
    ran = _ran.get(id(plan))
    if ran is None or not isinstance(plan.method, ByInput):
        return plan
    return replace(plan, method=plan.method.with_run(ran))
