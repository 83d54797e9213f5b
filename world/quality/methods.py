"""The table's rows: one function a method, MODEL in and MODEL out. A further method is one more row."""

from __future__ import annotations

import importlib
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from klora_core import toy as words
from tools.host.inprocess import load_pack

from ..draw.concepts import SUBJECTS
from ..hosts.in_host import Words, comfy, conditioning, sample
from ..judging.judge import Judge
from ..model.lora import SLOTS, Factors, read_diffusers_file
from ..model.sampling import GUIDANCE, STEPS
from ..pairs import PAIRS, TRIGGERS, Pair
from ..training.loras import Job
from . import controls
from .timed import slot_names, timed


@dataclass(frozen=True)
class Case:
    """What a method gets: the host's base MODEL, a pair, one training of one world, and a strength for both
    LoRAs.
    """

    model: Any
    world: str
    pair: Pair
    training: int
    strength: float

    @cached_property
    def loras(self) -> tuple[dict, dict]:
        """Subject and style as LORA_MODEL."""
        names = (self.pair.subject, self.pair.style)
        return tuple(load_file(Job(self.world, name, self.training).path()) for name in names)  # type: ignore[return-value]

    @cached_property
    def factors(self) -> tuple[Factors, Factors]:
        """The same as up and down by slot."""
        return tuple(read_diffusers_file(lora) for lora in self.loras)  # type: ignore[return-value]

    def rng(self, name: str) -> np.random.Generator:
        """Chance that is the same in every run of this case."""
        case = f"{self.world} {self.pair.name} {self.training} {name}"
        return np.random.default_rng(zlib.crc32(case.encode()))


Make = Callable[[Case], Any]
LEARNED = "learned"


@dataclass(frozen=True)
class Row:
    """A method of the table. ``strong``: also run at strength 1.5. LEARNED ones are only where asked for."""

    name: str
    kind: str
    make: Make
    strong: bool = True


def klora(schedule: str, balance: float = 0.0, **options: Any) -> Callable[[Case], tuple[Any, Any]]:
    """The pack's own node; MODEL and plan."""

    def make(case: Case) -> tuple[Any, Any]:
        node = pack_nodes().KLoRAFuse
        numbers = {k: options[k] for k in ("alpha", "beta") if k in options}
        rest = {k: v for k, v in options.items() if k not in numbers}
        result = node.execute(
            case.model, *case.loras, subject_strength=case.strength, style_strength=case.strength,
            balance=balance, schedule={"schedule": schedule, **numbers}, **rest,
        ).result  # fmt: skip
        return result[0], result[2]

    return make


def decisions(plan: Any, steps: int = STEPS) -> np.ndarray:
    """A two-LoRA plan's choices in the order of the world's slots, int8 [steps, 33]."""
    names = [slot.name for slot in plan.slots]
    progress = importlib.import_module(f"{load_pack().__name__}.klora_core.progress")
    return plan.choices(progress.in_steps(steps))[0].T[:, [names.index(n) for n in slot_names()]]


def node(schedule: str, balance: float = 0.0, **options: Any) -> Make:
    return lambda case: klora(schedule, balance, **options)(case)[0]


def _control(schedule: str, change: Callable[[np.ndarray, np.random.Generator], np.ndarray]) -> Make:
    def make(case: Case) -> Any:
        choices = decisions(klora(schedule)(case)[1])
        return timed(case.model, change(choices, case.rng(change.__name__)), case.factors, case.strength)

    return make


def summed(subject: float, style: float) -> Make:
    """Core's own way: both LoRAs as patches."""

    def make(case: Case) -> Any:
        model = case.model
        for lora, share in zip(case.loras, (subject, style), strict=True):
            if share:
                model = comfy.sd.load_lora_for_models(model, None, lora, share * case.strength, 0)[0]
        return model

    return make


def pack_nodes() -> Any:
    """The pack's nodes as the host has them."""
    return importlib.import_module(f"{load_pack().__name__}.nodes")


ALWAYS: tuple[float, float] = (0.0, 1.0)


def lora_set(case: Case, *windows: tuple[float, float]) -> Any:
    """Subject and style as LORA_SET, from the pack's own LoRA Set; ``windows``: start and end of each."""
    made = None
    for lora, role, (start, end) in zip(
        case.loras, ("subject", "style"), windows or (ALWAYS, ALWAYS), strict=True
    ):
        made = pack_nodes().KLoRASet.execute(
            case.strength, role, lora=lora, set=made, start=start, end=end
        ).result[0]  # fmt: skip
    return made


def composed(method: str, *windows: tuple[float, float], **values: Any) -> Make:
    """Compose LoRAs, the pack's own node."""
    return lambda case: (
        pack_nodes()
        .KLoRACompose.execute(case.model, lora_set(case, *windows), {"method": method, **values})
        .result[0]
    )


def merged(method: str, **values: Any) -> Make:
    """Merge LoRAs, the pack's own node, and its result by core's LoRA loader."""

    def make(case: Case) -> Any:
        node = pack_nodes().KLoRAMerge
        lora = node.execute(case.model, lora_set(case), {"method": method, **values}).result[0]
        return comfy.sd.load_lora_for_models(case.model, None, lora, 1.0, 0)[0]

    return make


def learned(method: str, pictures: int = 8, **values: Any) -> Make:
    """Train a Merge, the pack's own node: each LoRA is asked for what it was trained on."""

    def make(case: Case) -> Any:
        prompts = "\n".join(" | ".join(asked_for(n)) for n in (case.pair.subject, case.pair.style))
        return _learned(case, {"method": method, **values}, prompts=prompts, pictures=pictures)

    return make


def asked_for(name: str) -> list[str]:
    """What a person would ask a LoRA for: it as it was trained; a style with things that the base knows."""
    if name in SUBJECTS:
        return [words.caption("flat", TRIGGERS[name])]
    return [words.caption(TRIGGERS[name], thing) for thing in ("cat", "house", "rocket", "cherries")]


def taught(picks: int = 4, pictures: int = 8, **values: Any) -> Make:
    """Train a Merge by what the judge, in the place of the eye, likes best of a sheet of other noises.

    Its numbers start at the strength of the sum that is liked best.
    """

    def make(case: Case) -> Any:
        judge, seed = _judge(), 200_000 + PAIRS.index(case.pair)
        sheet = {
            name: sample(
                proposal(case), conditioning(case.pair.prompt), conditioning(""), seed, pictures
            ).clone()
            for name, proposal in SHEET.items()
        }
        liked = {
            name: judge(judge.pictures(made), case.pair.subject, case.pair.style).both
            for name, made in sheet.items()
        }
        best = torch.cat([*liked.values()]).topk(picks).indices
        shown = case.model.model.process_latent_out(torch.cat([*sheet.values()])[best])
        start = max(SUMS, key=lambda share: float(liked[f"sum {share:g}"].mean()))
        return _learned(
            replace(case, strength=case.strength * start),
            {"method": "taught", **values},
            prompt=case.pair.prompt,
            latents={"samples": shown},
        )

    return make


def _learned(case: Case, method: dict[str, Any], **shown: Any) -> Any:
    import folder_paths  # the host's

    node = pack_nodes().KLoRATrainMerge
    sampling = {"width": 96, "height": 96, "sampling_steps": STEPS, "cfg": GUIDANCE}
    before = folder_paths.get_temp_directory()
    with tempfile.TemporaryDirectory() as temp:
        folder_paths.set_temp_directory(temp)
        try:
            return node.execute(
                case.model, Words(), lora_set(case), method, seed=PAIRS.index(case.pair), **shown, **sampling
            ).result[1]
        finally:
            folder_paths.set_temp_directory(before)


_judge = cache(Judge)


def capped_sum(share: float) -> Make:
    """The plain sum, in no slot larger than ``share`` of the base's own weight there (Frobenius norms)."""

    def make(case: Case) -> Any:
        one = {}
        diffusion = case.model.model.diffusion_model
        for index, slot in enumerate(SLOTS):
            (up_c, down_c), (up_s, down_s) = (factors[index] for factors in case.factors)
            up, down = case.strength * torch.cat([up_c, up_s], 1), torch.cat([down_c, down_s])
            own = diffusion.get_parameter(f"{slot.module}.weight")[slot.rows].norm()
            one[index] = up * min(1.0, float(share * own / (up @ down).norm().clamp_min(1e-9))), down
        return timed(case.model, np.zeros((STEPS, len(SLOTS)), np.int8), (one, one), 1.0)

    return make


SUMS = (0.5, 0.7, 1.0)
SHEET: dict[str, Make] = {
    **{f"sum {share:g}": summed(share, share) for share in SUMS},
    "K-LoRA s": node("s", -0.5),
    "K-LoRA s*": node("s*"),
    "NP-LoRA": merged("NP-LoRA"),
    "Arrow": composed("Arrow"),
}
"""What proposes the pictures that ``taught`` is shown."""

ROWS: tuple[Row, ...] = (
    Row("base", "reference", lambda case: case.model, strong=False),
    Row("subject alone", "reference", summed(1.0, 0.0)),
    Row("style alone", "reference", summed(0.0, 1.0)),
    Row("sum .5", "sum", summed(0.5, 0.5)),
    Row("sum .7", "sum", summed(0.7, 0.7)),
    Row("sum 1", "sum", summed(1.0, 1.0)),
    Row("K-LoRA s", "method", node("s")),
    Row("K-LoRA s*", "method", node("s*")),
    Row("K-LoRA s, balance -.5", "method", node("s", -0.5), strong=False),
    Row("K-LoRA s, balance +.5", "method", node("s", 0.5), strong=False),
    Row("K-LoRA s, energy", "method", node("s", score="energy"), strong=False),
    Row("K-LoRA s, loser outside", "method", node("s", loser="outside")),
    Row("K-LoRA s*, loser outside", "method", node("s*", loser="outside")),
    Row("LoRA Switch", "method", composed("LoRA Switch")),
    Row("LoRA Composite", "method", composed("LoRA Composite")),
    Row("CMLoRA", "method", composed("CMLoRA")),
    Row("Arrow", "method", composed("Arrow"), strong=False),
    Row("by hand: one, then the other", "method", composed("As scheduled", (0.0, 0.5), (0.5, 1.0))),
    Row("by hand: style from half on", "method", composed("As scheduled", ALWAYS, (0.5, 1.0))),
    Row("NP-LoRA", "merge", merged("NP-LoRA")),
    Row("Magnitude prune", "merge", merged("Magnitude prune"), strong=False),
    Row("TIES", "merge", merged("TIES"), strong=False),
    Row("DARE", "merge", merged("DARE"), strong=False),
    Row("DARE-TIES", "merge", merged("DARE-TIES"), strong=False),
    Row("KnOTS", "merge", merged("KnOTS"), strong=False),
    Row("LoRA-LEGO", "merge", merged("LoRA-LEGO"), strong=False),
    Row("ZipLoRA", LEARNED, learned("ZipLoRA"), strong=False),
    Row("calibrated", LEARNED, learned("calibrated"), strong=False),
    Row("MoLE gate", LEARNED, learned("MoLE gate"), strong=False),
    Row("taught by four picks", LEARNED, taught(), strong=False),
    Row("sum, capped at .4", "rule", capped_sum(0.4)),
    Row("s by chance", "control", _control("s", controls.by_chance)),
    Row("s shuffled", "control", _control("s", controls.shuffled), strong=False),
    Row("s reversed", "control", _control("s", controls.reversed_time), strong=False),
    Row("s* by chance", "control", _control("s*", controls.by_chance)),
    Row("s* shuffled", "control", _control("s*", controls.shuffled), strong=False),
    Row("s* reversed", "control", _control("s*", controls.reversed_time), strong=False),
    Row("half by chance", "control", _control("s", controls.half)),
)
