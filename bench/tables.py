"""What a benchmark says: tables of figures, their spread, and the machine they were taken on."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from statistics import median, quantiles
from typing import Any

SPREAD = "median (first to third quartile)"


@dataclass(frozen=True)
class Table:
    """A titled table; ``notes`` say what was measured and how."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def markdown(self) -> str:
        """The table as Markdown that also reads well in a terminal."""
        lines = [self.head, *self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.head))]
        rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]

        body = [_line(cells, widths) for cells in (self.head, rule, *self.rows)]
        return "\n".join([f"## {self.title}", "", *body, "", *(f"- {note}" for note in self.notes)]) + "\n"

    def as_json(self) -> dict[str, Any]:
        """Plain data, for a table that another process made."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Table:
        """The table that ``as_json`` described."""
        return cls(
            data["title"],
            tuple(data["head"]),
            tuple(tuple(row) for row in data["rows"]),
            tuple(data["notes"]),
        )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    # The first column names the case, the others are figures.
    first, *rest = zip(cells, widths, strict=True)
    return " | ".join([f"| {first[0]:<{first[1]}}", *(f"{cell:>{width}}" for cell, width in rest)]) + " |"


def spread(values: Sequence[float], form: str = ".3f", unit: str = "") -> str:
    """``1.012 (1.008 to 1.020)``: median and quartiles; one value stands alone."""
    if len(values) < 2:
        return f"{values[0]:{form}}{unit}"
    low, _, high = quantiles(values, n=4, method="inclusive")
    return f"{median(values):{form}}{unit} ({low:{form}} to {high:{form}})"


def skipped(title: str, head: Sequence[str], cases: Sequence[str], why: str) -> Table:
    """A table whose cases could not run here, each saying so."""
    blank = ("",) * (len(head) - 2)
    return Table(title, tuple(head), tuple((case, f"skipped: {why}", *blank) for case in cases))


def cpu() -> str:
    """The processor's model name and the number of cores that this process may use."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name or platform.processor() or platform.machine()}, {cores} cores"


def load(when: str) -> str:
    """``, load average WHEN 0.42``, so that a reader sees what else ran; nothing where it is unknown."""
    return f", load average{when} {os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else ""


def machine() -> str:
    """One line: date, processor, threads, GPU, torch, and how busy the machine was."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    waiting = os.environ.get("OMP_WAIT_POLICY", "default").lower()
    return (
        f"{date.today()}; {cpu()}, {torch.get_num_threads()} threads (OMP_WAIT_POLICY {waiting}); {gpu}; "
        f"torch {torch.__version__}; Python {platform.python_version()}, {platform.system()}"
        f"{load(' at the start')}"
    )
