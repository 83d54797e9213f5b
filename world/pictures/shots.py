"""A shipped workflow run on the small world: its pictures by name, and the settings that were at work."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
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
    prompt = on_world(to_api(saved, server.object_info()), cast, dials)
    starts = before()
    starts.save(server.base / "input" / BEFORE)
    made = dict(_pictures(server, prompt))
    if any(node["class_type"] == "LoadImage" for node in prompt.values()):
        made[BEFORE] = starts
    return Shot(made, cast, settings(prompt))


def before() -> Image.Image:
    """The picture that image to image starts from, made by the base alone: an apple."""
    made = load_decoder()(sample(load_base(), "flat red apple", first_noise(3, 1)))[0].clamp(0, 1)
    return Image.fromarray((made * 255).round().byte().permute(1, 2, 0).numpy())


def _pictures(server: Server, prompt: Json) -> Iterator[tuple[str, Image.Image]]:
    run = server.run(prompt)
    if run.error is not None:
        raise RuntimeError(run.error["exception_message"])
    for key in prompt:
        name = key.removeprefix("saved ")
        if name != key:
            made = [Image.open(io.BytesIO(server.image(each))).convert("RGB") for each in run.images(key)]
            yield from zip(_swept(prompt) if name == SWEPT else [name], made, strict=True)


def _swept(prompt: Json) -> list[str]:
    """The labels of the balances that a K-LoRA Sweep goes over."""
    (sweep,) = (node["inputs"] for node in prompt.values() if node["class_type"] == "KLoRASweep")
    return [f"balance {value.strip()}" for value in sweep["over.balances"].split(",")]


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
