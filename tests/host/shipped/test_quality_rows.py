"""`make quality`'s rows in this host: each makes its MODEL, and each but the base's own changes a latent."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from world.fusable import train as fusable
from world.pairs import PAIRS
from world.quality.methods import LEARNED, ROWS, Case, learned, taught
from world.quality.run import Measure

# Those that learn, by one step.
SHORT = {
    "ZipLoRA": learned("ZipLoRA", 1, steps=1),
    "calibrated": learned("calibrated", 1),
    "MoLE gate": learned("MoLE gate", 1, steps=1),
    "taught by four picks": taught(pictures=1, steps=1),
}
QUICK = [replace(row, make=SHORT[row.name]) if row.kind == LEARNED else row for row in ROWS]


@pytest.fixture(scope="module")
def measure():
    threads = torch.get_num_threads()
    yield Measure()
    torch.set_num_threads(threads)


@pytest.mark.parametrize("row", QUICK, ids=lambda row: row.name)
def test_a_row_makes_its_model(measure, row):
    case = Case(measure.model, "redundant", PAIRS[0], 0, 1.0)
    with torch.inference_mode():
        negative = measure.host.conditioning("")
        positive = measure.host.conditioning(case.pair.prompt)
        models = row.make(case), measure.model
        made, base = (measure.host.sample(model, positive, negative, 40, 1, 2) for model in models)
    assert made.isfinite().all()
    assert torch.equal(made, base) == (row.name == "base")


@pytest.mark.parametrize("kind", fusable.METHODS)
def test_the_node_trains_on_pictures_of_the_world(measure, kind, tmp_path):
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(16, 16, 12, 12, generator=generator)
    save_file({"latents": latents}, tmp_path / "x.safetensors", {"captions": json.dumps(["flat owl"] * 16)})
    lora = fusable.train(kind, tmp_path / "x.safetensors", measure.model, 3, 1)
    ranks = {len(tensor) for key, tensor in lora.items() if key.endswith("lora_down.weight")}
    assert ranks == {8} and all(tensor.isfinite().all() for tensor in lora.values())
