"""Scoring against the plain way: `up @ down`, `abs`, `topk`, `sum`, one slot after the other. Needs no host.

`python -m bench.scoring` prints the tables; with `--peak` one number, the memory that scoring takes.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

from klora_core.pairing import SlotPair
from klora_core.plan import ScoredSlot
from klora_core.scoring import score_pairs, top_k

from . import slots
from .tables import SPREAD, Table, skipped, spread

REPO = Path(__file__).absolute().parents[1]
MIB = 1 << 20
_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")

_HEAD = ("case", "plain / ours", "ours, s", "plain, s", "slots timed")
_GPU_HEAD = ("case", "plain / ours", "ours, s", "plain, s")
_ABSOLUTE_HEAD = ("case", "figure", "aim")
_GPU_CASES = (("SDXL rank 16", 16), ("SDXL rank 128", 128))


def plain(pairs: Sequence[SlotPair]) -> list[list[float]]:
    """[[top-K, L1] of the subject, the same of the style] of each slot, as one would first write it."""
    found = []
    with torch.inference_mode():
        for pair in pairs:
            k = top_k(pair)
            numbers = []
            for delta in (pair.subject, pair.style):
                entries = ((delta.up @ delta.down) * delta.scale).abs().flatten()
                numbers += [entries.topk(k).values.sum(), entries.sum()]
            # One transfer a slot: the plain way reads a slot's numbers where it compares them.
            found.append(torch.stack(numbers).tolist())
    return found


def _timed(work: Callable[[], object], device: str = "cpu") -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _agree(ours: Sequence[ScoredSlot], theirs: Sequence[list[float]]) -> None:
    # The plain way sums in float32, in another order: equal enough to know that both did the same work.
    for slot, numbers in zip(ours, theirs, strict=True):
        found = (slot.score_subject, slot.l1_subject, slot.score_style, slot.l1_style)
        assert all(abs(a - b) <= 1e-3 * abs(b) for a, b in zip(found, numbers, strict=True)), slot


def _interleaved(groups: Sequence[list[SlotPair]], device: str = "cpu") -> list[tuple[float, float]]:
    """(seconds of ours, seconds of the plain way) of each group; who goes first alternates."""
    _agree(score_pairs(groups[0][:2], device), plain(groups[0][:2]))
    times = []
    for i, group in enumerate(groups):
        runs = {"ours": lambda g=group: score_pairs(g, device), "plain": lambda g=group: plain(g)}
        order = ("ours", "plain") if i % 2 else ("plain", "ours")
        took = {name: _timed(runs[name], device) for name in order}
        times.append((took["ours"], took["plain"]))
    return times


def _row(name: str, groups: Sequence[list[SlotPair]], timed: str) -> tuple[str, ...]:
    times = _interleaved(groups)
    seconds = (f"{sum(both[who] for both in times):.2f}" for who in (0, 1))
    return name, spread([theirs / ours for ours, theirs in times], ".1f"), *seconds, timed


def _sdxl_groups(rank: int, groups: int, of: int) -> list[list[SlotPair]]:
    """``groups`` times every ``of``-th of SDXL's slots: each group has the whole model's mix of shapes."""
    shapes = slots.sdxl()
    return [slots.random_pairs(shapes[i::of], rank) for i in range(groups)]


def _flux_groups(rank: int) -> list[list[SlotPair]]:
    blocks = [slots.flux_stream(), slots.flux_single(), slots.flux_stream(), slots.flux_single()]
    sample, whole = sum(map(slots.entries, blocks)), slots.entries(slots.flux())
    assert sample * 19 == whole, "the sample is one nineteenth"
    return [slots.random_pairs(block, rank) for block in blocks]


def against_plain() -> Table:
    """Both methods on the same tensors, interleaved."""
    rows = (
        _row("SDXL attention, rank 8", _sdxl_groups(8, 7, 7), "all 560"),
        _row("SDXL attention, rank 32", _sdxl_groups(32, 7, 7), "all 560"),
        _row("SDXL attention, rank 128", _sdxl_groups(128, 5, 21), "135 of 560"),
        _row("FLUX split, rank 16", _flux_groups(16), "26 of 494"),
    )
    return Table(
        "Scoring a LoRA pair on the CPU",
        _HEAD,
        rows,
        (
            f"Ratio: {SPREAD} over groups of slots; both methods score a group, then the next one. "
            "Higher is better for ours. Seconds: sum over the slots timed, both LoRAs.",
            "Both LoRAs have the rank named, normal random factors in float32, K = rank x rank. Aims: "
            "5 at ranks 8 to 32, 3 at rank 128.",
            "A group of SDXL is every 7th slot, the next from there on (rank 128: 5 of every 21st), so that "
            "each has the model's mix of shapes. FLUX: a double block, by streams, and two single blocks: "
            "1/19 of the entries of all 494.",
        ),
    )


def absolute(repeats: int = 5) -> Table:
    """SDXL rank 16: seconds for both LoRAs, and the memory it takes."""
    pairs = slots.random_pairs(slots.sdxl(), 16)
    times = [_timed(lambda: score_pairs(pairs)) for _ in range(repeats)]
    return Table(
        "Scoring SDXL's 560 attention slots at rank 16, both LoRAs",
        _ABSOLUTE_HEAD,
        (
            ("time", spread(times, ".2f", " s"), "< 4 s"),
            ("memory beyond the factors", _peak_in_own_process(), "< 64 MiB"),
        ),
        (
            f"Time: {SPREAD} of {repeats} runs of 1.91 billion entries.",
            "Memory: a process of its own makes the factors and runs one small product; then the rise of its "
            "peak resident set (VmHWM, set back before) over its resident set at that moment while it "
            "scores. This counts whatever is allocated, by torch or by others, and the threads.",
        ),
    )


def peak_mib() -> float:
    """The rise of this process's resident set in MiB while it scores SDXL at rank 16; Linux only."""
    pairs = slots.random_pairs(slots.sdxl(), 16)
    # The matrix library's own start-up is not ours.
    torch.mm(torch.ones(256, 256), torch.ones(256, 256))
    _RESET.write_text("5")
    before = _kib("VmRSS")
    score_pairs(pairs)
    return (_kib("VmHWM") - before) / 1024


def _kib(field: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1])


def _peak_in_own_process() -> str:
    if not _RESET.exists():
        return "skipped: needs Linux"
    command = [sys.executable, "-m", "bench.scoring", "--peak"]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=True)
    return f"{float(done.stdout):.0f} MiB"


def on_gpu() -> Table:
    """SDXL on the GPU; says so where there is none."""
    title = "Scoring a LoRA pair on the GPU"
    if not torch.cuda.is_available():
        return skipped(title, _GPU_HEAD, [name for name, _ in _GPU_CASES], "no GPU")
    rows = []
    for name, rank in _GPU_CASES:
        pairs = slots.random_pairs(slots.sdxl(), rank, "cuda")
        _interleaved([pairs], "cuda")
        times = _interleaved([pairs] * 5, "cuda")
        ratios = spread([theirs / ours for ours, theirs in times], ".1f")
        rows.append((name, ratios, *(spread([t[who] for t in times], ".3f") for who in (0, 1))))
    return Table(title, _GPU_HEAD, tuple(rows), (f"{SPREAD} of 5 interleaved runs over all 560 slots.",))


def tables() -> Iterator[Table]:
    """All of this file's tables, each as it is done."""
    yield against_plain()
    yield absolute()
    yield on_gpu()


if __name__ == "__main__":
    if "--peak" in sys.argv:
        print(peak_mib())
    else:
        for table in tables():
            print(table.markdown(), flush=True)
