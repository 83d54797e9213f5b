"""A shipped workflow on the small world: its own K-LoRA nodes, settings and steps; loaders, words, size and
sampler are the world's.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from itertools import cycle
from typing import Any

from tools.host.api_format import Json
from world.model.sampling import GUIDANCE
from world.places import BASE_FILE, VAE_FILE

from .cast import Cast

SIDE = 96
FUSED, MAP, SWEPT = "fused", "map", "swept"
BEFORE = "before.png"
"""The picture that an image to image workflow starts from, in the server's input folder."""

_PASSED = {
    "LoraLoaderModelOnly": "model",
    "ModelSamplingAuraFlow": "model",
    "ModelSamplingSD3": "model",
    "ImageScale": "image",
    "ImageScaleToTotalPixels": "image",
}
_WORLD: dict[str, Json] = {
    "model": {"class_type": "UNETLoader", "inputs": {"unet_name": BASE_FILE.name, "weight_dtype": "default"}},
    "vae": {"class_type": "VAELoader", "inputs": {"vae_name": VAE_FILE.name}},
    "words": {"class_type": "KLoRAToyWords", "inputs": {}},
    "nothing": {"class_type": "KLoRAToyWords", "inputs": {"words": ""}},
}
_LOADERS = {
    "CheckpointLoaderSimple": {0: "model", 2: "vae"},
    "UNETLoader": {0: "model"},
    "VAELoader": {0: "vae"},
    "CLIPLoader": {},
    "DualCLIPLoader": {},
}
_GONE = {*_PASSED, *_LOADERS, "CLIPTextEncode", "ConditioningZeroOut", "FluxGuidance"}
_SHEETS = {"TextOverlay", "ImageGrid"}
_SHOWN = {*_SHEETS, "SaveImage", "PreviewImage", "PreviewAny", "CreateVideo", "SaveVideo"}


def on_world(prompt: Json, cast: Cast, dials: Mapping[str, Any]) -> Json:
    """The API-format prompt on the world; ``dials`` are K-LoRA settings that differ from the workflow's.

    What the workflow labels is saved as ``swept``, a picture without label as ``fused``, each LoRA's own
    picture under the LoRA's name, and the selection map, where there is one, as ``map``.
    """
    pictures = dict(_pictures(prompt))
    moved = copy.deepcopy(_WORLD)
    moved["words"]["inputs"]["words"] = cast.words
    # Again from the first: a workflow may load the pair once for each of two models.
    loaders = cycle(cast.files)
    for key, node in prompt.items():
        if node["class_type"] not in _GONE | _SHOWN:
            moved[key] = _moved(prompt, node, cast, loaders, dials)
    for name, link in pictures.items():
        moved[f"saved {name}"] = _saved(name, link)
    moved |= dict(_alone(moved, pictures, cast))
    return moved


def _moved(prompt: Json, node: Json, cast: Cast, loaders: Iterator[str], dials: Mapping[str, Any]) -> Json:
    kind = node["class_type"]
    inputs = {name: _source(prompt, value) for name, value in node["inputs"].items()}
    inputs = {name: value for name, value in inputs.items() if value is not None}
    if kind in ("KSampler", "KSamplerAdvanced"):
        inputs |= {"positive": ["words", 0], "negative": ["nothing", 0], "cfg": GUIDANCE}
        inputs |= {"sampler_name": "euler", "scheduler": "simple"}
        if kind == "KSamplerAdvanced" and inputs["model"] == ["model", 0]:
            # The world has no refiner: what began the image ends it.
            first = prompt[node["inputs"]["latent_image"][0]]["inputs"]
            inputs["model"] = _source(prompt, first["model"])
    elif kind.startswith("Empty"):
        kind, inputs = "EmptySD3LatentImage", {"width": SIDE, "height": SIDE, "batch_size": 1}
    elif kind == "KLoRALoadPair":
        inputs |= {"subject_lora": next(loaders), "style_lora": next(loaders)}
    elif kind == "KLoRALoadLora":
        inputs["lora_name"] = next(loaders)
    elif kind == "LoadImage":
        inputs["image"] = BEFORE
    elif kind == "KLoRASet" and inputs.get("blocks"):
        # The world's network has no other blocks.
        inputs["blocks"] = inputs["blocks"].replace("up", "joint")
    elif kind in ("KLoRAFuse", "KLoRACompose"):
        inputs |= _dialled(inputs, dials)
    return {"class_type": kind, "inputs": inputs}


def _dialled(inputs: Json, dials: Mapping[str, Any]) -> Json:
    """The dials by the names that this node's inputs have; KeyError for one that it lacks."""
    prefix = "method." if "method" in inputs else ""
    if inputs.get("method", "K-LoRA") != "K-LoRA":
        return {}
    named = {prefix + name: value for name, value in dials.items()}
    unknown = named.keys() - inputs.keys()
    if unknown:
        raise KeyError(f"the node has no input {', '.join(sorted(unknown))}")
    return named


def _source(prompt: Json, value: Any) -> Any:
    """What an input gets instead: another link, None where the world has nothing like it, or its value."""
    if not isinstance(value, list):
        return value
    key, slot = value
    node = prompt[key]
    kind = node["class_type"]
    if kind in _PASSED:
        return _source(prompt, node["inputs"][_PASSED[kind]])
    if kind in _LOADERS:
        name = _LOADERS[kind].get(slot)
        return name and [name, 0]
    return None if kind in _GONE else value


def _pictures(prompt: Json) -> Iterator[tuple[str, Any]]:
    """(name, link) of what the workflow shows."""
    kinds = {key: node["class_type"] for key, node in prompt.items()}
    labels = [node["inputs"] for node in prompt.values() if node["class_type"] == "TextOverlay"]
    for inputs in labels:
        yield SWEPT, inputs["images"]
    for node in prompt.values():
        if node["class_type"] == "CreateVideo":
            yield FUSED, node["inputs"]["images"]
        if node["class_type"] in ("SaveImage", "PreviewImage") and not labels:
            link = _source(prompt, node["inputs"]["images"])
            yield (MAP if kinds[link[0]] == "KLoRASelectionMap" else FUSED), link


def _saved(name: str, link: Any) -> Json:
    return {"class_type": "SaveImage", "inputs": {"images": link, "filename_prefix": name}}


def _alone(moved: Json, pictures: Mapping[str, Any], cast: Cast) -> Iterator[tuple[str, Json]]:
    """Each LoRA alone at strength 1, by the first picture's sampler."""
    decoder = moved[next(link for name, link in pictures.items() if name != MAP)[0]]
    sampled = _whole(moved, moved[decoder["inputs"]["samples"][0]]["inputs"])
    loras = [
        [key, slot]
        for key, node in moved.items()
        for slot in {"KLoRALoadPair": (0, 1), "KLoRALoadLora": (0,)}.get(node["class_type"], ())
    ]
    for name, lora in zip((cast.subject, *cast.styles), loras, strict=False):
        added = {"model": ["model", 0], "lora": lora, "strength_model": 1.0, "bypass": False}
        yield f"{name} added", {"class_type": "LoraModelLoader", "inputs": added}
        inputs = sampled | {"model": [f"{name} added", 0]}
        yield f"{name} sampled", {"class_type": "KSampler", "inputs": inputs}
        decoded = decoder["inputs"] | {"samples": [f"{name} sampled", 0]}
        yield f"{name} decoded", {"class_type": decoder["class_type"], "inputs": decoded}
        yield f"saved {name}", _saved(name, [f"{name} decoded", 0])


def _whole(moved: Json, inputs: Json) -> Json:
    """A sampler's inputs; those of a run in two parts as one whole."""
    if "noise_seed" not in inputs:
        return inputs
    while "noise_seed" in moved[inputs["latent_image"][0]]["inputs"]:
        inputs = moved[inputs["latent_image"][0]]["inputs"]
    kept = ("steps", "cfg", "sampler_name", "scheduler", "positive", "negative", "latent_image")
    return {name: inputs[name] for name in kept} | {"seed": inputs["noise_seed"], "denoise": 1.0}
