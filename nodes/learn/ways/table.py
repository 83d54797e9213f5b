"""The ways that Train a Merge offers, the recommended one first, each with its own inputs."""

from __future__ import annotations

from collections.abc import Mapping

from comfy_api.latest import io

from ....klora_core.deltas.gates import PICTURE, TOKEN
from ....klora_core.methods.gates import ArrowRouting, TrainedGate
from ....klora_core.train import SIDES
from ....klora_core.train.gates import GateOptions
from ... import dials
from .gating import arrow, trained, with_gate
from .job import Way
from .merging import calibrated, taught, with_lora, zip_lora

_GATE = GateOptions()

WAYS = (
    Way("taught", "taught", "columns and rows, this pack's own way", taught, with_lora, of_combination=True),
    Way("ziplora", "ZipLoRA", "arXiv 2311.13600", zip_lora, with_lora),
    Way("calibrated", "calibrated", "SSR-Merge, arXiv 2606.10617", calibrated, with_lora),
    Way("mole", "MoLE gate", TrainedGate.paper, trained, with_gate, all_roles=False),
    Way("arrow", "Arrow", ArrowRouting.paper, arrow, with_gate, learns=False, all_roles=False),
)


def _steps(default: int) -> io.Input:
    return dials.steps(default, "More is not better: the numbers then know the pictures by heart.", True)


def _rate(default: float) -> io.Input:
    return dials.number("rate", default, (0.0, 1.0), 0.001, "How far each step goes.", optional=True)


OWN: Mapping[str, list[io.Input]] = {
    "taught": [
        dials.advanced(
            "learn",
            (SIDES[-1], *SIDES[:-1]),
            "A number for each column of the LoRAs' down factors, for each row of their up factors, or both.",
        ),
        _steps(200),
        _rate(0.03),
    ],
    "ziplora": [
        _steps(100),
        _rate(0.01),
        dials.number(
            "overlap",
            0.01,
            (0.0, 10.0),
            0.001,
            "How much it costs where columns of two LoRAs are both on.",
            optional=True,
        ),
    ],
    "calibrated": [],
    "mole": [
        _steps(_GATE.steps),
        _rate(_GATE.rate),
        dials.number(
            "balance",
            _GATE.balance,
            (0.0, 10.0),
            0.05,
            "How much it costs where one LoRA has more of the gates than another.",
            optional=True,
        ),
        dials.pool(PICTURE),
        dials.total(_GATE.total),
    ],
    "arrow": [dials.top(), dials.pool(TOKEN), dials.total()],
}
