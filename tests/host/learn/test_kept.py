"""A training that was stopped goes on where it was, bit for bit; a finished one is there at once."""

from __future__ import annotations

import gc

import comfy.model_management
import comfy.utils
import pytest
import torch

from tests.support.families.again import loadable
from tests.support.families.inputs import conditioning
from tests.support.families.nets import sample
from tests.support.host.nodes import part
from tests.support.learning.node import pictures, train

STEPS = 16
INTERRUPT = comfy.model_management.InterruptProcessingException


@pytest.fixture(scope="module")
def model():
    return loadable("wan")


@pytest.fixture
def stopping():
    """``stopping(k)``: the user stops whatever runs when the page hears of k steps or more, as it can."""

    def at(step):
        def told(value, total, preview, node_id=None):
            if value >= step:
                comfy.model_management.interrupt_current_processing()

        comfy.utils.set_progress_bar_global_hook(told)

    before = comfy.utils.PROGRESS_BAR_HOOK
    yield at
    comfy.utils.set_progress_bar_global_hook(before)
    comfy.model_management.interrupt_current_processing(False)


def given(model, method):
    prompts = [conditioning("wan", 2), conditioning("wan", 3)] if method == "UnZipLoRA" else []
    return {
        "latents": [pictures(model, "wan", 1, 2)],
        "positive": [conditioning("wan", 1)],
        "method": method,
        "prompts": prompts,
        "steps": STEPS,
    }


# Of BeamLoRA's turns of two steps before, at and after a pruning; of UnZipLoRA's periods in the midst of one.
@pytest.mark.parametrize(
    "method, stops",
    [("plain", [1]), ("CoTo", [7]), ("BeamLoRA", [3, 4]), ("SMoRA", [5]), ("UnZipLoRA", [5, 8])],
)
def test_an_equal_run_goes_on_bit_for_bit(pack, model, temp, stopping, method, stops):
    settings = given(model, method)
    once = train(pack, model, **settings)
    for file in temp.rglob("*.pt"):
        file.unlink()
    for stop in stops:
        stopping(stop)
        with pytest.raises(INTERRUPT):
            train(pack, model, **settings)
        assert len(list(temp.rglob("*.pt"))) == 1
    comfy.utils.set_progress_bar_global_hook(None)
    again = train(pack, model, **settings)
    assert again.loss == once.loss and again.report == once.report
    loras = [(once.lora, again.lora)]
    loras += [(once.style_lora, again.style_lora)] if method == "UnZipLoRA" else []
    for one, other in loras:
        assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_a_finished_training_is_there_at_once_and_another_is_not(pack, model, temp):
    settings = given(model, "plain") | {"steps": 2}
    once = train(pack, model, **settings)
    told = []
    comfy.utils.set_progress_bar_global_hook(lambda *args, **_: told.append(args))
    again = train(pack, model, **settings)
    assert not told and again.report == once.report
    assert all(torch.equal(once.lora[key], again.lora[key]) for key in once.lora)
    others = (
        {"seed": 1},
        {"rate": 0.02},
        {"clip": 0.5},
        {"batch": 2},
        {"positive": [conditioning("wan", 4)]},
        {"latents": [pictures(model, "wan", 1, 3)]},
    )
    for other in others:
        told.clear()
        train(pack, model, **(settings | other))
        assert told, other
    comfy.utils.set_progress_bar_global_hook(None)


def test_after_an_interrupt_nothing_is_left_on_the_model(pack, model, stopping):
    base = sample(model, "wan")
    loaded = len(comfy.model_management.current_loaded_models)
    hooks = [len(module._forward_hooks) for module in model.model.modules()]
    stopping(1)
    with pytest.raises(INTERRUPT):
        train(pack, model, **given(model, "CoTo"))
    assert not comfy.model_management.in_training
    assert len(comfy.model_management.current_loaded_models) <= loaded
    assert [len(module._forward_hooks) for module in model.model.modules()] == hooks
    assert all(parameter.grad is None for parameter in model.model.parameters())
    assert torch.equal(sample(model, "wan"), base)


def test_the_node_shows_the_loss_as_it_falls(pack, model):
    shown = []
    comfy.utils.set_progress_bar_global_hook(
        lambda value, total, preview, **_: shown.append((value, preview))
    )
    train(pack, model, **(given(model, "plain") | {"steps": 3}))
    comfy.utils.set_progress_bar_global_hook(None)
    assert shown[-1][0] == 3
    form, picture, size = shown[-1][1]
    assert form == "JPEG" and picture.size == (384, 192) and size == 384


def test_what_is_kept_is_bounded_and_what_is_broken_begins_anew(pack, temp):
    kept = part(pack, "nodes.training")
    for i in range(40):
        kept.keep(f"state{i}", {"n": i, "t": torch.arange(3)})
    files = sorted(path.stem for path in temp.rglob("*.pt"))
    assert len(files) < 40 and "state39" in files and "state0" not in files
    assert kept.take("state39")["n"] == 39 and kept.take("state0") is None
    next(path for path in temp.rglob("state39.pt")).write_bytes(b"broken")
    assert kept.take("state39") is None


def test_a_digest_is_of_contents(pack, model):
    digest = part(pack, "nodes.training").digest
    one = digest(model, {"a": torch.ones(2), "b": [1, None, "x"]})
    assert one == digest(model, {"b": [1, None, "x"], "a": torch.ones(2)})
    for other in ({"a": torch.ones(3)}, {"a": torch.zeros(2)}, {"a": torch.ones(2).half()}, {"a": 1}):
        assert one != digest(model, {**other, "b": [1, None, "x"]})
    patched = model.clone()
    patched.add_patches({"diffusion_model.head.head.weight": ("diff", (torch.ones(1),))})
    assert digest(patched, 1) != digest(model, 1)


def test_after_ten_trainings_the_host_holds_no_more_networks(pack, model, stopping):
    def held():
        gc.collect()
        return sum(type(each) is type(model.model.diffusion_model) for each in gc.get_objects())

    before, settings = held(), given(model, "plain") | {"steps": 1}
    for seed in range(9):
        train(pack, model, **settings, seed=seed)
    stopping(1)
    with pytest.raises(INTERRUPT):
        train(pack, model, **(settings | {"steps": 2}), seed=9)
    assert held() == before
