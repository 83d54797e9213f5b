"""Merging a LoRA pair: seconds, memory and what the cut keeps, each method in a process of its own.

`python -m bench.merging` prints the whole table, FLUX too. `make bench` takes SDXL alone, and of it a part
for the methods that make the dense product. Needs no host.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from klora_core.merges import METHODS, merge, named

from . import slots
from .tables import Table

REPO = Path(__file__).absolute().parents[1]
MODELS = {"SDXL": slots.sdxl, "FLUX": slots.flux}
# The methods that make the dense product; on FLUX they take minutes.
_DENSE = ("magnitude-prune", "ties", "dare", "dare-ties")
# Every so many slots are a part: SDXL's mix of shapes, since it does not divide 8.
_PART = 21
_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def measure(model: str, name: str, every: int = 1, rank: int = 16) -> dict[str, Any]:
    """Wall and CPU seconds, MiB at the peak beyond the factors of all three LoRAs, share of energy kept.

    Of every ``every``-th slot.
    """
    table = slots.random_rows(MODELS[model]()[::every], (rank, rank))
    # The matrix library's own start-up is not ours.
    torch.linalg.svd(torch.randn(64, 64) @ torch.randn(64, 64))
    counted = _RESET.exists()
    if counted:
        _RESET.write_text("5")
    before = _kib("VmRSS") if counted else 0
    wall, cpu = time.perf_counter(), time.process_time()
    done = merge(table, named(name), (1.0, 0.8))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    result = sum(4 * (c.up.numel() + c.down.numel()) for c in done.deltas.values()) / (1 << 20)
    peak = (_kib("VmHWM") - before) / 1024 - result if counted else None
    ranks = {change.rank for change in done.deltas.values()}
    kept = done.kept_energy() if done.kept else None
    return {"wall": wall, "cpu": cpu, "peak": peak, "kept": kept, "rank": max(ranks), "slots": len(table)}


def _kib(field: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1])


def _row(model: str, name: str, every: int) -> tuple[str, ...]:
    command = [sys.executable, "-m", "bench.merging", "--one", model, name, str(every)]
    found = json.loads(subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=True).stdout)
    total = len(MODELS[model]())
    return (
        f"{model}, {named(name).label}",
        f"{found['wall']:.1f}",
        f"{found['cpu']:.1f}",
        f"{found['slots']} of {total}" if every > 1 else f"all {total}",
        f"{180 if name in _DENSE else 10}" if model == "SDXL" else "",
        "needs Linux" if found["peak"] is None else f"{max(0.0, found['peak']):.0f}",
        str(found["rank"]),
        "exact" if found["kept"] is None else f"{found['kept']:.1%}",
    )


def table(whole: bool = False) -> Table:
    """SDXL for every method; ``whole``: all slots, and FLUX for those that stay with the factors."""
    cases = [("SDXL", m.name, 1 if whole or m.name not in _DENSE else _PART) for m in METHODS]
    if whole:
        cases += [("FLUX", m.name, 1) for m in METHODS if m.name not in _DENSE]
    return Table(
        "Merging a LoRA pair at rank 16",
        (
            "model, method",
            "seconds",
            "CPU seconds",
            "slots timed",
            "aim, s",
            "memory, MiB",
            "rank",
            "energy kept",
        ),
        tuple(_row(*case) for case in cases),
        (
            "One run each in a process of its own, with each method's defaults; SDXL's 560 attention slots, "
            "FLUX's 494 split linears. Seconds and memory are of the slots timed, the aim is for all: 560 by "
            f"every {_PART}st is about {_PART} times the seconds.",
            "Memory: the rise of the peak resident set while it merges, without the result itself.",
            "Energy kept: the share of ||dW||_F^2 of the method's own result that is left at the rank; of "
            "random LoRAs, so a trained one keeps more or less.",
        ),
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        model, name, every = sys.argv[2:5]
        print(json.dumps(measure(model, name, int(every))))
    else:
        print(table(whole=True).markdown(), flush=True)
