"""The memory that a piece of work takes at its peak, each in a process of its own that is forked from one.

torch is imported once, in the one; a fork begins with that heap and leaves none of its own behind.
"""

from __future__ import annotations

import json
import subprocess
import sys
from types import TracebackType

_SERVER = """
import json, os, pathlib, sys, traceback
import torch
from torch import nn
from klora_core.apply import Buffers, HostRules, Target, attach_all
from klora_core.deltas import Hadamard, Kron
from klora_core.scores import Request, score
from klora_core.scores.entries import sum_entries

torch.set_num_threads(1)
status, reset = (pathlib.Path("/proc/self", name) for name in ("status", "clear_refs"))

def kib(field):
    return int(next(l for l in status.read_text().splitlines() if l.startswith(field)).split()[1])

def measured(prepare, work):
    names = dict(globals(), r=torch.randn, cpu=torch.device("cpu"))
    with torch.inference_mode():
        exec(prepare, names)
        reset.write_text("5")
        before = kib("VmRSS")
        exec(work, names)
    return (kib("VmHWM") - before) / 1024

for line in sys.stdin:
    child = os.fork()
    if not child:
        try:
            said = measured(*json.loads(line))
        except BaseException:
            said = traceback.format_exc()
        print(json.dumps(said), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""


class Peaks:
    """A process that measures; ``of(prepare, work)`` are lines of code that share their names."""

    def __enter__(self) -> Peaks:
        self._server = subprocess.Popen(
            [sys.executable, "-c", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.communicate()

    def of(self, prepare: str, work: str) -> float:
        """MiB that ``work`` takes beside what is there after ``prepare``."""
        assert self._server.stdin is not None and self._server.stdout is not None
        self._server.stdin.write(json.dumps([prepare, work]) + "\n")
        self._server.stdin.flush()
        said = json.loads(self._server.stdout.readline())
        assert isinstance(said, float), said
        return said
