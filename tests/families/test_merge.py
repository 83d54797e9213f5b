"""Files that ``merge`` writes, in core's own loader: of each network and spelling the sum of two LoRAs."""

from __future__ import annotations

from dataclasses import replace

import comfy.lora
import comfy.lora_convert
import comfy.utils
import pytest
import torch
from safetensors.torch import save_file

from klora_core.cli import main
from tests.host.names.test_spellings import model_of, shapes_of
from tests.support.host.networks import NETWORKS
from tests.support.host.spellings import SPELLINGS, Spelling, Target

STRENGTHS = 1.0, -0.5


def own(network, shapes) -> Spelling:
    """The network's own names, as ai-toolkit writes them."""
    modules = {name: Target(name, None, False) for name in shapes}
    ends = "lora_A.weight", "lora_B.weight"
    return Spelling(f"{network}.own", network, ("diffusion_model.",), ends, "", modules)


def check(pack, tmp_path, spelling, prefix):
    model, shapes = model_of(spelling.network), shapes_of(pack, spelling.network)
    tensors, changes = spelling.lora(prefix, shapes)
    paths = []
    for number in (1, 2):
        # The second is the first backwards: another LoRA of the same shapes.
        own_tensors = {key: t if number == 1 else t.flip(0, 1).contiguous() for key, t in tensors.items()}
        paths.append(tmp_path / f"{number}.safetensors")
        save_file({key: t.contiguous() for key, t in own_tensors.items()}, paths[-1])
    out = tmp_path / "out.safetensors"
    weights = ["--weights", *map(str, STRENGTHS)]
    assert main(["merge", *map(str, paths), *weights, "--dtype", "fp32", "-o", str(out)]) == 0
    merged = comfy.lora_convert.convert_lora(comfy.utils.load_torch_file(str(out), safe_load=True))
    patches = comfy.lora.load_lora(merged, comfy.lora.model_lora_keys_unet(model.model, {}))
    by_weight: dict[str, list] = {}
    for target, patch in patches.items():
        key, offset, function = (target, None, None) if isinstance(target, str) else (*target, None, None)[:3]
        by_weight.setdefault(key, []).append((1.0, patch, 1.0, offset, function))
    wanted: dict[str, list] = {}
    for (weight, rows), factors in changes.items():
        wanted.setdefault(f"diffusion_model.{weight}.weight", []).append((rows, *factors))
    assert by_weight.keys() == wanted.keys()
    swapped = {target.weight for target in spelling.modules.values() if target.swapped}
    for key, parts in wanted.items():
        weight = key.removeprefix("diffusion_model.").removesuffix(".weight")
        found = comfy.lora.calculate_weight(by_weight[key], torch.zeros(shapes[weight]), key)
        dense = torch.zeros(shapes[weight])
        for rows, up, down in parts:
            start, stop = rows or (0, len(dense))
            back = up.flip(0)
            if weight in swapped:
                # Turned round before its halves changed places, not after.
                back = up.roll(len(up) // 2, 0).flip(0).roll(len(up) // 2, 0)
            dense[start:stop] += STRENGTHS[0] * up @ down + STRENGTHS[1] * back @ down.flip(1)
        assert float((found - dense).norm()) < 1e-5 * float(dense.norm()), key


@pytest.mark.parametrize("network", NETWORKS)
def test_own_names(pack, tmp_path, network):
    spelling = own(network, shapes_of(pack, network))
    for prefix in ("diffusion_model.", "lora_unet_"):
        check(pack, tmp_path, spelling, prefix)


# Their single blocks' q, k and v alone: the rows of the whole are refused without the model.
SPELLED = [spelling for spelling in SPELLINGS if "xlabs" not in spelling.name]


@pytest.mark.parametrize("spelling", SPELLED, ids=lambda spelling: spelling.name)
def test_other_names(pack, tmp_path, spelling):
    for prefix in spelling.prefixes:
        check(pack, tmp_path, spelling, prefix)


def thirds(spelling):
    """The names of q, k and v by the fused weight, and the names of all that is not fused."""
    fused: dict[str, list] = {}
    for name, target in spelling.modules.items():
        if target.rows is not None and "linear1" not in target.weight:
            fused.setdefault(target.weight, []).append((target.rows, name))
    found = [[name for _, name in sorted(parts)] for parts in fused.values() if len(parts) == 3]
    return found, [name for name, target in spelling.modules.items() if target.rows is None]


@pytest.mark.parametrize("spelling", [s for s in SPELLED if thirds(s)[0]], ids=lambda s: s.name)
@pytest.mark.parametrize("part", [0, 1, 2])
def test_parts_of_fused_weights(pack, tmp_path, spelling, part):
    """q, k or v of each attention, and nothing else of it."""
    found, rest = thirds(spelling)
    modules = {name: spelling.modules[name] for name in (*(names[part] for names in found), *rest)}
    check(pack, tmp_path, replace(spelling, modules=modules), spelling.prefixes[0])


def test_attention_of_flux_s_double_blocks_alone(pack, tmp_path):
    """In diffusers' names, which Qwen-Image has for its own: nothing in the LoRA tells which it is."""
    spelling = next(one for one in SPELLINGS if one.name == "flux.diffusers")
    names = [name for name in spelling.modules if name.startswith("transformer_blocks.") and ".attn." in name]
    part = replace(spelling, modules={name: spelling.modules[name] for name in names})
    for prefix in spelling.prefixes:
        check(pack, tmp_path, part, prefix)
