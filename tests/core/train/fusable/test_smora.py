"""SMoRA in training, against a loop over tokens and ranks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from klora_core.apply import Attachment, Buffers, Spot, compose
from klora_core.files import from_tensors
from klora_core.files.learned import rank_tensors
from klora_core.loras import LoraInfo
from klora_core.methods import Given, making
from klora_core.plan import make_plan
from klora_core.train.fusable.smora import Smora
from klora_core.train.fusable.training import Plan, terms
from klora_core.train.loop import Loop, Pace
from tests.support.learning.small import Network, Small, items, sizes

PLAN = Plan(steps=24, rate=0.05, rank=12, seed=3)


def start():
    model = Small(Network(blocks=2))
    return Smora(sizes(model.network), PLAN), model


def run(method, model, stop=None, kept=None):
    loop = Loop(method.groups, Pace(PLAN.steps, PLAN.rate, 2, clip=1.0))
    if kept:
        loop.resume(kept[0])
        method.resume(kept[1])
    loop.run(
        lambda step: terms(method, model, items(2), 2, 2, step),
        after=lambda step: method.after(step + 1, loop.optimizer),
        stop=None if stop is None else lambda: loop.step == stop,
    )
    return loop


@pytest.fixture(scope="module")
def once():
    method, model = start()
    return method, model, run(method, model)


def by_hand(method, slot, x):
    """(dW(x) x, how often each rank was chosen), token by token."""
    own, router, b = method.factors[slot], method.routers[slot].detach(), method.bias[slot]
    out, counts = torch.zeros(len(x), len(own.up)), [0] * len(b)
    for t, token in enumerate(x):
        s = [float(torch.sigmoid(router[r] @ token)) + float(b[r]) for r in range(len(b))]
        best = sorted(range(len(b)), key=lambda r: -s[r])[:8]
        for r in best:
            counts[r] += 1
            g = s[r] / sum(s[i] for i in best) * 8
            # alpha / k is 1.
            out[t] += g * float(own.down[r].detach() @ token) * own.up[:, r].detach()
    return out, counts


def test_a_forward_is_that_of_the_best_ranks_of_each_token(once):
    method, model, _ = once
    x = torch.randn(7, 12, generator=torch.Generator().manual_seed(1))
    slot = next(iter(method.factors))
    layer = model.network.get_submodule(slot.weight)
    with torch.no_grad():
        y = method.changes(0, model, None).of(slot)(layer, x[None])[0]
    wanted, _ = by_hand(method, slot, x)
    torch.testing.assert_close(y, wanted, rtol=1e-4, atol=1e-5)


def test_ranks_that_are_chosen_less_are_better_off():
    method, model = start()
    slot = next(iter(method.factors))
    x = torch.randn(1, 9, 12, generator=torch.Generator().manual_seed(2))
    layer = model.network.get_submodule(slot.weight)
    changes = method.changes(0, model, None).of(slot)
    changes(layer, x)
    with torch.no_grad():
        changes(layer, x)
        _, counts = by_hand(method, slot, x[0])
        method.after(1, None)
    mean = sum(counts) / len(counts)
    wanted = [1e-5 * ((mean > n) - (mean < n)) for n in counts]
    assert method.bias[slot].tolist() == pytest.approx(wanted)
    with torch.no_grad():
        method.after(2, None)
    assert method.bias[slot].tolist() == pytest.approx(wanted), "counts of a step count once"


def test_the_loss_falls_and_the_routers_learn(once):
    method, _, loop = once
    assert sum(loop.losses[-8:]) < 0.8 * sum(loop.losses[:8])
    begun, _ = start()
    assert all(not torch.equal(method.routers[slot], router) for slot, router in begun.routers.items())


def test_the_file_is_read_as_what_was_trained(once):
    method, model, _ = once
    (ranks,) = method.results()
    back = from_tensors("ranks", rank_tensors({slot.weight: own for slot, own in ranks.items()}))
    x = torch.randn(1, 5, 12, generator=torch.Generator().manual_seed(3))
    for slot, delta in back.slots.items():
        if delta.shape[1] != 12:
            continue
        z = x @ delta.down.T
        factor, _ = delta.gate(z)
        found = (z[..., : delta.rank] * factor) @ delta.up.T * delta.scale
        wanted, _ = by_hand(method, slot, x[0])
        torch.testing.assert_close(found[0], wanted, rtol=1e-4, atol=1e-5)
    assert len(back.slots) == len(method.factors)


def test_the_file_does_in_a_run_what_was_trained(once):
    method, model, _ = once
    lora = from_tensors("r", rank_tensors({slot.name: own for slot, own in method.results()[0].items()}))
    given = Given((lora.slots,), ("subject",), ("r",))
    rows, switch = making.switch(1)(given)
    plan = make_plan(rows, [LoraInfo("r", "subject")], switch)
    composition = compose(plan, rows, lambda slot, out: (Spot(slot.weight, None),))
    (item,), sigma = items(1, 4), torch.tensor([0.5])
    with torch.no_grad():
        ask = item.latent, sigma, item.condition
        base, trained = (model.predict(*ask, changes) for changes in (None, method.changes(0, model, None)))
        attachment = Attachment(model.network, composition, Buffers(composition.targets, torch.float32))
        who = np.zeros((1, len(plan.slots)), np.int8)
        ran = attachment.run(who, (1.0,), lambda index: model.predict(*ask, None))
        attachment.remove()
    torch.testing.assert_close(ran, trained, rtol=1e-4, atol=1e-5)
    assert float((base - trained).norm()) > 1e-2 * float(base.norm())


@pytest.mark.parametrize("stop", [1, 11])
def test_gone_on_with_is_uninterrupted_bit_for_bit(once, stop):
    method, _, loop = once
    first, model = start()
    half = run(first, model, stop=stop)
    again, model = start()
    other = run(again, model, kept=(half.state(), first.state()))
    assert loop.losses == other.losses
    for one, two in zip(method.results()[0].values(), again.results()[0].values(), strict=True):
        assert torch.equal(one.router, two.router) and torch.equal(one.bias, two.bias)
        assert torch.equal(one.up, two.up)
