"""Pictures to latents and back: principal components written into TAESD's encoder, a thin decoder padded to
TAESD's size.

Latents are the ones the diffusion model sees: [16, 12, 12] for a picture of 96 x 96.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

CHANNELS = 16
PATCH = 8


def to_patches(pictures: Tensor) -> Tensor:
    """[B, 3, H, W] to [B, H/8, W/8, 192], ordered channel, row, column."""
    b, c, h, w = pictures.shape
    cells = pictures.reshape(b, c, h // PATCH, PATCH, w // PATCH, PATCH)
    return cells.permute(0, 2, 4, 1, 3, 5).reshape(b, h // PATCH, w // PATCH, c * PATCH * PATCH)


def fit_components(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Projection [16, 192] and mean [192] of 8 x 8 patches; a component's spread is flattened to its root.

    pictures [N, 3, H, W] in 0..1. Flattening lets fine detail weigh in the diffusion loss, without letting
    it dominate.
    """
    patches = to_patches(pictures).reshape(-1, 3 * PATCH * PATCH).double()
    mean = patches.mean(0)
    covariance = torch.cov((patches - mean).T)
    values, vectors = torch.linalg.eigh(covariance)
    values, vectors = values.flip(0)[:CHANNELS], vectors.flip(1)[:, :CHANNELS].T
    vectors = vectors * vectors.sum(1, keepdim=True).sign()
    spread = values.sqrt()
    scale = 1.2 * (spread / spread[0]).sqrt() / spread
    return (vectors * scale[:, None]).float(), mean.float()


def encode(pictures: Tensor, projection: Tensor, mean: Tensor) -> Tensor:
    """Pictures [B, 3, H, W] in 0..1 to latents [B, 16, H/8, W/8]."""
    return ((to_patches(pictures) - mean) @ projection.T).permute(0, 3, 1, 2)


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        layers = [nn.Conv2d(width, width, 3, padding=1) for _ in range(3)]
        self.conv = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv(x) + x)


class _Clamp(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x / 3) * 3


class Decoder(nn.Sequential):
    """TAESD's decoder with narrower layers: same order of layers, same key names. Latents to pictures in
    0..1.
    """

    def __init__(self, widths: tuple[int, int, int, int] = (64, 56, 40, 24)) -> None:
        a, b, c, d = widths
        up = [nn.Upsample(scale_factor=2) for _ in range(3)]
        super().__init__(
            _Clamp(), nn.Conv2d(CHANNELS, a, 3, padding=1), nn.ReLU(),
            _Block(a), _Block(a), _Block(a), up[0], nn.Conv2d(a, b, 3, padding=1, bias=False),
            _Block(b), _Block(b), _Block(b), up[1], nn.Conv2d(b, c, 3, padding=1, bias=False),
            _Block(c), _Block(c), _Block(c), up[2], nn.Conv2d(c, d, 3, padding=1, bias=False),
            _Block(d), nn.Conv2d(d, 3, 3, padding=1),
        )  # fmt: skip
