"""`python -m bench.gpu.child CHECK [--rehearse]` with the host's interpreter: rows as lines of JSON."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress

from tools.host.inprocess import enter_host

from .rows import Row

Rows = Callable[[bool], Iterator[Row]]
"""(rehearsal?) -> rows, each as soon as it is known."""

CHECKS = {
    "scoring": "scoring:rows",
    "switches": "switches:rows",
    "low-vram": "memory:low_vram",
    "dynamic-vram": "memory:dynamic_vram",
    "steps-sdxl": "stepping:sdxl",
    "steps-flux": "stepping:flux",
    "compile-inductor": "compiled:inductor",
    "compile-cudagraphs": "compiled:cudagraphs",
    "compile-reduce-overhead": "compiled:reduce_overhead",
}
"""Name of a check: module and function of its rows."""


def check(name: str) -> Rows:
    """The function of a check; importing it needs the host, set to the device that is meant."""
    module, function = CHECKS[name].split(":")
    return getattr(importlib.import_module(f"bench.gpu.checks.{module}"), function)


def main(arguments: list[str]) -> int:
    """Print the named check's rows."""
    name, rehearse = arguments[0], "--rehearse" in arguments
    enter_host()
    if name == "dynamic-vram" and not rehearse:
        # It has to be there before torch, as in the host's main.py.
        with suppress(ImportError):
            import comfy_aimdo.control

            comfy_aimdo.control.init()
    import comfy.cli_args

    comfy.cli_args.args.cpu = rehearse
    import torch

    if rehearse:
        # Tiny layers gain nothing from a second thread, which waits by spinning where cores are shared.
        torch.set_num_threads(1)
    with torch.inference_mode():
        for row in check(name)(rehearse):
            print(json.dumps(row), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
