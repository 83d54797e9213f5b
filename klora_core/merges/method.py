"""What a merge method is: a row of data (name, paper, parameters) and a pure function of one slot."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Union

import torch
from torch import Tensor

from ..deltas import Delta, LowRank, Remapped
from ..errors import KLoraError
from ..loras import OTHER
from ..names import Slot
from ..scores import energy
from .low_rank import factors

Value = Union[float, int, str]
LARGEST = torch.finfo(torch.float32).max

MOST_NUMBERS = 3 << 27
"""Numbers in what one layer may become in memory, 1.6 GB: the largest layer that ComfyUI's networks have,
FLUX.2's of 55,296 x 6,144, is less, and so are its factors of full rank."""
_GROWN, _GROWTH = 1 << 29, 8


@dataclass(frozen=True, eq=False)
class Term:
    """What one LoRA adds to a slot: ``weight`` * dW.

    ``weight`` is the LoRA's strength, never 0 here; ``lora`` its number in the order given.
    """

    lora: int
    delta: Delta
    weight: float
    role: str = OTHER
    device: torch.device = torch.device("cpu")

    @property
    def rank(self) -> int:
        """The LoRA's rank; of a dense or product form at most a quarter of the layer's smaller side."""
        if isinstance(self.delta, LowRank):
            return self.delta.rank
        return min(self.delta.rank, max(1, min(self.delta.shape) // 4))

    def fits(self) -> bool:
        """Whether float32 holds weight * dW; what depends on a layer's weight is not made to know it."""
        if isinstance(self.delta, Remapped):
            return True
        sizes = [
            float(torch.linalg.vector_norm(tensor.float(), dtype=torch.float64))
            for tensor in self.delta.tensors
            if tensor.is_floating_point()
        ]
        # Bases are made of the factors themselves.
        if not all(size <= LARGEST for size in sizes):
            return False
        scale = abs(self.weight * self.delta.scale)
        # ||A B|| <= ||A|| ||B||, so for products of entries and Kronecker products.
        if scale * math.prod(sizes) <= LARGEST:
            return True
        return scale * math.sqrt(energy(self.delta.with_tensors(self.delta.tensors))) <= LARGEST

    def factors(self) -> LowRank:
        """dW without the weight, as float32 factors."""
        change = factors(self.delta)
        return LowRank(change.up.to(self.device), change.down.to(self.device), change.scale)

    def weighted(self) -> LowRank:
        """weight * dW as float32 factors, the weight in the scale."""
        change = self.factors()
        return LowRank(change.up, change.down, change.scale * self.weight)


class Named(Protocol):
    """What a merged LoRA tells of the method that made it."""

    @property
    def name(self) -> str: ...

    @property
    def label(self) -> str: ...

    @property
    def paper(self) -> str: ...


@dataclass(frozen=True)
class Settings:
    """What a method is told about the slot at hand: its parameters, the rank asked for, its evidence."""

    slot: Slot
    values: Mapping[str, Value] = field(default_factory=dict)
    rank: int | None = None
    evidence: Any = None
    step: Callable[[float], None] = lambda share: None
    """To be told what share of the slot is done, by what takes long in one."""


@dataclass(frozen=True)
class Parameter:
    """A parameter of a method: the paper's default, the range or the choices, and words for a person."""

    name: str
    default: Value
    help: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()

    def checked(self, value: Value) -> Value:
        """``value`` in the parameter's own type. Raises KLoraError where it is out of range."""
        if self.choices:
            if value not in self.choices:
                raise KLoraError(f"{self.name} must be one of {', '.join(self.choices)}; got {value}.")
            return value
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise KLoraError(f"{self.name} must be a finite number, got {value}.")
        if isinstance(self.default, int) and value != int(value):
            raise KLoraError(f"{self.name} must be a whole number, got {value}.")
        if self.low is not None and value < self.low:
            raise KLoraError(f"{self.name} must be at least {self.low:g}, got {value:g}.")
        if self.high is not None and value > self.high:
            raise KLoraError(f"{self.name} must be at most {self.high:g}, got {value:g}.")
        return int(value) if isinstance(self.default, int) else float(value)


SlotTerms = Mapping[Slot, Sequence[Term]]
# Terms of one slot, at least one -> dW as factors, or as a float32 matrix that is then cut to the rank.
SlotFunction = Callable[[Sequence[Term], Settings], Union[LowRank, Tensor]]
# All terms, the parameters, a call for each term done -> evidence for the slots.
PrepareFunction = Callable[[SlotTerms, Mapping[str, Value], Callable[[], None]], Any]


@dataclass(frozen=True)
class MergeMethod:
    """A row of the table of methods.

    ``merge_slot`` merges one slot. ``prepare`` looks at the whole LoRAs before (``passes`` times over all
    slots), for what one slot can't tell, such as a threshold; its result reaches the slots as evidence.
    A method that needs the model's activations would get them the same way.
    ``default_rank`` is the rank where none is asked for; None: the result is exact as it comes.
    ``multiplies_out``: a slot's result is a matrix.
    """

    name: str
    label: str
    paper: str
    merge_slot: SlotFunction
    parameters: tuple[Parameter, ...] = ()
    prepare: PrepareFunction | None = None
    passes: int = 0
    default_rank: Callable[[Sequence[Term]], int] | None = None
    multiplies_out: bool = False

    def values(self, given: Mapping[str, Value]) -> dict[str, Value]:
        """All parameters: the given ones checked, defaults for the rest. Raises KLoraError."""
        known = [parameter.name for parameter in self.parameters]
        if unknown := sorted(given.keys() - set(known)):
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise KLoraError(
                f"{self.label} has no parameter {', '.join(unknown)}: {has}.",
                f"Leave out {', '.join(unknown)}",
            )
        return {p.name: p.checked(given.get(p.name, p.default)) for p in self.parameters}


def largest_rank(terms: Sequence[Term]) -> int:
    """The rank of the largest LoRA of a slot."""
    return max(term.rank for term in terms)


def sum_of_ranks(terms: Sequence[Term]) -> int:
    """The rank of the plain sum of a slot."""
    return sum(term.rank for term in terms)


def check_sizes(terms: SlotTerms, method: MergeMethod, rank: int | None) -> None:
    """Raises KLoraError, naming the layer, for a merge of more memory than any network's layers explain.

    Some kinds of LoRA are small in a file and large once they are multiplied out.
    """
    grown = held = 0
    largest: tuple[int, Slot | None] = (0, None)
    for slot, found in terms.items():
        out, n = found[0].delta.shape
        for delta in (term.delta for term in found):
            held += sum(tensor.numel() for tensor in delta.tensors)
            needed = 0 if isinstance(delta, LowRank) else max(out * n, (out + n) * delta.rank)
            if needed > MOST_NUMBERS or (method.multiplies_out and out * n > MOST_NUMBERS):
                raise KLoraError(
                    f"layer {slot.name}: its {delta.kind} of {out} x {n} would take "
                    f"{_gigabytes(max(needed, out * n))} to merge, more than any layer of a network takes.",
                    "Leave out the LoRA that has this layer",
                )
        if rank is None and method.default_rank is None:
            size = (out + n) * sum(term.delta.rank for term in found)
            grown, largest = grown + size, max(largest, (size, slot), key=lambda pair: pair[0])
    if grown > max(_GROWN, _GROWTH * held) and largest[1] is not None:
        raise KLoraError(
            f"layer {largest[1].name} and others would be of full rank, {_gigabytes(grown)} in all: that is "
            "what LoKr and its like are once multiplied out.",
            "Give a rank for the result, such as 64",
        )


def _gigabytes(numbers: int) -> str:
    return f"{4 * numbers / 1e9:.1f} GB"
