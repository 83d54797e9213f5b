"""Files of published training methods through the loader, the fusion, and the merge to an ordinary LoRA."""

from __future__ import annotations

import comfy.utils
import folder_paths
import pytest
import torch
from comfy_extras.nodes_train import LoraModelLoader
from safetensors.torch import save_file

from tests.support.host.nodes import UNET_LAYERS, baked, fuse, lora_set, merged, part, relative, unet_pair
from tests.support.published import KINDS


@pytest.fixture(scope="module")
def layers(_sd15):
    """The linear layers of the tiny SD1.5 that UNET_LAYERS names: diffusers' name -> (weight, [out, in])."""
    model = _sd15.model.model
    names = comfy.utils.unet_to_diffusers(model.model_config.unet_config)
    theirs = {ours.removesuffix(".weight"): name.removesuffix(".weight") for name, ours in names.items()}
    shapes = {w: tuple(model.get_submodule(f"diffusion_model.{w}").weight.shape) for w in UNET_LAYERS}
    return {theirs[w]: (w, shape) for w, shape in shapes.items() if len(shape) == 2 and "transformer" in w}


@pytest.fixture
def loaded(pack, layers, tmp_path, monkeypatch):
    """`loaded(kind)` -> (what the method defines, the LORA_MODEL of Load LoRA for Fusion)."""
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "loras", ([str(tmp_path)], {".safetensors"}))

    def load(kind):
        made = KINDS[kind]({name: shape for name, (_, shape) in layers.items()}, 5)
        save_file(made.tensors, tmp_path / f"{kind}.safetensors")
        folder_paths.filename_list_cache.clear()
        node = part(pack, "nodes").KLoRALoadLora
        return made, node.execute(f"{kind}.safetensors").result[0]

    return load


def by_core(lora, layers):
    """The same changes as whole matrices in a spelling that core's loader knows."""
    return {f"diffusion_model.{layers[n][0]}.diff": matrix.float() for n, matrix in lora.dense.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_published_file_fuses_as_its_method_defines_it(
    pack, sd15, sd15_conds, sample, layers, loaded, kind
):
    """Against the same changes in a spelling of core's: one plan, and latents by the same choices."""
    made, lora = loaded(kind)
    style = unet_pair(sd15.model.model)[1]
    found = fuse(pack, sd15.model, lora, style)
    assert "NOT applied" not in found.report.split("style:")[0]
    scored = {slot["name"]: slot["l1_subject"] for slot in found.plan.to_json(5)["slots"]}
    for name, matrix in made.dense.items():
        assert scored[layers[name][0]] == pytest.approx(float(matrix.abs().sum()), rel=1e-4)

    def run(model):
        return sample(model, *sd15_conds, steps=3)

    # All the subject's: the style never wins at the far end of the dial.
    alone = fuse(pack, sd15.model, lora, style, balance=-100.0, other_layers="drop").model
    assert relative(run(alone), run(baked(sd15.model, by_core(made, layers)))) < 1e-4


def test_a_dense_ziplora_becomes_an_ordinary_lora(pack, sd15, sd15_conds, sample, layers, loaded, caplog):
    """SVD of Merge LoRAs, then core's own loader: exact at the rank it has, within the cut's error below."""
    made, lora = loaded("ziplora")

    def run(model):
        return sample(model, *sd15_conds, steps=3)

    want, plain = run(baked(sd15.model, by_core(made, layers))), run(sd15.model)
    assert relative(plain, want) > 1e-2
    members = lora_set(pack, (lora, "subject", 1.0))
    errors = {}
    for rank in (0, 4096, 7, 3):
        cut, said = merged(pack, sd15.model, members, "SVD", rank)
        kinds = {key.rsplit(".", 2)[-2] if key.endswith("weight") else "alpha" for key in cut}
        assert kinds == {"lora_up", "lora_down", "alpha"}
        caplog.clear()
        errors[rank] = relative(run(LoraModelLoader.execute(sd15.model, cut, 1.0).result[0]), want)
        assert "lora key not loaded" not in caplog.text
        # Each layer against the best that a matrix of that rank can be.
        for name, matrix in made.dense.items():
            weight = layers[name][0]
            flat = "lora_unet_" + weight.replace(".", "_")
            found = cut[f"{flat}.lora_up.weight"].double() @ cut[f"{flat}.lora_down.weight"].double()
            values = torch.linalg.svdvals(matrix)
            lost = float(values[rank or len(values) :].norm() / values.norm())
            assert relative(found, matrix) < lost * (1 + 1e-4) + 1e-5, (rank, weight)
    assert max(errors[rank] for rank in (0, 4096, 7)) < 1e-5, errors
    assert 1e-4 < errors[3] < relative(plain, want), errors
    assert "rank 3" in said and "energy" in said


def test_a_gate_that_the_merge_folds_in(pack, sd15, layers, loaded):
    """BeamLoRA + ZipLoRA by the plain sum: the matrices of both methods."""
    beam, first = loaded("beamlora")
    zipped, second = loaded("ziplora")
    cut, _ = merged(
        pack, sd15.model, lora_set(pack, (first, "subject", 1.0), (second, "style", 0.5)), "Linear"
    )
    for name, (weight, _) in layers.items():
        flat = "lora_unet_" + weight.replace(".", "_")
        found = cut[f"{flat}.lora_up.weight"].double() @ cut[f"{flat}.lora_down.weight"].double()
        assert relative(found, beam.dense[name] + 0.5 * zipped.dense[name]) < 1e-4, name
