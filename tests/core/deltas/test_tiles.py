"""Rows of dW, some at a time: each once and in turn, as the whole product has them, in memory used again."""

from __future__ import annotations

import pytest
import torch

from klora_core.deltas import Hadamard, LayerWeight, Remapped, Tiles, spans
from klora_core.deltas.output_map import OutputMap

from .test_products import MAKES, randn


def remapped(**turns):
    weight = randn(16, 24, seed=4)
    base = LayerWeight.of(lambda device: weight.to(device), torch.device("cpu"))
    return Remapped(base, torch.ones(1), None, OutputMap(gains=0.1 * randn(16), **turns))


DELTAS = {name: make()[0] for name, make in MAKES.items()} | {
    "kron, some rows": MAKES["kron"]()[0].rows(2, 9),
    "kron, reordered": MAKES["kron"]()[0].reordered(torch.tensor([14, 0, 7, 7, 3])),
    "rows scaled": remapped(),
    "turned": remapped(turns=0.1 * randn(1, 4, 4, 4)),
    "butterfly": remapped(turns=0.1 * randn(2, 4, 4, 4), butterfly=True),
}


@pytest.mark.parametrize(
    ("shape", "entries", "lengths"),
    [
        ((7, 10), 25, [2, 2, 2, 1]),
        ((7, 10), 3, [1] * 7),
        ((7, 10), 70, [7]),
        ((0, 10), 25, []),
        ((3, 0), 9, [3]),
    ],
)
def test_spans_are_all_rows_in_turn(shape, entries, lengths):
    cut = list(spans(shape, entries))
    assert [length for _, length in cut] == lengths
    assert [start for start, _ in cut] == [sum(lengths[:i]) for i in range(len(lengths))]


@pytest.mark.parametrize("given", [False, True], ids=["own room", "given room"])
@pytest.mark.parametrize("entries", [1, 100, 1 << 20])
@pytest.mark.parametrize("delta", DELTAS.values(), ids=DELTAS)
def test_tiles_are_the_rows_of_the_product_in_one_piece_of_memory(delta, entries, given):
    tiles, whole = Tiles(delta, entries), delta.product()
    room = torch.full((tiles.room + 5,), torch.nan) if given else None
    places = set()
    for call in range(2):
        for (start, length), tile in tiles(room):
            torch.testing.assert_close(tile, whole[start : start + length])
            places.add((call, tile.data_ptr()))
            # Whoever is given one may change it.
            tile.zero_()
    assert len(places) == 2
    if room is not None:
        assert {place for _, place in places} == {room.data_ptr()}
        assert bool(room[tiles.room :].isnan().all()) and not bool(room[: tiles.room].isnan().any())


@pytest.mark.parametrize("delta", DELTAS.values(), ids=DELTAS)
def test_no_more_than_a_tile_and_a_second_one_of_a_loha_is_asked_for(delta):
    n = delta.shape[1]
    both = 2 if isinstance(delta, Hadamard) else 1
    assert Tiles(delta, 3 * n + 1).room == both * 3 * n
    assert Tiles(delta, 1 << 20).room == both * delta.shape[0] * n
