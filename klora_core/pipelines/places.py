"""Where a model keeps the weights that slots name: canonical names, looked up among the model's own modules.

The modules of any torch model are named by the tables that LoRA files are read by, so that a slot finds its
module whatever the model calls it, and where it keeps apart what ComfyUI fuses, or the other way round.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

from torch import nn

from .. import names
from ..apply import Spot
from ..errors import KLoraError
from ..names import FUSED, OTHER, TABLES, Layout, Slot, layout_of

Shape = tuple[int, int]
# What PEFT puts between a layer's name and the layer itself, and what torch.compile does.
_WRAPPERS = (".base_layer", "_orig_mod.")


@dataclass(frozen=True)
class Piece:
    """``length`` rows of a canonical weight [.., inputs] from ``start``: ``layer``'s rows from ``first``."""

    start: int
    length: int
    inputs: int
    layer: str
    first: int


@dataclass(frozen=True)
class Layers:
    """The places of a model's linear and convolution layers.

    ``pieces`` are, by canonical weight, its rows in rising order; ``sizes`` the outputs of each layer;
    ``layout`` is what the names tell about the network; ``spelling`` gives, for a name flattened with
    underscores, the dotted one: the model's own and the canonical one.
    """

    layout: Layout
    pieces: Mapping[str, tuple[Piece, ...]]
    sizes: Mapping[str, int]
    spelling: Mapping[str, str]

    def inputs(self, weight: str) -> int | None:
        """The columns of a canonical weight's matrix, None where the model does not have it."""
        return self.pieces[weight][0].inputs if weight in self.pieces else None

    def spots(self, slot: Slot, out: int) -> tuple[Spot, ...]:
        """Where the ``out`` rows of ``slot`` lie; none where the model lacks some of them."""
        start, length = slot.rows or (0, out)
        pieces = list(_cut(self.pieces.get(slot.weight, ()), start, start + length))
        if length != out or sum(piece.length for piece in pieces) != length:
            return ()
        return tuple(self._spot(piece, start, length) for piece in _joined(pieces))

    def _spot(self, piece: Piece, start: int, length: int) -> Spot:
        whole = piece.first == 0 and piece.length == self.sizes[piece.layer]
        return Spot(
            piece.layer,
            None if whole else (piece.first, piece.length),
            None if piece.length == length else (piece.start - start, piece.length),
        )


def layers_of(model: nn.Module) -> Layers:
    """Where ``model`` keeps its weights. Raises KLoraError for one without linear or convolution layers."""
    model = inner(model)
    layers = {name: shape for name, module in model.named_modules() if (shape := _shape(module)) is not None}
    if not layers:
        raise KLoraError(
            "the model has no linear or convolution layer.", "Give the pipeline's unet or transformer"
        )
    fused = _fused(model)
    for layer, shape in list(layers.items()):
        parts = names.parts_of(layer, shape)
        if not any(part.raw in layers for part in parts):
            # A model that has them in one alone: LoRAs and tables know the parts.
            fused |= {part.raw: _Fused(layer, part.start) for part in parts}
            layers |= {part.raw: (part.length, shape[1]) for part in parts}
    shapes = {_bare(name): shape for name, shape in layers.items()}
    running = {_bare(item.layer) for item in fused.values()}
    # No table has the fused layers' names: their parts, which rest, tell the network.
    layout = model_layout({name: shape for name, shape in shapes.items() if name not in running})
    pieces = _pieces(layers, layout, fused)
    if pieces is None:
        # A network of another layout than its names suggest keeps its own names.
        layout = Layout(OTHER)
        pieces = _pieces(layers, layout, fused)
    if pieces is None:
        raise KLoraError(
            "two layers of the model have one name in LoRA files: its network is not known here.",
            "Choose another model",
        )
    spelling = {names.flat(name): name for name in (*pieces, *shapes)}
    return Layers(layout, pieces, {name: out for name, (out, _) in layers.items()}, spelling)


def inner(model: nn.Module) -> nn.Module:
    """The model itself where torch.compile wrapped it: layers are named from there."""
    return getattr(model, "_orig_mod", model)


def model_layout(shapes: Mapping[str, Shape]) -> Layout:
    """What the paths of all of a model's layers (with the shape [out, n] of each) tell about its network.

    A model shows all of its names, so that a table which knows every one of them is its own; a LoRA file,
    which may hold a few, has to be judged by its widths.
    """
    known = next((name for name, table in TABLES.items() if all(map(table.find, shapes))), None)
    return layout_of(shapes) if known is None else Layout(known)


def _shape(module: nn.Module) -> Shape | None:
    """[out, n] of a linear or convolution layer's matrix, kernels flat; by its sizes, since a quantised
    weight may be stored in any shape."""
    if isinstance(module, nn.Linear):
        return module.out_features, module.in_features
    if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
        return module.out_channels, module.in_channels // module.groups * prod(module.kernel_size)
    return None


def _bare(path: str) -> str:
    for wrapper in _WRAPPERS:
        path = path.replace(wrapper, "")
    return path


@dataclass(frozen=True)
class _Fused:
    """A layer that is a part of another one, from row ``first`` on."""

    layer: str
    first: int


def _fused(model: nn.Module) -> dict[str, _Fused]:
    """By the name of a layer that rests, the fused one that runs in its place."""
    resting = {}
    for path, module in model.named_modules():
        if not getattr(module, "fused_projections", False):
            continue
        # The parts rest from then on.
        for whole, parts in FUSED.items():
            if not isinstance(getattr(module, whole, None), nn.Linear):
                continue
            first = 0
            for part in parts:
                layer = getattr(module, part)
                resting[f"{path}.{part}"] = _Fused(f"{path}.{whole}", first)
                first += layer.out_features
    return resting


def _pieces(
    layers: Mapping[str, Shape], layout: Layout, fused: Mapping[str, _Fused]
) -> dict[str, tuple[Piece, ...]] | None:
    """By canonical weight its pieces in order, None where two layers would be the same rows of one."""
    running = {item.layer for item in fused.values()}
    by_weight: dict[str, list[Piece]] = defaultdict(list)
    for layer, (out, n) in layers.items():
        if layer in running:
            continue
        place = names.place(_bare(layer), (out, n), layout)
        start = place.slot.rows[0] if place.slot.rows else 0
        there = fused.get(layer, _Fused(layer, 0))
        halves = ((0, out // 2), (out // 2, out - out // 2)) if place.swap_halves else ((0, out),)
        for begin, length in halves:
            first = there.first + (begin + length) % out
            by_weight[place.slot.weight].append(Piece(start + begin, length, n, there.layer, first))
    for pieces in by_weight.values():
        pieces.sort(key=lambda piece: piece.start)
        if any(a.start + a.length > b.start or a.inputs != b.inputs for a, b in pairwise(pieces)):
            return None
    return {weight: tuple(pieces) for weight, pieces in by_weight.items()}


def _cut(pieces: Sequence[Piece], start: int, stop: int) -> Iterator[Piece]:
    """What of ``pieces`` lies in the rows ``start`` to ``stop``."""
    for piece in pieces:
        begin, end = max(start, piece.start), min(stop, piece.start + piece.length)
        if begin < end:
            yield Piece(begin, end - begin, piece.inputs, piece.layer, piece.first + begin - piece.start)


def _joined(pieces: Sequence[Piece]) -> list[Piece]:
    """Neighbours that lie in one layer one behind the other as one piece."""
    joined: list[Piece] = []
    for piece in pieces:
        last = joined[-1] if joined else None
        if last is not None and last.layer == piece.layer and last.first + last.length == piece.first:
            joined[-1] = Piece(last.start, last.length + piece.length, last.inputs, last.layer, last.first)
        else:
            joined.append(piece)
    return joined
