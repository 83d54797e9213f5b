"""Arrow and trained gates as methods: which LoRAs, which layers, and what a plan of them says."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from klora_core import picture, plan_file, report
from klora_core.deltas import Dense, Gated, LowRank
from klora_core.errors import KLoraError
from klora_core.files.learned import GateFile, LoraMark, SlotGate
from klora_core.loras import LoraInfo
from klora_core.methods import Given, making
from klora_core.methods.gates import Ran
from klora_core.names import Slot
from klora_core.page import for_page
from klora_core.plan import make_plan
from klora_core.progress import in_steps

OUT, N = 12, 10
BOTH, ONE, MORE = (Slot(f"input_blocks.{i}.1.to_q") for i in (1, 2, 4))
MARKS = (LoraMark("a", "1"), LoraMark("b", "2"))


def change(rank, seed=0, out=OUT):
    generator = torch.Generator().manual_seed(seed)
    return LowRank(
        torch.randn(out, rank, generator=generator), torch.randn(rank, N, generator=generator), 0.5
    )


def gate(slots, **more):
    return GateFile("g", "MoLE", "picture", "N", more.pop("loras", MARKS), slots, "SDXL", **more)


def loras():
    return {BOTH: change(2, 1), ONE: change(2, 2), MORE: change(1, 5)}, {
        BOTH: change(3, 3),
        MORE: change(2, 6),
    }


def made(make, slots=None, roles=("subject", "style"), contents=("1", "2")):
    slots = loras() if slots is None else slots
    names = tuple("abc"[: len(roles)])
    rows, method = make(Given(tuple(slots), roles, names, contents=lambda: contents))
    infos = [LoraInfo(name, role) for name, role in zip(names, roles, strict=True)]
    return make_plan(rows, infos, method), rows


def e(count=2, out=OUT, seed=9):
    return torch.randn(count * out, count, generator=torch.Generator().manual_seed(seed))


def test_what_has_a_gate_and_what_is_added_as_usual():
    plan, rows = made(making.mole(gate({BOTH.name: SlotGate(e())})))
    assert [slot.name for slot in plan.slots] == [BOTH.name, ONE.name, MORE.name]
    assert plan.method.gated == (True, False, False)
    assert plan.candidates == ("subject", "style", "decided by the picture")
    found = [plan.method.candidates(i, row.deltas) for i, row in enumerate(rows.competing)]
    assert all(each[:2] == (None, None) for each in found)
    assert isinstance(found[0][2], Gated) and found[0][2].rank == 5
    assert found[1][2] is rows.competing[1].deltas[0], "a LoRA that is alone there is as it is"
    whole = sum(delta.dense() for delta in rows.competing[2].deltas)
    torch.testing.assert_close(found[2][2].dense(), whole)
    assert all(who == 2 for who in plan.who(in_steps(3).moments[0])[0])


def test_layers_of_the_gate_that_the_model_lacks_are_counted():
    plan, _ = made(making.mole(gate({BOTH.name: SlotGate(e()), "elsewhere": SlotGate(e())})))
    assert "not used  1: layers of the gate that this model does not have" in report.text(plan, in_steps(4))
    with pytest.raises(KLoraError, match="g: none of its 1 layers is one that these LoRAs share"):
        made(making.mole(gate({"elsewhere": SlotGate(e())})))


@pytest.mark.parametrize(
    ("slots", "said"),
    [
        ({BOTH.name: SlotGate(e(out=OUT - 1))}, rf"g: layer {BOTH.name}: e is 22 x 2, .* should be 24 x 2"),
        ({ONE.name: SlotGate(e())}, "g: none of its 1 layers"),
    ],
)
def test_a_gate_of_another_shape(slots, said):
    with pytest.raises(KLoraError, match=said):
        made(making.mole(gate(slots)))


def test_kinds_without_ranks_are_refused_by_lora_and_layer():
    first, second = loras()
    second = {**second, BOTH: Dense(torch.randn(OUT, N), 3)}
    for make in (making.arrow(), making.mole(gate({BOTH.name: SlotGate(e())}))):
        with pytest.raises(
            KLoraError, match=f"^Use a plain LoRA, or another method: b: layer {BOTH.name} is whole matrix"
        ):
            made(make, (first, second))
    # Where a LoRA is alone nothing is weighed.
    alone = {ONE: Dense(torch.randn(OUT, N), 3), BOTH: first[BOTH]}
    assert made(making.arrow(), (alone, loras()[1]))[0].method.gated == (True, False, False)


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        (("2", "1"), "^Put the LoRAs in the order a, b: g: "),
        (("1", "3"), "^Use a, b, in this order, .*: g: b is none of the LoRAs that this gate was trained on"),
        (("3", "4"), "g: a, b are none of the LoRAs"),
        (("1", "1"), "g: the gate was trained on 2 LoRAs, 2 take part here"),
    ],
)
def test_other_loras_than_the_gate_s(contents, said):
    with pytest.raises(KLoraError, match=said):
        made(making.mole(gate({BOTH.name: SlotGate(e())})), contents=contents)


def test_a_lora_of_the_role_other_cuts_no_slot_of_the_gate():
    """It may be split where they are fused; a gate knows its slots by their own rows."""
    whole = Slot("double_blocks.0.img_attn.qkv")
    first, second = {whole: change(2, 1)}, {whole: change(3, 2)}
    other = {Slot(whole.weight, (4 * i, 4)): change(1, 7 + i, out=4) for i in range(3)}
    roles = ("subject", "style", "other")
    plan, rows = made(making.mole(gate({whole.name: SlotGate(e())})), (first, second, other), roles)
    assert [slot.name for slot in plan.slots] == [whole.name] and plan.method.gated == (True,)
    assert set(rows.alone[2]) == set(other) and plan.loras[2].slots == 3


def test_a_gate_file_of_arrow_needs_its_loras_and_no_numbers():
    file = GateFile("g", "Arrow", "token", "1", MARKS, top=1)
    plan, _ = made(making.mole(file))
    assert plan.method == made(making.arrow(1))[0].method and plan.method.name == "Arrow"
    with pytest.raises(KLoraError, match="b is none"):
        made(making.mole(file), contents=("1", "9"))
    with pytest.raises(KLoraError, match="g: a gate by MoLE-2 is not known here"):
        making.mole(GateFile("g", "MoLE-2", "token", "1", MARKS))


def test_settings_are_checked():
    for make, said in (
        (lambda: making.arrow(pool="word"), "pool must be one of"),
        (lambda: making.arrow(total="2"), "sum must be one of"),
        (lambda: making.arrow(0), "top must be 1 or more"),
        (lambda: making.mole(), "needs a trained gate"),
    ):
        with pytest.raises(KLoraError, match=said):
            make()


RAN = Ran.of(
    np.array(
        [
            [[0.25, 0.75], [0.5, 0.5], [np.nan, np.nan]],
            [[np.nan, np.nan]] * 3,
            [[1.0, 0.0], [0.9, 0.1], [0.8, 0.2]],
        ]
    )
)


@pytest.mark.parametrize(
    "make", [making.arrow(), making.mole(gate({s.name: SlotGate(e()) for s in (BOTH, MORE)}))]
)
def test_documents_read_back_equal_before_a_run_and_after(make):
    plan, _ = made(make)
    after = make_plan(made(make)[1], plan.loras, plan.method.with_run(RAN))
    for each in (plan, after):
        document = json.loads(json.dumps(each.to_json(4), allow_nan=False))
        assert plan_file.from_json(document) == each
    assert plan != after
    assert [slot["gates"] for slot in after.to_json(4)["slots"]][0] == [[0.25, 0.75], [0.5, 0.5], []]
    settings, _, content = for_page(after, 30)
    assert json.loads(content)["slots"] if "slots" in json.loads(content) else settings["gate"]["sum"]


def test_before_a_run_the_picture_decides():
    plan, _ = made(making.arrow())
    said = report.text(plan, in_steps(4))
    assert "Arrow: how much of each LoRA works where is decided by the picture: a run shows it." in said
    assert "used nowhere" not in said and "Warning: \n" not in said and "leads" not in said
    assert plan.shares(in_steps(2)).tolist() == [[0, 0], [0, 0], [1, 1]]


def test_after_a_run_shares_are_the_mean_gates():
    plan, rows = made(making.arrow())
    after = make_plan(rows, plan.loras, plan.method.with_run(RAN))
    shares = after.shares(in_steps(3))
    # The layer of one LoRA is its own; one that was not called is nobody's.
    np.testing.assert_allclose(shares[0], [(0.25 + 1 + 1) / 3, (0.5 + 1 + 0.9) / 3, (0 + 1 + 0.8) / 3])
    np.testing.assert_allclose(shares[2], [0, 0, 1 / 3])
    np.testing.assert_allclose(shares.sum(axis=0), 1)
    said = report.text(after, in_steps(3))
    assert "the subject leads all of 3 steps" in said and "decided by the picture: a run" not in said
    assert "decided by the picture" in said, "a layer was not called"


@pytest.mark.parametrize(("count", "steps"), [(3, [0, 1, 2]), (6, [0, 0, 1, 1, 2, 2]), (1, [1]), (2, [0, 2])])
def test_columns_of_another_number_show_the_step_that_lies_there(count, steps):
    found = RAN.over(in_steps(count))[0, 2]
    np.testing.assert_allclose(found, [[1.0, 0.9, 0.8][step] for step in steps])


def test_the_picture_blends_what_a_run_showed():
    plan, rows = made(making.arrow())
    after = make_plan(rows, plan.loras, plan.method.with_run(RAN))
    before, blended = (np.asarray(picture.draw(each, in_steps(3))) for each in (plan, after))
    assert before.shape == blended.shape and (before != blended).any()
    colours = {tuple(pixel) for pixel in blended.reshape(-1, 3)}
    # Amber and blue, .9 to .1.
    assert (0xE6, 0xB8, 0x58) in colours
