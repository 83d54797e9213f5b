"""K-LoRA by energy, and the loser outside the winner's inputs; both off, it is the paper bit for bit."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from klora_core.apply import Spot, compose
from klora_core.deltas import Dense, Hadamard, Kron, LowRank, meet
from klora_core.errors import KLoraError
from klora_core.loras import LoraInfo
from klora_core.methods.klora import GAMMA_MODES, KLora, energies_of, evidence_of, make_schedule
from klora_core.names import Slot
from klora_core.plan import make_plan
from klora_core.plan_file import from_json
from klora_core.progress import in_steps
from klora_core.scores import energy, score
from tests.core.apply.test_layers import make

KINDS = ("lora", "dense", "hadamard", "kron", "kron of pairs", "kron rows", "kron reordered")
ROLES = ("subject", "style")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_energy_equals_the_dense_sum_of_squares(kind, dtype):
    delta = make(kind, 24, 36, seed=3)
    kept = [t.to(dtype) if t.is_floating_point() else t for t in delta.tensors]
    delta = delta.with_tensors(kept).scaled(-0.7) if not isinstance(delta, Kron) else stored(delta, dtype)
    exact = delta.with_tensors([t.double() if t.is_floating_point() else t for t in delta.tensors])
    if isinstance(delta, Kron):
        exact = Kron(exact.w1, exact.w2, 1.0, delta.window, delta.order)
    wanted = delta.scale**2 * float(exact.product().square().sum())
    assert energy(delta) == pytest.approx(wanted, rel=1e-10)


def stored(delta, dtype):
    def one(factor):
        return factor.to(dtype) if isinstance(factor, torch.Tensor) else tuple(f.to(dtype) for f in factor)

    return Kron(one(delta.w1), one(delta.w2), -0.7, delta.window, delta.order)


def test_energy_of_a_large_product_in_tiles():
    g = torch.Generator().manual_seed(1)
    a, b, c, d = (torch.randn(s, generator=g) for s in ((700, 3), (3, 3000), (700, 2), (2, 3000)))
    delta = Hadamard(a, b, c, d, 0.5)
    wanted = 0.25 * float(((a.double() @ b.double()) * (c.double() @ d.double())).square().sum())
    assert energy(delta) == pytest.approx(wanted, rel=1e-10)
    assert energy(LowRank(torch.zeros(5, 2), torch.ones(2, 7))) == 0
    assert energy(Dense(torch.zeros(5, 7), 5)) == 0


def pair(seed=0, count=40, ranks=(4, 3)):
    g = torch.Generator().manual_seed(seed)
    loras = []
    for rank in ranks:
        sizes = torch.rand(count, generator=g) * 2
        loras.append(
            {
                Slot(f"middle_block.{i}.attn1.to_q"): LowRank(
                    torch.randn(12, rank, generator=g) * sizes[i].exp(),
                    torch.randn(rank, 20, generator=g),
                    0.3,
                )
                for i in range(count)
            }
        )
    return loras


def by_energy(loras, roles=ROLES, mode="paper", **rest):
    rows = meet(loras, roles)
    evidence = energies_of(rows.competing, roles, roles)
    return rows, KLora(make_schedule("s"), mode, roles, evidence, "energy", **rest)


def test_the_choice_by_energy_against_its_equation_on_dense_matrices():
    loras = pair()
    rows, method = by_energy(loras)
    dense = [
        [float(lora[row.slot].dense().double().square().sum()) for row in rows.competing] for lora in loras
    ]
    gamma = sum(dense[0]) / sum(dense[1])
    assert method.gamma == pytest.approx(gamma)
    for moment in in_steps(10).moments:
        wanted = [0 if c / gamma >= (1.5 * moment.x + 0.5) * s else 1 for c, s in zip(*dense, strict=True)]
        assert method.who(moment)[0].tolist() == wanted
    assert len({tuple(method.who(m)[0]) for m in in_steps(10).moments}) > 3


def test_the_choice_by_energy_does_not_depend_on_a_loras_size():
    loras = pair()
    _, method = by_energy(loras)
    larger = {slot: delta.scaled(3.0) for slot, delta in loras[1].items()}
    _, other = by_energy([loras[0], larger])
    for moment in in_steps(10).moments:
        assert method.who(moment).tolist() == other.who(moment).tolist()


def test_energies_that_are_not_finite_name_lora_and_layer():
    loras = pair()
    slot = next(iter(loras[1]))
    loras[1][slot] = LowRank(torch.full((12, 3), float("nan")), torch.ones(3, 20))
    with pytest.raises(KLoraError, match=r"style: layer middle_block\.0\.attn1\.to_q holds values"):
        by_energy(loras)


def test_documents_with_and_without_the_new_keys():
    loras = pair()
    infos = [LoraInfo(role, role) for role in ROLES]
    rows, method = by_energy(loras, outside=0.25)
    plan = make_plan(rows, infos, method)
    document = plan.to_json(5)
    assert from_json(document) == plan and from_json(document).dumps(5) == plan.dumps(5)
    assert document["score"] == "energy" and document["loser"] == {"mode": "outside", "outside": 0.25}
    assert "energy_subject" in document["slots"][0] and "score_subject" not in document["slots"][0]
    paper = make_plan(
        rows,
        infos,
        KLora(make_schedule("s"), "paper", ROLES, evidence_of(rows.competing, ROLES, score, ROLES)),
    )
    old = copy.deepcopy(paper.to_json(5))
    assert "energy_subject" not in old["slots"][0]
    del old["score"], old["loser"]
    assert from_json(old) == paper


def test_all_that_is_said_of_energies():
    _, method = by_energy(pair(), outside=0.5)
    said = {fact.label: fact.value for fact in method.facts()}
    assert said["compared"] == "energy" and said["loser"] == "outside 0.5"
    assert all(method.gamma_of(mode) > 0 for mode in GAMMA_MODES)
    assert method.page_json(0, ROLES)["score_subject"] == method.evidence[0].energies[0]


def composed(loras, roles, strengths, outside):
    rows, method = by_energy(loras, roles, outside=outside)
    infos = [LoraInfo(role, role, strength=s) for role, s in zip(roles, strengths, strict=True)]
    plan = make_plan(rows, infos, method)
    return plan, compose(plan, rows, lambda slot, out: [Spot(slot.weight, slot.rows)]).targets


def test_strength_0_is_the_very_same_composition():
    loras = pair()
    _, plain = composed(loras, ROLES, (1.0, 1.0), 0.0)
    for target, row in zip(plain, meet(loras, ROLES).competing, strict=True):
        for made, own in zip(target.candidates, row.deltas, strict=True):
            assert made.up is own.up and made.down is own.down and made.scale == own.scale


def test_the_loser_against_its_equation_on_dense_matrices():
    loras = pair(ranks=(4, 3))
    _, targets = composed(loras, ROLES, (0.9, 1.2), 0.6)
    for target, row in zip(targets, meet(loras, ROLES).competing, strict=True):
        own = [
            strength * delta.dense().double() for delta, strength in zip(row.deltas, (0.9, 1.2), strict=True)
        ]
        for winner, loser in ((0, 1), (1, 0)):
            # The projector from the pseudoinverse: no QR.
            down = row.deltas[winner].down.double()
            projector = torch.linalg.pinv(down) @ down
            wanted = own[winner] + 0.6 * own[loser] @ (torch.eye(20, dtype=torch.float64) - projector)
            made = target.candidates[winner]
            assert made.rank == 7
            torch.testing.assert_close(made.dense().double(), wanted, rtol=1e-4, atol=1e-5)


def test_on_the_winners_inputs_the_loser_adds_nothing():
    loras = pair()
    _, targets = composed(loras, ROLES, (1.0, 1.0), 1.0)
    for target, row in zip(targets, meet(loras, ROLES).competing, strict=True):
        for winner in (0, 1):
            inputs = row.deltas[winner].down.T
            found, alone = target.candidates[winner].dense() @ inputs, row.deltas[winner].dense() @ inputs
            assert float((found - alone).norm() / alone.norm()) < 1e-5


def test_equal_loras_give_that_lora():
    lora = pair()[0]
    _, targets = composed([lora, lora], ROLES, (1.0, 1.0), 1.0)
    for target, delta in zip(targets, meet([lora, lora], ROLES).competing, strict=True):
        for made in target.candidates:
            torch.testing.assert_close(made.dense(), delta.deltas[0].dense(), rtol=1e-5, atol=1e-5)


def test_a_zero_style_and_an_absent_one():
    loras = pair()
    zero = {slot: LowRank(torch.zeros(12, 3), delta.down) for slot, delta in loras[1].items()}
    for others, strengths in ((zero, (1.0, 1.0)), (loras[1], (1.0, 0.0))):
        _, targets = composed([loras[0], others], ROLES, strengths, 1.0)
        for target, row in zip(targets, meet([loras[0], others], ROLES).competing, strict=True):
            made = target.candidates[0].dense()
            assert made.isfinite().all()
            torch.testing.assert_close(made, row.deltas[0].dense(), rtol=1e-5, atol=1e-5)
    assert all(target.candidates[1] is None for target in targets), (
        "a style of strength 0 wins, and adds nothing"
    )


def test_of_several_styles_the_leading_one_acts():
    loras = pair(ranks=(4, 3, 5))
    roles = ("subject", "style", "style")
    plan, targets = composed(loras, roles, (1.0, 1.0, 1.0), 0.5)
    leading = plan.method._leaders[1]
    assert set(leading.tolist()) == {1, 2}
    for target, row, style in zip(targets, meet(loras, roles).competing, leading, strict=True):
        idle = 3 - int(style)
        assert target.candidates[0].rank == row.deltas[0].rank + row.deltas[style].rank
        assert (
            target.candidates[idle] is row.deltas[idle]
            or target.candidates[idle].rank == row.deltas[idle].rank
        )
    used = np.unique(np.concatenate([plan.who(m) for m in in_steps(8).moments], axis=1))
    assert used.tolist() == [0, 1, 2]


def test_layers_that_are_not_of_low_rank_keep_the_paper():
    loras = pair(count=3)
    for slot, kind in zip(list(loras[1]), ("dense", "hadamard", "kron"), strict=True):
        loras[1][slot] = make(kind, 12, 20, 5)
    _, targets = composed(loras, ROLES, (1.0, 1.0), 1.0)
    for target, row in zip(targets, meet(loras, ROLES).competing, strict=True):
        assert target.candidates[0].down is row.deltas[0].down
        assert type(target.candidates[1]) is type(row.deltas[1])


@pytest.mark.parametrize("outside", [-0.1, 1.1, float("nan")])
def test_strengths_out_of_range(outside):
    with pytest.raises(KLoraError, match="outside must be within 0 and 1"):
        by_energy(pair(), outside=outside)


def test_half_precision_files_keep_their_ups():
    loras = [
        {s: LowRank(d.up.half(), d.down.half(), d.scale) for s, d in lora.items()} for lora in pair(count=2)
    ]
    _, targets = composed(loras, ROLES, (1.0, 1.0), 0.5)
    for target in targets:
        assert (
            target.candidates[0].up.dtype == torch.float16
            and target.candidates[0].down.dtype == torch.float32
        )
