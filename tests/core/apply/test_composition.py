"""A plan on a plain torch module through a whole run, against weights rewritten densely in float64."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch

from klora_core.apply import Attachment, Buffers, Clock, HostRules, Spot, compose
from klora_core.deltas import meet
from klora_core.loras import LoraInfo
from klora_core.methods import Method
from klora_core.names import Slot
from klora_core.plan import DROP, KEEP, make_plan
from klora_core.progress import STEPS, Progress
from tests.support.nets import PLAIN, WIDTH, inputs, make, state

ROLES, STRENGTHS = ("subject", "style", "other"), (0.7, -1.3, 0.5)
SIGMAS = torch.tensor([10.0, 6.0, 3.0, 1.5, 0.4, 0.0])
LEVELS = (10.0, 5.0, 1.0, 0.1)
Q, K, V = ((i * WIDTH, WIDTH) for i in range(3))
# By the depth of their names' numbers; the fused weight of the subject is cut where the style is split.
COMPETING = ("down", "inward", f"qkv[{K[0]}:{2 * WIDTH}]", f"qkv[{V[0]}:{3 * WIDTH}]")


def loras():
    subject = {
        Slot("inward"): make("lora", WIDTH, 36, 1),
        Slot("down"): make("kron", WIDTH, WIDTH * 9, 2),
        Slot("qkv"): make("larger lora", 3 * WIDTH, WIDTH, 3),
        Slot("out.0"): make("hadamard", WIDTH, WIDTH, 4),
    }
    style = {
        Slot("inward"): make("dense", WIDTH, 36, 5),
        Slot("down"): make("hadamard", WIDTH, WIDTH * 9, 6),
        Slot("qkv", K): make("lora", WIDTH, WIDTH, 7),
        Slot("qkv", V): make("kron", WIDTH, WIDTH, 8),
        Slot("each"): make("lora", WIDTH, 9, 9),
    }
    return subject, style, {Slot("inward"): make("larger lora", WIDTH, 36, 10)}


@dataclass(frozen=True)
class ByTable(Method):
    """``table`` [steps][passes][slots] says who, ``shares`` [steps][passes] how much."""

    table: tuple
    shares: tuple
    name: ClassVar[str] = "by table"
    paper: ClassVar[str] = ""
    summary: ClassVar[str] = ""

    def who(self, moment):
        return np.array(self.table[moment.step], np.int8)

    def weights(self, moment):
        return self.shares[moment.step]


ONE_PASS = ByTable(
    (((0, 1, 1, 0),), ((0, 1, 1, 0),), ((1, 0, -1, 0),), ((-1, -1, -1, -1),), ((1, 1, 0, 1),)),
    ((1.0,),) * 5,
)
PASSES = ByTable(
    (
        ((0, 0, 0, 0), (1, 1, 1, 1)),
        ((0, 1, 0, 1), (0, 1, -1, 1), (1, 1, 1, 1)),
        ((1, 1, 1, 1),),
        ((1, 1, 1, 1), (0, -1, 0, -1)),
        ((0, 0, 0, 0), (0, 0, 0, 0)),
    ),
    ((0.6, 0.4), (0.5, 0.2, 0.3), (1.0,), (0.25, 0.75), (0.5, 0.5)),
)


def spots(slot, out):
    if slot.weight == "down":
        # A model may keep apart what the plan does not.
        return [Spot("down", part, part) for part in ((0, 10), (10, out - 10))]
    return [Spot(slot.weight, slot.rows)]


def composed(method, other_layers=KEEP, strengths=STRENGTHS, where=spots):
    rows = meet(loras(), ROLES)
    infos = [LoraInfo(role, role, 0, strength) for role, strength in zip(ROLES, strengths, strict=True)]
    return compose(make_plan(rows, infos, method, Progress(STEPS), other_layers), rows, where)


def attached(net, composition, rules=PLAIN):
    return Attachment(net, composition, Buffers(composition.targets, torch.float32), rules)


def evaluation(attachment, method, moment, model):
    return attachment.run(method.who(moment), method.weights(moment), model)


def step(x, output):
    return x + 0.3 * output.flatten(1)[:, : x[0].numel()].view_as(x)


def whole_run(net, attachment, method, x, each=lambda *at: None):
    """The latent after each step of an Euler-like run."""
    clock, found = Clock(Progress(STEPS), lambda: LEVELS), []
    for sigma in SIGMAS[:-1].split(1):
        clock.tick()
        moment = clock.read(sigma, SIGMAS)

        def call(index, x=x, moment=moment):
            each(moment.step, index)
            return net(x)

        x = step(x, evaluation(attachment, method, moment, call))
        found.append(x)
    return found


def rewritten(net, who, kept, strengths=STRENGTHS):
    """The network in float64 with what ``who`` [slots] chooses written into its weights."""
    net = copy.deepcopy(net).double()
    subject, style, other = (
        {slot.name: strength * delta.dense().double() for slot, delta in lora.items()}
        for lora, strength in zip(loras(), strengths, strict=True)
    )

    def write(layer, change, rows=(0, None)):
        weight = net.get_submodule(layer).weight
        start, length = rows
        weight.data.flatten(1)[start : None if length is None else start + length] += change

    q, k, v = subject["qkv"].split(WIDTH)
    choices = (
        ("down", (subject["down"], style["down"]), (0, None)),
        ("inward", (subject["inward"], style["inward"]), (0, None)),
        ("qkv", (k, style[COMPETING[2]]), K),
        ("qkv", (v, style[COMPETING[3]]), V),
    )
    for chosen, (layer, changes, rows) in zip(who, choices, strict=True):
        if chosen >= 0:
            write(layer, changes[chosen], rows)
    write("inward", other["inward"])
    if kept:
        write("qkv", q, Q)
        write("out.0", subject["out.0"])
        write("each", style["each"])
    return net


def expected(net, method, x, kept, strengths=STRENGTHS):
    x, found = x.double(), []
    for passes, weights in zip(method.table, method.shares, strict=True):
        outputs = [
            weight * rewritten(net, who, kept, strengths)(x)
            for who, weight in zip(passes, weights, strict=True)
        ]
        x = step(x, sum(outputs))
        found.append(x)
    return found


def close(found, wanted):
    assert len(found) == len(wanted)
    for mine, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine.double(), theirs, rtol=1e-4, atol=1e-4)


def untouched(net, before):
    after = state(net)
    return after[0] == before[0] and all(torch.equal(after[1][k], v) for k, v in before[1].items())


def test_the_slots_that_compete():
    assert tuple(slot.name for slot in composed(ONE_PASS).plan.slots) == COMPETING


@pytest.mark.parametrize("method", [ONE_PASS, PASSES], ids=["one pass", "several passes"])
@pytest.mark.parametrize("other_layers", [KEEP, DROP])
@pytest.mark.parametrize("rules", [HostRules(), PLAIN], ids=["beside", "folding where it pays"])
@torch.inference_mode()
def test_a_whole_run(net, twin, method, other_layers, rules):
    x, before = inputs(40), state(net)
    attachment = attached(net, composed(method, other_layers), rules)
    first = whole_run(net, attachment, method, x)
    close(first, expected(twin, method, x, other_layers == KEEP))
    torch.testing.assert_close(net(x), twin(x), rtol=0, atol=0)
    assert all(map(torch.equal, whole_run(net, attachment, method, x), first)), "a second run is the first"
    attachment.remove()
    assert untouched(net, before)


@pytest.mark.parametrize("strengths", [(0.0, 1.0, 0.0), (1.0, 0.0, 1.0)])
@torch.inference_mode()
def test_a_strength_of_zero_adds_nothing(net, twin, strengths):
    x = inputs(2)
    attachment = attached(net, composed(ONE_PASS, strengths=strengths))
    close(whole_run(net, attachment, ONE_PASS, x), expected(twin, ONE_PASS, x, True, strengths))


@torch.inference_mode()
def test_each_pass_writes_the_slots_that_change_and_no_others(net, monkeypatch):
    composition = composed(PASSES)
    attachment = attached(net, composition)
    written = []
    show = attachment.buffers.show
    monkeypatch.setattr(attachment.buffers, "show", lambda i, who: (written.append((i, who)), show(i, who)))
    shown, seen = None, []

    def each(step, index):
        nonlocal shown
        who = PASSES.table[step][index]
        targets = composition.by_owner()
        changes = range(len(who)) if shown is None else [i for i in range(len(who)) if who[i] != shown[i]]
        wanted = {(target, who[slot]) for slot in changes for target in targets[slot]}
        wanted |= {(target, 0) for target in targets[-1]} if shown is None else set()
        assert sorted(written) == sorted(wanted), (step, index)
        written.clear()
        shown, _ = who, seen.append((step, index))

    whole_run(net, attachment, PASSES, inputs(2), each)
    assert seen == [(i, j) for i, passes in enumerate(PASSES.table) for j in range(len(passes))]


@pytest.mark.parametrize("at", [(0, 0), (1, 1), (3, 1)])
@torch.inference_mode()
def test_an_exception_in_the_middle_closes_the_gate_and_leaves_no_hook(net, twin, at):
    x, before = inputs(2), state(net)
    attachment = attached(net, composed(PASSES))

    def breaking(*where):
        if where == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        whole_run(net, attachment, PASSES, x, breaking)
    assert torch.equal(net(x), twin(x))
    close(whole_run(net, attachment, PASSES, x), expected(twin, PASSES, x, True))
    attachment.remove()
    assert untouched(net, before)


@pytest.mark.parametrize("at", range(0, 12, 2))
@torch.inference_mode()
def test_a_switch_that_is_broken_off_is_made_whole_by_the_next(net, twin, monkeypatch, at):
    x = inputs(2)
    attachment = attached(net, composed(PASSES))
    show, calls = attachment.buffers.show, []

    def breaking(i, who):
        calls.append(i)
        if len(calls) == at + 1:
            raise KeyboardInterrupt
        show(i, who)

    monkeypatch.setattr(attachment.buffers, "show", breaking)
    with pytest.raises(KeyboardInterrupt):
        whole_run(net, attachment, PASSES, x)
    monkeypatch.undo()
    close(whole_run(net, attachment, PASSES, x), expected(twin, PASSES, x, True))


@pytest.mark.parametrize("rules", [HostRules(), PLAIN], ids=["hooks", "forwards"])
@pytest.mark.parametrize("compiled", [False, True])
def test_an_attachment_that_fails_leaves_none_on(net, rules, compiled):
    before = state(net)
    wrong = composed(
        ONE_PASS, where=lambda slot, out: [Spot(slot.weight.replace("out.0", "gone"), slot.rows)]
    )
    with pytest.raises(AttributeError, match="gone"):
        Attachment(net, wrong, Buffers(wrong.targets, torch.float32), rules, compiled)
    assert untouched(net, before)


@torch.inference_mode()
def test_buffers_follow_the_device_and_stay_where_they_are_already(net):
    attachment = attached(net, composed(ONE_PASS))
    places = [p.data_ptr() for p in attachment.buffers.parameters()]
    attachment.move_to(torch.device("cpu"))
    assert [p.data_ptr() for p in attachment.buffers.parameters()] == places
    attachment.move_to(torch.device("meta"))
    assert {p.device.type for p in attachment.buffers.parameters()} == {"meta"}


def test_blocks_weigh_a_lora_slot_by_slot():
    """Slots of one stage each, by name; 0 adds nothing, and layers of its own alone are weighed too."""
    names = ("input_blocks.1.1.proj_in", "middle_block.1.proj_in", "output_blocks.2.1.proj_in")
    own = {Slot(name): make("lora", WIDTH, WIDTH, i) for i, name in enumerate(names)}
    rows = meet([own, dict(list(own.items())[:2])], ROLES[:2])
    infos = [
        LoraInfo("a", "subject", strength=2.0, blocks="mid: 0, up: 0.25"),
        LoraInfo("b", "style", strength=0.5, blocks="down 1: -1"),
    ]
    plan = make_plan(rows, infos, ONE_PASS)
    found = compose(plan, rows, lambda slot, out: [Spot(slot.weight, None)])
    scales = [[None if d is None else d.scale for d in target.candidates] for target in found.targets]
    base = [delta.scale for delta in own.values()]
    assert scales == [[2 * base[0], -0.5 * base[0]], [None, 0.5 * base[1]], [0.5 * base[2]]]
