"""Each method from its settings and LoRAs: one function a method, the same for every door.

A door (node, command line, :func:`klora_core.fuse.fuse`) reads its own inputs into a function's arguments and
calls what that gives with the LoRAs.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from torch import Tensor

from ..deltas import LAYERS, Delta, Deltas, Rows, check_ungated, meet, meet_all
from ..deltas.gates import TOKEN, TOTALS, check_settings
from ..errors import KLoraError
from ..files.learned import GateFile
from ..loras import OTHER, STYLE, SUBJECT
from ..names import Slot
from ..scores import score as score_all
from . import b_lora as block
from .gates import ArrowRouting, TrainedGate, apart, arrow_routing, check_loras, trained_gate
from .hand import When
from .hand import as_scheduled as scheduled
from .klora import (
    DEFAULT_OUTSIDE,
    ENERGY,
    GAMMA_MODES,
    LOSERS,
    SCHEDULES,
    SCORES,
    KLora,
    Scorer,
    energies_of,
    evidence_of,
    make_schedule,
)
from .method import Method
from .np_lora import DEFAULT_MU
from .np_lora import np_lora as null_space
from .passes import CmLora, LoraComposite
from .turns import DEFAULT_TAU, ORDERS, LoraSwitch, Turns
from .whole import Presence

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Given:
    """The LoRAs that a method is made for, those of the role ``other`` last, and who measures them.

    ``memo`` is what was worked out of these very LoRAs, under these roles and names, before; ``give_role``
    how this door gives a LoRA the role ``{role}``; ``contents`` tells what each LoRA's file holds
    (:func:`klora_core.files.learned.content_of`), the LoRAs that take part at the least; ``when`` when each
    works, none: always.
    """

    slots: tuple[Deltas, ...]
    roles: tuple[str, ...]
    names: tuple[str, ...]
    score: Scorer = score_all
    energies: Callable[[Sequence[Delta]], Sequence[float]] | None = None
    memo: dict[Hashable, Any] = field(default_factory=dict)
    give_role: str = "Set roles"
    contents: Callable[[], Sequence[str]] = tuple
    when: tuple[When, ...] = ()

    def cached(self, key: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` gives, made once for these LoRAs; nothing but them and ``key`` may decide on it."""
        if key not in self.memo:
            self.memo[key] = make()
        return self.memo[key]

    @property
    def everyone(self) -> Rows:
        """The rows of methods where all LoRAs take part, but those of the role ``other``."""
        return self.cached("everyone", lambda: meet_all(self.slots, self.roles))

    def apart(self) -> tuple[Rows, Sequence[str]]:
        """The rows of methods that see the LoRAs' own layers alone, and the names of those that take part."""
        rows = self.cached("apart", lambda: apart(self.slots, self.roles))
        return rows, self.names[: sum(role != OTHER for role in self.roles)]

    def presence(self) -> Presence:
        """Which LoRAs that take part change which of these rows."""
        return Presence.of(self.everyone.competing, self.taking_part)

    @property
    def taking_part(self) -> int:
        """How many LoRAs do, all but those of the role ``other``."""
        return sum(role != OTHER for role in self.roles)


Make = Callable[[Given], tuple[Rows, Method]]


def klora(
    schedule: str = SCHEDULES[0],
    alpha: float | None = None,
    beta: float | None = None,
    balance: float = 0.0,
    gamma: str = GAMMA_MODES[0],
    layers: str = LAYERS[0],
    score: str = SCORES[0],
    loser: str = LOSERS[0],
    outside: float = DEFAULT_OUTSIDE,
) -> Make:
    """K-LoRA. Raises KLoraError, at once for what the LoRAs have no part in."""
    curve = make_schedule(schedule, alpha, beta, balance)
    if loser not in LOSERS:
        raise KLoraError(f"unknown loser {loser!r}.", f"Use one of {', '.join(LOSERS)}")
    strength = 0.0 if loser == LOSERS[0] else float(outside)

    def make(given: Given) -> tuple[Rows, Method]:
        for role in (SUBJECT, STYLE):
            if role not in given.roles:
                raise KLoraError(
                    f"{KLora.name} needs a subject and a style LoRA, and no LoRA here is a {role}.",
                    given.give_role.format(role=role),
                )
        rows = given.cached(("meet", layers), lambda: meet(given.slots, given.roles, layers))
        check_ungated(rows.competing, given.names, "compared by size, as K-LoRA does")
        evidence = given.cached(
            ("evidence", layers, score),
            lambda: (
                energies_of(rows.competing, given.roles, given.names, given.energies)
                if score == ENERGY
                else evidence_of(rows.competing, given.roles, given.score, given.names)
            ),
        )
        return rows, KLora(curve, gamma, given.roles, evidence, score, strength)

    return make


def switch(tau: int | float = DEFAULT_TAU, order: str = ORDERS[0], reserve: int = 0) -> Make:
    """LoRA Switch; the reserve is the first subject's, or where there is none the first LoRA's."""

    def make(given: Given) -> tuple[Rows, Method]:
        last = given.roles.index(SUBJECT) if SUBJECT in given.roles else 0
        return given.everyone, LoraSwitch(given.presence(), Turns(tau, order, reserve, last))

    return make


def composite() -> Make:
    """LoRA Composite."""
    return lambda given: (given.everyone, LoraComposite(given.presence()))


def cm_lora(late: str | None = None, order: str = ORDERS[0], dominance: float | None = None) -> Make:
    """CMLoRA; LoRAs of the role ``late`` lead only late."""

    def make(given: Given) -> tuple[Rows, Method]:
        late_ones = tuple(i for i, role in enumerate(given.roles) if role == late)
        return given.everyone, CmLora(given.presence(), dominance, late_ones, order)

    return make


def arrow(top: int = 2, pool: str = TOKEN, total: str = TOTALS[0]) -> Make:
    """Arrow: the ``top`` best LoRAs of each layer and ``pool``, by gates that sum to ``total``."""
    check_settings(pool, total)
    if top < 1:
        raise KLoraError(f"top must be 1 or more LoRAs, got {top}.")

    def make(given: Given) -> tuple[Rows, Method]:
        rows, names = given.apart()
        known: dict[Slot, Tensor] = given.cached("directions", dict)
        method = given.cached(
            ("arrow", top, pool, total), lambda: arrow_routing(rows, names, top, pool, total, known)
        )
        return rows, method

    return make


def mole(gate: GateFile | None = None) -> Make:
    """A trained gate, of the very LoRAs that it was trained on."""
    if gate is None:
        raise KLoraError("MoLE needs a trained gate.", "Give the file of a trained gate to gate")
    if gate.method not in (TrainedGate.name, ArrowRouting.name):
        raise KLoraError(
            f"{gate.name}: a gate by {gate.method} is not known here.", "Use a newer version of this pack"
        )
    without_training = arrow(gate.top or len(gate.loras), gate.pool, gate.total)

    def make(given: Given) -> tuple[Rows, Method]:
        rows, names = given.apart()
        check_loras(gate, names, given.cached("contents", given.contents)[: len(names)])
        if gate.method == ArrowRouting.name:
            return without_training(given)
        return rows, given.cached(("gate", gate.content), lambda: trained_gate(rows, names, gate))

    return make


def b_lora() -> Make:
    """B-LoRA."""
    return lambda given: (given.everyone, block.b_lora(given.everyone.competing, given.roles))


def as_scheduled() -> Make:
    """As scheduled."""

    def make(given: Given) -> tuple[Rows, Method]:
        return given.everyone, scheduled(given.everyone.competing, given.when, given.taking_part)

    return make


def np_lora(mu: float = DEFAULT_MU, layers: str = LAYERS[0]) -> Make:
    """NP-LoRA on the model itself."""

    def make(given: Given) -> tuple[Rows, Method]:
        rows = given.cached(("meet", layers), lambda: meet(given.slots, given.roles, layers))
        return rows, null_space(rows.competing, given.roles, mu)

    return make
