"""What a method of composing LoRAs over time has to tell: who works where at which moment."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from ..deltas import Candidate, Delta, Digests
from ..progress import Columns, Moment

if TYPE_CHECKING:
    from ..loras import LoraInfo

NOBODY = -1


class Fact(NamedTuple):
    """A line of what a method decided by: ``gamma``, ``1.02 (paper)``, and what that means."""

    label: str
    value: str
    meaning: str = ""


class Method(ABC):
    """A method, with its parameters and evidence: a frozen dataclass that derives from this.

    It chooses, for each slot of a plan, one of a few candidates, in one or several passes of the model whose
    predictions are mixed. Equal methods choose alike; a plan shows nothing of tensors that one may hold.
    """

    name: ClassVar[str]
    paper: ClassVar[str]
    summary: ClassVar[str]
    """One sentence: what works where."""
    follows_when: ClassVar[bool] = False
    """Whether LoRAs work when their own start, end and curve say."""
    adds: ClassVar[bool] = False
    """Whether several LoRAs can work in a slot at once."""

    @property
    def live(self) -> bool:
        """Whether the page has maths of its own for it, and needs no choices from the document."""
        return False

    @property
    def counts_steps(self) -> bool:
        """Whether steps decide, so that the progress alone does not say who works."""
        return False

    @property
    def by_input(self) -> bool:
        """Whether what a layer is given decides there how much of each LoRA works."""
        return False

    @property
    def undecided(self) -> bool:
        """Whether who works where shows in a run alone, and none has been seen."""
        return False

    def mixed(self, columns: Columns) -> np.ndarray | None:
        """How much of each candidate works in each slot, [candidates, slots, columns], each cell's sum 1.

        None where one candidate works at a time, whom :meth:`who` names.
        """
        return None

    def candidates(
        self, slot: int, deltas: Sequence[Delta | None], memory: Digests | None = None
    ) -> tuple[Candidate, ...]:
        """What slot ``slot`` may use: the very deltas of its LoRAs, None where one lacks it.

        ``memory`` has the contents of deltas that rest, for what is worked out once for contents.
        """
        return tuple(deltas)

    def key_of(self) -> Hashable:
        """What :meth:`candidates` depends on beside the deltas; equal where these make equal candidates."""
        return None

    def labels(self, loras: Sequence[str]) -> tuple[str, ...]:
        """What the candidates are called, of what the LoRAs are called."""
        return tuple(loras)

    def families(self, loras: Sequence[str]) -> tuple[str, ...]:
        """For each candidate what it is called together with others of its kind; empty: each is by itself."""
        return ()

    def depths(self) -> tuple[float, ...]:
        """How strong each candidate is in its family, from 0 to 1; empty: all alike."""
        return ()

    @abstractmethod
    def who(self, moment: Moment) -> np.ndarray:
        """The candidate of each slot in each pass, int8 [passes, slots]; -1 for nobody."""

    def weights(self, moment: Moment) -> tuple[float, ...]:
        """The weights of the passes' predictions; they sum to 1."""
        return (1.0,)

    def facts(self) -> tuple[Fact, ...]:
        """What it decided by, for the report and the picture."""
        return ()

    def never(self, candidate: int, label: str) -> str:
        """That a candidate is used nowhere, why, and what to do; continues a line, so without a capital.

        Empty where there is nothing to say.
        """
        return f"the {label} LoRA is used nowhere."

    def course(self, columns: Columns) -> tuple[str, ...]:
        """A sentence each on how it goes over a run's columns, beside who leads how many of them."""
        return ()

    def idle(self, used: Sequence[bool], labels: Sequence[str], loras: Sequence[str]) -> tuple[str, ...]:
        """A line as of :meth:`never` for each of what is used nowhere; ``labels`` are the candidates'."""
        return tuple(
            self.never(candidate, label)
            for candidate, (label, is_used) in enumerate(zip(labels, used, strict=True))
            if not is_used
        )

    def answers(self, loras: Sequence[LoraInfo], xs: Sequence[float]) -> tuple[str, ...]:
        """A line each for what people ask of a result ("Why is my style weak?"), from the numbers.

        ``xs`` is the progress of a run's columns.
        """
        return ()

    def scale(self, x: float) -> float | None:
        """The curve that is drawn over progress ``x``, None where there is none."""
        return None

    def curve(self) -> str:
        """The name of that curve."""
        return ""

    def to_json(self) -> dict[str, Any]:
        """Keys of the plan's document that this method adds, JSON types alone."""
        return {}

    def slot_json(self, index: int, loras: Sequence[str]) -> dict[str, Any]:
        """Keys that it adds to the document's slot ``index``; ``loras`` are the LoRAs' labels."""
        return {}

    def page_json(self, index: int, loras: Sequence[str]) -> dict[str, Any]:
        """What the page's own maths needs of slot ``index``: nothing, where the page has none."""
        return {}

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Defaults of its parameters that the page needs."""
        return {}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Method:
        """The method of a document that :meth:`to_json` and :meth:`slot_json` wrote."""
        return cls()
