"""The Merge LoRAs node: a set of LoRAs to one ordinary LoRA."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import comfy.model_management
import comfy.utils
from comfy_api.latest import io

from ..klora_core.deltas import check_ungated, rows
from ..klora_core.errors import KLoraError
from ..klora_core.loras import labels_of
from ..klora_core.merges import METHODS, Parameter, merge
from .composing import Member, at_work, set_input
from .dials import advanced
from .inputs import checked, chosen
from .loras import read
from .merged import lines_of, lora_of

PRECISIONS = ("fp32", "fp16", "bf16")


class KLoRAMerge(io.ComfyNode):
    """Merge any number of LoRAs to one, by a method of choice."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="KLoRAMerge",
            display_name="Merge LoRAs",
            category="K-LoRA/compose",
            description="Makes one ordinary LoRA of several, once, by a method of your choice: for Load LoRA "
            "Model, for Save LoRA Weights, or as the subject or style of K-LoRA Fuse.",
            search_aliases=["klora", "lora merge", "ties", "dare", "knots", "np-lora", "svd", "lego"],
            inputs=[
                io.Model.Input("model", tooltip="The base model, for its layers' names. It is not changed."),
                set_input(),
                io.DynamicCombo.Input(
                    "method",
                    options=[
                        io.DynamicCombo.Option(method.label, [_input(p) for p in method.parameters])
                        for method in METHODS
                    ],
                    tooltip="Linear: the plain sum. SVD: the sum at a smaller rank. NP-LoRA: the subject is "
                    "kept out of what the style looks at. The others thin the LoRAs out before adding.",
                ),
                io.Int.Input(
                    "rank",
                    default=0,
                    min=0,
                    max=4096,
                    tooltip="The rank of the result, cut to it as well as it goes. 0: what the method needs.",
                ),
                advanced(
                    "precision",
                    PRECISIONS,
                    "Of the result's numbers. fp16 and bf16 make a saved file half as large.",
                ),
            ],
            outputs=[
                io.LoraModel.Output("lora", tooltip="One LoRA, not applied to anything yet."),
                io.String.Output("report", tooltip="What was merged, and what was left out and why."),
            ],
            accept_all_inputs=True,
        )

    @classmethod
    @checked
    def execute(
        cls,
        model: Any,
        set: Sequence[Member],
        method: Any,
        rank: int = 0,
        precision: str = PRECISIONS[0],
    ) -> io.NodeOutput:
        row, values = chosen(method, METHODS)
        if precision not in PRECISIONS:
            raise KLoraError(f"unknown precision {precision!r}.", f"Use one of {', '.join(PRECISIONS)}")
        loras = [read(member.tensors, member.name, model, None) for member in set]
        roles, blocks = [member.role for member in set], [member.blocks for member in set]
        table = rows(at_work(model, loras, blocks), labels_of(roles))
        check_ungated(table, [lora.name for lora in loras], "merged")
        merged = merge(
            table,
            row,
            [member.strength for member in set],
            roles,
            rank or None,
            values=values,
            blocks=blocks,
            progress=_bar(),
            device=comfy.model_management.get_torch_device(),
        )
        report = "\n".join(lines_of(merged, set, loras))
        return io.NodeOutput(lora_of(merged, set, model, precision), report)


def _input(parameter: Parameter) -> io.Input:
    tooltip = f"{parameter.help[0].upper()}{parameter.help[1:]}."
    if parameter.choices:
        return io.Combo.Input(
            parameter.name,
            options=list(parameter.choices),
            default=parameter.default,
            optional=True,
            tooltip=tooltip,
        )
    bounds: dict[str, Any] = {"min": parameter.low, "max": parameter.high}
    if isinstance(parameter.default, int):
        return io.Int.Input(
            parameter.name,
            default=parameter.default,
            optional=True,
            control_after_generate=False,
            tooltip=tooltip,
            **bounds,
        )
    return io.Float.Input(
        parameter.name, default=float(parameter.default), optional=True, step=0.01, tooltip=tooltip, **bounds
    )


def _bar() -> Any:
    """The host's progress bar, made once it is known how long it is."""
    bars: list[Any] = []

    def step(done: float, total: int) -> None:
        if not bars:
            bars.append(comfy.utils.ProgressBar(total))
        bars[0].update_absolute(done, total)

    return step
