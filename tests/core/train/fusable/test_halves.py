"""UnZipLoRA in training, on a small network: whose prompt reaches whom, periods, and what adds up."""

from __future__ import annotations

import pytest
import torch

from klora_core.errors import KLoraError
from klora_core.names import Slot, reads_text
from klora_core.train import Noised
from klora_core.train.fusable.halves import UnZip
from klora_core.train.fusable.training import Plan, Shown, terms
from klora_core.train.loop import Loop, Pace
from tests.support.learning.small import TEXT, WORDS, Network, Small, dense, items, merged, sizes

PLAN = Plan(steps=9, rate=0.01, rank=4, seed=3)


def prompt(seed, words=WORDS):
    return torch.randn(1, words, TEXT, generator=torch.Generator().manual_seed(seed))


def start(prompts=None, by_block=False, plan=PLAN):
    model = Small(Network(blocks=2))
    return UnZip(sizes(model.network), plan, prompts or [prompt(1), prompt(2)], by_block), model


def run(method, model, stop=None, kept=None):
    loop = Loop(method.groups, Pace(method.plan.steps, method.plan.rate, falls=False))
    if kept:
        loop.resume(kept[0])
        method.resume(kept[1])
    loop.run(
        lambda step: terms(method, model, items(1), 1, 1, step),
        after=lambda step: method.after(step + 1, loop.optimizer),
        stop=None if stop is None else lambda: loop.step == stop,
    )
    return loop


def shown(seed=5):
    item = items(1, seed)[0]
    return Noised(item.latent, torch.full((1,), 0.4), item.latent), item.condition


def test_adding_both_files_is_the_forward_of_the_training():
    same, (batch, _) = prompt(1), shown()
    method, model = start([same, same])
    run(method, model)
    # With one prompt for all, what is added to the weights is all there is.
    hooked = model.predict(batch.x, batch.sigma, same, method.changes(7, model, batch))
    content, style = map(dense, method.results())
    both = {name: content[name] + style[name] for name in content}
    torch.testing.assert_close(hooked, merged(model.network, both)(batch.x, same), rtol=1e-5, atol=1e-5)
    assert any(not mask.all() for half in method.masks for mask in half.values())


@pytest.mark.parametrize("half", [0, 1])
def test_a_prompt_reaches_its_own_factors_alone(half):
    """Another prompt of one half moves, of the layers that read text, the gradients of that half alone."""
    batch, text = shown()
    outputs = []
    for prompts in ([prompt(1), prompt(2)], [prompt(1 + 8 * (half == 0)), prompt(2 + 8 * (half == 1))]):
        method, model = start(prompts)
        changes = method.changes(0, model, batch)
        slot = next(s for s in method.factors[0] if reads_text(s.weight))
        layer = model.network.get_submodule(slot.weight)
        # Of one layer: deeper ones see what the others have changed in the picture.
        changes.of(slot)(layer, text).sum().backward()
        outputs.append([own[slot].down.grad for own in method.factors])
        torch.testing.assert_close(
            changes.of(slot)(layer, text),
            sum(prompts[i] @ own[slot].down.T @ own[slot].up.T for i, own in enumerate(method.factors)),
        )
    assert not torch.equal(outputs[0][half], outputs[1][half])
    assert torch.equal(outputs[0][1 - half], outputs[1][1 - half])


def test_other_layers_see_the_picture():
    method, model = start()
    batch, text = shown()
    changes = method.changes(0, model, batch)
    slot = next(s for s in method.factors[0] if not reads_text(s.weight))
    wanted = sum(batch.x @ own[slot].down.T @ own[slot].up.T for own in method.factors)
    torch.testing.assert_close(changes.of(slot)(model.network.get_submodule(slot.weight), batch.x), wanted)


def test_periods_by_hand():
    """Masks grow at the first steps of the periods alone; there m stands still, and it stays in [0, 1]."""
    method, model = start()
    counts, learned = [], []

    def look(done):
        counts.append([sum(int(k.sum()) for k in half.values()) for half in method.masks])
        learned.append([m.detach().clone() for half in method.learned for m in half.values()])

    loop = Loop(method.groups, Pace(9, 0.01, falls=False))

    def after(step):
        method.after(step + 1, loop.optimizer)
        look(step + 1)

    loop.run(lambda step: terms(method, model, items(1), 1, 1, step), after=after)
    assert [counts[i] == counts[i - 1] for i in range(1, 9)] == [
        True,
        True,
        False,
        True,
        True,
        False,
        True,
        True,
    ]
    # 12 layers of 12 outputs: one each a period and half.
    assert counts[0] == [12, 12] and all(12 < n <= 24 for n in counts[3]) and all(n <= 36 for n in counts[8])
    still = [all(map(torch.equal, learned[i], learned[i - 1])) for i in range(1, 9)]
    assert still == [False, False, True, False, False, True, False, False]
    assert all(torch.equal(m, torch.ones(12)) for m in learned[0])
    assert all(torch.equal(m, m.clamp(0, 1)) for m in learned[8])


def test_scores_are_of_the_gradient_of_dw():
    """Against the gradient of a dense change that autograd sees as a leaf."""
    method, model = start()
    step_terms = list(terms(method, model, items(1), 1, 1, 0))
    for term in step_terms:
        term.backward()
    network, item = model.network, items(1)[0]
    inputs = method._inputs
    leaves = [
        {s: (own.up @ own.down).detach().requires_grad_() for s, own in half.items()}
        for half in method.factors
    ]

    class Dense:
        def of(self, slot):
            def change(module, x):
                return sum(
                    torch.nn.functional.linear(seen.get(slot, x), leaf[slot])
                    for leaf, seen in zip(leaves, inputs, strict=True)
                )

            return change

    from klora_core.train.fusable.training import copies_of, error
    from klora_core.train.items import noised

    batch = noised(model, items(1), copies_of(1, 1, PLAN.seed, 0))
    error(model.predict(batch.x, batch.sigma, item.condition, Dense()), batch).backward()
    for half, leaf in enumerate(leaves):
        for slot, change in leaf.items():
            wanted = [
                sum(abs(float(w) * float(g)) > 1e-5 for w, g in zip(ws, gs, strict=True)) / len(ws)
                for ws, gs in zip(change.detach(), change.grad, strict=True)
            ]
            assert method._scores[half][slot][0].tolist() == pytest.approx(wanted, abs=0.13), slot
    assert network.output_blocks[0].attn1.to_q.weight.grad is None


def test_blocks_of_sdxl_have_owners():
    method, model = start(by_block=True)
    run(method, model, stop=1)
    content, style = method.masks
    for slot in content:
        whole = (content, style)[slot.weight.startswith("output_blocks.1.")]
        other = (style, content)[slot.weight.startswith("output_blocks.1.")]
        assert whole[slot].all() and int(other[slot].sum()) == 1


@pytest.mark.parametrize("stop", [1, 3, 4, 8])
def test_gone_on_with_is_uninterrupted_bit_for_bit(stop):
    once, model = start()
    loop = run(once, model)
    first, model = start()
    half = run(first, model, stop=stop)
    again, model = start()
    other = run(again, model, kept=(half.state(), first.state()))
    assert loop.losses == other.losses
    for one, two in zip(once.results(), again.results(), strict=True):
        assert all(torch.equal(a.up, two[s].up) and torch.equal(a.down, two[s].down) for s, a in one.items())


def test_the_loss_falls():
    # At the paper's own rates a thousand times as many steps are needed for as far.
    method, model = start(plan=Plan(60, 0.005, 8, 0))
    losses = run(method, model).losses
    assert sum(losses[-15:]) < 0.9 * sum(losses[:15])
    assert "outputs" in method.facts()[0]


def test_a_shorter_prompt_is_filled_up_and_a_longer_one_refused():
    batch, text = shown()
    method, model = start([prompt(1, 1), prompt(2)])
    slot = next(s for s in method.factors[0] if reads_text(s.weight))
    own = [half[slot] for half in method.factors]
    y = method.changes(0, model, batch).of(slot)(model.network.get_submodule(slot.weight), text)
    wanted = (
        prompt(1, 1).repeat(1, 3, 1) @ own[0].down.T @ own[0].up.T + prompt(2) @ own[1].down.T @ own[1].up.T
    )
    torch.testing.assert_close(y, wanted)
    method, model = start([prompt(1, 4), prompt(2)])
    with pytest.raises(KLoraError, match="Bring the prompts to one length"):
        method.changes(0, model, batch).of(slot)(None, text)


def test_a_model_without_cross_attention_is_refused():
    joint = {Slot("double_blocks.0.img_attn.qkv"): (12, 4), Slot("double_blocks.0.txt_attn.qkv"): (12, 4)}
    with pytest.raises(KLoraError, match="text and picture in one attention"):
        UnZip(joint, PLAN, [None, None], False)


def test_layers_that_see_the_picture_beside_the_text_are_refused():
    method, model = start()
    plain = model.network.forward
    model.network.forward = lambda x, text: plain(x, text + x.mean())
    batch, _ = shown()
    with pytest.raises(KLoraError, match="sees the picture beside the text"):
        method.changes(0, model, batch)


def test_shown_leaves_out_what_it_has_not():
    assert Shown({}).of(Slot("blocks.0.a")) is None
