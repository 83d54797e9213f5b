"""Names under wrappers arrive at their layers by both doors, whatever wraps them and wherever it stands."""

from __future__ import annotations

import pytest

from klora_core import files, names
from klora_core.errors import KLoraError
from tests.host.names.test_spellings import model_of, shapes_of
from tests.support.host.lora_accounts import accounted
from tests.support.host.networks import NETWORKS
from tests.support.host.spellings import SPELLINGS

DOTTED = (
    "_orig_mod.{}",
    "module.{}",
    "pipe.dit.{}",
    "module._orig_mod.transformer.{}",
    "diffusion_model._orig_mod.{}",
)
FLATTENED = ("lora_unet__orig_mod_{}", "Network_lora_{}", "module.lycoris_{}")


def wrapped(spelling):
    """(a name of all modules in the spelling, that name in a wrapper) by each wrapper that suits it."""
    prefix = spelling.prefixes[0]
    if prefix.endswith("_"):
        return [(prefix, form.format) for form in FLATTENED]
    inner = [(prefix, form.format) for form in DOTTED]
    return [*inner, (prefix, lambda path: path.replace("blocks.", "blocks._orig_mod.", 1))]


@pytest.mark.parametrize("spelling", SPELLINGS, ids=lambda spelling: spelling.name)
def test_wrapped_names_have_the_slots_of_the_bare_ones(pack, spelling):
    model = model_of(spelling.network)
    for prefix, wrap in wrapped(spelling):
        plain, _ = spelling.lora(prefix, shapes_of(pack, spelling.network))
        tensors = {wrap(key.removeprefix(prefix)): tensor for key, tensor in plain.items()}
        bare = files.from_tensors("odd.safetensors", plain)
        for found, expected in (
            (files.from_tensors("odd.safetensors", tensors), bare),
            (accounted(pack, tensors, model), accounted(pack, plain, model)),
        ):
            assert found.slots.keys() == expected.slots.keys() and not found.left


@pytest.mark.parametrize("wrapper", ["student.", "ema.generator.", "some_trainer.model."])
@pytest.mark.parametrize(
    "name", ["flux.diffusers", "wan.own", "z_image.diffusers", "hunyuan_video.diffusers"]
)
def test_a_wrapper_that_nobody_knows_is_refused_in_the_same_words_by_both_doors(pack, name, wrapper):
    spelling = next(spelling for spelling in SPELLINGS if spelling.name == name)
    tensors, _ = spelling.lora(wrapper, shapes_of(pack, spelling.network))
    words = f"it names its layers in a way that is not known here: '{wrapper}"
    with pytest.raises(KLoraError) as core:
        files.from_tensors("odd.safetensors", tensors)
    with pytest.raises(ValueError) as nodes:
        accounted(pack, tensors, model_of(spelling.network))
    assert words in str(core.value) and words in str(nodes.value)
    assert str(nodes.value).startswith(core.value.do) and str(nodes.value).endswith(core.value.why)


@pytest.mark.parametrize("network", sorted(NETWORKS))
def test_no_part_of_a_network_is_taken_for_a_wrapper(pack, network):
    shapes = shapes_of(pack, network)
    parts = {".".join(name.split(".")[:n]) for name in shapes for n in (1, 2, 3)}
    for part in parts:
        inside = {name: shape for name, shape in shapes.items() if name.startswith(f"{part}.")}
        assert names.wrapper_of(inside) is None, part
