"""LoRAs as they are, and a gate that weighs them: MoLE, which is trained, and Arrow, which is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ....klora_core.errors import KLoraError
from ....klora_core.files.learned import GateFile, LoraMark, SlotGate, content_of, gate_of, gate_tensors
from ....klora_core.methods import Given, making
from ....klora_core.methods.gates import ArrowRouting, TrainedGate
from ....klora_core.names import Slot, strengths_of
from ....klora_core.plan import KEEP
from ....klora_core.progress import AUTO
from ....klora_core.train import Known, distance
from ....klora_core.train.gates import (
    GateOptions,
    TrainedGates,
    alone_factors,
    gates_to_learn,
    mole,
    weighable,
)
from ...composing import composed
from ...host import of_model
from ...loras import LoraStateDict
from ...merged import taking_part
from ...training import OnHost
from ..on_second import going_on, learning_of
from . import telling
from .job import COPIES, TOGETHER, UNSEEN, Job, Outcome, known_alone, own_items

_USE = (
    "lora is the gate alone, no LoRA: save it, and give it to Compose LoRAs as gate, with these very LoRAs."
)


def trained(job: Job, name: str) -> Outcome:
    """MoLE's gates by what each LoRA says alone."""
    options = GateOptions(
        steps=job.values["steps"],
        rate=job.values["rate"],
        balance=job.values["balance"],
        pool=job.values["pool"],
        total=job.values["sum"],
        seed=job.seed,
    )
    _check_several(job)
    given = Given(tuple(job.slots), tuple(m.role for m in job.members), tuple(m.name for m in job.members))
    rows, names = given.apart()
    found = weighable(rows.competing, names, job.model.load_device)
    heights = {row.slot: row.shape[0] for row in rows.competing}
    within = [strengths_of(member.blocks) for member in job.members]

    def strength(slot: Slot, lora: int) -> float:
        return job.strengths[lora] * within[lora].of(slot.name)

    gates = gates_to_learn(found, len(names), options, strength)
    factors = alone_factors(found, len(names), strength)
    items = own_items(job)
    size = gates.size() + 4 * factors.size()
    with learning_of(job.model, heights, size, items[0][0], gates, gates.parameters) as (on, needs):
        together = needs.at_once(TOGETHER)
        each = known_alone(on, factors, items, COPIES, job.seed, together)
        made = mole(gates, each, on, options, **going_on(name, options.steps))
        unseen = known_alone(on, factors, items, UNSEEN, job.seed + 1000, together)
        lines = [
            *telling.losses_in_words(made.losses),
            *telling.beside(on, factors, gates, unseen, together),
            *_shares(job, gates, on, unseen, together),
            *telling.never_ran(on),
            needs.line(),
        ]
    learned = gates.learned()
    what = f"{len(learned)} layers weigh {len(names)} LoRAs by a gate that was trained."
    return _outcome(
        job, TrainedGate.name, options.pool, options.total, learned, [what, _USE, *lines], made.losses
    )


def arrow(job: Job, name: str) -> Outcome:
    """Arrow: which LoRAs, and how they are weighed; the rest is in the LoRAs themselves."""
    _check_several(job)
    top, pool, total = (job.values[key] for key in ("top", "pool", "sum"))
    # What it refuses is said now.
    making.arrow(top, pool, total)
    what = f"{len(job.members)} LoRAs are weighed by what each changes; nothing was trained."
    return _outcome(job, ArrowRouting.name, pool, total, {}, [what, _USE], top=top)


def with_gate(job: Job, lora: LoraStateDict) -> tuple[Any, str]:
    """The model with the LoRAs and the gate on it, as Compose LoRAs does it, and its report."""
    gate = gate_of(lora.file, lora, lora.metadata)
    made = composed(job.model, None, [*job.members, *job.beside], making.mole(gate), KEEP, AUTO)
    return made.model, made.told


def _shares(job: Job, gates: TrainedGates, on: OnHost, unseen: Sequence[Known], together: int) -> list[str]:
    """What the gates are on each LoRA's own prompts."""
    lines = ["Mean gate of each LoRA in their order, on the prompts of:"]
    for member, own in zip(job.members, unseen, strict=True):
        gates.forget()
        distance(on, own, gates, together)
        lines.append(f"  {member.name}: {', '.join(f'{share:.1%}' for share in gates.shares())}")
    gates.forget()
    return lines


def _outcome(
    job: Job,
    method: str,
    pool: str,
    total: str,
    slots: Mapping[str, SlotGate],
    lines: Sequence[str],
    losses: tuple[float, ...] = (),
    top: int | None = None,
) -> Outcome:
    marks = tuple(LoraMark(member.name, content_of(member.tensors)) for member in job.members)
    name = f"{job.way.label} of {', '.join(member.name for member in job.members)}"
    tensors, header = gate_tensors(
        GateFile(name, method, pool, total, marks, slots, of_model(job.model), top)
    )
    said = (f"{job.way.label} ({job.way.paper})", *taking_part(job.members), *lines)
    return Outcome(tensors, name, header, said, losses)


def _check_several(job: Job) -> None:
    if len(job.members) < 2:
        raise KLoraError(
            f"{job.way.label} weighs them against each other.",
            "Give the set two LoRAs or more, not of the role other",
        )
