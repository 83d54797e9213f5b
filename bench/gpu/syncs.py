"""Where a run waits for the device, and what it uploads, as torch and its profiler see it."""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tools.host.find import REPO

_WORDS = "called a synchronizing CUDA operation"
_TORCH = str(Path(torch.__file__).parent)
_ROOMS = tuple(str(REPO / room) for room in ("klora_core", "nodes"))
_CLOCK = str(REPO / "klora_core" / "apply" / "clock.py")


@contextmanager
def waits() -> Iterator[Counter[str]]:
    """Counts operations that wait for the device, by the file outside torch that calls them."""
    found: Counter[str] = Counter()

    def note(message: Warning | str, *_: Any) -> None:
        if _WORDS in str(message):
            found[_caller()] += 1

    before = torch.cuda.get_sync_debug_mode() if torch.cuda.is_available() else 0
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = note
        _debug(1)
        try:
            yield found
        finally:
            _debug(before)


def judged(found: Mapping[str, int], bare: int, evaluations: int) -> tuple[bool, str]:
    """Whether a run's waits, by file, are those that the pack may have, and what is to be said of them.

    The clock may read the noise level of each evaluation and, once, the schedule; nothing else of the pack
    may wait. ``bare`` is the number of waits of the bare model's run.
    """
    mine = {name: n for name, n in found.items() if name.startswith(_ROOMS)}
    clock = sum(n for name, n in mine.items() if name == _CLOCK)
    others = {name.removeprefix(f"{REPO}/"): n for name, n in mine.items() if name != _CLOCK}
    rest = sum(found.values()) - sum(mine.values())
    said = f"reading noise levels {clock}, others of ours {others or 'none'}; host {rest}, bare model {bare}"
    return clock <= evaluations + 1 and not others, said


def _debug(mode: int) -> None:
    if torch.cuda.is_available():
        torch.cuda.set_sync_debug_mode(mode)


def _caller() -> str:
    frame = sys._getframe(2)
    while frame.f_back is not None:
        name = frame.f_code.co_filename
        if not name.startswith((_TORCH, "<")) and Path(name).name != "warnings.py":
            return name
        frame = frame.f_back
    return "unknown"


@dataclass(frozen=True)
class Uploads:
    """Copies from the host to the device: how many, bytes and seconds, from pinned memory and from other."""

    pinned: int = 0
    pinned_bytes: int = 0
    pinned_seconds: float = 0.0
    pageable_bytes: int = 0


def uploads(work: Callable[[], object]) -> Uploads:
    """What ``work`` uploads; all zero where the profiler sees no copies."""
    kinds = torch.profiler.ProfilerActivity
    activities = [kinds.CUDA] if torch.cuda.is_available() else [kinds.CPU]
    with torch.profiler.profile(activities=activities) as profile:
        work()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profile.export_chrome_trace(str(trace))
        return uploads_in(json.loads(trace.read_text()))


def uploads_in(trace: Mapping[str, Any]) -> Uploads:
    """The copies in a trace in Chrome's format."""
    events = [e for e in trace["traceEvents"] if str(e.get("name", "")).startswith("Memcpy HtoD")]
    pinned = [e for e in events if "Pinned" in e["name"]]
    pageable = [e for e in events if "Pinned" not in e["name"]]
    return Uploads(
        len(pinned),
        sum(int(e["args"]["bytes"]) for e in pinned),
        sum(e["dur"] for e in pinned) / 1e6,
        sum(int(e["args"]["bytes"]) for e in pageable),
    )
