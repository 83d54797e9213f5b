"""A dial or a LoRA that changes between two runs: what the host does to the model before the next step.

Core's loader writes LoRAs into the weights, so the host takes the old ones out and writes the new ones in; a
fusion's hooks are outside of the weights.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from statistics import median
from typing import Any

from ..tables import Table

CASE = "turning"
_HEAD = ("what changes", "core's loader", "K-LoRA Fuse", "core's / Fuse's")
_RANK = 16


def measure() -> Sequence[Table]:
    """SD1.5's whole UNet on the CPU, in the host's process."""
    import importlib

    import comfy.model_management
    import comfy.sd

    from tools.host.inprocess import load_pack

    from .models import CPU_CASES, build, kohya_lora

    model = build(CPU_CASES["sd15"])
    fuse = importlib.import_module(f"{load_pack().__name__}.nodes").KLoRAFuse.execute
    subject, style, other = (kohya_lora(model, _RANK, seed) for seed in (1, 2, 3))

    def core(first: dict, second: dict, strength: float) -> Any:
        loaded = comfy.sd.load_lora_for_models(model, None, first, strength, 0)[0]
        return comfy.sd.load_lora_for_models(loaded, None, second, 1.0, 0)[0]

    def ours(first: dict, second: dict, balance: float) -> Any:
        return fuse(model, first, second, 1.0, 1.0, balance, {"schedule": "s"}).result[0]

    def loads(made: Iterator[Any]) -> list[float]:
        """CPU seconds from one loaded MODEL to the next; the first is there before."""
        seconds = []
        for patched in made:
            comfy.model_management.load_models_gpu([patched])
            seconds.append(time.process_time())
        return [after - before for before, after in pairwise(seconds)]

    def dials(make: Callable[[dict, dict, float], Any]) -> list[float]:
        return loads(make(subject, style, value) for value in (0.1, 0.2, 0.3, 0.4))

    def files(make: Callable[[dict, dict, float], Any]) -> list[float]:
        # Each pair was there before, so that its scores are kept.
        return loads(make(each, style, 0.1) for each in (subject, other, subject, other, subject))[2:]

    rows = []
    for what, times in (("a strength; balance", dials), ("one of the two LoRAs", files)):
        theirs, mine = median(times(core)), median(times(ours))
        rows.append((what, f"{theirs:.2f} s", f"{mine:.2f} s", f"{theirs / mine:.0f}"))
    return [
        Table(
            "Between two runs: SD1.5, the whole UNet, two LoRAs of rank 16 on all its linear layers, CPU",
            _HEAD,
            tuple(rows),
            (
                "CPU seconds of all threads from one MODEL in the host's memory to the next: the nodes' own "
                "execution, and the host's load_models_gpu, which takes out of the weights what it wrote "
                "into them and writes anew. Medians of three changes.",
                "Weights are random and in float32. A pair that K-LoRA never saw is also scored, once: see "
                "Fuse.",
            ),
        )
    ]
