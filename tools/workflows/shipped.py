"""Every shipped workflow: by the name that the code knows it by, its title and what lays it out.

The page takes a template's title, and its description, from the file's name, and finds it by the words in
it; a card has room for 35 letters. The numbers say where to begin, and the page sorts by them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ..host.find import REPO
from . import several, sheets, single, training, two_parts
from .editor.canvas import Json
from .editor.host_nodes import HostNodes

FOLDER = REPO / "workflows"


class Shipped(NamedTuple):
    """A title, and what lays the workflow out."""

    title: str
    build: Callable[[HostNodes], Json]


def _single(name: str, title: str) -> dict[str, Shipped]:
    return {name: Shipped(title, partial(single.build, single.WORKFLOWS[name]))}


SHIPPED: dict[str, Shipped] = {
    **_single("k-lora-try", "00 Try it now, a toy model of 14 MB"),
    "k-lora-try-picking": Shipped("00 Try it now, pick and learn", training.try_picking),
    **_single("k-lora-sd15", "01 K-LoRA SD1.5, subject in style"),
    **_single("k-lora-sdxl", "02 K-LoRA SDXL, subject in style"),
    **_single("k-lora-flux", "03 K-LoRA FLUX, subject in style"),
    **_single("k-lora-z-image", "04 K-LoRA Z-Image, subject in style"),
    **_single("k-lora-lightning", "05 K-LoRA SDXL Lightning, 4 steps"),
    **_single("k-lora-img2img", "06 K-LoRA SD1.5, image to image"),
    "k-lora-refiner": Shipped("07 K-LoRA SDXL, base and refiner", two_parts.refiner),
    "k-lora-wan": Shipped("08 K-LoRA Wan 2.2 video, one pair", two_parts.wan),
    "k-lora-wan-pairs": Shipped("09 K-LoRA Wan 2.2 video, two pairs", two_parts.wan_pairs),
    "k-lora-compare": Shipped("10 K-LoRA and a plain LoRA sum", sheets.compare),
    "k-lora-balance-sweep": Shipped("11 K-LoRA, what balance does", sheets.balance_sweep),
    "k-lora-methods": Shipped("12 All ways to combine LoRAs", sheets.methods),
    "k-lora-many-styles": Shipped("13 Two style LoRAs merged", several.many_styles),
    "k-lora-lora-stack": Shipped("14 LoRA stack, any number by role", several.lora_stack),
    "k-lora-by-hand": Shipped("15 LoRAs by hand, step by step", several.by_hand),
    "k-lora-train-lora": Shipped("16 Train a LoRA for fusion", training.lora),
    "k-lora-train-merge": Shipped("17 Train a merge of two LoRAs", training.merge),
    "k-lora-pick": Shipped("18 Pick and learn, SDXL", training.pick),
    "k-lora-by-prompt": Shipped("19 LoRAs found by the prompt", several.by_prompt),
}


IN_API_FORMAT = (
    "k-lora-sd15",
    "k-lora-sdxl",
    "k-lora-flux",
    "k-lora-z-image",
    "k-lora-img2img",
    "k-lora-refiner",
    "k-lora-wan",
    "k-lora-wan-pairs",
    "k-lora-pick",
)
"""Those that also ship as a script queues them: one picture, one video, or a sheet to pick from."""


def api_path_of(name: str) -> Path:
    """The file of a workflow in the API format. The page lists only what is in FOLDER itself."""
    return FOLDER / "api" / f"{name}.json"


def path_of(name: str, kind: str = "json") -> Path:
    """The file of a shipped workflow, or with ``jpg`` its thumbnail."""
    return FOLDER / f"{SHIPPED[name].title}.{kind}"
