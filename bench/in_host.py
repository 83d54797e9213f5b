"""`python -m bench.in_host CASE [--small]` with the host's interpreter: tables as JSON lines.

CASE is a model of `host.models`: those of the CPU run with the host set to the CPU, those of the
GPU (`gpu:NAME`) on the device that the host finds. `composing:NAME` compares the composing methods on it,
`composing:NAME:ROW` one row of that table with K-LoRA's; `fusing:RANK:FOLDER` measures Fuse itself, `turning`
what a change between two runs costs, `learning` counts what learning takes.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from tools.host.inprocess import enter_host

from .host import fusing, turning
from .sampling import LEARNING
from .tables import Table


def main(arguments: list[str]) -> int:
    """Print the named case's tables, one JSON object a line."""
    name, small = arguments[0], "--small" in arguments
    gpu = name.startswith("gpu:")
    enter_host()
    import comfy.cli_args

    comfy.cli_args.args.cpu = not gpu
    import torch

    with torch.inference_mode():
        for table in _tables(name.removeprefix("gpu:"), gpu, small):
            print(json.dumps(table.as_json()), flush=True)
    return 0


def _tables(name: str, gpu: bool, small: bool) -> list[Table]:
    if name == LEARNING:
        from .host.learning import tables

        return tables()
    if name.startswith(f"{fusing.CASE}:"):
        _, rank, folder = name.split(":", 2)
        return list(fusing.measure(int(rank), folder))
    if name == turning.CASE:
        return list(turning.measure())
    if name.startswith("composing:"):
        from .host.composing import measure as compare

        _, name, *rows = name.split(":", 2)
        return compare(_case(name, gpu, small), *rows)
    from .host.steps import measure

    return measure(_case(name, gpu, small))


def _case(name: str, gpu: bool, small: bool) -> Any:
    from .host.models import CPU_CASES, GPU_CASES, shrunk

    case = (GPU_CASES if gpu else CPU_CASES)[name]
    return shrunk(case) if small else case


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
