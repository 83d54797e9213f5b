"""The demo inside a ComfyUI: the small world in the host's own loaders and sampler, the pack's own node.

python -m world.demo.in_comfy FOLDER      with the host's interpreter
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from torch import Tensor

from klora_core.plan import Plan
from world.pairs import Pair
from world.places import WEIGHTS

from . import run as demo

_SHARES = {demo.SUBJECT: (1.0, 0.0), demo.STYLE: (0.0, 1.0), demo.SUM: (1.0, 1.0)}


def run() -> demo.Made:
    """All that the demo shows: what is no fusion by the host's own LoRA loader."""
    from tools.host.inprocess import load_pack
    from world.hosts import in_host

    # Importable from here on: the world enters the host.
    importlib.import_module("folder_paths").add_model_folder_path("loras", str(WEIGHTS))
    nodes = importlib.import_module(f"{load_pack().__name__}.nodes")
    reader = importlib.import_module(f"{nodes.__name__}.loras")
    model, vae = in_host.load_model(), in_host.load_vae()
    negative = in_host.conditioning("")

    def start(pair: Pair) -> tuple[demo.Sample, Plan]:
        positive = in_host.conditioning(pair.prompt)
        loras = [reader.load(demo.lora(name).name) for name in (pair.subject, pair.style)]
        fused, _, plan, _ = nodes.KLoRAFuse.execute(
            model, *loras, subject_strength=1.0, style_strength=1.0, balance=demo.BALANCE, schedule="s"
        ).result

        def sample(way: str) -> Tensor:
            patched = fused if way == demo.KLORA else model
            for tensors, share in zip(loras, _SHARES.get(way, (0.0, 0.0)), strict=True):
                if share:
                    patched = in_host.comfy.sd.load_lora_for_models(patched, None, tensors, share, 0)[0]
            return in_host.sample(patched, positive, negative, demo.SEED, demo.COUNT, demo.STEPS)

        return sample, plan

    def decode(latents: Tensor) -> Tensor:
        space = model.model.process_latent_out(latents)
        return vae.decode(space).movedim(-1, 1).float().clamp(0, 1)

    return demo.make(start, decode)


if __name__ == "__main__":
    demo.write(run, Path(sys.argv[1]))
