"""MoLE gate and Arrow in Train a Merge: gates that learn, that Compose LoRAs runs, and that leave nothing."""

from __future__ import annotations

import comfy.model_management
import comfy.utils
import pytest
import torch

from tests.support.families.again import loadable
from tests.support.families.nets import sample
from tests.support.host.nodes import compose, lora_set, part, relative
from tests.support.learning.merge_node import loras, set_of, train_merge

STOP = comfy.model_management.InterruptProcessingException


@pytest.fixture(scope="module")
def model():
    return loadable("wan")


@pytest.fixture(scope="module")
def three(pack, model):
    return loras(pack, model, 3)


def gate_in_compose(pack, model, family, given, gate):
    return sample(compose(pack, model, given, {"method": "MoLE", "gate": gate}).model, family)


@pytest.mark.parametrize(
    ("family", "pool", "total"),
    [
        ("wan", "picture", "N"),
        ("flux", "token", "1"),
        ("sd15", "picture", "1"),
        ("z_image", "token", "N"),
        ("sd35", "picture", "N"),
        ("chroma", "picture", "1"),
        ("qwen_image", "token", "N"),
        ("ltxv", "token", "1"),
    ],
)
def test_a_gate_learns_and_compose_runs_it(pack, family, pool, total):
    model = loadable(family)
    base, given = sample(model, family), set_of(pack, loras(pack, model, 2))
    values = {"steps": 30, "rate": 0.2, "balance": 0.0, "pool": pool, "sum": total}
    made = train_merge(pack, model, family, given, "MoLE gate", values)
    losses = made.loss["loss"]
    assert len(losses) == 30 and sum(losses[-10:]) < sum(losses[:10])
    if total == "N":
        assert made.errors["what was learned"] < made.errors["plain sum at 1"]
    else:
        assert made.errors["what was learned"] < made.errors["plain sum at 0.5"]
    assert set(made.lora) - {"klora_gate.about"} and all(key.startswith("klora_gate.") for key in made.lora)
    tried = sample(made.model, family)
    assert torch.equal(tried, gate_in_compose(pack, model, family, given, made.lora))
    even = {k: torch.zeros_like(v) if k.endswith(".e") else v for k, v in made.lora.items()}
    stored = part(pack, "nodes.loras").LoraStateDict(even, "even", made.lora.metadata)
    assert relative(gate_in_compose(pack, model, family, given, stored), tried) > 1e-5, "the gate shows"
    assert torch.equal(sample(model, family), base), "nothing is left on the model"
    for said in ("Mean gate of each LoRA", "Memory: a second copy", "decided by the picture"):
        assert said in made.report
    # Without its header, as core saves it.
    bare = part(pack, "nodes.loras").LoraStateDict(dict(made.lora), "bare")
    assert torch.equal(gate_in_compose(pack, model, family, given, bare), tried)


@pytest.fixture
def stopping():
    """``stopping(k)``: the user stops it when the page hears of k steps of the training."""

    def at(step, of):
        def told(value, total, preview, node_id=None):
            if total == of and value >= step:
                comfy.model_management.interrupt_current_processing()

        comfy.utils.set_progress_bar_global_hook(told)

    before = comfy.utils.PROGRESS_BAR_HOOK
    yield at
    comfy.utils.set_progress_bar_global_hook(before)
    comfy.model_management.interrupt_current_processing(False)


def test_three_loras_stopped_and_gone_on_bit_for_bit(pack, model, three, temp, stopping):
    given, values = set_of(pack, three, strengths=(1.0, 0.8, 0.6)), {"steps": 7, "rate": 0.2}
    once = train_merge(pack, model, "wan", given, "MoLE gate", values)
    assert once.report.count(" x ") >= 3 and "3 LoRAs" in once.report
    for file in temp.rglob("*.pt"):
        file.unlink()
    base = sample(model, "wan")
    stopping(3, 7)
    with pytest.raises(STOP):
        train_merge(pack, model, "wan", given, "MoLE gate", values)
    assert not comfy.model_management.in_training
    assert not any(m._forward_hooks or "forward" in vars(m) for m in model.model.modules())
    assert not any(p.requires_grad or p.grad is not None for p in model.model.parameters())
    assert torch.equal(sample(model, "wan"), base)
    assert [path for path in temp.rglob("*.pt") if "state" in path.name]
    comfy.utils.set_progress_bar_global_hook(None)
    again = train_merge(pack, model, "wan", given, "MoLE gate", values)
    assert again.loss == once.loss and again.report == once.report
    assert all(torch.equal(once.lora[key], again.lora[key]) for key in once.lora)
    told = []
    comfy.utils.set_progress_bar_global_hook(lambda *args, **_: told.append(args))
    kept = train_merge(pack, model, "wan", given, "MoLE gate", values)
    assert not told and kept.report == once.report, "a finished one is there at once"
    assert torch.equal(sample(kept.model, "wan"), sample(once.model, "wan"))


def test_a_gate_is_learned_at_the_strengths_and_blocks_of_the_set(pack, model, three):
    """What Compose LoRAs adds with the same set is what the training added."""
    made, node = None, part(pack, "nodes").KLoRASet
    for lora, role, strength, blocks in zip(
        three[:2], ("subject", "style"), (0.7, 1.3), ("", "block 0: 0.4"), strict=True
    ):
        made = node.execute(strength, role, lora=lora, set=made, blocks=blocks).result[0]
    ones = set_of(pack, three[:2])
    values = {"steps": 4, "rate": 0.2}
    one, other = (train_merge(pack, model, "wan", each, "MoLE gate", values) for each in (made, ones))
    assert one.loss != other.loss
    assert torch.equal(sample(one.model, "wan"), gate_in_compose(pack, model, "wan", made, one.lora))


def test_arrow_needs_no_training(pack, model, three):
    """No second model, no text encoder, no prompt: a model that can't be loaded again will do."""
    given = set_of(pack, three)
    bare = model.clone()
    bare.cached_patcher_init = None
    values = {"top": 2, "pool": "picture", "sum": "N"}
    made = train_merge(pack, bare, "wan", given, "Arrow", values, prompts="")
    assert made.loss == {"loss": []} and "nothing was trained" in made.report
    by_method = compose(pack, model, given, {"method": "Arrow", **values}).model
    tried = sample(made.model, "wan")
    assert torch.equal(tried, sample(by_method, "wan"))
    assert torch.equal(tried, gate_in_compose(pack, model, "wan", given, made.lora))
    assert relative(sample(model, "wan"), tried) > 1e-4


def test_a_lora_of_the_role_other_works_beside(pack, model, three):
    roles = ("other", "subject", "style")
    given = set_of(pack, three, roles, (0.5, 1.0, 1.0))
    made = train_merge(pack, model, "wan", given, "Arrow")
    assert "2 LoRAs are weighed" in made.report and "bird.safetensors" in made.report
    assert torch.equal(sample(made.model, "wan"), gate_in_compose(pack, model, "wan", given, made.lora))


def test_other_loras_than_the_gate_s_are_refused(pack, model, three):
    made = train_merge(pack, model, "wan", set_of(pack, three[:2]), "Arrow")
    with pytest.raises(ValueError, match=r"cat\.safetensors is none of the LoRAs"):
        gate_in_compose(pack, model, "wan", set_of(pack, [three[0], three[2]]), made.lora)


@pytest.mark.parametrize(
    ("method", "values", "message"),
    [
        ("MoLE gate", {"pool": "word"}, "pool must be one of picture, token"),
        ("MoLE gate", {"sum": "2"}, "sum must be one of 1, N"),
        ("Arrow", {"top": 0}, "top must be 1 or more"),
        ("Arrow", {"pool": "word"}, "pool must be one of"),
    ],
)
def test_bad_settings_get_one_line(pack, model, three, method, values, message):
    with pytest.raises(part(pack, "klora_core.errors").KLoraError, match=message):
        train_merge(pack, model, "wan", set_of(pack, three[:2]), method, values)


@pytest.mark.parametrize("method", ["MoLE gate", "Arrow"])
def test_one_lora_or_ones_without_ranks_are_refused(pack, model, three, method):
    error = part(pack, "klora_core.errors").KLoraError
    with pytest.raises(error, match="^Give the set two LoRAs or more"):
        train_merge(pack, model, "wan", lora_set(pack, (three[0], "subject", 1.0)), method)
    with pytest.raises(error, match="^Give ink.safetensors a strength other than 0"):
        train_merge(pack, model, "wan", set_of(pack, three[:2], strengths=(1.0, 0.0)), "MoLE gate")
    from tests.support.families.kinds import of_kind

    names = [slot.weight for slot in part(pack, "nodes.training").sizes(model, "attention")][:4]
    other = part(pack, "nodes.loras").LoraStateDict(
        of_kind("LoHa", model.model, names, 3), "loha.safetensors"
    )
    with pytest.raises(error, match=r"^Use a plain LoRA, .*: loha.safetensors: layer \S+ is LoHa, and"):
        train_merge(pack, model, "wan", set_of(pack, [three[0], other]), method)
