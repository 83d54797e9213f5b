"""A shipped workflow run on the small world: its pictures by name, and the settings that were at work."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from tools.host.api_format import Json, to_api
from tools.host.server import Server
from tools.workflows.shipped import path_of
from world.model.fit_vae import load_decoder
from world.model.sampling import first_noise, sample
from world.training.base import load_base

from .cast import Cast
from .on_world import BEFORE, SWEPT, on_world


@dataclass(frozen=True)
class Shot:
    """Pictures by name (on_world says which), who is in them, and the settings in words."""

    pictures: Mapping[str, Image.Image]
    cast: Cast
    settings: str

    @property
    def labelled(self) -> tuple[str, ...]:
        """The names that the workflow gives, without the LoRAs' own."""
        return tuple(name for name in self.pictures if name not in (self.cast.subject, *self.cast.styles))


def take(server: Server, name: str, cast: Cast, dials: Mapping[str, Any]) -> Shot:
    """Run the shipped workflow ``name``; ``dials`` are settings that differ from its own.

    RuntimeError if the run fails.
    """
    saved = json.loads(path_of(name).read_text(encoding="utf-8"))
    shipped = to_api(saved, server.object_info())
    prompt = on_world(shipped, cast, dials)
    starts = before()
    starts.save(server.base / "input" / BEFORE)
    made = dict(_pictures(server, prompt, _labels(shipped)))
    if any(node["class_type"] == "LoadImage" for node in prompt.values()):
        made[BEFORE] = starts
    return Shot(made, cast, settings(prompt))


def before() -> Image.Image:
    """The picture that image to image starts from, made by the base alone: an apple."""
    made = load_decoder()(sample(load_base(), "flat red apple", first_noise(3, 1)))[0].clamp(0, 1)
    return Image.fromarray((made * 255).round().byte().permute(1, 2, 0).numpy())


def _pictures(server: Server, prompt: Json, labels: Sequence[str]) -> Iterator[tuple[str, Image.Image]]:
    run = server.run(prompt)
    if run.error is not None:
        raise RuntimeError(run.error["exception_message"])
    for key in prompt:
        name = key.removeprefix("saved ")
        if name != key:
            made = [Image.open(io.BytesIO(server.image(each))).convert("RGB") for each in run.images(key)]
            yield from zip(labels if name == SWEPT else [name], made, strict=True)


def _labels(prompt: Json) -> list[str]:
    """What a workflow writes on its pictures, in their order."""
    links = [node["inputs"]["text"] for node in prompt.values() if node["class_type"] == "TextOverlay"]
    return [label for link in links for label in _texts(prompt, link)]


def _texts(prompt: Json, link: Any) -> list[str]:
    """What comes by a link: a text, a list of such, or the labels of a K-LoRA Sweep."""
    kind, inputs = (prompt[link[0]][key] for key in ("class_type", "inputs"))
    if kind == "CreateList":
        return [text for each in inputs.values() for text in _texts(prompt, each)]
    if kind == "PrimitiveString":
        return [inputs["value"]]
    over = inputs["over"]
    values = [value.strip() for value in inputs[f"over.{over}s"].split(",")]
    return values if over == "method" else [f"{over} {value}" for value in values]


def settings(prompt: Json) -> str:
    """Schedule, balance and steps as they are in the prompt: ``schedule s, balance 0, 30 steps``."""
    nodes = [
        node["inputs"]
        for node in prompt.values()
        if node["class_type"] in ("KLoRAFuse", "KLoRACompose", "KLoRASweep")
    ]
    dials = [{name.rpartition(".")[2]: value for name, value in node.items()} for node in nodes]
    schedules = sorted({node["schedule"] for node in dials if "schedule" in node})
    # One on K-LoRA Fuse and Compose LoRAs, a list of them on K-LoRA Sweep.
    told = (str(node.get("balance", node.get("balances", ""))).split(",") for node in dials)
    balances = sorted({float(value) for values in told for value in values if value})
    sampler = next(node for node in prompt.values() if node["class_type"].startswith("KSampler"))
    steps = sampler["inputs"]["steps"]
    if isinstance(steps, list):
        steps = prompt[steps[0]]["inputs"]["value"]
    if not balances:
        return f"{nodes[0]['method']}, {steps} steps"
    span = " to ".join(f"{value:g}" for value in dict.fromkeys((balances[0], balances[-1])))
    return f"schedule {', '.join(schedules)}, balance {span}, {steps} steps"
