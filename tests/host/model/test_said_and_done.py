"""What is said against what is done: report, JSON, picture and page against the hooks of real runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from klora_core import palette, picture, report
from klora_core.picture.layout import lay_out
from tests.support.host.nodes import compose, fuse, lora_set, part, relative
from tests.support.page import sent

RUNS = {
    "whole": {"steps": 6},
    "heun": {"steps": 6, "sampler_name": "heun"},
    "dpm_2": {"steps": 5, "sampler_name": "dpm_2"},
    "karras": {"steps": 6, "scheduler": "karras"},
    "dpm_adaptive": {"steps": 5, "sampler_name": "dpm_adaptive"},
    "img2img": {"steps": 6, "denoise": 0.6},
    "first segment": {"steps": 8, "start_step": 0, "last_step": 4},
    "second segment": {"steps": 8, "start_step": 4},
}
MODES = ("auto", "steps", "noise level")


@dataclass
class Record:
    """By evaluation: its sigma, and the candidate whose numbers each slot's buffer held."""

    sigmas: list
    schedule: list
    holds: list


@pytest.fixture
def recorded(pack, monkeypatch):
    """Records the buffers themselves at the very moment a model call begins."""
    attachment = part(pack, "klora_core.apply.composition").Attachment
    record, run = Record([], [], []), attachment.run
    known = [None, []]
    clock = part(pack, "klora_core.apply.clock").Clock
    read = clock.read

    def reading(self, sigma, schedule):
        moment = read(self, sigma, schedule)
        record.sigmas.append(float(sigma.flatten()[0]))
        record.schedule[:] = schedule.tolist()
        return moment

    def running(self, who, weights, call):
        targets = self.buffers.targets[: self._competing]
        if known[0] is not self.buffers:
            known[:] = self.buffers, [[delta.dense() for delta in each.candidates] for each in targets]

        def called(i):
            record.holds.append([held(self.buffers, *each) for each in enumerate(known[1])])
            return call(i)

        return run(self, who, weights, called)

    monkeypatch.setattr(attachment, "run", running)
    monkeypatch.setattr(clock, "read", reading)
    return record


def held(buffers, slot, candidates):
    """The candidate whose dW the buffers of a slot hold, found by multiplying them out."""
    found = sum(form.dense() for form in buffers.forms(slot))
    return next(who for who, dense in enumerate(candidates) if torch.allclose(found, dense, atol=1e-6))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("run", RUNS)
def test_every_cell_is_what_the_hooks_did(pack, sd15, sd15_conds, pair, sample, recorded, run, mode):
    fused = fuse(pack, sd15.model, *pair, progress=mode)
    latent = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    sample(fused.model, *sd15_conds, **RUNS[run], latent=latent)
    plan, done = fused.plan, np.array(recorded.holds)
    assert len(set(map(tuple, done))) > 1, "nothing switches in this run"

    moments = [plan.progress.moment(sigma, recorded.schedule) for sigma in recorded.sigmas]
    assert np.array_equal(done, np.array([plan.who(moment)[0] for moment in moments]))

    # Evaluations at the schedule's own values are the columns of picture, JSON and report.
    over = plan.progress.of_run(recorded.schedule)
    at_steps = {}
    for sigma, row in zip(recorded.sigmas, done, strict=True):
        for step, own in enumerate(recorded.schedule[:-1]):
            if sigma == pytest.approx(own, rel=1e-6):
                at_steps.setdefault(step, row)
    assert len(at_steps) >= (1 if run == "dpm_adaptive" else len(over) - 1)
    drawn = cells(plan, over)
    for step, row in at_steps.items():
        assert np.array_equal(plan.choices(over)[0][:, step], row)
        assert np.array_equal(drawn[:, step], row)
    lines = [line.split() for line in report.text(plan, over).splitlines()]
    said = {int(line[0]) - 1: line[2] for line in lines if len(line) == 4 and line[0].isdigit()}
    for step, row in at_steps.items():
        assert said[step] == f"{row.mean():.0%}"


def cells(plan, over):
    """The candidates that the picture shows, read off its pixels."""
    image, place = np.asarray(picture.draw(plan, over)), lay_out(plan, over)
    colours = [palette.rgb(dark) for dark, _ in palette.candidates(2)]
    rows = [[place.cell(slot, step) for step in range(len(over))] for slot in range(len(plan.slots))]
    return np.array([[colours.index(tuple(map(int, image[y, x]))) for x, y in row] for row in rows])


def test_a_whole_run_in_json_and_in_the_selection_map_node(
    pack, sd15, sd15_conds, pair, sample, recorded, monkeypatch
):
    fused = fuse(pack, sd15.model, *pair)
    sample(fused.model, *sd15_conds, steps=7)
    done = np.array(recorded.holds).T
    document = fused.plan.to_json(7)
    assert [[*map("cs".index, slot["choice"])] for slot in document["slots"]] == done.tolist()
    assert part(pack, "klora_core.plan_file").from_json(document) == fused.plan
    nodes = part(pack, "nodes")
    by_steps = nodes.KLoRASelectionMap.execute(fused.plan, 7).result[0]
    by_sigmas = nodes.KLoRASelectionMap.execute(fused.plan, 99, torch.tensor(recorded.schedule)).result[0]
    assert torch.equal(by_steps, by_sigmas)


def test_the_page_is_told_the_columns_of_each_run(
    pack, sd15, sd15_conds, pair, sample, recorded, monkeypatch
):
    told = []
    apply = part(pack, "nodes.model.apply")
    monkeypatch.setattr(apply, "announce", lambda *args: told.append(args))
    fused = fuse(pack, sd15.model, *pair)
    for run in (RUNS["whole"], RUNS["img2img"]):
        recorded.holds.clear()
        sample(fused.model, *sd15_conds, **run, latent=torch.ones(1, 4, 8, 8))
        _, mode, columns = told[-1]
        assert mode == ("steps" if run is RUNS["whole"] else "noise level")
        assert np.array_equal(fused.plan.choices(columns)[0].T, np.array(recorded.holds))
    assert len(told) == 2


def driven(pack, model, pair, make, **rest):
    """The plan of ``make(number of slots)`` over a pair, and the model that follows it."""
    read, plans = part(pack, "nodes.loras.read").read, part(pack, "klora_core.plan")
    loras = [read(lora, name, model, None) for lora, name in zip(pair, "ab", strict=True)]
    rows = part(pack, "klora_core.deltas").meet([lora.slots for lora in loras], ("subject", "style"))
    infos = [plans.LoraInfo("a", "subject"), plans.LoraInfo("b", "style")]
    plan = plans.make_plan(rows, infos, make(len(rows.competing)), **rest)
    return plan, part(pack, "nodes.model.apply").to_model(model, plan, rows, loras)


def parity(pack):
    """A method that knows no LoRA: odd slots the subject, even slots the style. One class, nothing else."""
    method = part(pack, "klora_core.methods")

    @dataclass(frozen=True)
    class Parity(method.Method):
        slots: int
        name, paper, summary = "Parity", "none", "odd slots use the subject, even slots the style."

        def who(self, moment):
            return (1 - np.arange(self.slots) % 2).astype(np.int8)[None]

        def to_json(self):
            return {"parity": self.slots}

        @classmethod
        def from_json(cls, document):
            return cls(document["parity"])

    return Parity


@pytest.fixture
def new_method(pack, monkeypatch):
    """What a new method is: its class, its function for ``making``, and its row."""
    kind, methods = parity(pack), part(pack, "klora_core.methods")
    meet = part(pack, "klora_core.deltas").meet

    def make_parity():
        def make(given):
            rows = meet(given.slots, given.roles)
            return rows, kind(len(rows.competing))

        return make

    monkeypatch.setitem(methods.METHODS, kind.name, methods.Entry(kind, make_parity))
    return kind


def test_a_new_method_is_its_class_its_function_and_its_row(
    pack, sd15, sd15_conds, pair, sample, recorded, new_method, tmp_path, capsys
):
    """Node option, model, report, document, picture, page and command line: without another line."""
    (combo,) = [i for i in part(pack, "nodes").KLoRACompose.define_schema().inputs if i.id == "method"]
    assert [option.key for option in combo.options][-1] == "Parity" and not combo.options[-1].inputs

    loras = lora_set(pack, (pair[0], "subject", 1.0), (pair[1], "style", 1.0))
    composed = compose(pack, sd15.model, loras, "Parity")
    plan = composed.plan
    sample(composed.model, *sd15_conds, steps=3)
    wanted = [(i + 1) % 2 for i in range(len(plan.slots))]
    assert recorded.holds == [wanted] * 3 and "Parity: odd slots" in composed.report

    over = plan.progress.of_steps(3)
    assert cells(plan, over).T.tolist() == [wanted] * 3
    assert part(pack, "klora_core.plan_file").from_json(plan.to_json(3)) == plan
    assert [slot["choice"] for slot in sent(plan, 3)["slots"]] == ["cs"[who] * 3 for who in wanted]

    files = [str(tmp_path / f"{role}.safetensors") for role in ("subject", "style")]
    for file, lora in zip(files, pair, strict=True):
        save_file(lora, file)
    out = tmp_path / "plan.json"
    assert (
        part(pack, "klora_core.cli").main(["report", *files, "--method", "Parity", "--json", str(out)]) == 0
    )
    document = json.loads(out.read_text())
    assert "Parity: odd slots" in capsys.readouterr().out and document["parity"] == len(document["slots"])


def test_several_passes_are_mixed_before_guidance(pack, sd15, sd15_conds, pair, sample):
    """Half subject everywhere, half style everywhere: the mean of two models' predictions, N calls a step."""
    method = part(pack, "klora_core.methods")

    @dataclass(frozen=True)
    class Both(method.Method):
        slots: int
        name, paper, summary = "Both", "none", "both, in a pass each."

        def who(self, moment):
            return np.repeat(np.array([[0], [1]], dtype=np.int8), self.slots, axis=1)

        def weights(self, moment):
            return 0.25, 0.75

    _, model = driven(pack, sd15.model, pair, Both, other_layers="drop")
    alone = [
        driven(pack, sd15.model, pair, partial(only, pack, who), other_layers="drop")[1] for who in (0, 1)
    ]
    # One step of euler is linear in the prediction, and so is guidance.
    singles = [sample(one, *sd15_conds, steps=1, last_step=1) for one in alone]
    wanted = 0.25 * singles[0] + 0.75 * singles[1]
    assert relative(singles[0], singles[1]) > 1e-3
    assert relative(sample(model, *sd15_conds, steps=1, last_step=1), wanted) < 1e-5


def only(pack, who, slots):
    """One LoRA in every slot."""
    method = part(pack, "klora_core.methods")

    @dataclass(frozen=True)
    class Alone(method.Method):
        name, paper, summary = "Alone", "none", "one LoRA."

        def who(self, moment):
            return np.full((1, slots), who, dtype=np.int8)

    return Alone()
