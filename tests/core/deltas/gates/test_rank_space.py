"""Gates in rank space against the LoRAs' whole outputs, which only an oracle makes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from klora_core.deltas.gates import (
    Arrow,
    Mole,
    Ranks,
    gates_of,
    gram,
    leading,
    owners,
    pooled,
    routed,
    scores,
    total_of,
    toward,
)

OUT, N, TOKENS = 14, 11, 6


def drawn(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def factors(ranks, seed=1):
    ups = [drawn(OUT, r, seed=seed + i) * 10.0 ** (i - 1) + 0.3 for i, r in enumerate(ranks)]
    downs = [drawn(r, N, seed=20 + seed + i) for i, r in enumerate(ranks)]
    return ups, downs


def outputs(x, ups, downs):
    """[.., N out]: what each LoRA alone would add, side by side."""
    return torch.cat([x @ down.T @ up.T for up, down in zip(ups, downs, strict=True)], -1)


@pytest.mark.parametrize("ranks", [(3, 4), (1, 2, 5)])
@pytest.mark.parametrize("pool", ["picture", "token"])
@pytest.mark.parametrize("total", ["1", "N"])
def test_mole_in_rank_space_is_mole_of_the_outputs(ranks, pool, total):
    ups, downs = factors(ranks)
    count = len(ranks)
    e, tau = drawn(count * OUT, count, seed=7), 0.7
    x = drawn(2, TOKENS, N, seed=9)
    whole = F.layer_norm(outputs(x, ups, downs), (count * OUT,), eps=0.0) @ e
    if pool == "picture":
        whole = whole.mean(1, keepdim=True)
    wanted = torch.softmax(whole / tau, -1)
    gate = Mole(
        toward(e, ups),
        gram(ups),
        torch.tensor([tau], dtype=torch.float64),
        owners(ranks),
        total_of(total, count),
        pool,
    )
    factor, shares = gate(x @ torch.cat(downs).T)
    torch.testing.assert_close(shares, wanted, rtol=1e-9, atol=1e-9)
    s = {"1": 1.0, "N": float(count)}[total]
    added = (x @ torch.cat(downs).T * factor) @ torch.cat(ups, 1).T
    parts = outputs(x, ups, downs).unflatten(-1, (count, OUT))
    torch.testing.assert_close(added, s * (wanted.unsqueeze(-1) * parts).sum(-2), rtol=1e-9, atol=1e-9)


def test_a_gate_that_has_learned_nothing_is_even_and_its_sum_the_plain_sum():
    ups, downs = factors((3, 4))
    x = drawn(3, TOKENS, N, seed=3)
    gate = Mole(
        toward(torch.zeros(2 * OUT, 2).double(), ups),
        gram(ups),
        torch.ones(1),
        owners((3, 4)),
        2.0,
        "picture",
    )
    factor, shares = gate(x @ torch.cat(downs).T)
    assert torch.equal(shares, torch.full_like(shares, 0.5)) and torch.equal(factor, torch.ones_like(factor))


def test_equal_loras_are_weighed_evenly_by_arrow_and_nothing_in_gives_numbers():
    ups, downs = factors((3,))
    c = leading(ups[0], downs[0])
    arrow = Arrow(torch.block_diag(c[:, None], c[:, None]), owners((3, 3)), 2, 1.0, "token")
    _, shares = arrow(drawn(1, TOKENS, N) @ torch.cat(downs * 2).T)
    torch.testing.assert_close(shares, torch.full_like(shares, 0.5))
    empty = Mole(
        toward(drawn(2 * OUT, 2), ups * 2), gram(ups * 2), torch.ones(1), owners((3, 3)), 2.0, "token"
    )
    for gate in (arrow, empty):
        assert all(found.isfinite().all() for found in gate(torch.zeros(1, 2, 6).double()))


@pytest.mark.parametrize("rank", [1, 3, 9])
def test_leading_is_the_top_right_singular_vector(rank):
    (up,), (down,) = factors((rank,), seed=30 + rank)
    found = leading(up.float(), down.float()) @ down.float().double()
    wanted = torch.linalg.svd(up.float().double() @ down.float().double())[2][0]
    assert abs(abs(float(found @ wanted)) - 1) < 1e-9 and abs(float(found.norm()) - 1) < 1e-9


def test_two_singular_values_close_together_do_not_mix():
    u, v = torch.linalg.qr(drawn(OUT, 2))[0], torch.linalg.qr(drawn(N, 2, seed=4))[0]
    found = leading(u * torch.tensor([1.0, 0.999]).double(), v.T.contiguous()) @ v.T
    assert abs(abs(float(found @ v[:, 0])) - 1) < 1e-6


def test_a_lora_of_zero_has_no_direction():
    assert not leading(torch.zeros(5, 2), torch.ones(2, 3)).any()
    assert not leading(torch.ones(5, 2), torch.zeros(2, 3)).any()


@pytest.mark.parametrize("top", [1, 2, 3, 5])
@pytest.mark.parametrize("pool", ["picture", "token"])
def test_arrow_takes_the_best_and_leaves_the_others(top, pool):
    ranks = (2, 4, 3)
    ups, downs = factors(ranks)
    x = drawn(2, TOKENS, N, seed=11)
    vectors = [torch.linalg.svd(up @ down)[2][0] for up, down in zip(ups, downs, strict=True)]
    along = torch.stack([(x @ vector).abs() for vector in vectors], -1)
    if pool == "picture":
        along = along.mean(1, keepdim=True)
    wanted = torch.zeros_like(along)
    for b in range(along.shape[0]):
        for t in range(along.shape[1]):
            best = sorted(range(3), key=lambda i: -float(along[b, t, i]))[:top]
            weights = torch.stack([along[b, t, i].exp() for i in best])
            for i, weight in zip(best, weights / weights.sum(), strict=True):
                wanted[b, t, i] = weight
    toward = torch.block_diag(*(leading(u, d)[:, None] for u, d in zip(ups, downs, strict=True)))
    _, shares = Arrow(toward, owners(ranks), top, 1.0, pool)(x @ torch.cat(downs).T)
    torch.testing.assert_close(shares, wanted)


def test_ranks_that_are_chosen_against_a_loop():
    logits, bias, k = drawn(2, TOKENS, 5), drawn(5, seed=2) * 0.1, 2
    found = routed(logits, bias, k)
    for b in range(2):
        for t in range(TOKENS):
            s = [1 / (1 + float(torch.exp(-logits[b, t, r]))) + float(bias[r]) for r in range(5)]
            best = sorted(range(5), key=lambda r: -s[r])[:k]
            for r in range(5):
                want = s[r] / sum(s[i] for i in best) * k if r in best else 0.0
                assert float(found[b, t, r]) == pytest.approx(want, rel=1e-9)
    factor, shares = Ranks(bias, k)(torch.cat([drawn(2, TOKENS, 5, seed=8), logits], -1))
    assert torch.equal(factor, found) and torch.allclose(shares.sum(-1), torch.ones(2, TOKENS).double())


def test_one_gate_a_picture_whatever_its_resolution_and_its_neighbours_in_the_batch():
    ups, downs = factors((3, 4))
    gate = Mole(toward(drawn(2 * OUT, 2), ups), gram(ups), torch.ones(1), owners((3, 4)), 2.0, "picture")
    z = drawn(2, TOKENS, N, seed=5) @ torch.cat(downs).T
    together = gate(z)[0]
    for i in range(2):
        torch.testing.assert_close(gate(z[i : i + 1])[0], together[i : i + 1])
    assert together.shape == (2, 1, 7) and not torch.allclose(together[0], together[1])
    # Tokens that are there twice, as the host repeats short texts, change no mean.
    torch.testing.assert_close(gate(z.repeat(1, 3, 1))[0], together)


def test_gradients_reach_e_and_tau():
    ups, downs = factors((2, 3))
    z = drawn(2, 3, N) @ torch.cat(downs).T

    def gates(e, tau):
        return gates_of(scores(z, toward(e, ups), gram(ups)), tau, "picture")

    e, tau = drawn(2 * OUT, 2, seed=6).requires_grad_(), torch.tensor([0.8]).double().requires_grad_()
    assert torch.autograd.gradcheck(gates, (e, tau))


def test_a_temperature_that_wandered_through_zero_counts_as_the_least():
    found = gates_of(torch.tensor([[[1.0, 2.0]]]), torch.tensor([-1.0]), "token")
    assert torch.equal(found, torch.tensor([[[0.0, 1.0]]])) and pooled(found, "token") is found
