"""From a dial to a MODEL: the first Fuse of a pair, a turned dial, and the same after another start.

Beside them what their prompts' maps cost. `tables()` needs no host: it starts two processes of the host's
interpreter a rank, one after another.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence

from ..processes import in_host
from ..tables import Table
from . import documents

RANKS = (16, 128)
CASE = "fusing"
_DIALS = 5


def tables(python: str) -> Iterator[Table]:
    """SDXL's 722 slots at each rank, and the documents of the last one."""
    rows = []
    for rank in RANKS:
        with tempfile.TemporaryDirectory() as folder:
            for start in ("first start", "next start"):
                measured, document = in_host(python, f"{CASE}:{rank}:{folder}")
                rows += [(f"rank {rank}, {start}", *figures) for figures in measured.rows]
    yield Table(
        "Fuse: SDXL, all 722 linear layers, both LoRAs in float16 from files",
        ("case", "slots scored", "Fuse, CPU s", "s", "dial, CPU s", "s"),
        tuple(rows),
        (
            "The node's own execution in the host's process, on a model of full shapes without weights. "
            "Fuse: the first of the pair in that process. Next start: another process, which finds the "
            "scores of the first on disk.",
            f"Dial: the median of {_DIALS} other balances. CPU seconds are of all threads; seconds by the "
            "clock count whatever else the machine does.",
            "Aim: a dial in 0.1 s. The LoRAs are of this pack's loaders: their files' stamps tell that they "
            "are the same.",
        ),
    )
    yield document


def measure(rank: int, folder: str) -> Sequence[Table]:
    """One row and the documents' table, in the host's process; ``folder`` keeps LoRA files and scores."""
    import importlib
    import time
    from pathlib import Path
    from statistics import median

    import folder_paths
    import safetensors.torch

    from tools.host.inprocess import load_pack

    from .models import kohya_lora, sdxl_without_weights

    folder_paths.set_user_directory(folder)
    pack = load_pack().__name__
    nodes, scoring, page = (
        importlib.import_module(f"{pack}.nodes{name}") for name in ("", ".host.scoring", ".host.page")
    )
    model, scored, own = sdxl_without_weights(), [], scoring.score
    scoring.score = lambda requests, *rest: scored.append(len(requests)) or own(requests, *rest)
    files = [f"{seed}.safetensors" for seed in (1, 2)]
    for seed, file in enumerate(files, 1):
        if not Path(folder, file).exists():
            safetensors.torch.save_file(kohya_lora(model, rank, seed), Path(folder, file))
            # A file that has just changed is read at each dial.
            time.sleep(3)
    folder_paths.add_model_folder_path("loras", folder)
    loras = nodes.KLoRALoadPair.execute(*files).result[:2]

    def fuse(balance: float) -> tuple[float, float]:
        schedule = {"schedule": "s", "alpha": 1.5, "beta": 0.5}
        clock, cpu = time.perf_counter(), time.process_time()
        kept.append(nodes.KLoRAFuse.execute(model, *loras, 1.0, 1.0, balance, schedule))
        return time.process_time() - cpu, time.perf_counter() - clock

    # As the host keeps what its nodes gave.
    kept: list = []
    first = fuse(0.0)
    dials = [fuse(0.1 * (i + 1)) for i in range(_DIALS)]
    figures = (*first, *(median(each) for each in zip(*dials, strict=True)))
    document = documents.table(
        "Document: SDXL, all 722 linear layers", [output.ui["klora"][-1] for output in kept], page.set_content
    )
    return [Table("", (), ((str(sum(scored)), *(f"{figure:.2f}" for figure in figures)),)), document]
