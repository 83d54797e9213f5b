"""K-LoRA restated slowly and literally, in float64, sharing no code with the package.

Reads the safetensors bytes by hand, multiplies every dW out, sorts all of its entries, and decides step by
step. The tests hold the package to these numbers.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import numpy as np


def read_safetensors(path) -> dict[str, np.ndarray]:
    """All tensors of a file as float64."""
    with open(path, "rb") as file:
        data = file.read()
    header_size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + header_size])
    body = data[8 + header_size :]
    tensors = {}
    for key, entry in header.items():
        if key == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        raw = body[begin:end]
        if entry["dtype"] == "BF16":
            bits = np.frombuffer(raw, dtype="<u2").astype(np.uint32) << 16
            values = bits.view(np.float32)
        else:
            values = np.frombuffer(raw, dtype={"F32": "<f4", "F16": "<f2", "F64": "<f8"}[entry["dtype"]])
        tensors[key] = values.astype(np.float64).reshape(entry["shape"])
    return tensors


@dataclass
class Change:
    """Rows ``start`` .. of one weight's dW, in float64, and the rank that it was made with."""

    weight: str
    start: int
    dw: np.ndarray
    rank: int


def changes(path, table: dict[str, tuple[str, int]], suffixes: tuple[str, str]) -> list[Change]:
    """Every dW of a file. ``table``: module as the file spells it -> (weight, first row)."""
    tensors = read_safetensors(path)
    found = []
    for module, (weight, start) in table.items():
        up, down = tensors[module + suffixes[0]], tensors[module + suffixes[1]]
        rank = down.shape[0]
        alpha = tensors.get(module + ".alpha")
        scale = 1.0 if alpha is None else float(alpha) / rank
        dw = scale * (up.reshape(up.shape[0], rank) @ down.reshape(rank, -1))
        found.append(Change(weight, start, dw, rank))
    return found


@dataclass
class Slot:
    name: str
    k: int
    s_c: float
    s_s: float
    l1_c: float
    l1_s: float
    choice: str = ""
    margins: tuple[float, ...] = ()


def competing(subject: list[Change], style: list[Change]) -> dict[str, Slot]:
    """The finest pieces that both change, with Eqs. 3 to 5."""
    slots = {}
    for c in subject:
        for s in style:
            if c.weight != s.weight:
                continue
            first = max(c.start, s.start)
            last = min(c.start + len(c.dw), s.start + len(s.dw))
            if first >= last:
                continue
            a = np.abs(c.dw[first - c.start : last - c.start])
            b = np.abs(s.dw[first - s.start : last - s.start])
            whole = first == c.start == s.start == 0 and len(c.dw) == len(s.dw) == last
            sliced = c.weight in {o.weight for o in subject + style if o.start > 0}
            name = c.weight if whole and not sliced else f"{c.weight}[{first}:{last}]"
            k = min(c.rank * s.rank, a.size)
            slots[name] = Slot(name, k, _largest(a, k), _largest(b, k), float(a.sum()), float(b.sum()))
    return slots


def _largest(entries: np.ndarray, k: int) -> float:
    return float(np.sort(entries.flatten())[::-1][:k].sum())


def gamma(slots: list[Slot], mode: str) -> float:
    if mode == "none":
        return 1.0
    if mode == "paper":
        return sum(s.l1_c for s in slots) / sum(s.l1_s for s in slots)
    ratios = [s.l1_c / s.l1_s for s in slots]
    mean = sum(ratios) / len(ratios)
    kept = [r for r in ratios if not r >= 3 * mean]
    return sum(kept) / len(kept)


def schedule(name: str, alpha: float, beta: float, balance: float, x: float) -> float:
    value = alpha * x + beta
    if name == "s*":
        value = math.fmod(value, alpha)
    return value * 4**balance


def decide(
    slots: dict[str, Slot], name: str, alpha: float, beta: float, balance: float, mode: str, steps: int
) -> float:
    """Fill in each slot's choices (Eq. 10), and how far from a tie each was; returns gamma."""
    g = gamma(list(slots.values()), mode)
    for slot in slots.values():
        letters, margins = "", []
        for i in range(steps):
            x = (i + 0.5) / steps
            right = g * schedule(name, alpha, beta, balance, x) * slot.s_s
            if slot.s_c == 0 and slot.s_s > 0:
                letters += "s"
            elif slot.s_s == 0:
                letters += "c"
            else:
                letters += "c" if slot.s_c >= right else "s"
            margins.append(abs(slot.s_c - right) / max(slot.s_c, right, 1e-300))
        slot.choice, slot.margins = letters, tuple(margins)
    return g
