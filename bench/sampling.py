"""Sampling, measured in the host's interpreter, one process a case. Needs no host to import."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

from tools.host.find import HostError, require_host

from .host import fusing
from .host import turning as changes
from .processes import in_host
from .tables import Table, skipped

CPU_CASES = ("sd15", "sdxl-shallow")
LEARNING = "learning"
COMPOSING_CASE = "composing:sdxl-shallow"
GPU_CASES = {"gpu:sdxl": ("SDXL, 1024 x 1024, bf16", 12), "gpu:flux": ("FLUX format, 1024 x 1024, bf16", 34)}
_GPU_TITLE = "Step time on the GPU"
_HEAD = ("case", "figures")


def fuse() -> Iterator[Table]:
    """What a person waits for at the Fuse node, or a table that says why not."""
    try:
        yield from fusing.tables(str(require_host().python))
    except HostError as error:
        yield skipped("Fuse", _HEAD, [fusing.CASE], str(error))


def turning() -> Iterator[Table]:
    """What a change between two runs costs beside core's loader, or a table that says why not."""
    try:
        yield from in_host(str(require_host().python), changes.CASE)
    except HostError as error:
        yield skipped("Between two runs", _HEAD, [changes.CASE], str(error))


def composing() -> Iterator[Table]:
    """The composing methods on a model that B-LoRA can do, or a table that says why not."""
    try:
        yield from in_host(str(require_host().python), COMPOSING_CASE)
    except HostError as error:
        yield skipped("Composing methods", _HEAD, [COMPOSING_CASE], str(error))


def learning() -> Iterator[Table]:
    """What learning takes of memory and of runs, or a table that says why not."""
    try:
        yield from in_host(str(require_host().python), LEARNING)
    except HostError as error:
        yield skipped("Learning", _HEAD, [LEARNING], str(error))


def tables(gpu: bool = False) -> Iterator[Table]:
    """Each table as it is done; a case that can't run here is a table that says why.

    With ``gpu`` a missing GPU is an error, otherwise the GPU's cases are skipped without one.
    """
    try:
        python = str(require_host().python)
    except HostError as error:
        names = [*CPU_CASES, *GPU_CASES]
        yield skipped("Sampling", _HEAD, names, str(error))
        return
    for case in CPU_CASES:
        yield from in_host(python, case)
    why_not = {case: _why_not(python, gib) for case, (_, gib) in GPU_CASES.items()}
    if gpu and all(why_not.values()):
        raise SystemExit(f"--gpu: {next(iter(why_not.values()))}")
    for case, why in why_not.items():
        if why is None:
            yield from in_host(python, case)
        else:
            yield skipped(_GPU_TITLE, _HEAD, [GPU_CASES[case][0]], why)


def _why_not(python: str, gib: float) -> str | None:
    # The host's torch decides, not ours: ours may have been built without CUDA.
    code = "import torch as t; print(t.cuda.is_available() and t.cuda.get_device_properties(0).total_memory)"
    found = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    if found == "False":
        return "no GPU"
    return None if int(found) >= gib * 2**30 else f"needs {gib:g} GiB of GPU memory"
