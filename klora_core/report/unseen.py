"""Layers that a plan changes and that did not run, in words: what is said of a run is what was seen in it."""

from __future__ import annotations

from collections.abc import Sequence


def unseen(layers: Sequence[str], of: int, when: str) -> str:
    """That the ``layers``, of as many that are changed, did not run, each by its name; '' for none.

    ``when`` says in which run, or part of it.
    """
    if not layers:
        return ""
    return (
        f"{len(layers):,} of the {of:,} layers that are changed did not run {when}, so no LoRA worked there: "
        f"{', '.join(layers)}. They belong to an input that the run did not have, or their weights are used "
        "without calling them; then use a version of the model in bf16, fp16, fp8 or GGUF."
    )
