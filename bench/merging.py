"""Merging a LoRA pair: seconds, memory and what the cut keeps, each method in a process of its own.

`python -m bench.merging` prints the table. Needs no host.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from klora_core.merging.run import merge
from klora_core.methods.merges.table import METHODS, named

from . import slots
from .tables import Table

REPO = Path(__file__).absolute().parents[1]
MODELS = {"SDXL": slots.sdxl, "FLUX": slots.flux}
# The methods that make the dense product; on FLUX they take minutes.
_DENSE = ("magnitude-prune", "ties", "dare", "dare-ties")
_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def measure(model: str, name: str, rank: int = 16) -> dict[str, Any]:
    """Wall and CPU seconds, MiB at the peak beyond the factors of all three LoRAs, share of energy kept."""
    table = slots.random_rows(MODELS[model](), (rank, rank))
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
    return {"wall": wall, "cpu": cpu, "peak": peak, "kept": kept, "rank": max(ranks)}


def _kib(field: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1])


def _row(model: str, name: str) -> tuple[str, ...]:
    command = [sys.executable, "-m", "bench.merging", "--one", model, name]
    found = json.loads(subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=True).stdout)
    return (
        f"{model}, {named(name).label}",
        f"{found['wall']:.1f}",
        f"{found['cpu']:.1f}",
        f"{180 if name in _DENSE else 10}" if model == "SDXL" else "",
        "needs Linux" if found["peak"] is None else f"{max(0.0, found['peak']):.0f}",
        str(found["rank"]),
        "exact" if found["kept"] is None else f"{found['kept']:.1%}",
    )


def tables() -> Iterator[Table]:
    """One table: SDXL for every method, FLUX for those that stay with the factors."""
    cases = [("SDXL", m.name) for m in METHODS] + [("FLUX", m.name) for m in METHODS if m.name not in _DENSE]
    yield Table(
        "Merging a LoRA pair at rank 16",
        ("model, method", "seconds", "CPU seconds", "aim, s", "memory, MiB", "rank", "energy kept"),
        tuple(_row(*case) for case in cases),
        (
            "One run each in a process of its own, with each method's defaults; SDXL's 560 attention slots, "
            "FLUX's 494 split linears.",
            "Memory: the rise of the peak resident set while it merges, without the result itself.",
            "Energy kept: the share of ||dW||_F^2 of the method's own result that is left at the rank; of "
            "random LoRAs, so a trained one keeps more or less.",
        ),
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        model, name = sys.argv[2:4]
        print(json.dumps(measure(model, name)))
    else:
        for table in tables():
            print(table.markdown(), flush=True)
