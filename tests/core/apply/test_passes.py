"""What a composition asks of a model's places, and slots that have none."""

from __future__ import annotations

import torch

from klora_core.apply import Spot
from tests.support.nets import WIDTH, inputs

from .test_composition import ONE_PASS, attached, composed, spots, whole_run


def test_every_slot_is_asked_for_with_the_rows_that_it_has():
    asked = {}

    def where(slot, out):
        asked[slot.name] = out
        return spots(slot, out)

    composition = composed(ONE_PASS, where=where)
    # Whatever their width: a kept layer of groups has 9 columns.
    assert set(asked.values()) == {WIDTH} and len(asked) == 7
    assert {target.layer for target in composition.targets} == {"down", "inward", "qkv", "out.0", "each"}


@torch.inference_mode()
def test_a_slot_that_has_no_place_is_left_out(net, twin):
    def without(slot, out):
        return [] if slot.weight == "down" else [Spot(slot.weight, slot.rows)]

    composition = composed(ONE_PASS, where=without)
    assert "down" not in {target.layer for target in composition.targets}
    x = inputs(2)
    found = whole_run(net, attached(net, composition), ONE_PASS, x)
    assert len(found) == 5 and not torch.equal(
        found[0], whole_run(twin, attached(twin, composed(ONE_PASS)), ONE_PASS, x)[0]
    )
