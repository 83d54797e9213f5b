"""Trains the base model: rectified flow on shapes, colours, grounds and plain styles.

    python -m world.training.base            two processes of one thread each, gradients averaged by gloo

Two threads in one process are far slower than two processes on a busy machine.
"""

from __future__ import annotations

import math
import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..draw.scenes import draw, random_scene
from ..draw.words import condition, ids_of, load_table, make_table, save_table, words_of
from ..logs import Progress
from ..model.fit_vae import load_components
from ..model.latents import encode
from ..model.mmdit import MMDiT
from ..places import BASE_FILE, SEED, WORDS_FILE, WORK, ensure_folders

STEPS = int(os.environ.get("WORLD_BASE_STEPS", "4000"))
PROCESSES = 2
BATCH = 16
PICTURES = 20000
RATE = 1.5e-3
DECAY = 0.9995
STATE = WORK / "base-state.pt"


def render_pictures(path: Path, seed: int, count: int) -> dict[str, Tensor]:
    """Latents [count, 16, 12, 12] and captions [count, 6] of random scenes, kept in a file."""
    if not path.exists():
        projection, mean = load_components()
        rng = np.random.default_rng(seed)
        latents, ids = [], []
        for _ in range(count // 500):
            scenes = [random_scene(rng) for _ in range(500)]
            pictures = torch.from_numpy(np.stack([draw(s) for s in scenes])).permute(0, 3, 1, 2)
            latents.append(encode(pictures, projection, mean).half())
            ids.append(torch.from_numpy(np.stack([ids_of(words_of(s)) for s in scenes])))
        save_file({"latents": torch.cat(latents).contiguous(), "ids": torch.cat(ids)}, path)
    return load_file(path)


def noised(latents: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Noisy latents, t in 0..1000 and the velocity to predict; times shifted by 2 towards noise, where form
    is decided.
    """
    u = torch.rand(len(latents), generator=generator)
    sigma = 2 * u / (1 + u)
    noise = torch.randn(latents.shape, generator=generator)
    s = sigma[:, None, None, None]
    return latents * (1 - s) + noise * s, sigma * 1000, noise - latents


def blurred_captions(vectors: Tensor, pad: Tensor, generator: torch.Generator) -> Tensor:
    """Captions as the base meets them: words missing (a tenth each), none at all (a tenth), unknown words (a
    fifth).
    """
    b, length, width = vectors.shape
    drop = torch.rand(b, length, 1, generator=generator) < 0.1
    drop |= torch.rand(b, 1, 1, generator=generator) < 0.1
    vectors = torch.where(drop, pad, vectors)
    unknown = (torch.rand(b, 1, 1, generator=generator) < 0.2) & (
        torch.rand(b, length, 1, generator=generator) < 0.25
    )
    return torch.where(unknown, torch.randn(b, length, width, generator=generator), vectors)


def _rate(step: int) -> float:
    return min(1.0, (step + 1) / 150) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / STEPS))))


def _average_gradients(model: MMDiT, processes: int) -> None:
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    joined = torch.cat([g.flatten() for g in grads])
    dist.all_reduce(joined)
    joined /= processes
    for grad, mean in zip(grads, joined.split([g.numel() for g in grads]), strict=True):
        grad.copy_(mean.view_as(grad))


def _run(rank: int, processes: int, meeting: str) -> None:
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=processes)
    data = render_pictures(WORK / f"base-pictures-{rank}.safetensors", 100 + 10 * SEED + rank, PICTURES)
    table = load_table(WORDS_FILE)
    torch.manual_seed(SEED)
    model = MMDiT()
    mean_model = [p.detach().clone() for p in model.parameters()]
    optimizer = torch.optim.AdamW(model.parameters(), RATE, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    step = 0
    if STATE.exists():
        kept = torch.load(STATE, weights_only=False)
        model.load_state_dict(kept["model"])
        optimizer.load_state_dict(kept["optimizer"])
        mean_model, step = kept["mean_model"], kept["step"]
    dist.barrier()
    progress, saved = Progress(WORK / "base.log", STEPS), time.monotonic()
    while step < STEPS:
        generator = torch.Generator().manual_seed((SEED * 10 + rank) * 1_000_000 + step)
        pick = torch.randint(len(data["ids"]), (BATCH,), generator=generator)
        x, t, velocity = noised(data["latents"][pick].float(), generator)
        vectors = blurred_captions(table[data["ids"][pick]], table[0], generator)
        loss = (model(x, t, *condition(vectors)) - velocity).square().mean()
        optimizer.zero_grad()
        loss.backward()
        _average_gradients(model, processes)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = RATE * _rate(step)
        optimizer.step()
        step += 1
        decay = min(DECAY, (1 + step) / (10 + step))
        torch._foreach_lerp_(mean_model, [p.detach() for p in model.parameters()], 1 - decay)
        if rank == 0:
            progress.add(step, float(loss.detach()))
            if time.monotonic() - saved > 120 or step == STEPS:
                _save(model, optimizer, mean_model, step)
                saved = time.monotonic()
    dist.barrier()
    dist.destroy_process_group()


def _save(model: MMDiT, optimizer: torch.optim.Optimizer, mean_model: list[Tensor], step: int) -> None:
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "mean_model": mean_model,
        "step": step,
    }
    torch.save(state, STATE.with_suffix(".new"))
    STATE.with_suffix(".new").replace(STATE)
    names = [name for name, _ in model.named_parameters()]
    weights = {
        f"model.diffusion_model.{n}": p.half().contiguous() for n, p in zip(names, mean_model, strict=True)
    }
    save_file(weights, BASE_FILE, metadata={"small_world": f"SD3 format, step {step} of {STEPS}"})


def load_base() -> MMDiT:
    """The kept base in float32, frozen."""
    model = MMDiT()
    prefix = "model.diffusion_model."
    model.load_state_dict({k.removeprefix(prefix): v.float() for k, v in load_file(BASE_FILE).items()})
    return model.eval().requires_grad_(False)


def main() -> None:
    """Train to the end from wherever the last checkpoint stands."""
    ensure_folders()
    if not WORDS_FILE.exists():
        save_table(WORDS_FILE, make_table())
    meeting = WORK / "base-meeting"
    meeting.unlink(missing_ok=True)
    mp.spawn(_run, args=(PROCESSES, str(meeting)), nprocs=PROCESSES)


if __name__ == "__main__":
    main()
