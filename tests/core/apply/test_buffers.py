"""The buffers: sizes, switches in place, forms, interrupts."""

from __future__ import annotations

import pytest
import torch

from klora_core.apply import Buffers, Target, buffers
from klora_core.apply.buffers import NO_FORM
from klora_core.deltas import Dense, Hadamard, Kron, LowRank
from klora_core.methods import NOBODY

OUT, N = 12, 20


def r(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def lora(rank=2, seed=0, scale=1.0):
    return LowRank(r(OUT, rank, seed=seed), r(rank, N, seed=seed + 1), scale)


def kron(seed=0, scale=1.0):
    return Kron(r(3, 4, seed=seed), r(4, 5, seed=seed + 1), scale)


def hadamard(seed=0, scale=1.0):
    return Hadamard(r(OUT, 2), r(2, N), r(OUT, 3), r(3, N), scale)


def one(*candidates, dtype=torch.float32):
    return Buffers((Target("layer", None, candidates),), dtype)


def size(module):
    return sum(p.numel() for p in module.parameters())


def shown(module):
    """What is added: the active form, and what a compiled model adds: all of them."""
    forms = module.forms(0)
    active = module.states[0].active
    added = torch.zeros(OUT, N) if active == NO_FORM else forms[active].dense()
    return added, sum((form.dense() for form in forms), torch.zeros(OUT, N))


def is_shown(module, delta):
    expected = torch.zeros(OUT, N) if delta is None else delta.dense()
    return all(torch.allclose(found, expected, atol=1e-5) for found in shown(module))


def test_sizes_are_the_files_own_and_one_form_is_one_set():
    assert size(one(lora(2), lora(5))) == 5 * (OUT + N)
    assert size(one(kron(1), kron(2))) == 3 * 4 + 4 * 5
    assert size(one(hadamard(1), hadamard(2))) == (2 + 3) * (OUT + N)
    assert size(one(kron(), lora(2))) == 3 * 4 + 4 * 5 + 2 * (OUT + N)
    assert size(one(Dense(r(OUT, N), 3), Dense(r(OUT, N), 5))) == OUT * N
    assert size(one(kron(), kron().rows(0, 12))) == 3 * 4 + 4 * 5
    assert size(one(None, None)) == 0


def test_krons_of_other_inner_shapes_or_rows_are_forms_of_their_own():
    big = Kron(r(6, 4), r(4, 5))
    assert len(one(kron(), Kron(r(4, 5), r(3, 4))).forms(0)) == 2
    assert len(one(big.rows(0, 12), big.rows(1, 12)).forms(0)) == 2
    assert len(one(big.rows(1, 12), Kron(r(6, 4, seed=4), r(4, 5)).rows(1, 12)).forms(0)) == 1
    same_shapes = Kron((r(3, 3), r(3, 3)), r(3, 3)), Kron(r(3, 3), (r(3, 3), r(3, 3)))
    assert len(one(*same_shapes).forms(0)) == 2


CANDIDATES = [
    lora(2, 1, 0.5),
    lora(5, 2, -1.5),
    kron(3, 2.0),
    None,
    Dense(r(OUT, N, seed=9), 12, 0.3),
    hadamard(5, -0.25),
    lora(3, 7, 0.0),
    Kron(r(6, 4, seed=2), r(4, 5, seed=3), 0.5).reordered(torch.randperm(24)[:12]),
]


def test_any_order_of_switches_shows_the_candidate_and_nothing_else():
    module = one(*CANDIDATES)
    pointers = [p.data_ptr() for p in module.parameters()]
    for buffer in module.parameters():
        buffer.fill_(torch.nan if buffer.is_floating_point() else 99)
    module.show(0, NOBODY)
    assert is_shown(module, None), "whatever the memory held"
    turns = torch.randint(-1, len(CANDIDATES), (60,), generator=torch.Generator().manual_seed(0)).tolist()
    for who in turns:
        module.show(0, who)
        assert is_shown(module, None if who == NOBODY else CANDIDATES[who]), who
    assert [p.data_ptr() for p in module.parameters()] == pointers
    assert set(turns) == {-1, *range(len(CANDIDATES))}


@pytest.mark.parametrize("at", range(4))
def test_after_an_interrupted_switch_nothing_is_taken_for_whole(monkeypatch, at):
    fill, calls = buffers.fill, []

    def breaking(*args):
        calls.append(args)
        if len(calls) == at + 1:
            raise KeyboardInterrupt
        fill(*args)

    for first, second in ((0, 1), (0, 5), (5, 0), (1, 2)):
        module = one(*CANDIDATES)
        module.show(0, first)
        calls.clear()
        monkeypatch.setattr(buffers, "fill", breaking)
        try:
            module.show(0, second)
        except KeyboardInterrupt:
            assert module.states[0].active == NO_FORM
        monkeypatch.undo()
        for who in (first, second):
            module.show(0, who)
            assert is_shown(module, CANDIDATES[who])


def test_what_is_shown_already_is_not_copied_again(monkeypatch):
    module = one(*CANDIDATES)
    module.show(0, 1)
    monkeypatch.setattr(buffers, "fill", None)
    module.show(0, 1)
    with pytest.raises(TypeError):
        module.show(0, 0)


def test_a_candidate_that_is_not_there():
    with pytest.raises(IndexError):
        one(lora()).show(0, 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_dtypes(dtype):
    module = one(*CANDIDATES, dtype=dtype)
    assert {p.dtype for p in module.parameters()} == {dtype, torch.int64}
    module.show(0, 7)
    assert torch.allclose(shown(module)[0], CANDIDATES[7].dense(), atol=0.1)
    stored = LowRank(r(OUT, 2).to(torch.float8_e4m3fn), r(2, N).to(torch.float8_e4m3fn), 0.5)
    module = one(stored, dtype=dtype)
    module.show(0, 0)
    assert torch.allclose(shown(module)[0], stored.dense(), atol=0.1)


def test_made_in_inference_mode_and_written_outside_of_it():
    with torch.inference_mode():
        module = one(lora())
    module.show(0, 0)
    assert is_shown(module, lora())


def test_no_targets():
    assert Buffers((), torch.float32).where == torch.device("cpu")
    assert one(lora()).where == torch.device("cpu")
