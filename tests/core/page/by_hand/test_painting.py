"""Texts of blocks and curves, read and written by the page as klora_core reads them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from klora_core.errors import KLoraError
from klora_core.methods.hand import When
from klora_core.names import block, strengths_of
from tests.support.page import why_not
from tests.support.page.node import Node

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

NODE = Node(Path(__file__).parents[3] / "support" / "page" / "painting.mjs")
UNET = (
    "time_embed.0",
    *(f"input_blocks.{i}.1.proj_in" for i in (1, 2, 4, 5, 7, 8)),
    "middle_block.1.proj_in",
    *(f"output_blocks.{i}.1.proj_in" for i in range(9)),
    "out.2",
)
FLUX = (
    "img_in",
    "mlp1.0",
    *(f"double_blocks.{i}.a" for i in range(3)),
    *(f"single_blocks.{i}.a" for i in range(12)),
)
# A stage that has a block without a number beside numbered ones.
NUMBERLESS = ("layers.0.a", "layers.1.a", "layers.norm", "head.a")
NETWORKS = (UNET, FLUX, NUMBERLESS, ("middle_block.1.a",))


def places(names):
    return [{"group": group, "block": own} for group, own in map(block, names)]


TEXTS = (
    "",
    "down 1-3: 0, mid: 0.5, up: 1",
    "Middle : .5 ; UP 0 - 4 : -2",
    "up: 0, up 3: 1, up 2-5: 0.5, all: 0.25",
    "single 3-9: 0\nmlp1: 2, double: 1e-1",
    "other: 0, time_embed: 1",
    "time_embed: 1, other: 0",
    "all: 0, layer 0: 1",
    "up 3-1: 0",
    "up 1: 0, up 1: 1",
    "up 1-3: 0, up 3-5: 1",
    "up",
    "up 1",
    "up: x",
    "up: 11",
    "up:",
    ": 1",
    "up: 0x10",
    "up: nan",
    "up: inf",
    "up: 1: 0",
    "up: +.5e1",
    "up: -0, mid: 10.",
    "middle: 0, middle 1: 0.5",
    "mid 1: 0, middle 1: 1",
    "mid: 0, middle: 1",
    "1: 0, 1-3: 0.5",
    "up 1-3-5: 0",
    "up 1 1: 0, up 11: 1",
    "up1: 0, mlp 1: 0.5",
    "constructor: 0, toString: 1",
    "all: 0, other: 1, mid: 0.5",
    "up 0-2: 0, up 0-2: 0, up 1-1: 1",
    ", ;up: 0;\n",
    "content, style",
    "up: 0, style",
)
# Digits of another script, and a number as programs write it.
ONLY_BY_THE_SERVER = ("up \uff11: 0", "up 1-\uff13: 0", "up: \uff11", "up: 1_0")


def strengths(text, names):
    """As klora_core reads them; None for what it does not take."""
    try:
        read = strengths_of(text)
    except KLoraError:
        return None
    return [read.of(name) for name in names]


@pytest.mark.parametrize("names", NETWORKS)
def test_a_text_says_the_same_as_in_the_nodes(names):
    asked = [{"task": "blocks", "text": text, "places": places(names)} for text in TEXTS]
    found = NODE.evaluate(asked)
    for text, told in zip(TEXTS, found, strict=True):
        # A word alone is a half of the network, or unknown: which, the page leaves to the server.
        if ":" not in text and text:
            continue
        assert told == strengths(text, names), text


@pytest.mark.parametrize("text", ONLY_BY_THE_SERVER)
def test_what_the_page_reads_otherwise_it_does_not_read(text):
    assert strengths(text, UNET) is not None
    assert NODE.evaluate([{"task": "blocks", "text": text, "places": places(UNET)}]) == [None]


@pytest.mark.parametrize("names", NETWORKS)
def test_what_is_written_says_what_was_painted(names):
    rng = random.Random(3)
    asked, wanted = [], []
    for _ in range(150):
        levels = rng.sample([0, 0.5, 1, -1, 0.3333, 2], rng.randint(1, 4))
        own = dict.fromkeys(block(name) for name in names)
        for place in own:
            # Runs, as a hand paints them; a block without a number is its whole stage's.
            own[place] = rng.choice(levels) if rng.random() < 0.4 else levels[0]
        for group, name in own:
            if group == name:
                own.update(
                    {place: own[group, name] for place in own if place[0] == group and rng.random() < 0.5}
                )
        wanted.append([own[block(name)] for name in names])
        blocks = [{"group": g, "block": b, "strength": s} for (g, b), s in own.items()]
        asked.append({"task": "write", "blocks": blocks})
    for text, values in zip(NODE.evaluate(asked), wanted, strict=True):
        assert strengths(text, names) == values, text


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({}, ""),
        ({name: 0 for name in UNET}, "all: 0"),
        ({name: 0.5 for name in UNET if block(name)[0] == "up"}, "up: 0.5"),
        ({f"output_blocks.{i}.1.proj_in": 0 for i in (1, 2, 3)}, "up 1-3: 0"),
        ({f"output_blocks.{i}.1.proj_in": 0 for i in range(9) if i != 4}, "up 4: 1, up: 0"),
        ({f"input_blocks.{i}.1.proj_in": 0 for i in (2, 4, 5)}, "down 2-5: 0"),
        ({name: 0 for name in UNET if name != "middle_block.1.proj_in"}, "mid: 1, all: 0"),
        ({"middle_block.1.proj_in": 0.1 + 0.2}, "mid: 0.3"),
        ({"time_embed.0": 0}, "time_embed: 0"),
    ],
)
def test_a_text_is_as_short_as_it_can_be(changed, text):
    own = {block(name): changed.get(name, 1) for name in UNET}
    blocks = [{"group": g, "block": b, "strength": s} for (g, b), s in own.items()]
    assert NODE.evaluate([{"task": "write", "blocks": blocks}]) == [text]


CURVES = (
    "",
    "0:1",
    "0:1, 1:0",
    "0.2:0.5, 0.4:-1, 0.4:2, 0.9:0",
    "0.5:1, 0.5:0",
    " 0 : 1 ; 1 : .5",
    " 0. 5 : - 1 ; 1 : 1 ",
    "0:1, 0.5:1, 0.5:0.25",
)
NO_CURVES = (
    *("up", "0", "0:", ":1", "0:1:2", "0.5:1, 0.2:0"),
    *("2:1", "-0.1:1", "0:11", "0:nan", "nan:1", "0:inf", "50%:1", "0:1 0", "0:1 1:0", "0:1 .5"),
)


@pytest.mark.parametrize("window", [(0, 1), (0.2, 0.7), (0.5, 0.5), (1, 1), (0, 0), (0.3, 1)])
def test_a_curve_is_what_the_nodes_take_it_for(window):
    from klora_core.methods.hand.cut import cut

    xs = [i / 97 for i in range(98)]
    asked = [
        {"task": "curve", "when": {"start": window[0], "end": window[1], "curve": curve}, "xs": xs}
        for curve in CURVES
    ]
    for curve, told in zip(CURVES, NODE.evaluate(asked), strict=True):
        own = cut(When(*window, curve), 16)
        assert all(abs(own.at(x) - value) <= own.error + 1e-6 for x, value in zip(xs, told, strict=True)), (
            curve
        )


@pytest.mark.parametrize("curve", NO_CURVES)
def test_what_is_no_curve_is_none(curve):
    with pytest.raises(KLoraError):
        When(curve=curve)
    assert NODE.evaluate([{"task": "curve", "when": {"curve": curve}, "xs": []}]) == [None]


@pytest.mark.parametrize("steps", [1, 2, 3, 6, 7, 20, 30, 50, 97, 150])
def test_start_and_end_hold_the_painted_steps_and_no_other(steps):
    xs = [(i + 0.5) / steps for i in range(steps)]
    pairs = [(a, b) for a in range(0, steps, max(1, steps // 9)) for b in range(a, steps, max(1, steps // 9))]
    asked = [{"task": "window", "xs": xs, "first": a, "last": b} for a, b in pairs]
    for (a, b), told in zip(pairs, NODE.evaluate(asked), strict=True):
        on = [i for i, x in enumerate(xs) if told["start"] <= x < told["end"]]
        assert on == list(range(a, b + 1)), (told, a, b)
        if steps < 100:
            assert all(round(value, 2) == value for value in told.values())
