"""LoRAs in training by each method, on a small network: what it learns, and what it leaves alone."""

from __future__ import annotations

import pytest
import torch

from klora_core.names import Slot
from klora_core.train.fusable.beams import BeamLora
from klora_core.train.fusable.coto import CoTo
from klora_core.train.fusable.training import Plain, Plan, copies_of, terms
from klora_core.train.loop import Loop, Pace
from tests.support.learning.small import Network, Small, dense, items, merged, sizes

PLAN = Plan(steps=24, rate=0.05, rank=4, seed=3)
METHODS = {"plain": Plain, "coto": CoTo, "beamlora": BeamLora}


class Stopped(BaseException):
    """As the host's interrupt, which is no Exception."""


def trained(kind, plan=PLAN, stop=None, network=None):
    """(method, loop, model) after a training, interrupted and gone on with after ``stop`` steps."""
    model, given = Small(network or Network(blocks=2)), items(3)

    def start():
        method = METHODS[kind](sizes(model.network), plan)
        loop = Loop(method.groups, Pace(plan.steps, plan.rate, warm_up=4, clip=1.0))
        return method, loop

    def run(method, loop, callback=None):
        loop.run(
            lambda step: terms(method, model, given, 2, 2, step),
            callback,
            lambda step: method.after(step + 1, loop.optimizer),
        )

    method, loop = start()
    if stop is not None:

        def callback(done, loss):
            if done == stop:
                raise Stopped

        with pytest.raises(Stopped):
            run(method, loop, callback)
        # As it is kept: copies, of which what goes on knows nothing.
        kept = loop.state(), method.state()
        method, loop = start()
        loop.resume(kept[0])
        method.resume(kept[1])
    run(method, loop)
    return method, loop, model


@pytest.fixture(scope="module", params=METHODS)
def once(request):
    """(kind, method, loop, model) of a training that nothing interrupted."""
    return request.param, *trained(request.param)


def test_the_loss_falls(once):
    _, method, loop, _ = once
    assert len(loop.losses) == PLAN.steps
    assert sum(loop.losses[-8:]) < 0.8 * sum(loop.losses[:8])


# Of BeamLoRA's turns of three steps after one, with copies remembered, and at a pruning.
@pytest.mark.parametrize("stop", [10, 11, 12])
def test_gone_on_with_is_uninterrupted_bit_for_bit(once, stop):
    kind, method, loop, _ = once
    again, its_loop, _ = trained(kind, stop=stop)
    assert loop.losses == its_loop.losses
    for one, other in zip(method.results()[0].values(), again.results()[0].values(), strict=True):
        assert torch.equal(one.up, other.up) and torch.equal(one.down, other.down)


def test_the_stored_lora_is_the_training_forward(once):
    _, method, _, model = once
    x, text = items(1, 9)[0].latent, items(1, 9)[0].condition
    # The last step of CoTo has all blocks on.
    hooked = model.predict(x, torch.zeros(1), text, method.changes(23, model, None))
    weights = merged(model.network, dense(method.results()[0]))
    torch.testing.assert_close(hooked, weights(x, text), rtol=1e-5, atol=1e-5)


def test_one_caption_a_forward():
    """Copies of pictures with captions of their own never meet in a forward, however many fit into one."""
    method, model, given = Plain(sizes(Network()), PLAN), Small(Network()), items(3)
    for step in range(6):
        list(terms(method, model, given, 4, 8, step))
    assert all(any(text is item.condition for item in given) for text in model.calls)
    assert len(model.calls) > 6


def test_the_terms_are_the_mean_over_all_copies():
    method, model, given = Plain(sizes(Network()), PLAN), Small(Network()), items(2)
    found = [
        sum(float(t.detach()) for t in terms(method, model, given, 5, at_once, 7)) for at_once in (1, 2, 8)
    ]
    alone = []
    for copy in copies_of(2, 5, PLAN.seed, 7):
        item = given[copy.item]
        noise = torch.randn(item.latent.shape, generator=torch.Generator().manual_seed(copy.seed))
        mixed = item.latent * (1 - copy.percent) + noise * copy.percent
        alone.append(float((model.network(mixed, item.condition) - noise + item.latent).pow(2).mean()))
    assert found == pytest.approx([sum(alone) / 5] * 3, rel=1e-5)


def test_pictures_come_equally_often():
    seen = [copy.item for step in range(9) for copy in copies_of(6, 4, 5, step)]
    assert all(sorted(seen[i : i + 6]) == list(range(6)) for i in range(0, 36, 6))
    assert seen[:6] != seen[6:12] or seen[:6] != seen[12:18]
    noises = [copy.seed for step in range(9) for copy in copies_of(6, 4, 5, step)]
    assert len(set(noises)) == 36
    assert copies_of(6, 4, 5, 3) == copies_of(6, 4, 5, 3) != copies_of(6, 4, 6, 3)


def test_what_is_off_has_no_gradient():
    network = Network(blocks=6)
    method, model, given = CoTo(sizes(network), PLAN), Small(network), items(1)
    for step in (0, 4, 10):
        for term in terms(method, model, given, 1, 1, step):
            term.backward()
        on = method.on(step)
        for slot, own in method.factors.items():
            is_on = ".".join(slot.weight.split(".")[:2]) in on
            assert (own.up.grad is not None) == (own.down.grad is not None) == is_on
            own.up.grad = own.down.grad = None
    assert {len(method.on(step)) for step in range(20, 24)} == {6}


def test_ranks_are_copied_as_a_loop_over_them_copies():
    """A pruning by hand: factors, both moments and gates of every slot, one rank at a time."""
    torch.manual_seed(0)
    shapes = {Slot("blocks.0.a"): (5, 4), Slot("blocks.1.b"): (6, 7)}
    method = BeamLora(shapes, Plan(steps=32, rate=1e-3, rank=4, seed=0))
    every = [t for group in method.groups for t in group.parameters]
    optimizer = torch.optim.AdamW(every, lr=0.01)

    def step():
        for parameter in every:
            parameter.grad = torch.randn_like(parameter)
        optimizer.step()

    def now():
        return [
            [
                (part[:, r] if side == "up" else part[r]).clone().tolist()
                for side in ("down", "up")
                for part in (
                    getattr(own, side).detach(),
                    optimizer.state[getattr(own, side)]["exp_avg"],
                    optimizer.state[getattr(own, side)]["exp_avg_sq"],
                )
            ]
            for own in method.factors.values()
            for r in range(4)
        ]

    step()
    method.after(1, optimizer)
    step()
    then = now()
    with torch.no_grad():
        method.after(2, optimizer)
    step()
    with torch.no_grad():
        method.after(3, optimizer)
        # Ranks that are worth little: of the first slot three, of which half the slot may go.
        for gate, values in zip(
            method.gates.values(), ([0.9, 0, 0.1, -0.1], [0.02, 0.01, 0.03, -0.6]), strict=True
        ):
            gate.copy_(torch.tensor(values))
    step()
    gates = [gate.tolist() for gate in method.gates.values()]
    before = now()
    with torch.no_grad():
        method.after(4, optimizer)
    wanted, gates_wanted = list(before), [list(g) for g in gates]
    for s, g in enumerate(gates):
        order = sorted(range(4), key=lambda r: -g[r])
        # q is .05 (1 + cos(pi / 8)) / 2 = .0481 of a sum of 8: of the first slot all but one are nothing, of
        # the second the last.
        for i, r in enumerate(order[::-1][: 2 if s == 0 else 1]):
            wanted[4 * s + r] = then[4 * s + order[i]]
            gates_wanted[s][r] = gates_wanted[s][order[i]] = (g[r] + g[order[i]]) / 2
    assert now() == wanted
    for gate, mean in zip(method.gates.values(), gates_wanted, strict=True):
        assert gate.tolist() == pytest.approx(mean)
        assert not optimizer.state[gate]["exp_avg"].any() and not optimizer.state[gate]["exp_avg_sq"].any()
    assert "3 ranks" in method.facts()[0]
