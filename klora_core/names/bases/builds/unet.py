"""The U-Nets, module by module, in the names of ComfyUI and of diffusers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ...table import flat
from .blueprint import Line

Modules = Iterator[tuple[str, tuple[int, int]]]
_BLOCK = (
    *(("attn1.to_q", 1, 1), ("attn1.to_k", 1, 1), ("attn1.to_v", 1, 1), ("attn1.to_out.0", 1, 1)),
    *(("attn2.to_q", 1, 1), ("attn2.to_k", 1, 0), ("attn2.to_v", 1, 0), ("attn2.to_out.0", 1, 1)),
    *(("ff.net.0.proj", 8, 1), ("ff.net.2", 1, 4)),
)


@dataclass(frozen=True)
class UNet:
    """A published U-Net by ``width`` of its first level and ``levels`` (times as wide), ``res`` blocks in
    each, transformer blocks behind each of them on the way down and up, in the ``middle`` (-1 for one ``res``
    block alone, -2 for no middle), and the text's width ``context``.

    ``over_time``: with a second transformer in each, over the frames of a video. ``crossed`` are levels whose
    first attention looks at the text too.
    """

    name: str
    width: int
    context: int
    levels: tuple[int, ...] = (1, 2, 4, 4)
    res: int = 2
    down: tuple[int, ...] = (1, 1, 1, 1, 1, 1, 0, 0)
    up: tuple[int, ...] = (0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1)
    middle: int = 1
    pooled: int = 0
    over_time: bool = False
    crossed: tuple[int, ...] = ()
    layout: str | None = None

    def has(self, line: Line) -> bool | None:
        """Whether it has such a module; None for one that it knows nothing of."""
        shape = self.modules.get(line.name) or self.modules.get(f"{line.name}_0")
        if shape is None:
            # A block's attention that it has not is another network's; what else there may be, is not told.
            return False if "_transformer_blocks_" in line.name else None
        return line.out == shape[0] and line.n in (0, shape[1])

    @cached_property
    def depths(self) -> Mapping[str, int]:
        """No block's number tells more than its modules do."""
        return {}

    @cached_property
    def modules(self) -> Mapping[str, tuple[int, int]]:
        """[out, n] of each module by its flattened name."""
        return {flat(name): shape for name, shape in self._all()}

    def _all(self) -> Modules:
        time = 4 * self.width
        for ours, theirs in (("0", "linear_1"), ("2", "linear_2")):
            yield from _both(
                f"time_embed.{ours}", f"time_embedding.{theirs}", (time, self.width if ours == "0" else time)
            )
            if self.pooled:
                size = (time, self.pooled if ours == "0" else time)
                yield from _both(f"label_emb.0.{ours}", f"add_embedding.{theirs}", size)
        widths, channels, at, depths = [self.width], self.width, 1, list(self.down)
        for level, times in enumerate(self.levels):
            for i in range(self.res):
                out = times * self.width
                places = f"input_blocks.{at}", f"down_blocks.{level}"
                yield from self._unit(*places, i, channels, out, depths.pop(0), level)
                channels, at = out, at + 1
                widths.append(channels)
            if level < len(self.levels) - 1:
                shape = (channels, 9 * channels)
                yield from _both(f"input_blocks.{at}.0.op", f"down_blocks.{level}.downsamplers.0.conv", shape)
                widths.append(channels)
                at += 1
        if self.middle > -2:
            yield from self._res("middle_block.0", "mid_block.resnets.0", channels, channels)
        if self.middle > 0:
            yield from self._transformer("middle_block.1", "mid_block.attentions.0", channels, self.middle)
            yield from self._res("middle_block.2", "mid_block.resnets.1", channels, channels)
        at, depths = 0, list(self.up)
        for block, times in enumerate(reversed(self.levels)):
            for i in range(self.res + 1):
                out = times * self.width
                depth = depths.pop(0)
                places = f"output_blocks.{at}", f"up_blocks.{block}"
                level = len(self.levels) - 1 - block
                yield from self._unit(*places, i, channels + widths.pop(), out, depth, level)
                channels = out
                if i == self.res and block < len(self.levels) - 1:
                    ours = f"output_blocks.{at}.{2 if depth else 1}.conv"
                    yield from _both(ours, f"up_blocks.{block}.upsamplers.0.conv", (channels, 9 * channels))
                at += 1

    def _unit(self, ours: str, theirs: str, i: int, n: int, out: int, depth: int, level: int) -> Modules:
        yield from self._res(f"{ours}.0", f"{theirs}.resnets.{i}", n, out)
        if depth:
            crossed = level in self.crossed
            yield from self._transformer(f"{ours}.1", f"{theirs}.attentions.{i}", out, depth, crossed)

    def _res(self, ours: str, theirs: str, n: int, out: int) -> Modules:
        yield from _both(f"{ours}.in_layers.2", f"{theirs}.conv1", (out, 9 * n))
        yield from _both(f"{ours}.emb_layers.1", f"{theirs}.time_emb_proj", (out, 4 * self.width))
        yield from _both(f"{ours}.out_layers.3", f"{theirs}.conv2", (out, 9 * out))
        if n != out:
            yield from _both(f"{ours}.skip_connection", f"{theirs}.conv_shortcut", (out, n))

    def _transformer(self, ours: str, theirs: str, width: int, depth: int, crossed: bool = False) -> Modules:
        for end in ("proj_in", "proj_out"):
            yield from _both(f"{ours}.{end}", f"{theirs}.{end}", (width, width))
        pairs = [("transformer_blocks", "transformer_blocks")]
        pairs += [("time_stack", "temporal_transformer_blocks")] if self.over_time else []
        for block in range(depth):
            for name, times, inputs in _BLOCK:
                by_text = not inputs or (crossed and name in ("attn1.to_k", "attn1.to_v"))
                shape = (times * width, self.context if by_text else inputs * width)
                for mine, other in pairs:
                    yield from _both(
                        f"{ours}.{mine}.{block}.{name}", f"{theirs}.{other}.{block}.{name}", shape
                    )


def _both(ours: str, theirs: str, shape: tuple[int, int]) -> Modules:
    yield ours, shape
    yield theirs, shape


def _sdxl(name: str, down: Sequence[int], up: Sequence[int], middle: int, res: int = 2) -> UNet:
    return UNet(name, 320, 2048, (1, 2, 4), res, tuple(down), tuple(up), middle, 2816)


_SD2 = "SD2"
UNETS = (
    UNet("SD1.5", 320, 768),
    _sdxl("SDXL", (0, 0, 2, 2, 10, 10), (10, 10, 10, 2, 2, 2, 0, 0, 0), 10),
    UNet(_SD2, 320, 1024),
    # Sizes of SD-XS, of the first for SD 1.5's text.
    UNet("SD1.5", 320, 768, (1, 2, 4), 1, (0, 1, 1), (1, 1, 1, 1, 0, 0), -2),
    UNet(_SD2, 320, 1024, (1, 2, 4), 1, (1, 1, 1), (1,) * 6, -2, crossed=(0,)),
    # The upscaler of SD2.
    UNet(_SD2, 256, 1024, (1, 2, 2, 4), 2, (0, 0, 1, 1, 1, 1, 1, 1), (1,) * 9 + (0,) * 3, crossed=(0, 1, 2)),
    UNet("Stable Video Diffusion", 320, 1024, pooled=768, over_time=True),
    _sdxl("SSD-1B", (0, 0, 2, 2, 4, 4), (4, 4, 10, 2, 1, 1, 0, 0, 0), -1),
    _sdxl("Segmind Vega", (0, 0, 1, 1, 2, 2), (2, 2, 2, 1, 1, 1, 0, 0, 0), -1),
    _sdxl("KOALA 700M", (0, 2, 5), (5, 5, 2, 2, 0, 0), -2, 1),
    _sdxl("KOALA 1B", (0, 2, 6), (6, 6, 2, 2, 0, 0), 6, 1),
    UNet(
        *("SDXL refiner", 384, 1280, (1, 2, 4, 4), 2),
        *((0, 0, 4, 4, 4, 4, 0, 0), (0, 0, 0, 4, 4, 4, 4, 4, 4, 0, 0, 0), 4, 2560),
    ),
)
