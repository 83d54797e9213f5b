"""Every kind of adapter on all layers of a network of each build, against the host's own weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.families.test_families import fuse, relative
from tests.support.families.kinds import KINDS, of_kind
from tests.support.families.nets import layers, patcher, sample
from tests.support.families.reference import reference

# The host inverts an OFT in float32, and does none of a float64 weight.
# One network of each build: convolutions and linears, fused rows, separate projections.
NETWORKS = ("sd15", "flux", "wan")


def _host_has(kind, weight):
    """Whether the host applies a kind to such a weight, and the kind can do something there."""
    if kind == "OFT":
        # Blocks of one output turn nothing.
        return weight.shape[0] > 4
    if kind == "GLoRA":
        return weight.ndim == 2 or weight[0, 0].numel() == 1
    return kind != "LoKr" or weight.ndim < 5


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_as_subject(pack, record, kind, network):
    model = patcher(network)
    names = layers(pack, model.model)
    names = [
        name for name in names if _host_has(kind, model.model.get_parameter(f"diffusion_model.{name}.weight"))
    ]
    subject = of_kind(kind, model.model, names, 1)
    style = of_kind("LoRA", model.model, names, 2)
    plan = fuse(pack, model, subject, style)[2]
    # Where both have their share, whatever the kinds' entries are like.
    balance = float(np.log(np.median(plan.method.rhos)) / np.log(4))
    fused, _, plan, report = fuse(pack, model, subject, style, balance=balance)
    assert {slot.name for slot in plan.slots} == set(names) and "NOT applied" not in report
    follows = reference(
        model.model, subject, style, (1, 1), torch.float32 if kind == "OFT" else torch.float64
    )
    follows.balance = balance
    ranks = {slot.name: found.ranks for slot, found in zip(plan.slots, plan.method.evidence, strict=True)}
    for deltas, which in ((follows.subject, 0), (follows.style, 1)):
        deltas.update({name: (delta, ranks[name][which]) for name, (delta, _) in deltas.items()})
    plain, expected = sample(model, network), sample(follows.patch(model), network)
    assert len({tuple(follows.winners(x).values()) for x in follows.used}) > 1, "layers change hands"
    assert torch.isfinite(expected).all() and relative(plain, expected) > 1e-3
    error, noise = (
        relative(sample(fused, network), expected),
        relative(sample(follows.patch(model), network, 1e-7), expected),
    )
    assert error < max(1e-5, 10 * noise)
    record(part="kind", kind=kind, family=network, layers=len(names), error=error, noise=noise)
