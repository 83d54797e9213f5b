"""A custom node file for tests: the host's loaders, under their own names, also load what is tiny.

Text encoders, Z-Image's width and SDXL's refiner are fixed by the host at gigabytes (see the host lane's
nodes_for_tests, whose stand-ins these are). A template opened on the page names the host's loaders, so
here the loaders themselves hand the stand-ins out; every other model goes their usual way.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import comfy.sd
import folder_paths

from nodes import CheckpointLoaderSimple, CLIPLoader, DualCLIPLoader, UNETLoader

NODES = Path(__file__).resolve().parents[1] / "host" / "nodes_for_tests"
NODE_CLASS_MAPPINGS: dict[str, type] = {}


def _stand_ins() -> Any:
    # Its modules look their package up.
    spec = importlib.util.spec_from_file_location("klora_stand_ins", NODES / "__init__.py")
    assert spec is not None and spec.loader is not None
    sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


stand_ins = _stand_ins()
usual_checkpoint, usual_unet = CheckpointLoaderSimple.load_checkpoint, UNETLoader.load_unet


def _text(self: Any, clip_name: str, type: str, device: str = "default") -> tuple[Any, ...]:
    words = stand_ins.TinyWanText if type == "wan" else stand_ins.TinyZImageText
    return tuple(words.execute().args)


def _two_texts(self: Any, **_: str) -> tuple[Any, ...]:
    return tuple(stand_ins.TinyFluxText.execute().args)


def _unet(self: Any, unet_name: str, weight_dtype: str) -> tuple[Any, ...]:
    if "z_image" not in unet_name:
        return usual_unet(self, unet_name, weight_dtype)
    return (stand_ins.load_model(folder_paths.get_full_path_or_raise("diffusion_models", unet_name)),)


def _checkpoint(self: Any, ckpt_name: str) -> tuple[Any, ...]:
    if "refiner" not in ckpt_name:
        return usual_checkpoint(self, ckpt_name)
    # What is tiny of it is the model alone, a file of another folder.
    path = folder_paths.get_full_path_or_raise("checkpoints", ckpt_name)
    model = comfy.sd.load_diffusion_model(path)
    return model, stand_ins.Words(77, 1280, 1280), None


CLIPLoader.load_clip = _text
DualCLIPLoader.load_clip = _two_texts
UNETLoader.load_unet = _unet
CheckpointLoaderSimple.load_checkpoint = _checkpoint
