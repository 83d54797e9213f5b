"""Weights of a GGUF file by ComfyUI-GGUF's own loader, where that pack is among the custom_nodes."""

from __future__ import annotations

import importlib.util
import sys

import folder_paths
import pytest
import torch
from safetensors.torch import load_file

from tests.families.test_families import RANKS, fuse, relative
from tests.families.test_precisions import SCALE
from tests.support.families.nets import layers, sample
from tests.support.families.reference import reference
from tests.support.host.reference import random_lora
from tools.host.find import find_host
from tools.tiny import MODELS_DIR, models

PACK = find_host().path / "custom_nodes" / "ComfyUI-GGUF"
pytestmark = pytest.mark.skipif(not PACK.is_dir(), reason="ComfyUI-GGUF is not in custom_nodes")
FLUX = "diffusion_models/tiny-flux.safetensors"


@pytest.fixture(scope="module")
def loader():
    spec = importlib.util.spec_from_file_location(
        "gguf_pack", PACK / "__init__.py", submodule_search_locations=[str(PACK)]
    )
    module = sys.modules["gguf_pack"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.NODE_CLASS_MAPPINGS["UnetLoaderGGUF"]


def write(path, tensors, kind):
    """A GGUF file of the tensors; and the numbers that it holds."""
    import gguf
    from gguf import quants

    kept, writer = {}, gguf.GGUFWriter(str(path), "flux")
    for name, tensor in tensors.items():
        data = tensor.float().numpy()
        packs = data.ndim == 2 and data.shape[1] % 32 == 0 and min(data.shape) > 32
        form = gguf.GGMLQuantizationType[kind if packs else "F32"]
        packed = quants.quantize(data, form)
        writer.add_tensor(name, packed, raw_dtype=form)
        kept[name] = torch.from_numpy(quants.dequantize(packed, form).copy()).view(tensor.shape)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return kept


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0"])
def test_gguf(pack, record, loader, tmp_path, monkeypatch, kind):
    import comfy.sd

    models.ensure("flux")
    kept = write(tmp_path / "tiny.gguf", load_file(MODELS_DIR / FLUX), kind)
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "diffusion_models", ([str(tmp_path)], {".gguf"}))
    with torch.inference_mode(False):
        exact = comfy.sd.load_diffusion_model_state_dict(dict(kept))
        model = loader().load_unet("tiny.gguf")[0]
    assert type(model.model.diffusion_model.double_blocks[0].img_attn.qkv).__module__ == "gguf_pack.ops"
    names = layers(pack, exact.model)
    pair = [random_lora(exact.model, names, rank, seed, SCALE) for seed, rank in enumerate(RANKS)]
    fused, _, plan, _ = fuse(pack, model, *pair)
    assert {slot.name for slot in plan.slots} == set(names)
    expected = sample(reference(exact.model, *pair, RANKS).patch(exact), "tiny_flux")
    error = relative(sample(fused, "tiny_flux"), expected)
    own = relative(sample(model, "tiny_flux"), sample(exact, "tiny_flux"))
    assert error < max(1e-5, 3 * own)
    record(part="precision", precision=f"GGUF {kind}", family="flux", error=error, rewritten=own)
