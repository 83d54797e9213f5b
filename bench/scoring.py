"""Scoring against the plain way: dW made whole, `abs`, `topk`, `sum`, slot after slot. Needs no host.

`python -m bench.scoring` prints the tables; with `--peak KIND` one number, the memory that scoring takes.
"""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import torch

from klora_core.deltas import Delta, Row
from klora_core.methods.klora import Evidence, evidence_of
from klora_core.methods.klora.evidence import top_k
from klora_core.scores import score

from . import slots
from .tables import SPREAD, Table, skipped, spread

REPO = Path(__file__).absolute().parents[1]
ROLES = ("subject", "style")
_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")

_HEAD = ("case", "plain / ours", "ours, s", "plain, s", "slots timed")
_GPU_HEAD = ("case", "plain / ours", "ours, s", "plain, s")
_ABSOLUTE_HEAD = ("kind", "time", "memory")
RANK = 16
_GPU_CASES = (("SDXL rank 16", 16), ("SDXL rank 128", 128))


def ours(rows: Sequence[Row], device: str = "cpu") -> tuple[Evidence, ...]:
    """What the Fuse node does with LoRAs that it has not scored yet."""
    return evidence_of(rows, ROLES, partial(score, device=device), ROLES)


def plain(rows: Sequence[Row]) -> list[list[float]]:
    """[[top-K, L1] of the subject, the same of the style] of each slot, as one would first write it."""
    found = []
    with torch.inference_mode():
        for row in rows:
            subject, style = deltas = _both(row)
            k = top_k(subject.rank, style.rank, math.prod(row.shape))
            numbers = []
            for delta in deltas:
                entries = (delta.product() * delta.scale).abs().flatten()
                numbers += [entries.topk(k).values.sum(), entries.sum()]
            # One transfer a slot: the plain way reads a slot's numbers where it compares them.
            found.append(torch.stack(numbers).tolist())
    return found


def _both(row: Row) -> tuple[Delta, Delta]:
    subject, style = row.deltas
    assert subject is not None and style is not None
    return subject, style


def _timed(work: Callable[[], object], device: str = "cpu") -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _agree(found: Sequence[Evidence], theirs: Sequence[list[float]]) -> None:
    # The plain way sums in float32, in another order: equal enough to know that both did the same work.
    for slot, numbers in zip(found, theirs, strict=True):
        mine = [one for both in zip(slot.scores, slot.l1, strict=True) for one in both]
        assert all(abs(a - b) <= 1e-3 * abs(b) for a, b in zip(mine, numbers, strict=True)), slot


def interleaved(groups: Sequence[list[Row]], device: str = "cpu") -> list[tuple[float, float]]:
    """(seconds of ours, seconds of the plain way) of each group; who goes first alternates."""
    _agree(ours(groups[0][:2], device), plain(groups[0][:2]))
    times = []
    for i, group in enumerate(groups):
        runs = {"ours": lambda g=group: ours(g, device), "plain": lambda g=group: plain(g)}
        order = ("ours", "plain") if i % 2 else ("plain", "ours")
        took = {name: _timed(runs[name], device) for name in order}
        times.append((took["ours"], took["plain"]))
    return times


def _row(name: str, groups: Sequence[list[Row]], timed: str) -> tuple[str, ...]:
    times = interleaved(groups)
    seconds = (f"{sum(both[who] for both in times):.2f}" for who in (0, 1))
    return name, spread([theirs / mine for mine, theirs in times], ".1f"), *seconds, timed


def _sdxl_groups(rank: int, groups: int, of: int, kind: slots.Kind = slots.lora) -> list[list[Row]]:
    """``groups`` times every ``of``-th of SDXL's slots: each group has the whole model's mix of shapes."""
    shapes = slots.sdxl()
    return [slots.random_rows(shapes[i::of], (rank, rank), kind) for i in range(groups)]


def _flux_groups(rank: int) -> list[list[Row]]:
    blocks = [slots.flux_stream(), slots.flux_single(), slots.flux_stream(), slots.flux_single()]
    sample, whole = sum(map(slots.entries, blocks)), slots.entries(slots.flux())
    assert sample * 19 == whole, "the sample is one nineteenth"
    return [slots.random_rows(block, (rank, rank)) for block in blocks]


def against_plain() -> Table:
    """Both methods on the same tensors, interleaved."""
    rows = (
        _row("SDXL attention, rank 8", _sdxl_groups(8, 7, 7), "all 560"),
        _row("SDXL attention, rank 32", _sdxl_groups(32, 7, 7), "all 560"),
        _row("SDXL attention, rank 128", _sdxl_groups(128, 5, 21), "135 of 560"),
        _row("FLUX split, rank 16", _flux_groups(16), "26 of 494"),
        _row("SDXL attention, LoKr of rank 8", _sdxl_groups(8, 5, 21, slots.lokr), "135 of 560"),
        _row("SDXL attention, LoHa of rank 8", _sdxl_groups(8, 5, 21, slots.loha), "135 of 560"),
    )
    return Table(
        "Scoring a LoRA pair on the CPU",
        _HEAD,
        rows,
        (
            f"Ratio: {SPREAD} over groups of slots; both methods score a group, then the next one. "
            "Higher is better for ours. Seconds: sum over the slots timed, both LoRAs.",
            "Both LoRAs have the rank named, normal random factors in float32, K = rank x rank. Aims for "
            "LoRAs: 5 at ranks 8 to 32, 3 at rank 128.",
            "A group of SDXL is every 7th slot, the next from there on (rank 128: 5 of every 21st), so that "
            "each has the model's mix of shapes. FLUX: a double block, by streams, and two single blocks: "
            "1/19 of the entries of all 494.",
            "LoKr: W1 of 16 x 16, W2 a product of rank 8, so that K = (16 x 8)^2; LoHa: two products of rank "
            "8, so that K = (8 x 8)^2.",
        ),
    )


def absolute(repeats: int = 5) -> Table:
    """SDXL rank 16, each kind: seconds for both LoRAs, and the memory it takes."""
    rows = []
    for kind, make in slots.KINDS.items():
        pairs = slots.random_rows(slots.sdxl(), (RANK, RANK), make)
        times = [_timed(partial(ours, pairs)) for _ in range(repeats)]
        rows.append((kind, spread(times, ".2f", " s"), _peak_in_own_process(kind)))
    return Table(
        "Scoring SDXL's 560 attention slots at rank 16, both LoRAs",
        _ABSOLUTE_HEAD,
        tuple(rows),
        (
            f"Time: {SPREAD} of {repeats} runs of 1.91 billion entries; aim for LoRAs: less than 4 s.",
            "Memory beyond the factors, aim: less than 64 MiB. A process of its own makes the factors and "
            "runs one small product; then the rise of its peak resident set (VmHWM, set back before) over "
            "its resident set at that moment while it scores. This counts whatever is allocated, by torch or "
            "by others, and the threads.",
        ),
    )


def peak_mib(kind: str) -> float:
    """The rise of this process's resident set in MiB while it scores SDXL at rank 16; Linux only."""
    pairs = slots.random_rows(slots.sdxl(), (RANK, RANK), slots.KINDS[kind])
    # The matrix library's own start-up is not ours.
    torch.mm(torch.ones(256, 256), torch.ones(256, 256))
    _RESET.write_text("5")
    before = _kib("VmRSS")
    ours(pairs)
    return (_kib("VmHWM") - before) / 1024


def _kib(field: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1])


def _peak_in_own_process(kind: str) -> str:
    if not _RESET.exists():
        return "skipped: needs Linux"
    command = [sys.executable, "-m", "bench.scoring", "--peak", kind]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=True)
    return f"{float(done.stdout):.0f} MiB"


def on_gpu() -> Table:
    """SDXL on the GPU; says so where there is none."""
    title = "Scoring a LoRA pair on the GPU"
    if not torch.cuda.is_available():
        return skipped(title, _GPU_HEAD, [name for name, _ in _GPU_CASES], "no GPU")
    rows = []
    for name, rank in _GPU_CASES:
        pairs = slots.random_rows(slots.sdxl(), (rank, rank), device="cuda")
        interleaved([pairs], "cuda")
        times = interleaved([pairs] * 5, "cuda")
        ratios = spread([theirs / mine for mine, theirs in times], ".1f")
        rows.append((name, ratios, *(spread([t[who] for t in times], ".3f") for who in (0, 1))))
    return Table(title, _GPU_HEAD, tuple(rows), (f"{SPREAD} of 5 interleaved runs over all 560 slots.",))


def tables() -> Iterator[Table]:
    """All of this file's tables, each as it is done."""
    yield against_plain()
    yield absolute()
    yield on_gpu()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peak"]:
        print(peak_mib(sys.argv[2]))
    else:
        for table in tables():
            print(table.markdown(), flush=True)
