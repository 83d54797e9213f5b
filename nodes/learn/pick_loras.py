"""The Pick LoRAs by Prompt node: a search through the loras folder, for Compose LoRAs and Merge LoRAs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from comfy_api.latest import io

from ...klora_core.errors import KLoraError, printable
from ...klora_core.loras import OTHER, STYLE, SUBJECT
from ...klora_core.pick import Entry, Hit, Pick, nothing, parts_of, picks, ranked, roles_of, selects, told
from ...klora_core.report import abbreviated
from .. import dials
from ..composing import LoraSet, Member
from ..host import known_model
from ..inputs import checked
from ..loras import LoraStateDict, load, read
from . import library, meaning
from .category import CATEGORY

_FILTER = (
    "Folders or files, comma-separated: characters, sdxl/people, *cat*. With it, only these files can be {}; "
    "empty: those that their folder, name or text says are, and those of which nothing tells it."
)
_NO_BASE = (
    "The model's base is not known here: whether a LoRA was made for it was looked at, by its layers, in "
    "those alone that were to be picked."
)


class KLoRAPickLoras(io.ComfyNode):
    """Search the loras folder for LoRAs that suit a prompt."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="KLoRAPickLoras",
            display_name="Pick LoRAs by Prompt",
            category=CATEGORY,
            description="Searches your loras folder for LoRAs that suit a prompt: by trigger words in it, "
            "then by meaning. A search, nothing is trained; for Compose LoRAs or Merge LoRAs.",
            search_aliases=[
                "klora",
                "loraretriever",
                "lora search",
                "find lora",
                "auto lora",
                "trigger words",
            ],
            inputs=[
                io.Model.Input(
                    "model",
                    optional=True,
                    tooltip="Connect it, and LoRAs made for another base model are left out.",
                ),
                io.Clip.Input(
                    "clip",
                    optional=True,
                    tooltip="Connect it to search by meaning too. Without it only trigger words count.",
                ),
                io.String.Input(
                    "prompt",
                    multiline=True,
                    tooltip="The prompt of the picture, with trigger words if you know them.",
                ),
                _count("subjects", 1, "How many subjects to pick at most: who or what is shown."),
                _count("styles", 1, "How many styles to pick at most: how it is drawn."),
                _filter(
                    "folder", "Search only these folders or files, comma-separated: sdxl, sdxl/people, *cat*."
                ),
                _filter("subject_files", _FILTER.format("subjects")),
                _filter("style_files", _FILTER.format("styles")),
                dials.strength(
                    "strength",
                    "Of each role in all: its LoRAs share it evenly, as in the paper's mixture.",
                    advanced=True,
                ),
                _count("others", 0, "How many LoRAs of neither kind, such as a speed LoRA.", advanced=True),
                _filter("other_files", _FILTER.format("others"), advanced=True),
            ],
            outputs=[
                LoraSet.Output("set", tooltip="The LoRAs that were picked, none of them applied yet."),
                io.String.Output("report", tooltip="What was picked with scores and why, what was left out."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **_: Any) -> str:
        """What a new, changed or deleted file in the folder changes."""
        return hashlib.blake2b(repr(sorted(library.states().items())).encode("utf-8", "replace")).hexdigest()

    @classmethod
    @checked
    def execute(
        cls,
        prompt: str,
        model: Any | None = None,
        clip: Any | None = None,
        subjects: int = 1,
        styles: int = 1,
        folder: str = "",
        subject_files: str = "",
        style_files: str = "",
        strength: float = 1.0,
        others: int = 0,
        other_files: str = "",
    ) -> io.NodeOutput:
        places = {SUBJECT: subjects, STYLE: styles, OTHER: others}
        if not any(places.values()):
            raise KLoraError("subjects, styles and others are all 0.", "Ask for one LoRA at least")
        if not prompt.strip():
            raise KLoraError("the prompt is empty.", "Write what the picture shows")
        filters = {SUBJECT: subject_files, STYLE: style_files, OTHER: other_files}
        asked = {role: parts_of(filters[role]) for role, count in places.items() if count}
        entries, left = _searched(folder, asked, known_model(model) if model is not None else "")
        texts = {entry.name: entry.texts for entry in entries}
        cosines = meaning.to_prompt(clip, prompt, texts) if clip is not None else {}
        hits = ranked(entries, prompt, cosines)
        members, picked, unfit = _loaded(hits, places, strength, model, clip)
        if not picked:
            raise next(iter(unfit.values()), nothing(entries, clip is not None))
        for name, error in unfit.items():
            left.setdefault(error.in_list, []).append(name)
        notes = [_NO_BASE] if model is not None and not known_model(model) else []
        report = told(prompt, entries, hits, picked, places, left, clip is not None, notes)
        return io.NodeOutput(members, report)


def _count(id: str, default: int, tooltip: str, advanced: bool = False) -> io.Int.Input:
    return dials.whole(id, default, (0, 16), tooltip, optional=True, advanced=advanced)


def _filter(id: str, tooltip: str, advanced: bool = False) -> io.String.Input:
    return io.String.Input(id, default="", optional=True, advanced=advanced, tooltip=tooltip)


def _searched(
    folder: str, asked: Mapping[str, tuple[str, ...]], base: str
) -> tuple[list[Entry], dict[str, list[str]]]:
    """The LoRAs to search, and the names of those that are left out, by reason.

    ``asked`` has the filter of each role asked for, ``base`` the model's base, empty where it is not known.
    """
    every = library.names()
    if not every:
        raise KLoraError("it has no file.", "Put LoRAs into the loras folder, and press R to refresh")
    wanted = _selected("folder", parts_of(folder), every)
    for role, parts in asked.items():
        _selected(f"{role}_files", parts, wanted)
    entries, left = [], dict[str, list[str]]()
    for name, text in library.texts(wanted).items():
        roles, reason = roles_of(name, text, asked), text.problem
        if not reason and base and text.bases and base not in text.bases:
            reason = f"made for {' or '.join(text.bases)}, the model is {base}"
        elif not reason and not roles.roles:
            reason = f"of no role that was asked for or that its filter selects ({roles.why})"
        if reason:
            left.setdefault(reason, []).append(name)
        else:
            entries.append(Entry(name, text, roles))
    return entries, left


def _selected(what: str, parts: tuple[str, ...], names: list[str]) -> list[str]:
    """The names that a filter selects; all where it is empty. Raises KLoraError where it selects none."""
    found = [name for name in names if selects(parts, name)] if parts else names
    if not found:
        folders = {name.replace("\\", "/").rpartition("/")[0] for name in names} - {""}
        there = abbreviated([*map(printable, sorted(folders))]) if folders else "none"
        raise KLoraError(
            f"{what} selects none of {len(names)} LoRA files. Folders: {there}.",
            "Give a folder's name, or a pattern such as *cat*",
        )
    return found


def _loaded(
    hits: Sequence[Hit], places: Mapping[str, int], strength: float, model: Any | None, clip: Any | None
) -> tuple[tuple[Member, ...], tuple[Pick, ...], dict[str, KLoraError]]:
    """The LoRAs that were picked, and of those that can't be loaded, or used on ``model``, the error
    by name.

    Where one can't, the next in rank takes its place.
    """
    tensors: dict[str, LoraStateDict] = {}
    unfit: dict[str, KLoraError] = {}
    while True:
        picked = picks([hit for hit in hits if hit.entry.name not in unfit], places, strength)
        missing = [pick.hit.entry.name for pick in picked if pick.hit.entry.name not in tensors]
        if not missing:
            break
        for name in missing:
            try:
                lora = load(name)
                if model is not None:
                    # A file tells of its base, if at all, by names that others may have too.
                    read(lora, lora.file, model, clip)
                tensors[name] = lora
            except KLoraError as error:
                unfit[name] = error
    loras = [(tensors[pick.hit.entry.name], pick) for pick in picked]
    return tuple(Member(lora, lora.file, pick.role, pick.strength) for lora, pick in loras), picked, unfit
