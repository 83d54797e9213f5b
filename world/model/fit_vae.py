"""Trains the decoder and writes the TAESD file (16 channels) that ComfyUI and diffusers load as a VAE.

python -m world.model.fit_vae components | decoder
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..draw.drawings import names
from ..draw.styles import STYLES
from ..draw.views import picture, pictures, random_view
from ..logs import Progress
from ..places import COMPONENTS_FILE, SEED, VAE_FILE, WORK, ensure_folders
from .latents import CHANNELS, Decoder, encode, fit_components

STATE = WORK / "decoder-state.pt"
STEPS = 4000
BATCH = 10
POOL = 4000
CROP = 48
RATE = 2e-3


def make_components() -> None:
    """Principal components of 8 x 8 patches: 400 concepts in every style; no subject is among them."""
    rng = np.random.default_rng(1 + 10 * SEED)
    some = rng.choice(names(), 400, replace=False)
    drawn = torch.cat([pictures(str(name), tuple(STYLES), random_view(rng)) for name in some])
    projection, mean = fit_components(drawn)
    save_file({"projection": projection.contiguous(), "mean": mean}, COMPONENTS_FILE)


def load_components() -> tuple[Tensor, Tensor]:
    """Projection [16, 192] and mean [192]."""
    kept = load_file(COMPONENTS_FILE)
    return kept["projection"], kept["mean"]


def pool(count: int = POOL) -> Tensor:
    """[count, 3, 96, 96] uint8: concepts in all styles alike; no subject is among them."""
    rng = np.random.default_rng(3 + 10 * SEED)
    styles, concepts = tuple(STYLES), names()
    drawn = [
        picture(str(rng.choice(concepts)), styles[i % len(styles)], random_view(rng)) for i in range(count)
    ]
    return (torch.stack(drawn) * 255).round().byte()


def train_decoder() -> Decoder:
    """L1 and some squared error, latents with a little noise; bfloat16, AdamW, a cosine. Resumes."""
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    projection, mean = load_components()
    decoder, drawn = Decoder(), pool()
    optimizer = torch.optim.AdamW(decoder.parameters(), RATE, weight_decay=1e-4)
    step = 0
    if STATE.exists():
        kept = torch.load(STATE, weights_only=False)
        decoder.load_state_dict(kept["decoder"])
        optimizer.load_state_dict(kept["optimizer"])
        step = kept["step"]
    progress, saved = Progress(WORK / "decoder.log", STEPS), time.monotonic()
    while step < STEPS:
        cut = _crops(drawn, np.random.default_rng((2, step)))
        generator = torch.Generator().manual_seed(step)
        latents = encode(cut, projection, mean)
        amount = torch.rand(BATCH, 1, 1, 1, generator=generator) * 0.15
        noisy = latents + torch.randn(latents.shape, generator=generator) * amount
        with torch.autocast("cpu", torch.bfloat16):
            out = decoder(noisy)
        loss = F.l1_loss(out.float(), cut) + 2 * F.mse_loss(out.float(), cut)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = RATE * _rate(step)
        optimizer.step()
        step += 1
        progress.add(step, float(loss.detach()))
        if time.monotonic() - saved > 90 or step == STEPS:
            state = {"decoder": decoder.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
            torch.save(state, STATE)
            saved = time.monotonic()
    return decoder


def quality(decoder: Decoder) -> dict[str, float]:
    """PSNR in dB of each style on 40 fresh views."""
    rng = np.random.default_rng(4)
    projection, mean = load_components()
    drawn = [pictures(str(rng.choice(names())), tuple(STYLES), random_view(rng)) for _ in range(40)]
    found = {}
    with torch.inference_mode():
        for k, style in enumerate(STYLES):
            truth = torch.stack([views[k] for views in drawn])
            error = (decoder(encode(truth, projection, mean)).clamp(0, 1) - truth).square().mean()
            found[style] = float(-10 * error.log10())
    return found


def _crops(drawn: Tensor, rng: np.random.Generator) -> Tensor:
    """Quarters of pictures at whole patches, [BATCH, 3, 48, 48]: a convolution learns as much from them."""
    cut = []
    for one in drawn[rng.integers(len(drawn), size=BATCH)]:
        y, x = rng.integers(0, one.shape[1] // 16 + 1, size=2) * 8
        cut.append(one[:, y : y + CROP, x : x + CROP])
    return torch.stack(cut).float() / 255


def _rate(step: int) -> float:
    return min(1.0, (step + 1) / 50) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / STEPS))))


def encoder_weights(projection: Tensor, mean: Tensor) -> dict[str, Tensor]:
    """The projection written into TAESD's encoder, exactly.

    Three strided convolutions gather each 8 x 8 patch, the last of them projects to +z and -z; a block with
    zero convolutions is a rectifier, so that both halves survive; the closing convolution subtracts them
    again.
    """
    weights: dict[str, Tensor] = {}

    def conv(name: str, n_in: int, n_out: int, bias: bool) -> Tensor:
        weights[f"{name}.weight"] = torch.zeros(n_out, n_in, 3, 3)
        if bias:
            weights[f"{name}.bias"] = torch.zeros(n_out)
        return weights[f"{name}.weight"]

    conv("0", 3, 64, True)[range(3), range(3), 1, 1] = 1.0
    for block in (1, 3, 4, 5, 7, 8, 9, 11, 12, 13):
        for layer in (0, 2, 4):
            conv(f"{block}.conv.{layer}", 64, 64, True)
    # A gathered channel is c * side^2 + row * side + column of the patch's corner pixels.
    for name, side in (("2", 1), ("6", 2)):
        weight = conv(name, 64, 64, False)
        for channel in range(3 * side * side):
            c, row, column = channel // side**2, channel // side % side, channel % side
            for dy in (0, 1):
                for dx in (0, 1):
                    out = (c * 2 * side + dy * side + row) * 2 * side + dx * side + column
                    weight[out, channel, 1 + dy, 1 + dx] = 1.0
    last = conv("10", 64, 64, False)
    patches = projection.reshape(CHANNELS, 3, 2, 4, 2, 4)
    for dy in (0, 1):
        for dx in (0, 1):
            part = patches[:, :, dy, :, dx, :].reshape(CHANNELS, 48)
            last[:CHANNELS, :48, 1 + dy, 1 + dx] = part
            last[CHANNELS : 2 * CHANNELS, :48, 1 + dy, 1 + dx] = -part
    closing = conv("14", 64, CHANNELS, True)
    closing[range(CHANNELS), range(CHANNELS), 1, 1] = 1.0
    closing[range(CHANNELS), range(CHANNELS, 2 * CHANNELS), 1, 1] = -1.0
    weights["14.bias"] = -(projection @ mean)
    return weights


def padded(decoder: Decoder) -> dict[str, Tensor]:
    """The thin decoder's weights in TAESD's own sizes: the added channels are zero and stay zero."""
    out: dict[str, Tensor] = {}
    for name, value in decoder.state_dict().items():
        last = name.startswith("19.")
        shape = [3 if last else 64] + (
            [CHANNELS if name.startswith("1.") else 64, 3, 3] if value.dim() == 4 else []
        )
        wide = torch.zeros(shape)
        wide[tuple(slice(0, n) for n in value.shape)] = value
        out[name] = wide
    return out


def write_vae(decoder: Decoder) -> None:
    """One TAESD file in half precision, named as the host names its parts."""
    projection, mean = load_components()
    parts = {f"taesd_encoder.{k}": v for k, v in encoder_weights(projection, mean).items()}
    parts |= {f"taesd_decoder.{k}": v for k, v in padded(decoder).items()}
    # SD3's latent format, so that the decoder meets the latents that the model works in.
    parts |= {"vae_scale": torch.tensor(1.5305), "vae_shift": torch.tensor(0.0609)}
    half = {k: v.half().contiguous() if v.dim() else v for k, v in parts.items()}
    save_file(half, VAE_FILE, metadata={"small_world": "TAESD, 16 channels"})


def load_decoder(path: Path = VAE_FILE) -> Decoder:
    """The thin decoder cut out of the kept TAESD file: the same function at an eighth of the cost."""
    wide, thin = load_file(path), Decoder()
    weights = {}
    for name, value in thin.state_dict().items():
        weights[name] = wide[f"taesd_decoder.{name}"][tuple(slice(0, n) for n in value.shape)].float()
    thin.load_state_dict(weights)
    return thin.eval().requires_grad_(False)


def main() -> None:
    """Run one stage."""
    ensure_folders()
    if sys.argv[1] == "components":
        make_components()
    else:
        decoder = train_decoder()
        write_vae(decoder)
        sys.stdout.write(f"{ {style: round(db, 1) for style, db in quality(decoder).items()} }\n")


if __name__ == "__main__":
    main()
