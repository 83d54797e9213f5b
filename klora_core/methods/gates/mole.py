"""MoLE, arXiv 2404.13628: a trained gate weighs the LoRAs in each layer, by what they would add there."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ...deltas import LowRank, Row, Rows
from ...deltas.gates import Gate, Mole, gram, owners, total_of, toward
from ...errors import KLoraError
from ...files.learned import GateFile
from ..method import Fact
from ..whole import Presence
from .by_input import ByInput
from .parts import parts_of
from .ran import Ran


@dataclass(frozen=True)
class TrainedGate(ByInput):
    """g = softmax(e^T normalise([B_1 z_1; ..; B_N z_N]) / tau), e and tau from ``file``."""

    file: str = ""
    content: str = ""
    base: str | None = None
    unused: int = 0

    name = "MoLE"
    paper = "arXiv 2404.13628"
    summary = "a trained gate weighs the LoRAs in each layer, by what each would add to the picture there."

    def key_of(self) -> Hashable:
        return self.content

    def facts(self) -> tuple[Fact, ...]:
        made = f"trained on {self.base}" if self.base else "trained for these LoRAs"
        found = [Fact("gate file", self.file, made), *super().facts()]
        if self.unused:
            found.append(
                Fact("not used", str(self.unused), "layers of the gate that this model does not have")
            )
        return tuple(found)

    def own_json(self) -> dict[str, Any]:
        return {"file": self.file, "content": self.content, "base": self.base, "unused": self.unused}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> TrainedGate:
        shared = cls.shared_in(document)
        gate = document["gate"]
        ran = Ran.from_json(document["slots"])
        return cls(*shared, gate["file"], gate["content"], gate["base"], gate["unused"], ran=ran)


def check_loras(gate: GateFile, names: Sequence[str], contents: Sequence[str]) -> None:
    """Raises KLoraError, naming LoRA and place, where these are not the gate's LoRAs in its order."""
    wanted = [mark.content for mark in gate.loras]
    if [*contents] == wanted:
        return
    shown = ", ".join(mark.name for mark in gate.loras)
    if sorted(contents) == sorted(wanted):
        raise KLoraError(
            f"{gate.name}: its training had the LoRAs in another order.",
            f"Put the LoRAs in the order {shown}",
        )
    strangers = [name for name, content in zip(names, contents, strict=True) if content not in wanted]
    if strangers:
        verb = "is none" if len(strangers) == 1 else "are none"
        raise KLoraError(
            f"{gate.name}: {', '.join(strangers)} {verb} of the LoRAs that this gate was trained on.",
            f"Use {shown}, in this order, and give others the role other",
        )
    raise KLoraError(
        f"{gate.name}: the gate was trained on {len(wanted)} LoRAs, {len(contents)} take part here.",
        f"Use {shown}, in this order",
    )


def trained_gate(rows: Rows, names: Sequence[str], gate: GateFile) -> TrainedGate:
    """The method over ``rows`` of the gate's LoRAs, by ``names``. Raises KLoraError for what does not fit."""

    def gate_of(row: Row, there: Sequence[LowRank]) -> Gate | None:
        own = gate.slots.get(row.slot.name)
        if own is None:
            return None
        count, out = len(there), row.shape[0]
        if tuple(own.e.shape) != (count * out, count):
            raise KLoraError(
                f"{gate.name}: layer {row.slot.name}: e is {' x '.join(map(str, own.e.shape))}, and "
                f"{count} LoRAs change {out} outputs there, so that it should be {count * out} x "
                f"{count}.",
                "Train the gate again, on this model",
            )
        # At the LoRAs' own strength, in numbers that the mean can be taken out of.
        ups = [delta.up.double() * delta.scale for delta in there]
        return Mole(
            toward(own.e.double(), ups).float(),
            gram(ups).float(),
            torch.tensor([own.tau]),
            owners([delta.rank for delta in there]),
            total_of(gate.total, count),
            gate.pool,
        )

    parts = parts_of(rows.competing, names, TrainedGate.name, gate_of)
    gated = tuple(part.gate is not None for part in parts)
    unused = len(gate.slots) - sum(gated)
    if not any(gated):
        raise KLoraError(
            f"{gate.name}: none of its {len(gate.slots)} layers is one that these LoRAs share in this model.",
            "Use the base model that it was trained on",
        )
    present = Presence.of(rows.competing, len(names))
    return TrainedGate(
        present, gated, gate.pool, gate.total, gate.name, gate.content, gate.base, unused, parts=parts
    )
