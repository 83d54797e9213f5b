"""LoRAs that are trained for fusion: which half of them is kept, and the table of what was measured."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.torch import load_file

from world.fusable import table
from world.fusable.run import ROWS, half_of, kept_at
from world.model.lora import diffusers_file, kohya_file, read_diffusers_file
from world.pairs import PAIRS
from world.training.loras import Job

pytestmark = pytest.mark.slow

FACTORS = read_diffusers_file(load_file(Job("plain", "owl", 0).path()))


@pytest.mark.parametrize(("write", "modules", "each"), [(diffusers_file, 33, 2), (kohya_file, 21, 3)])
def test_a_random_half_has_whole_modules(write, modules, each):
    lora = write(FACTORS)
    assert len(lora) == modules * each
    halves = [half_of(lora, np.random.default_rng(seed)) for seed in range(2)]
    assert halves[0].keys() != halves[1].keys()
    for half in halves:
        assert len(half) == modules // 2 * each and all(half[key] is lora[key] for key in half)


def test_the_table_is_bold_where_a_kind_is_surely_ahead(tmp_path):
    def keep(kind, what, numbers):
        kept_at(kind, what, 0, tmp_path).write_text(json.dumps(numbers))

    for i, pair in enumerate(PAIRS[:4]):
        for kind, score, other in (("node", 0.3, 0.3), ("CoTo", 0.5, 0.3 + 0.2 * (-1) ** i)):
            better, as_good = ({"subject": [s + 0.01 * i], "style": [s]} for s in (score, other))
            keep(kind, pair.name, {row: better if row == "TIES" else as_good for row in ROWS})
    for kind in ("node", "CoTo"):
        keep(kind, "owl", {"own": 0.9, "kept": 0.5})
    head, node, coto = (line for line in table.text(tmp_path).splitlines() if line.startswith("| "))
    cells = dict(zip(head.split(" | "), coto.split(" | "), strict=True))
    assert cells["TIES |"].startswith("**.5") and "**" not in cells["sum .7"] and "**" not in node
    assert cells["own"] == ".90" and cells["pairs"] == "4"
