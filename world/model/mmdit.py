"""SD3's transformer (MMDiT, Esser et al. 2024, arXiv 2403.03206) at its smallest: same maths, same key names
as the file.

Width 192 = 3 heads of 64 and 3 blocks: the host reads both from one number. Position vectors are learned
and lie in the file. Runs and trains without ComfyUI and without diffusers; both load its state dict.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from klora_core.toy import WIDTH

from .latents import CHANNELS

HIDDEN = 192
HEADS = 3
BLOCKS = 3
PATCH = 2
GRID = 6


def timestep_vector(t: Tensor, width: int = 256) -> Tensor:
    """Sinusoids of t in 0..1000, cosines first, [B, width]."""
    frequencies = torch.exp(-math.log(10000) * torch.arange(width // 2, dtype=torch.float32) / (width // 2))
    angles = t[:, None].float() * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1)


class RMSNorm(nn.Module):
    """Root mean square norm over a head."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, (x.shape[-1],), self.weight, 1e-6)


class Attention(nn.Module):
    """The parts of joint attention that one stream owns."""

    def __init__(self, last: bool) -> None:
        super().__init__()
        self.qkv = nn.Linear(HIDDEN, 3 * HIDDEN)
        if not last:
            self.proj = nn.Linear(HIDDEN, HIDDEN)
        self.ln_q = RMSNorm(HIDDEN // HEADS)
        self.ln_k = RMSNorm(HIDDEN // HEADS)

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys, values, each [B, L, heads, 64]."""
        q, k, v = self.qkv(x).reshape(*x.shape[:2], 3, HEADS, -1).unbind(2)
        return self.ln_q(q), self.ln_k(k), v


class Mlp(nn.Module):
    """Two layers with a tanh-approximated GELU."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(HIDDEN, 4 * HIDDEN)
        self.fc2 = nn.Linear(4 * HIDDEN, HIDDEN)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


def _norm(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return torch.addcmul(shift[:, None], F.layer_norm(x, (HIDDEN,), eps=1e-6), 1 + scale[:, None])


class Stream(nn.Module):
    """One stream (image or words) of a block; the last words stream only gives queries, keys and values."""

    def __init__(self, last: bool = False) -> None:
        super().__init__()
        self.last = last
        self.attn = Attention(last)
        if not last:
            self.mlp = Mlp()
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(HIDDEN, (2 if last else 6) * HIDDEN))

    def after(self, x: Tensor, attended: Tensor, mods: tuple[Tensor, ...]) -> Tensor:
        """Residuals of attention and MLP."""
        _, _, gate, shift_mlp, scale_mlp, gate_mlp = mods
        x = x + gate[:, None] * self.attn.proj(attended)
        return x + gate_mlp[:, None] * self.mlp(_norm(x, shift_mlp, scale_mlp))


class JointBlock(nn.Module):
    """Words and image attend to each other."""

    def __init__(self, last: bool) -> None:
        super().__init__()
        self.context_block = Stream(last)
        self.x_block = Stream()

    def forward(self, context: Tensor, x: Tensor, c: Tensor) -> tuple[Tensor | None, Tensor]:
        streams, inputs = (self.context_block, self.x_block), (context, x)
        mods = [s.adaLN_modulation(c).chunk(2 if s.last else 6, dim=1) for s in streams]
        parts = [s.attn.heads(_norm(i, m[0], m[1])) for s, i, m in zip(streams, inputs, mods, strict=True)]
        q, k, v = (torch.cat([a, b], dim=1).transpose(1, 2) for a, b in zip(*parts, strict=True))
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        words = context.shape[1]
        x = self.x_block.after(x, attended[:, words:], mods[1])
        if self.context_block.last:
            return None, x
        return self.context_block.after(context, attended[:, :words], mods[0]), x


class FinalLayer(nn.Module):
    """Modulated norm and projection to patches."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(HIDDEN, PATCH * PATCH * CHANNELS)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(HIDDEN, 2 * HIDDEN))

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        shift, scale = self.adaLN_modulation(c).chunk(2, dim=1)
        return self.linear(_norm(x, shift, scale))


class _Embedder(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(width, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN))

    def forward(self, x: Tensor) -> Tensor:
        return self.mlp(x)


class _PatchEmbed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Conv2d(CHANNELS, HIDDEN, PATCH, stride=PATCH)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x).flatten(2).transpose(1, 2)


class MMDiT(nn.Module):
    """Predicts noise minus latent (rectified flow) from a noisy latent [B, 16, 12, 12], t in 0..1000 and
    words.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.randn(1, GRID * GRID, HIDDEN) * 0.1)
        self.x_embedder = _PatchEmbed()
        self.t_embedder = _Embedder(256)
        self.y_embedder = _Embedder(WIDTH)
        self.context_embedder = nn.Linear(WIDTH, HIDDEN)
        self.joint_blocks = nn.ModuleList(JointBlock(last=i == BLOCKS - 1) for i in range(BLOCKS))
        self.final_layer = FinalLayer()
        self._start()

    def _start(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        for name, module in self.named_modules():
            if name.endswith("adaLN_modulation.1") or name == "final_layer.linear":
                nn.init.zeros_(module.weight)

    def forward(self, x: Tensor, t: Tensor, context: Tensor, pooled: Tensor) -> Tensor:
        """Velocity, [B, 16, 12, 12]."""
        c = self.t_embedder(timestep_vector(t)) + self.y_embedder(pooled)
        tokens = self.x_embedder(x) + self.pos_embed
        context = self.context_embedder(context)
        for block in self.joint_blocks:
            context, tokens = block(context, tokens, c)
        return _unpatch(self.final_layer(tokens, c))


def _unpatch(tokens: Tensor) -> Tensor:
    grid = tokens.reshape(-1, GRID, GRID, PATCH, PATCH, CHANNELS)
    return grid.permute(0, 5, 1, 3, 2, 4).reshape(-1, CHANNELS, GRID * PATCH, GRID * PATCH)
