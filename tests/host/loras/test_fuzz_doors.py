"""A thousand LoRA files, most of them hostile, through both doors: they agree on every one."""

from __future__ import annotations

import random
import resource
import time
from collections import Counter

import comfy.model_patcher
import comfy.utils
import folder_paths
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from klora_core import files
from klora_core.errors import KLoraError
from klora_core.pipelines import fitting, layers_of
from tests.support.host import hostile, hostile_bytes
from tests.support.host.networks import network
from tests.support.host.nodes import part

FILES, SEED = 1000, 20260101
SECONDS, ENTRIES, GROWTH_KIB = 180, 2**23, 2**20


class Largest(TorchDispatchMode):
    """The largest tensor that is made while it is on, in entries."""

    def __init__(self):
        super().__init__()
        self.entries = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        # A view, or an expanded tensor, is counted by what it holds.
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self.entries = max(self.entries, tensor.untyped_storage().nbytes() // tensor.element_size())
        return out


@pytest.fixture(scope="module")
def model():
    device = torch.device("cpu")
    return comfy.model_patcher.ModelPatcher(network("sd15"), load_device=device, offload_device=device)


@pytest.fixture(scope="module")
def layers(model, pack):
    """Every linear and convolution layer of the model."""
    shape_of = part(pack, "nodes.host.names").layer_shape
    theirs = comfy.utils.unet_to_diffusers(model.model.model_config.unet_config)
    modules = dict(model.model.named_modules())
    found = {}
    for key, target in theirs.items():
        weight = target.removesuffix(".weight")
        # The map knows layers of other sizes of the network, too.
        module = modules.get(f"diffusion_model.{weight}") if weight != target else None
        if module is not None and shape_of(module) is not None:
            found[weight] = hostile.Layer(weight, key.removesuffix(".weight"), tuple(module.weight.shape))
    assert len(found) > 250
    # The host's map comes from sets, in another order in each process.
    return sorted(found.values(), key=lambda layer: layer.name)


@pytest.fixture(scope="module")
def there(model):
    """Where the command line's room finds the model's layers."""
    return layers_of(model.model.diffusion_model)


@pytest.fixture
def ones(pack, monkeypatch):
    """The network has no numbers: weights that a change depends on are ones, for both doors."""
    weights = part(pack, "nodes.host.weights").LayerWeights
    monkeypatch.setattr(weights, "read", lambda self, key, shape, device: torch.ones(shape))
    monkeypatch.setattr(fitting, "stored", lambda module, slot: torch.ones(module.weight.shape))


def core_door(path, there, model):
    return fitting.fit(files.read(path, for_model=True), there, model.model.diffusion_model)


def host_door(pack, name, model):
    lora = part(pack, "nodes.loras.file").load(name)
    return part(pack, "nodes.loras.read").read(lora, name, model, None)


def outcome(door, name, *args):
    """What a door gives, or its one line about the file."""
    try:
        return door(*args)
    except ValueError as error:
        assert type(error).__name__ == KLoraError.__name__, repr(error)
        text = str(error)
        assert name in text and text.isprintable() and len(text) < 2000, text
        return text


def check_agreement(file, core, host, known):
    """Two readings of one file: the same slots with the same dW, the same tensors left."""
    ours = {slot.name: delta for slot, delta in core.slots.items() if slot.name in known}
    theirs = {slot.name: delta for slot, delta in host.slots.items()}
    assert ours.keys() == theirs.keys()
    for name, delta in theirs.items():
        expected = file.truth.get(name)
        # The host's own loader divides by other norms than the trainers where a DoRA counts the rows.
        if getattr(delta, "left", None) is None or delta.left.turns is not None:
            torch.testing.assert_close(ours[name].dense(), delta.dense())
        if expected is not None:
            torch.testing.assert_close(delta.dense(), expected, rtol=1e-4, atol=1e-4)
    for found in (core, host):
        left = {key for item in found.left for key in item.keys}
        assert found.applied | left == set(file.tensors) and not found.applied & left
    if len(theirs) == len(core.slots):
        assert core.applied <= host.applied


def test_both_doors_agree_on_a_thousand_hostile_files(
    pack, model, layers, there, ones, tmp_path, monkeypatch, record_property
):
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "loras", ([str(tmp_path)], {".safetensors"}))
    info = part(pack, "nodes.loras.info")
    rng = random.Random(SEED)
    torch.manual_seed(SEED)
    known = {layer.name for layer in layers}
    outcomes = Counter()
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    for number in range(FILES):
        file = hostile.a_file(rng, layers)
        for _ in range(rng.choice((0, 1, 1, 1, 2))):
            hostile.tamper(rng, file, layers)
        broken = rng.random() < 0.1
        name = f"{number}.safetensors"
        path = tmp_path / name
        path.write_bytes(hostile_bytes.as_bytes(rng, file.tensors, broken))
        with Largest() as made:
            core = outcome(core_door, name, path, there, model)
            host = outcome(host_door, name, pack, name, model)
        held = sum(tensor.numel() for tensor in file.tensors.values())
        assert made.entries <= max(ENTRIES, 4 * held), (name, made.entries)
        told = info.beside(name, "", "")
        assert told.keys() == {"trigger_words", "base_model"}, name
        assert all(words.isprintable() and len(words) <= 300 for words in told.values()), (name, told)
        refused = isinstance(core, str), isinstance(host, str)
        assert refused[0] == refused[1], (name, core, host)
        outcomes["refused" if refused[0] else "read"] += 1
        if not refused[0]:
            check_agreement(file, core, host, known)
        path.unlink()
    seconds = time.process_time() - start
    growth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    record_property("outcomes", dict(outcomes))
    print(f"{dict(outcomes)} in {seconds:.0f} s, peak grown by {growth / 1024:.0f} MiB")
    assert min(outcomes.values()) > FILES // 5 and len(outcomes) == 2
    assert seconds < SECONDS
    assert growth < GROWTH_KIB
