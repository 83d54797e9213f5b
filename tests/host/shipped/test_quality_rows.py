"""`make quality`'s rows in this host: each makes its MODEL, and each but the base's own changes a latent."""

from __future__ import annotations

import pytest
import torch

from world.pairs import PAIRS
from world.quality.methods import ROWS, Case
from world.quality.run import Measure


@pytest.fixture(scope="module")
def measure():
    threads = torch.get_num_threads()
    yield Measure()
    torch.set_num_threads(threads)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_makes_its_model(measure, row):
    case = Case(measure.model, "redundant", PAIRS[0], 0, 1.0)
    with torch.inference_mode():
        negative = measure.host.conditioning("")
        positive = measure.host.conditioning(case.pair.prompt)
        models = row.make(case), measure.model
        made, base = (measure.host.sample(model, positive, negative, 40, 1, 2) for model in models)
    assert made.isfinite().all()
    assert torch.equal(made, base) == (row.name == "base")
