"""A network's blueprint by its text: its modules, their sizes, and what of a LoRA it has."""

from __future__ import annotations

import pytest

from klora_core.names.bases.builds.blueprint import Build, Line, line

BUILD = Build(
    "X",
    None,
    """
    img_in H 64
    mod(a|b).lin 2H/6H H

    (double|single)_blocks.#D
    attn.qkv 3H H
    mlp.#.lin H M+2H

    blocks.sub.#3
    to_(q|k) H H
    out.0 H M
    """,
    "H=9 M=30 D=19",
)


def test_its_modules():
    double = {"attn_qkv": {(27, 9)}, "mlp_#_lin": {(9, 48)}}
    assert BUILD.modules == {
        ("", "img_in"): {(9, 64)},
        ("", "moda_lin"): {(18, 9), (54, 9)},
        ("", "modb_lin"): {(18, 9), (54, 9)},
        **{
            (head, rest): sizes
            for head in ("double_blocks", "single_blocks")
            for rest, sizes in double.items()
        },
        ("blocks_sub", "to_q"): {(9, 9)},
        ("blocks_sub", "to_k"): {(9, 9)},
        ("blocks_sub", "out_0"): {(9, 30)},
    }
    assert BUILD.depths == {"double_blocks": 19, "single_blocks": 19, "blocks_sub": 3}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("img_in", ("img_in", "", None, "img_in")),
        ("double_blocks.12.attn.qkv", ("double_blocks_12_attn_qkv", "double_blocks", 12, "attn_qkv")),
        ("blocks.block3.x", ("blocks_block3_x", "blocks", 3, "x")),
        ("a_7_b_8_c", ("a_7_b_8_c", "a", 7, "b_8_c")),
        ("blocks.3", ("blocks_3", "", None, "blocks_3")),
    ],
)
@pytest.mark.parametrize("start", [None, 0, 5])
def test_a_module_as_it_is_looked_for(path, found, start):
    assert line(path, (8, 4), start) == Line(*found, 8, 4, start)
    assert start is not None or line(path, (8, 4)) == Line(*found, 8, 4)


@pytest.mark.parametrize(
    ("path", "shape", "has"),
    [
        ("img_in", (9, 64), True),
        ("img_in", (9, 9), False),
        ("img_in", (8, 64), False),
        ("img_out", (9, 64), None),
        ("moda.lin", (18, 9), True),
        ("modb.lin", (54, 9), True),
        ("moda.lin", (27, 9), False),
        ("double_blocks.18.attn.qkv", (27, 9), True),
        ("single_blocks.0.attn.qkv", (27, 9), True),
        # A block too many; any number within a name; a name that lacks the last number.
        ("double_blocks.19.attn.qkv", (27, 9), False),
        ("double_blocks.3.mlp.7.lin", (9, 48), True),
        ("blocks.sub.2.out", (9, 30), True),
        ("blocks.sub.2.out.0", (9, 30), True),
        ("blocks.sub.2.out.1", (9, 30), None),
        # An OFT does not know its inputs.
        ("blocks.sub.2.to_q", (9, 0), True),
        ("blocks.sub.2.to_q", (9, 1), False),
        ("attn.qkv", (27, 9), None),
    ],
)
def test_what_it_has(path, shape, has):
    assert BUILD.has(line(path, shape)) is has


WEIGHT = Build("X", None, "blocks.#1\nlin 57 9", "")


@pytest.mark.parametrize(
    ("start", "length", "holds"),
    [
        # q of as many rows as inputs, all three, a third, what is left behind, one of two that are left.
        *((start, 9, True) for start in (0, 9, 48)),
        *((0, 27, True), (0, 19, True), (38, 19, True), (27, 30, True), (0, 57, True)),
        *((9, 24, True), (33, 24, True)),
        # Beyond its end; as many rows as no part has.
        *((49, 9, False), (34, 24, False), (39, 19, False)),
        *((0, length, False) for length in (1, 14, 16, 33, 36, 58)),
    ],
)
def test_which_rows_are_a_part(start, length, holds):
    assert WEIGHT.has(line("blocks.0.lin", (length, 9), start)) is holds
    assert WEIGHT.has(line("blocks.0.lin", (length, 8), start)) is False
