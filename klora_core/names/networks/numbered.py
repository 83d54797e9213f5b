"""Modules that a LoRA file tells by their numbers alone: the first format, that of cloneofsimo/lora.

It counts the layers below modules of given classes in the order in which the network holds them. For Stable
Diffusion's UNets that order is written here with sizes, in widths of the first block, which a file has to fit
from end to end; of a text encoder all layers have one size.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ... import written

Shape = tuple[int, int]
_NUMBERED = re.compile(r"(\w+):(\d+)")
_TEXT = re.compile(r"text_encoder(_\d)?")
# In which order a CLIP's attention holds its projections.
_CLIP = ("k_proj", "v_proj", "q_proj", "out_proj")
_CLASSES = {
    "CrossAttention": "attention",
    "Attention": "attention",
    "GEGLU": "gate",
    "ResnetBlock2D": "resnet",
}
# What was trained where a file does not say it.
_USUAL = (("attention",), ("attention", "gate"), ("attention", "gate", "resnet"))


@dataclass(frozen=True)
class _Layer:
    """A layer: what it is below, its diffusers path, [out, n] in widths of the first block; n 0: a text's."""

    below: str
    path: str
    out: int
    n: int


@dataclass(frozen=True)
class _Unet:
    """A UNet's levels from the outside in: how wide each is, and how many transformer blocks it stacks."""

    widths: tuple[int, ...]
    depths: tuple[int, ...]

    def layers(self, gate_last: bool) -> Iterator[_Layer]:
        """In the order of diffusers' modules: down, up, then the middle; attentions before resnets.

        ``gate_last``: whether a block's feed-forward is behind both attentions, as since 2023, or between.
        """
        last = len(self.widths) - 1
        for level, width in enumerate(self.widths):
            before = self.widths[max(0, level - 1)]
            path = f"down_blocks.{level}"
            for i in range(2 if self.depths[level] else 0):
                yield from _attention(f"{path}.attentions.{i}", width, self.depths[level], gate_last)
            for i in range(2):
                yield from _resnet(f"{path}.resnets.{i}", before if i == 0 else width, width)
        for number, level in enumerate(range(last, -1, -1)):
            width, inside = self.widths[level], self.widths[min(last, level + 1)]
            path = f"up_blocks.{number}"
            for i in range(3 if self.depths[level] else 0):
                yield from _attention(f"{path}.attentions.{i}", width, self.depths[level], gate_last)
            for i in range(3):
                skipped = self.widths[max(0, level - 1)] if i == 2 else width
                yield from _resnet(f"{path}.resnets.{i}", (inside if i == 0 else width) + skipped, width)
        middle = self.widths[last]
        depth = self.depths[last] or 1
        yield from _attention("mid_block.attentions.0", middle, depth, gate_last)
        for i in range(2):
            yield from _resnet(f"mid_block.resnets.{i}", middle, middle)


_SD1, _SDXL = _Unet((1, 2, 4, 4), (1, 1, 1, 0)), _Unet((1, 2, 4), (0, 2, 10))


def _attention(path: str, width: int, depth: int, gate_last: bool) -> Iterator[_Layer]:
    for i in range(depth):
        block = f"{path}.transformer_blocks.{i}"
        gate = _Layer("gate", f"{block}.ff.net.0.proj", 8 * width, width)
        for name, text in (("attn1", width), ("attn2", 0)):
            for part, n in (("to_q", width), ("to_k", text), ("to_v", text), ("to_out.0", width)):
                yield _Layer("attention", f"{block}.{name}.{part}", width, n)
            if gate_last == (name == "attn2"):
                yield gate


def _resnet(path: str, before: int, width: int) -> Iterator[_Layer]:
    yield _Layer("resnet", f"{path}.conv1", width, 9 * before)
    yield _Layer("resnet", f"{path}.time_emb_proj", width, 4)
    yield _Layer("resnet", f"{path}.conv2", width, 9 * width)
    if before != width:
        yield _Layer("resnet", f"{path}.conv_shortcut", width, before)


def is_numbered(raw: str) -> bool:
    """Whether a module is told by its number: ``unet:12``."""
    return _NUMBERED.fullmatch(raw) is not None


def numbered(shapes: Mapping[str, Shape], metadata: Mapping[str, str]) -> dict[str, str]:
    """diffusers' names of numbered modules, of the [out, n] of each; without those of an unknown order.

    ``metadata`` may say by network (``unet``) below which classes was counted.
    """
    networks: dict[str, dict[int, Shape]] = {}
    for raw, shape in shapes.items():
        if match := _NUMBERED.fullmatch(raw):
            networks.setdefault(match[1], {})[int(match[2])] = shape
    found: dict[str, str] = {}
    for network, sizes in networks.items():
        paths = _paths(network, sizes, _below(written.json_of(metadata, network)))
        found |= {f"{network}:{i}": f"{network}.{paths[i]}" for i in sizes if paths}
    return found


def _below(classes: object) -> tuple[str, ...] | None:
    """The classes below which was counted, None where a header does not say it."""
    return tuple(map(str, classes)) if isinstance(classes, list) and classes else None


def _paths(network: str, sizes: Mapping[int, Shape], classes: Sequence[str] | None) -> Sequence[str] | None:
    if network == "unet":
        return _of_unet(sizes, classes)
    if _TEXT.fullmatch(network):
        return _of_clip(sizes, classes)
    return None


def _of_unet(sizes: Mapping[int, Shape], classes: Sequence[str] | None) -> Sequence[str] | None:
    """The paths by number; None where no order fits all sizes, and where several do that differ."""
    if classes is None:
        choices: Sequence[Sequence[str]] = _USUAL
    elif set(classes) <= _CLASSES.keys():
        choices = ([_CLASSES[name] for name in classes],)
    else:
        return None
    fitting = []
    for below in choices:
        for net in (_SD1, _SDXL):
            for gate_last in (False, True):
                layers = [layer for layer in net.layers(gate_last) if layer.below in below]
                if max(sizes) < len(layers) and _fit(layers, sizes):
                    fitting.append([layer.path for layer in layers])
    # A list that is there from end to end says which of them it is.
    whole = [paths for paths in fitting if len(paths) == max(sizes) + 1] or fitting
    named = {tuple(paths[i] for i in sorted(sizes)) for paths in whole}
    return whole[0] if len(named) == 1 else None


def _fit(layers: Sequence[_Layer], sizes: Mapping[int, Shape]) -> bool:
    first = min(sizes)
    width, rest = divmod(sizes[first][0], layers[first].out)
    text = {n for i, (_, n) in sizes.items() if not layers[i].n}
    return (
        not rest
        and len(text) <= 1
        and all(
            out == layers[i].out * width and n in (layers[i].n * width, *(text if not layers[i].n else ()))
            for i, (out, n) in sizes.items()
        )
    )


def _of_clip(sizes: Mapping[int, Shape], classes: Sequence[str] | None) -> Sequence[str] | None:
    widths = {size for shape in sizes.values() for size in shape}
    if len(widths) != 1 or (classes is not None and set(classes) != {"CLIPAttention"}):
        return None
    return [f"text_model.encoder.layers.{i // 4}.self_attn.{_CLIP[i % 4]}" for i in range(max(sizes) + 1)]
