"""LoRAs of the published networks, in the host's classes and sizes, are never called by another's name."""

from __future__ import annotations

import re
from collections import defaultdict

import comfy.lora
import comfy.supported_models
import pytest

from klora_core.names import base_model_of, module
from tests.support.families.builds import BUILDS
from tests.support.host.nodes import part

PREFIX, SUFFIX = "diffusion_model.", ".weight"
# Of a single layer, or of those alone that two networks share, both are named, or none.
OF_TWO = {
    **{"sd2": "Stable Video Diffusion", "sd2 unclip": "Stable Video Diffusion", "ssd-1b": "SDXL"},
    **{"vega": "SDXL", "koala 700m": "KOALA 1B", "ltx-video 13b": "LTX-2", "pixeldit": "PiD"},
    **{"cosmos predict 2 2b": "Anima", "chroma": "FLUX"},
}


def shapes_of(pack, build):
    """([out, n] of each linear and convolution layer, the same under the host's other names, its name)."""
    kind, config = BUILDS[build]
    settings = getattr(comfy.supported_models, kind)(dict(config))
    model = settings.get_model({}, "", device="meta")
    layer_shape = part(pack, "nodes.host.names").layer_shape
    own = {
        name: shape for name, layer in model.diffusion_model.named_modules() if (shape := layer_shape(layer))
    }
    others = defaultdict(dict)
    for raw, target in comfy.lora.model_lora_keys_unet(model, {}).items():
        key, rows = (target[0], target[1]) if isinstance(target, tuple) else (target, None)
        shape = own.get(key.removeprefix(PREFIX).removesuffix(SUFFIX))
        spelling = next((p for p in ("transformer.", "unet.", "lora_unet_") if raw.startswith(p)), None)
        if shape is not None and spelling is not None:
            others[spelling][module(raw)[0]] = shape if rows is None else (rows[2], shape[1])
    return own, others, part(pack, "nodes.host.base_model").of_config(settings)


def parts_of(shapes):
    """LoRAs of a part: of one kind of layer, of one layer, of the first half of the blocks, of attention."""
    kinds = defaultdict(dict)
    for path, shape in shapes.items():
        kinds[re.sub(r"\d+", "#", path)][path] = shape
    for kind in kinds.values():
        yield kind
        first = next(iter(kind))
        yield {first: kind[first]}
    numbers = {
        path: int(found[1]) for path in shapes if (found := re.search(r"[._](?:block)?(\d+)[._]", path))
    }
    for attention in (False, True):
        some = {path: shape for path, shape in shapes.items() if not attention or "attn" in path}
        half = max(numbers.values(), default=0) // 2
        yield some
        yield {path: shape for path, shape in some.items() if numbers.get(path, 0) <= half}


@pytest.mark.parametrize("build", BUILDS)
def test_no_part_of_a_build_is_called_by_anothers_name(pack, build):
    own, others, name = shapes_of(pack, build)
    assert len(own) > 20 and name
    found = base_model_of(own)
    assert found is not None and name in found.names
    assert set(found.names) - {name} <= {OF_TWO.get(build), *(("SSD-1B",) if build == "vega" else ())}
    for shapes in (own, *others.values()):
        for some in parts_of(shapes):
            base = base_model_of(some)
            assert base is None or name in base.names, (list(some)[:3], base.names)
