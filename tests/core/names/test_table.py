"""A table of names by its text: where a module belongs, how high a fused weight is, which halves swap."""

from __future__ import annotations

import pytest

from klora_core.names import Slot
from klora_core.names.table import table

TEXTS = (
    """x_embedder img_in
norm_out.linear final.1~
pair last.1~pair
""",
    """blocks.# = ours.#.a
to_q qkv[q]
to_k qkv[k]
to_v qkv[v]
one thirds[1/3]
two thirds[2/3]
three thirds[3/3]
left halves[1/2]
right halves[2/2]
all linear1[qkv]
first linear1[q]
mlp linear1[mlp]
ff.0 ff.2
mod.lin lin~pair
blocks.sub.# = theirs.#
to_q q
others.# = ours.#.a
to_q qkv[q]
""",
)


@pytest.mark.parametrize(
    ("path", "shape", "weight", "rows", "height"),
    [
        ("x_embedder", (8, 4), "img_in", None, None),
        ("blocks.12.ff.0", (8, 4), "ours.12.a.ff.2", None, None),
        ("blocks_12_ff_0", (8, 4), "ours.12.a.ff.2", None, None),
        ("others.3.to_q", (8, 4), "ours.3.a.qkv", (0, 8), 12),
        # Of queries alone: as many keys as inputs, but in Lumina 2's width.
        ("blocks.0.to_q", (8, 8), "ours.0.a.qkv", (0, 8), 24),
        ("blocks.0.to_q", (2304, 2304), "ours.0.a.qkv", (0, 2304), 3840),
        ("blocks.0.to_k", (3, 8), "ours.0.a.qkv", (8, 3), 14),
        ("blocks.0.to_v", (3, 8), "ours.0.a.qkv", (11, 3), 14),
        ("blocks.0.one", (5, 8), "ours.0.a.thirds", (0, 5), 15),
        ("blocks.0.two", (5, 8), "ours.0.a.thirds", (5, 5), 15),
        ("blocks.0.three", (5, 8), "ours.0.a.thirds", (10, 5), 15),
        ("blocks.0.left", (5, 8), "ours.0.a.halves", (0, 5), 10),
        ("blocks.0.right", (5, 8), "ours.0.a.halves", (5, 5), 10),
        # Beside a feed-forward only that tells the height.
        ("blocks.0.all", (24, 8), "ours.0.a.linear1", (0, 24), None),
        ("blocks.0.first", (8, 8), "ours.0.a.linear1", (0, 8), None),
        ("blocks.0.mlp", (32, 8), "ours.0.a.linear1", (24, 32), 56),
        ("blocks.sub.7.to_q", (8, 4), "theirs.7.q", None, None),
    ],
)
def test_where_a_module_belongs(path, shape, weight, rows, height):
    found = table(*TEXTS).find(path, shape)
    assert (found.slot, found.height, found.swap_halves) == (Slot(weight, rows), height, False)


@pytest.mark.parametrize(
    "path",
    ["blocks.0.odd", "blocks.x.to_q", "blocks.0", "x_embedder.0", "0.to_q", "sub.7.to_q", "theirs.7.q", ""],
)
def test_what_the_table_has_not(path):
    assert table(*TEXTS).find(path, (8, 4)) is None


@pytest.mark.parametrize(
    ("path", "shape", "swaps"),
    [
        ("norm_out.linear", (8, 4), True),
        ("norm_out.linear", (9, 4), True),
        # Where shift and scale are all that the layer has.
        ("pair", (8, 4), True),
        ("pair", (12, 4), False),
        ("pair", (24, 4), False),
        ("blocks.0.mod.lin", (8, 4), True),
        ("blocks.0.ff.0", (8, 4), False),
    ],
)
def test_halves_that_change_places(path, shape, swaps):
    found = table(*TEXTS).find(path, shape)
    assert found.swap_halves is swaps and found.slot.rows is None


def test_what_others_call_the_blocks():
    assert table(*TEXTS).others == ["blocks_", "blocks_sub_", "others_"]
    assert table("a b\nblocks.# = blocks.#.x\nc d\nlayers.# = blocks.#\nc d").others == ["layers_"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b[4/3]", "no row of a table of names: a b"),
        ("a b!", "no row of a table of names: a b!"),
        ("a b\na c", "two rows of a table of names for one module: a c"),
        ("blocks.# = x.#\na b\nblocks.# = y.#\na b", "two rows of a table of names for one module: a b"),
    ],
)
def test_what_is_no_table(text, words):
    with pytest.raises(ValueError, match=words.replace("[", r"\[")):
        table(text)


def test_a_row_may_be_there_twice():
    assert table("a b\na b").find("a") == table("a b").find("a")
