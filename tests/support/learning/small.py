"""A small network that attends to a picture's tokens and to a text, as a model to learn on."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from klora_core.apply import Spot
from klora_core.names import Slot
from klora_core.train import Changes, Item, Layers, Noised

WIDTH, TEXT, TOKENS, WORDS = 12, 8, 5, 3


class _Attention(nn.Module):
    def __init__(self, source: int) -> None:
        super().__init__()
        self.to_q = nn.Linear(WIDTH, WIDTH, bias=False)
        self.to_k = nn.Linear(source, WIDTH, bias=False)
        self.to_v = nn.Linear(source, WIDTH, bias=False)

    def forward(self, x: Tensor, source: Tensor) -> Tensor:
        return nn.functional.scaled_dot_product_attention(self.to_q(x), self.to_k(source), self.to_v(source))


class _Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attn1, self.attn2 = _Attention(WIDTH), _Attention(TEXT)

    def forward(self, x: Tensor, text: Tensor) -> Tensor:
        x = x + self.attn1(x, x)
        return x + self.attn2(x, text)


class Network(nn.Module):
    """Blocks named as those of SDXL are: the outputs ``weight`` of its layers are slots."""

    def __init__(self, blocks: int = 3, seed: int = 0) -> None:
        super().__init__()
        self.output_blocks = nn.ModuleList(_Block() for _ in range(blocks))
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for weight in self.parameters():
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.6 / weight.shape[1] ** 0.5)
        self.requires_grad_(False)

    def forward(self, x: Tensor, text: Tensor) -> Tensor:
        for block in self.output_blocks:
            x = block(x, text)
        return x


def sizes(network: nn.Module) -> dict[Slot, tuple[int, int]]:
    """[out, n] of its layers."""
    return {
        Slot(name): (module.out_features, module.in_features)
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear)
    }


class Small:
    """The network behind hooks; a condition is the text [1, words, TEXT] itself. ``calls`` are its texts."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        heights = {slot: out for slot, (out, _) in sizes(network).items()}
        self.layers = Layers(network, heights, lambda slot, out: (Spot(slot.weight, None),))
        self.calls: list[Tensor] = []

    def noised(self, latent: Tensor, noise: Tensor, percent: Tensor) -> Noised:
        sigma = percent.view(-1, 1, 1)
        return Noised(latent * (1 - sigma) + noise * sigma, percent, noise - latent)

    def predict(self, x: Tensor, sigma: Tensor, condition: Tensor, changes: Changes | None) -> Tensor:
        self.calls.append(condition)
        with self.layers.showing(changes):
            return self.network(x, condition.expand(len(x), -1, -1))


def items(count: int, seed: int = 0) -> list[Item]:
    generator = torch.Generator().manual_seed(seed)
    return [
        Item(
            torch.randn(1, TOKENS, WIDTH, generator=generator),
            torch.randn(1, WORDS, TEXT, generator=generator),
        )
        for _ in range(count)
    ]


def dense(lora: Mapping[Slot, object]) -> dict[str, Tensor]:
    """dW of each layer."""
    return {slot.weight: change.up @ change.down for slot, change in lora.items()}


def merged(network: Network, changes: Mapping[str, Tensor]) -> Network:
    """A copy of the network with changes in its weights."""
    other = Network(len(network.output_blocks))
    other.load_state_dict(
        {
            name: weight + changes.get(name.removesuffix(".weight"), 0)
            for name, weight in network.state_dict().items()
        }
    )
    return other
