"""Turns random networks into something that behaves: a UNet that denoises, a decoder that paints.

A random UNet leaves the sampler's noise in the image a hundredfold. Here its first and last layers are set
so that its prediction is the noise plus what the random layers between (and the LoRAs in them) make of it.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

_GROUPS, _LARGEST = 32, 10
"""Groups of the UNet's last normalisation, and as many channels of one as are used: all of 320's."""
_KEEP, _SMOOTH, _INVENT = 1.05, 0.5, 0.5


def _delta_kernel() -> Tensor:
    kernel = torch.zeros(3, 3)
    kernel[1, 1] = 1.0
    return kernel


def _blur_kernel() -> Tensor:
    line = torch.tensor([1.0, 2.0, 1.0])
    return torch.outer(line, line) / 16


def denoising_unet(unet: dict[str, Tensor], prefix: str = "model.diffusion_model.") -> None:
    """Change a tiny UNet's weights in place: it now predicts its input, plus its layers' opinion.

    The input travels over the outermost skip connection in the first groups of channels, as +x and -x:
    silu(x) - silu(-x) = x, so the last convolution gets it back exactly.
    """
    last = max(int(key.split(".")[3]) for key in unet if key.startswith(f"{prefix}output_blocks."))
    block, first = f"{prefix}output_blocks.{last}", unet[f"{prefix}input_blocks.0.0.weight"]
    out = unet[f"{prefix}out.2.weight"]
    skip = unet[f"{block}.0.skip_connection.weight"]
    channels, latent = first.shape[:2]
    group = min(channels // _GROUPS, _LARGEST)
    signal = latent * group
    for key in (f"{block}.0.out_layers.3.weight", f"{block}.1.proj_out.weight"):
        if key in unet:
            unet[key][:signal] = 0
    first[:latent] = 0
    skip[:signal] = 0
    # Without the mean: silu's is positive, and every image would lean to one colour.
    out -= out[:, signal:].float().mean(dim=1, keepdim=True)
    out *= _INVENT
    out[:, :signal] = 0
    identity = _KEEP * _delta_kernel() - _SMOOTH * _blur_kernel()
    for c in range(latent):
        first[c, c] = _delta_kernel()
        for k in range(group):
            sign = 1.0 if k % 2 == 0 else -1.0
            skip[c * group + k, channels + c] = sign
            out[c, c * group + k] = sign * identity / (group / 2)


_PALETTE = torch.tensor(
    [[0.30, 0.26, 0.22], [0.22, -0.02, -0.24], [-0.10, 0.16, -0.06], [0.05, 0.08, 0.14]],
)
"""How the latent's first channels paint: light, warm or cool, green or magenta, blue."""


def painting_decoder(vae: Mapping[str, Tensor], scale: float, shift: float = 0.0) -> None:
    """Change a TAESD's decoder in place: each latent channel is a colour, blurred at every doubling.

    `scale` and `shift` are the latent format's. Red, green, blue run in pairs of channels, +colour and
    -colour, because ReLU follows every layer; the residual blocks add nothing.
    """
    latent = vae["taesd_decoder.1.weight"].shape[1]
    palette = _PALETTE.repeat(-(-latent // len(_PALETTE)), 1)[:latent] * (len(_PALETTE) / latent) ** 0.5
    vae["vae_scale"].fill_(scale)
    vae["vae_shift"].fill_(shift)
    for key in vae:
        if ".conv.4.weight" in key and key.startswith("taesd_decoder"):
            vae[key].zero_()
    vae["taesd_decoder.1.weight"].zero_()
    for layer in (7, 12, 17, 19):
        vae[f"taesd_decoder.{layer}.weight"].zero_()
    vae["taesd_decoder.19.bias"].fill_(0.58)
    for colour in range(3):
        for sign, channel in ((1.0, 2 * colour), (-1.0, 2 * colour + 1)):
            weights = palette[:, colour, None, None] * _blur_kernel()
            vae["taesd_decoder.1.weight"][channel] = sign * weights
            for layer in (7, 12, 17):
                vae[f"taesd_decoder.{layer}.weight"][channel, channel] = _blur_kernel()
            vae["taesd_decoder.19.weight"][colour, channel] = sign * _blur_kernel()
