"""LoRAs two by two: read and placed once a file, scored once a content and K, never once a pair."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations, count
from math import prod

from ...deltas import LAYERS, Delta, Digests, Row, Rows, check_ungated, digests
from ...errors import KLoraError
from ...files import LoraFile, Settling
from ...loras import STYLE, SUBJECT
from ...progress import Callback, Columns
from ...scores import FEW, Key, Request, Score, cosines, energy, score, side_by_side
from ..klora import TOP_K, KLora, balance_for, style_share, top_k
from ..making import Given, klora
from .pairs import Apart, FileInfo, Pair, Settings, Survey, Way, percentiles

_ROLES = (SUBJECT, STYLE)


def survey(
    loras: Sequence[LoraFile],
    columns: Columns,
    settings: Settings,
    refused: Sequence[str] = (),
    notes: Sequence[str] = (),
    progress: Callback | None = None,
) -> Survey:
    """All pairs of ``loras``, which need not be placed; ``columns`` are a run's, one at least.

    ``refused`` and ``notes`` are lines on other files and on these; ``progress`` is told of every step.
    """
    settling, numbers = Settling(loras), _Numbers()
    usable: dict[int, LoraFile] = {}
    lines = list(refused)
    for i in range(len(loras)):
        try:
            (alone,) = settling.together([i])
            numbers.check(alone)
            usable[i] = alone
        except KLoraError as error:
            lines.append(error.in_list)
    every = list(combinations(range(len(usable)), 2))
    tell = _teller(progress, len(usable) + len(every))
    for lora in usable.values():
        if settings.score == TOP_K and settings.layers == LAYERS[0]:
            numbers.foresee(lora, list(usable.values()))
        next(tell)
    pairs, apart = [], []
    for both in every:
        try:
            met = settling.together([list(usable)[number] for number in both])
            pairs.append(_pair(both, met, numbers, columns, settings))
        except KLoraError as error:
            apart.append(Apart(*both, error.why))
        next(tell)
    files = tuple(_info(lora) for lora in usable.values())
    return Survey(files, tuple(pairs), tuple(apart), tuple(lines), tuple(notes), columns, settings)


def _teller(progress: Callback | None, total: int) -> Iterator[None]:
    """Tells ``progress`` of one more piece of ``total`` each time that it is asked to go on."""
    for done in count(1):
        if progress is not None:
            progress(done, total)
        yield


class _Numbers:
    """Scores and energies by content, each worked out once; the files' tensors rest as long as this lives."""

    def __init__(self) -> None:
        self._memory = Digests()
        # With the changes themselves, so that no other can have the id of one.
        self._contents: dict[int, tuple[Delta, bytes]] = {}
        self._scores: dict[Key, Score] = {}
        self._energies: dict[bytes, float] = {}

    def score(self, requests: Sequence[Request]) -> list[Score]:
        keys = [Key(self._content(request.delta), request.k) for request in requests]
        missing = {key: r for key, r in zip(keys, requests, strict=True) if key not in self._scores}
        if missing:
            self._scores.update(zip(missing, score(list(missing.values())), strict=True))
        return [self._scores[key] for key in keys]

    def energies(self, deltas: Sequence[Delta]) -> list[float]:
        """||dW||_F^2 of each."""
        keys = [self._content(delta) for delta in deltas]
        missing = {key: d for key, d in zip(keys, deltas, strict=True) if key not in self._energies}
        if missing:
            found = side_by_side(energy, missing.values(), FEW)
            self._energies.update(zip(missing, found, strict=True))
        return [self._energies[key] for key in keys]

    def _content(self, delta: Delta) -> bytes:
        if id(delta) not in self._contents:
            self._contents[id(delta)] = delta, digests([delta], self._memory)[0]
        return self._contents[id(delta)][1]

    def foresee(self, lora: LoraFile, others: Sequence[LoraFile]) -> None:
        """Score each layer at once at all K (Eq. 5) that ``others`` which change it will ask for."""
        requests = []
        for slot, delta in lora.slots.items():
            partners = (other.slots.get(slot) for other in others if other is not lora)
            ranks = {partner.rank for partner in partners if partner and partner.shape == delta.shape}
            ks = {top_k(delta.rank, rank, prod(delta.shape)) for rank in ranks}
            requests += [Request(delta, k) for k in sorted(ks)]
        self.score(requests)

    def check(self, lora: LoraFile) -> None:
        """Raises KLoraError for a LoRA that changes nothing, or nothing that has a size."""
        rows = [Row(slot, (delta,)) for slot, delta in lora.slots.items()]
        check_ungated(rows, [lora.name], "compared by size")
        if not any(self.energies(list(lora.slots.values()))):
            raise KLoraError(
                f"{lora.name}: is zero in all {len(lora.slots):,} layers, so that it changes nothing.",
                "Choose another version of the LoRA, or train it again",
            )


def _pair(
    both: tuple[int, int],
    met: Sequence[LoraFile],
    numbers: _Numbers,
    columns: Columns,
    settings: Settings,
) -> Pair:
    rows, forward = _decided(met, numbers, settings)
    _check_zero(met, forward)
    # The scores of a pair do not depend on the roles: K is the product of both ranks.
    backward = replace(forward, roles=(STYLE, SUBJECT))
    spread = percentiles(forward.rhos)
    return Pair(
        *both,
        len(rows.competing),
        spread[-1] / spread[0],
        _overlap(rows.competing, numbers),
        (_way(forward, both, columns), _way(backward, (both[1], both[0]), columns)),
    )


def _decided(met: Sequence[LoraFile], numbers: _Numbers, settings: Settings) -> tuple[Rows, KLora]:
    """What competes of the first as the subject and the second as the style, and how it is chosen."""
    curve = settings.schedule
    make = klora(
        curve.name, curve.alpha, curve.beta, curve.balance, settings.gamma, settings.layers, settings.score
    )
    slots, names = tuple(lora.slots for lora in met), tuple(lora.name for lora in met)
    rows, method = make(Given(slots, _ROLES, names, numbers.score, numbers.energies))
    assert isinstance(method, KLora)
    return rows, method


def _check_zero(met: Sequence[LoraFile], method: KLora) -> None:
    """Raises KLoraError where a LoRA has nothing in the layers that compete."""
    compared = [slot.compared() for slot in method.evidence]
    for i, lora in enumerate(met):
        if not any(slot.l1[i] for slot in compared):
            raise KLoraError(
                f"{lora.name} is zero in all {len(compared):,} layers that compete.",
                "Choose another version of the LoRA",
            )


def _way(method: KLora, numbers: tuple[int, int], columns: Columns) -> Way:
    xs = [moment.x for moment in columns.moments]
    handover, even = method.handover(columns), balance_for(method.rhos, method.schedule, xs)
    # At least one slot competes in what `klora` makes.
    assert handover is not None and even is not None
    share = style_share(method.rhos, method.schedule, xs)
    return Way(*numbers, method.gamma, percentiles(method.rhos), share, handover, even)


def _overlap(rows: Sequence[Row], numbers: _Numbers) -> float | None:
    """The mean |cos| of the two changes over the rows where both are something."""
    pairs = [(one, other) for row in rows for one, other in (row.deltas,) if one and other]
    energies = numbers.energies([delta for pair in pairs for delta in pair])
    found = cosines(pairs, list(zip(energies[::2], energies[1::2], strict=True)))
    there = [abs(cosine) for cosine in found if cosine is not None]
    return sum(there) / len(there) if there else None


def _info(lora: LoraFile) -> FileInfo:
    ranks = [delta.rank for delta in lora.modules.values()]
    return FileInfo(lora.name, lora.base_model, len(ranks), (min(ranks), max(ranks)))
