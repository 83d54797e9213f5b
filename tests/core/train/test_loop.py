"""The loop against AdamW written out, and a training in two parts against one in one."""

import math

import pytest
import torch

from klora_core.errors import KLoraError
from klora_core.train import Group, Loop, Pace


class Stop(BaseException):
    pass


def problem():
    """Two parameters and a loss of two terms that differs from step to step."""
    a, b = (torch.tensor([1.0, -2.0, 0.5]) * k for k in (1, 3))
    a, b = a.requires_grad_(), b.requires_grad_()

    def terms(step):
        target = torch.randn(3, generator=torch.Generator().manual_seed(step))
        yield (a - target).square().mean()
        yield 0.1 * (a * b).abs().sum()

    return a, b, terms


def by_hand(pace, share):
    """AdamW without decay, from its paper."""
    a, b, terms = problem()
    moments = [(torch.zeros(3), torch.zeros(3)) for _ in range(2)]
    for step in range(pace.steps):
        for parameter in (a, b):
            parameter.grad = None
        sum(terms(step)).backward()
        grads = [a.grad, b.grad]
        if pace.clip is not None:
            norm = math.sqrt(sum(float(g.double().square().sum()) for g in grads))
            grads = [g * min(1.0, pace.clip / (norm + 1e-6)) for g in grads]
        if step < pace.warm_up:
            rate = pace.rate * (step + 1) / pace.warm_up
        else:
            rest = (step - pace.warm_up) / (pace.steps - pace.warm_up)
            rate = pace.rate * (1 + math.cos(math.pi * rest)) / 2 if pace.falls else pace.rate
        for i, (parameter, grad) in enumerate(zip((a, b), grads, strict=True)):
            first, second = moments[i]
            first = 0.9 * first + 0.1 * grad
            second = 0.999 * second + 0.001 * grad**2
            moments[i] = first, second
            lead, size = first / (1 - 0.9 ** (step + 1)), second / (1 - 0.999 ** (step + 1))
            with torch.no_grad():
                parameter -= (rate if i == 0 else rate * share) * lead / (size.sqrt() + 1e-8)
    return a.detach(), b.detach()


@pytest.mark.parametrize(
    "pace", [Pace(20, 0.03), Pace(12, 0.1, warm_up=5, clip=0.5), Pace(9, 0.02, falls=False)]
)
def test_adamw_with_a_pace_and_a_share(pace):
    a, b, terms = problem()
    loop = Loop([Group((a,)), Group((b,), 0.2)], pace)
    told = []
    loop.run(terms, lambda step, loss: told.append((step, loss)))
    for found, expected in zip((a, b), by_hand(pace, 0.2), strict=True):
        assert torch.allclose(found, expected, atol=1e-5)
    assert [step for step, _ in told] == list(range(1, pace.steps + 1))
    assert [loss for _, loss in told] == loop.losses
    assert a.grad is None and b.grad is None


@pytest.mark.parametrize("at", [0, 1, 7, 11])
@pytest.mark.parametrize("where", ["callback", "terms"])
def test_stopped_and_resumed_is_uninterrupted_bit_for_bit(at, where):
    pace = Pace(12, 0.05, warm_up=3, clip=1.0)
    a, b, terms = problem()
    whole = Loop([Group((a,)), Group((b,))], pace)
    whole.run(terms)

    c, d, again = problem()
    first = Loop([Group((c,)), Group((d,))], pace)

    def stopping(step, loss):
        if step == at:
            raise Stop

    def broken(step):
        for i, term in enumerate(again(step)):
            if step == at and i == 1:
                raise Stop
            yield term

    with pytest.raises(Stop) if (where, at) != ("callback", 0) else _nothing():
        first.run(broken if where == "terms" else again, stopping if where == "callback" else None)
    assert c.grad is None and d.grad is None
    state = first.state()

    e, f, terms = problem()
    second = Loop([Group((e,)), Group((f,))], pace)
    second.resume(state)
    second.run(terms)
    assert torch.equal(e, a) and torch.equal(f, b) and second.losses == whole.losses


def _nothing():
    import contextlib

    return contextlib.nullcontext()


def test_a_state_is_a_copy():
    a, b, terms = problem()
    loop = Loop([Group((a, b))], Pace(4, 0.1))
    loop.run(terms, stop=lambda: loop.step == 2)
    state = loop.state()
    before = [p.clone() for p in state["parameters"]]
    loop.run(terms)
    assert loop.step == 4 and state["step"] == 2 and len(state["losses"]) == 2
    assert all(map(torch.equal, before, state["parameters"]))


def test_after_is_told_each_step_before_it_is_counted():
    a, b, terms = problem()
    loop, seen = Loop([Group((a, b))], Pace(3, 0.1)), []

    def clamp(step):
        seen.append(step)
        a.clamp_(-0.5, 0.5)

    loop.run(terms, after=clamp)
    assert seen == [0, 1, 2] and a.abs().max() <= 0.5


def test_a_loss_that_is_no_number_says_what_to_do():
    a, _, _ = problem()
    loop = Loop([Group((a,))], Pace(3, 0.25))
    with pytest.raises(KLoraError, match=r"Lower the rate \(0.25\).*step 2"):
        loop.run(lambda step: iter([(a * (float("nan") if step else 1)).sum()]))
    assert loop.step == 1 and a.isfinite().all()


def test_what_has_no_gradient_is_a_number():
    a, _, _ = problem()
    loop = Loop([Group((a,))], Pace(1, 0.1))
    loop.run(lambda step: iter([torch.tensor(2.0), a.sum()]))
    assert loop.losses == [2.0 - 0.5]


def test_it_runs_under_inference_mode():
    a, b, terms = problem()
    with torch.inference_mode():
        Loop([Group((a, b))], Pace(2, 0.1)).run(terms)
    assert not a.is_inference()
