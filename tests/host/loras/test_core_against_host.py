"""The host-free reader against the host: its names for every module, its arithmetic for every adapter."""

from __future__ import annotations

import comfy.utils
import comfy.weight_adapter
import pytest
import torch

from klora_core import names
from klora_core.files import adapters
from klora_core.names import Slot, layout_of
from tools.tiny.architectures import FLUX, SD15, SDXL

SPELLINGS = (
    "lora_unet_{flat}",
    "lycoris_{flat}",
    "lora_transformer_{flat}",
    "transformer.{dotted}",
    "unet.base_model.model.{dotted}",
    "diffusion_model.{dotted}",
    "unet.unet.{old}",
)


def _host_map(kind: str) -> dict:
    """Diffusers module -> (weight, (start, length) or None, whether its halves are swapped)."""
    keys = {
        "sdxl": lambda: comfy.utils.unet_to_diffusers(SDXL),
        "sd15": lambda: comfy.utils.unet_to_diffusers(SD15),
        "flux": lambda: comfy.utils.flux_to_diffusers(FLUX),
        "z_image": lambda: comfy.utils.z_image_to_diffusers({"n_layers": 4, "dim": 3072}),
    }[kind]()
    found = {}
    for key, target in keys.items():
        name = key.removesuffix(".weight")
        # Norms are vectors; SDXL's map has an upsampler in its last up block that the model has not.
        if name == key or ".norm_" in key or (kind, name) == ("sdxl", "up_blocks.2.upsamplers.0.conv"):
            continue
        parts = (target,) if isinstance(target, str) else target
        rows = None if len(parts) == 1 or parts[1] is None else parts[1][1:]
        found[name] = (parts[0].removesuffix(".weight"), rows, len(parts) > 2)
    return found


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("kind", ["sdxl", "sd15", "flux", "z_image"])
def test_names_are_the_hosts(kind, spelling):
    wanted = _host_map(kind)
    shapes = {name: (rows[1] if rows else 3072, 3072) for name, (_, rows, _) in wanted.items()}
    base = layout_of(shapes)
    for name, (weight, rows, swapped) in wanted.items():
        old = name.replace(".to_", ".processor.to_")
        raw = spelling.format(
            flat=name.replace(".", "_"), dotted=name, old=old.removesuffix(".0") if ".to_out" in old else old
        )
        found = names.place(names.module(raw)[0], shapes[name], base)
        assert found == names.Placed(Slot(weight, rows), swapped), raw


def _random(**shapes):
    return {name: torch.randn(shape) for name, shape in shapes.items()}


ADAPTERS = {
    "lora": ((24, 40), _random(up=(24, 4), down=(4, 40))),
    "locon": ((24, 10, 3, 3), _random(up=(24, 4, 1, 1), down=(4, 10, 3, 3))),
    "tucker": ((24, 10, 3, 3), _random(up=(24, 4, 1, 1), down=(4, 10, 1, 1), mid=(4, 4, 3, 3))),
    "loha": (
        (24, 40),
        _random(hada_w1_a=(24, 3), hada_w1_b=(3, 40), hada_w2_a=(24, 2), hada_w2_b=(2, 40)),
    ),
    "loha, dense": (
        (24, 40),
        _random(hada_w1_a=(24, 8), hada_w1_b=(8, 40), hada_w2_a=(24, 8), hada_w2_b=(8, 40)),
    ),
    "loha, tucker": (
        (24, 10, 3, 3),
        _random(
            hada_w1_a=(3, 24),
            hada_w1_b=(3, 10),
            hada_t1=(3, 3, 3, 3),
            hada_w2_a=(3, 24),
            hada_w2_b=(3, 10),
            hada_t2=(3, 3, 3, 3),
        ),
    ),
    "lokr, whole": ((24, 40), _random(lokr_w1=(4, 8), lokr_w2=(6, 5))),
    "lokr, second decomposed": ((24, 40), _random(lokr_w1=(2, 2), lokr_w2_a=(12, 2), lokr_w2_b=(2, 20))),
    "lokr, first decomposed": ((24, 40), _random(lokr_w1_a=(4, 3), lokr_w1_b=(3, 8), lokr_w2=(6, 5))),
    "lokr, both": (
        (24, 40),
        _random(lokr_w1_a=(4, 1), lokr_w1_b=(1, 8), lokr_w2_a=(6, 2), lokr_w2_b=(2, 5)),
    ),
    "lokr, convolution": ((24, 10, 3, 3), _random(lokr_w1=(4, 2), lokr_w2=(6, 5, 3, 3))),
}
_SUFFIX = {"up": "lora_up.weight", "down": "lora_down.weight", "mid": "lora_mid.weight"}


@pytest.mark.parametrize("alpha", [None, 7.0])
@pytest.mark.parametrize("case", ADAPTERS)
def test_adapters_multiply_out_as_in_the_host(case, alpha):
    shape, parts = ADAPTERS[case]
    tensors = {f"m.{_SUFFIX.get(part, part)}": tensor for part, tensor in parts.items()}
    loaded = (kind.load("m", tensors, alpha, None, set()) for kind in comfy.weight_adapter.adapters)
    adapter = next(found for found in loaded if found is not None)
    wanted = adapter.calculate_weight(
        torch.zeros(shape), "m", 1.0, 1.0, None, lambda change: change, torch.float32
    )
    folded = parts if alpha is None else {**parts, "alpha": torch.tensor(alpha)}
    assert wanted.any()
    torch.testing.assert_close(
        adapters.change_of("m", folded).delta().dense(), wanted.flatten(1), rtol=1e-4, atol=1e-5
    )
