"""Pick and Learn on the small world: two rounds, what is learned from the picks, and that it goes on."""

from __future__ import annotations

import gc
import importlib
import os
import re
import shutil

import comfy.model_management
import comfy.utils
import folder_paths
import pytest
import torch

import nodes as core_nodes
from tests.support.host.nodes import part
from tests.support.learning.world import Words, load_model, loras
from world.hosts.in_host import load_vae
from world.pairs import Pair

PAIR = Pair("owl", "mosaic")
SETTINGS = {
    "prompt": PAIR.prompt,
    "negative": "",
    "width": 96,
    "height": 96,
    "steps": 2,
    "cfg": 1.0,
    "scheduler": "simple",
    "seed": 5,
    "pictures": 1,
    "rules": "sum 0.7, sum 1/0.5, K-LoRA s -0.5",
    "learning_steps": 4,
}
STOP = comfy.model_management.InterruptProcessingException


@pytest.fixture(scope="module")
def world():
    return load_model()


@pytest.fixture(scope="module")
def vae():
    return load_vae()


@pytest.fixture
def set_of(pack):
    def make(*strengths, roles=("subject", "style"), blocks=""):
        made, node = None, part(pack, "nodes").KLoRASet
        names = (PAIR.subject, PAIR.style, "neon")[: len(roles)]
        strengths = strengths or (1.0,) * len(roles)
        for lora, role, strength in zip(loras("plain", *names), roles, strengths, strict=True):
            more = {"blocks": blocks if role == "other" else ""}
            made = node.execute(strength, role, lora=lora, set=made, **more).result[0]
        return made

    return make


@pytest.fixture
def run(pack, world, vae, set_of):
    """``run(picks, **settings)`` -> lora, model, images, report, and the page's document."""

    def go(picks="", **more):
        wires = {"model": world, "clip": Words(), "vae": vae, "set": set_of()}
        given = {**wires, **SETTINGS, "picks": picks, **more}
        out = part(pack, "nodes").KLoRAPickAndLearn.execute(**given)
        return (*out.result, out.ui["klora_picks"][0])

    return go


def line_of(document, rule):
    return next(p["line"] for p in document["pictures"] if p["rule"] == rule)


def file_of(picture):
    image = picture["image"]
    return os.path.join(folder_paths.get_temp_directory(), image["subfolder"], image["filename"])


def is_blocked(value):
    return type(value).__name__ == "ExecutionBlocker"


def by_core(model, seed):
    empty = {"samples": torch.zeros(1, 16, 12, 12)}
    positive, negative = (Words().encode_from_tokens_scheduled(t) for t in (PAIR.prompt, ""))
    how = seed, 2, 1.0, "euler", "simple"
    return core_nodes.common_ksampler(model, *how, positive, negative, empty)[0]["samples"]


def latents_of(temp):
    return {path.stem: torch.load(path)["latent"] for path in temp.rglob("klora_picks/*.pt")}


def learned_latent(temp, seed):
    """The kept latents of a noise."""
    return [latent for name, latent in latents_of(temp).items() if name.endswith(f"-{seed}")]


def left_on(model):
    network = model.model
    return [
        name
        for name, module in network.named_modules()
        if module._forward_hooks or module._forward_pre_hooks or "forward" in module.__dict__
    ] + [name for name, p in network.named_parameters() if p.requires_grad or p.grad is not None]


def test_two_rounds_and_what_is_taken(run, world, temp, tmp_path):
    before = by_core(world, 9)
    lora, model, images, report, sheet = run()
    assert is_blocked(lora) and is_blocked(model) and images.shape == (3, 96, 96, 3)
    assert "Round 1: 3 pictures, in no order, by 3 rules" in report and sheet["best"] == ""
    assert [p["place"] for p in sheet["pictures"]] == [1, 2, 3] and not sheet["hint"]
    assert all(os.path.isfile(file_of(p)) and not p["picked"] for p in sheet["pictures"])
    picks = f"{line_of(sheet, 'sum 1/0.5')}\n{line_of(sheet, 'K-LoRA s -0.5')}\nmore"
    lora, model, images, report, second = run(picks)
    assert second["shown"] == ["learned 2", "sum 1/0.5"] and len(images) == 4
    assert [p["group"] for p in second["pictures"]] == [1, 1, 2, 2]
    assert "learned 2: from 2 pictures in 2 steps" in report and "Variety: pictures of learned 2" in report
    assert "by rule: sum 1/0.5 (1), K-LoRA s -0.5 (1)." in report and "Memory: " in report
    picks += f"\n{line_of(second, 'learned 2')}\ntake"
    taken, model, images, report, last = run(picks)
    assert last["taken"] == "learned 2" and len(images) == 3 and all(p["picked"] for p in last["pictures"])
    assert "Taken: learned 2" in report and taken.keys() == lora.keys()
    assert all(torch.equal(taken[key], lora[key]) for key in lora)
    # An ordinary file of both ranks, which core's own loader renders to the latents of the sheet.
    assert taken.metadata["ss_network_dim"] == "16" and "klora_merge" in taken.metadata
    comfy.utils.save_torch_file(dict(taken), str(tmp_path / "picked.safetensors"))
    folder_paths.add_model_folder_path("loras", str(tmp_path))
    loaded = core_nodes.LoraLoaderModelOnly().load_lora_model_only(world, "picked.safetensors", 1.0)[0]
    shown = learned_latent(temp, 1005)
    assert min(float((by_core(loaded, 1005) - each).abs().max()) for each in shown) < 1e-5
    assert min(float((by_core(model, 1005) - each).abs().max()) for each in shown) < 1e-5
    assert torch.equal(by_core(world, 9), before) and not left_on(world)
    # All of it is there at once in the same Run again.
    bars = []
    comfy.utils.set_progress_bar_global_hook(lambda *args, **kwargs: bars.append(args))
    try:
        again = run(picks)
    finally:
        comfy.utils.set_progress_bar_global_hook(None)
    assert not bars and again[3].splitlines()[:-1] == report.splitlines()[:-1] and again[4] == last


def test_a_picture_is_its_rule_and_its_noise(run, temp):
    *_, sheet = run()
    whole = latents_of(temp)
    picks = "\n".join(p["line"] for p in sheet["pictures"][:2]) + "\nmore"
    first = run(picks)[0]
    for path in temp.rglob("*.*"):
        path.unlink()
    # Nothing is there any more, and the picks come in another order: they are made again.
    lines = picks.splitlines()
    again = run("\n".join([*lines[1::-1], "more"]))[0]
    assert all(torch.equal(first[key], again[key]) for key in first)
    kept = latents_of(temp)
    assert all(torch.equal(kept[name], whole[name]) for name in kept.keys() & whole.keys())
    assert len(kept.keys() & whole.keys()) == 2


@pytest.mark.parametrize("round", [1, 2])
def test_parts_are_the_whole(run, temp, round):
    *_, sheet = run()
    picks = "" if round == 1 else f"{sheet['pictures'][0]['line']}\nmore"
    whole = run(picks)
    for path in temp.rglob("klora_picks/*.*"):
        path.unlink()
    images, pictures = {}, {}
    for number in range(1, 5):
        *_, shown, report, document = run(picks, part=f"{number} of 4")
        assert document["part"] == [number, 4] and document["of"] == len(whole[2])
        if document["pictures"]:
            images |= {p["place"]: image for p, image in zip(document["pictures"], shown, strict=True)}
        else:
            assert is_blocked(shown)
        pictures |= {p["place"]: p for p in document["pictures"]}
    assert [pictures[place] for place in sorted(pictures)] == whole[4]["pictures"]
    assert torch.equal(torch.stack([images[place] for place in sorted(images)]), whole[2])


class Interrupts:
    """A user who presses stop when the page hears that so many of so many steps are done."""

    def __init__(self, at, of):
        self._at = at, of

    def __enter__(self):
        comfy.utils.set_progress_bar_global_hook(self._told)

    def __exit__(self, *_):
        comfy.utils.set_progress_bar_global_hook(None)
        comfy.model_management.interrupt_current_processing(False)

    def _told(self, done, total, preview=None, **_):
        if (done, total) == self._at:
            comfy.model_management.interrupt_current_processing()


@pytest.mark.parametrize(
    ("at", "of", "where"), [(3, 6, "in the sheet"), (1, 3, "in the learning"), (2, 3, "in the learning")]
)
def test_interrupted_it_goes_on_bit_for_bit(run, world, temp, tmp_path, at, of, where):
    before, picks = by_core(world, 9), ""
    if where == "in the learning":
        *_, sheet = run()
        picks = "\n".join(p["line"] for p in sheet["pictures"]) + "\nmore"
    folder_paths.set_temp_directory(str(tmp_path / "one"))
    if picks:
        run()
    with Interrupts(at, of), pytest.raises(STOP):
        run(picks)
    kept = len(list((tmp_path / "one").rglob("klora_picks/*.pt")))
    # The picture at work is lost, those before it are not.
    assert kept == (1 if not picks else 3)
    assert not comfy.model_management.in_training and not left_on(world)
    assert torch.equal(by_core(world, 9), before)
    resumed = run(picks)
    folder_paths.set_temp_directory(str(tmp_path / "two"))
    whole = run(picks)
    assert torch.equal(resumed[2], whole[2]) and resumed[4] == whole[4]
    if picks:
        assert all(torch.equal(resumed[0][key], whole[0][key]) for key in whole[0])


def test_pictures_of_ones_own_are_picks(run, temp):
    own = torch.rand(2, 96, 96, 3, generator=torch.Generator().manual_seed(1))
    lora, _, images, report, document = run("more", liked=own)
    assert "learned 2: from 2 pictures" in report and "Pictures of your own: 2." in report
    assert document["shown"] == ["learned 2", "sum 0.7"] and len(images) == 4 and not document["hint"]
    other = run("more", liked=own.flip(1))[0]
    assert any(not torch.equal(lora[key], other[key]) for key in lora)
    taken, _, images, _, document = run("take", liked=own)
    assert document["taken"] == "learned 2" and torch.equal(images, own)
    assert all(torch.equal(taken[key], lora[key]) for key in lora)


def test_nothing_picked_says_what_to_try(run):
    first = run()
    lora, model, images, report, document = run("more")
    assert is_blocked(lora) and is_blocked(model) and document["shown"] == []
    assert "Nothing is picked yet" in document["hint"] and "other trigger words" in report
    assert len(images) == 3 and not torch.equal(images, first[2])


def test_a_rule_is_taken(run, world, pack):
    *_, sheet = run()
    pick = line_of(sheet, "sum 0.7")
    lora, model, *_, document = run(f"{pick}\ntake sum 1/0.5")
    assert document["taken"] == "sum 1/0.5" and lora.metadata["ss_network_dim"] == "16"
    # One that is no LoRA: the model works by it, the LoRA is what was learned.
    lora, model, _, report, document = run(f"{pick}\ntake K-LoRA s -0.5")
    assert document["taken"] == "K-LoRA s -0.5" and "which no LoRA file can hold" in report
    assert lora.metadata and any(str(k).startswith("klora/") for w in model.wrappers.values() for k in w)
    lora, *_ = run("take K-LoRA s -0.5")
    assert is_blocked(lora)


def test_all_usual_rules_and_three_loras(run, set_of):
    three = set_of(roles=("subject", "style", "style"))
    *_, images, report, document = run(set=three, rules="", steps=1)
    names = {p["rule"] for p in document["pictures"]}
    assert {"sum 1/0.5/0.5", "calibrated", "Arrow N", "K-LoRA s* 0", "NP-LoRA 0.5"} <= names
    assert len(names) == len(images) == 13
    assert len({image.numpy().tobytes() for image in images}) == 13


def test_usual_rules_that_do_not_fit_are_named(run, pack, world):
    made, node = None, part(pack, "nodes").KLoRASet
    blocks = "joint 0: 0", "joint 0: 1, joint 1-9: 0"
    for lora, role, own in zip(
        loras("plain", PAIR.subject, PAIR.style), ("subject", "style"), blocks, strict=True
    ):
        made = node.execute(1.0, role, lora=lora, set=made, blocks=own).result[0]
    *_, report, document = run(set=made, rules="", steps=1)
    assert re.search(r"K-LoRA s \S+ is NOT on the sheet: ", report) and document["of"] < 13
    with pytest.raises(
        part(pack, "klora_core.errors").KLoraError,
        match="^Use LoRAs of .*: K-LoRA s -0.5: the two LoRAs share no layer",
    ):
        run(set=made, rules="K-LoRA s -0.5")


def test_a_lora_of_the_role_other_works_on_all_pictures(run, set_of, world):
    beside = set_of(roles=("subject", "style", "other"))
    plain, other = run(), run(set=beside)
    assert not torch.equal(plain[2], other[2])
    picks = f"{line_of(other[4], 'sum 0.7')}\nmore"
    lora, model, *_ = run(picks, set=beside)
    assert lora.metadata["ss_network_dim"] == "16" and len(model.patches) >= len(lora) // 3
    again = run(picks, set=beside)[0]
    assert all(torch.equal(lora[key], again[key]) for key in lora)


def test_another_schedule_of_noise_is_another_sheet(run, world):
    sampling = world.get_model_object("model_sampling")
    other = type(sampling)(world.model.model_config)
    other.set_parameters(shift=1.5)
    shifted = world.clone()
    shifted.add_object_patch("model_sampling", other)
    assert not torch.equal(run()[2], run(model=shifted)[2])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"picks": "1, nothing, 5, 1"}, "^Take '1, nothing, 5, 1' out of picks: 'nothing' is no rule"),
        ({"picks": "1, sum 1/1/1, 5"}, "^Take '1, sum 1/1/1, 5' out of picks: sum 1/1/1 has 3 strengths"),
        ({"picks": "take"}, "^Pick pictures before you take"),
        ({"rules": "foo"}, "^Write one such as 'sum 0.7'.*: 'foo' is no rule"),
        ({"part": "5 of 4"}, "^Write 'all' in part"),
        ({"sampler": "foo"}, "^Use one that KSampler offers, such as euler: unknown sampler 'foo'"),
        ({"scheduler": "\n" * 999}, "^Use one that KSampler offers.*: unknown scheduler"),
        ({"vae": "junk"}, "^Connect a checkpoint loader.*: vae must be a VAE, got 'junk'"),
        ({"liked": torch.ones(2, 2)}, "^Connect Load Image.*: liked must be images, got "),
        ({"set": []}, "^Connect LoRA Set: set must be a set of LoRAs"),
        ({"picks": 3}, "^Put it in quotation marks: picks must be a text"),
        ({"seed": 0.5}, "^Give 0: seed must be a whole number"),
        ({"prompt": ""}, "^Write what the pictures show in prompt.*the file of subject LoRA tells none"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_made(run, pack, temp, more, message):
    with pytest.raises(part(pack, "klora_core.errors").KLoraError, match=message) as refused:
        run(**more)
    assert "\n" not in str(refused.value) and not list(temp.rglob("*.pt"))


def test_sets_that_do_not_fit_are_refused(run, pack, set_of):
    error = part(pack, "klora_core.errors").KLoraError
    with pytest.raises(error, match="^Give at least one the role .*: no LoRA of the set takes part"):
        run(set=set_of(roles=("other", "other")))
    with pytest.raises(
        error, match="^Give one LoRA another strength .*: every LoRA of the set has strength 0"
    ):
        run(set=set_of(0.0, 0.0))
    with pytest.raises(error, match="^Leave blocks of other LoRA empty"):
        run(set=set_of(roles=("subject", "style", "other"), blocks="joint 0: 0"))


def test_names_of_thirty_rounds_are_quick(pack):
    job, picks = (importlib.import_module(f"{pack.__name__}.{name}") for name in (
        "nodes.learn.picking.job", "klora_core.train.picks"
    ))  # fmt: skip
    lines = ["1, sum 1, 1"]
    for number in range(2, 31):
        lines += ["more", *(f"{number}, learned {number}, {seed}" for seed in range(8))]
    nothing = (None, (), (), (), "", [], [], None)
    made = job.Job(*nothing, picks.parse_picks("\n".join(lines)), (), (), picks.Recipe(), "name")
    names = {made.name_of(picks.learned_for(number)) for number in range(2, 31)}
    assert len(names) == 29


def test_sheets_are_bounded(pack, temp):
    shelf = part(pack, "nodes.training").Shelf("few", 3, 1 << 20)
    for i in range(5):
        shelf.keep(f"s{i}", {"i": i})
        os.utime(shelf.path(f"s{i}"), ns=(i * 10**9, i * 10**9))
    # What is taken is new again.
    assert shelf.take("s2") == {"i": 2}
    for i in (5, 6):
        shelf.keep(f"s{i}", {"i": i})
    assert sorted(path.stem for path in temp.rglob("few/*.pt")) == ["s2", "s5", "s6"]


def test_what_is_gone_is_made_again_by_the_same_run(pack, temp):
    """The host runs a node anew where its fingerprint changed."""
    node, shelf = (
        part(pack, "nodes").KLoRAPickAndLearn,
        part(pack, "nodes.training").Shelf("klora_picks", 2, 99),
    )
    first = node.fingerprint_inputs(picks="")
    shelf.keep("a", {})
    assert node.fingerprint_inputs(picks="") == first
    # Another that is kept pushes the oldest out.
    shelf.keep("b", {})
    second = node.fingerprint_inputs()
    assert second != first and node.fingerprint_inputs() == second
    shutil.rmtree(temp)
    assert node.fingerprint_inputs() not in (first, second)


def resident():
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="this system does not tell")
def test_memory_is_back_after_some_rounds(run):
    """The second model has 14 MB: four that stayed would show."""

    def round(seed):
        short = {"rules": "sum 0.7", "steps": 1, "learning_steps": 1, "seed": seed}
        *_, sheet = run(**short)
        run(f"{sheet['pictures'][0]['line']}\nmore", **short)

    round(0)
    loaded, before = len(comfy.model_management.current_loaded_models), resident()
    for seed in range(1, 5):
        round(seed)
    assert resident() < before + 30
    assert len(comfy.model_management.current_loaded_models) <= loaded + 1
