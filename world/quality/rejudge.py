"""Scores every kept latent again, after the judge has changed: seconds instead of sampling. Needs no host.

python -m world.quality.rejudge
"""

from __future__ import annotations

import json

import numpy as np
import torch

from ..judging.judge import Judge
from ..model.fit_vae import load_decoder
from ..pairs import Pair
from .cells import cells


def scores(
    judge: Judge, decoder: torch.nn.Module, latents: torch.Tensor, pair: Pair
) -> dict[str, list[float]]:
    """Subject and style of each picture [B, 16, 12, 12]."""
    with torch.inference_mode():
        verdict = judge(decoder(latents.float()).clamp(0, 1), pair.subject, pair.style)
    return {
        "subject": [round(float(v), 4) for v in verdict.subject],
        "style": [round(float(v), 4) for v in verdict.style],
    }


def main() -> None:
    """All cells that have latents."""
    torch.set_num_threads(1)
    judge, decoder = Judge(), load_decoder()
    for cell in cells():
        if cell.latents.exists():
            kept = np.load(cell.latents)
            found = {
                row: scores(judge, decoder, torch.from_numpy(kept[row]), cell.pair) for row in kept.files
            }
            cell.path.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
