"""Switches inside a run: their time, whether they wait for the device, uploads. Needs the host."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from comfy.patcher_extension import WrappersMP

from tools.host.inprocess import load_pack

from ...host.contenders import fused, run
from ...host.models import build
from ...tables import spread
from ..rows import FAILED, MISSED, OK, SKIPPED, Row
from ..syncs import judged, uploads, waits
from . import cases

EVALUATIONS = 10
# Half a second or more of work for the device on any card, queued before the switches of an evaluation.
_CYCLES = 1_000_000_000
_MIB = 1 << 20

Work = Callable[[], object]


@dataclass
class _Evaluation:
    """From the clock's reading, or an earlier switch, to the model's start."""

    seconds: float
    slots: int
    busy: bool
    """Whether the device still had work from before when the switches were done."""


class Watch:
    """Looks at the switches of every evaluation of a fused model in ``on``.

    The device gets work after the clock has read the noise level; a switch that does not wait for the
    device leaves it busy with that.
    """

    def __init__(self, model: Any) -> None:
        self.seen: list[_Evaluation] = []
        self.on_gpu = model.load_device.type == "cuda"
        self._shown: np.ndarray | None = None
        self._slots, self._start = 0, 0.0
        self._queued: Any = None
        model.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "bench/switches", self._model)

    @contextmanager
    def on(self) -> Iterator[None]:
        """Looking, by patches of the pack."""
        apply = f"{load_pack().__name__}.klora_core.apply"
        clock, composition = (importlib.import_module(f"{apply}.{n}") for n in ("clock", "composition"))
        read, show = clock.Clock.read, composition.Attachment.show

        def reading(this: Any, *args: Any) -> Any:
            moment = read(this, *args)
            self._queue()
            return moment

        def showing(this: Any, who: np.ndarray) -> None:
            self._slots = len(who) if self._shown is None else int((who != self._shown).sum())
            self._shown = who
            show(this, who)

        self.seen.clear()
        self._shown = None
        with (
            patch.object(clock.Clock, "read", reading),
            patch.object(composition.Attachment, "show", showing),
        ):
            yield

    def _queue(self) -> None:
        if self.on_gpu:
            torch.cuda._sleep(_CYCLES)
            self._queued = torch.cuda.Event()
            self._queued.record()
        self._start = time.perf_counter()

    def _model(self, executor: Callable, *args: Any, **kwargs: Any) -> Any:
        busy = self._queued is not None and not self._queued.query()
        self.seen.append(_Evaluation(time.perf_counter() - self._start, self._slots, busy))
        return executor(*args, **kwargs)


def rows(rehearse: bool) -> Iterator[Row]:
    """On a small latent: switches know nothing of its size."""
    case = cases.small(cases.sdxl(rehearse), 8)
    model = build(case)
    patched = fused(model, *cases.pair(model, case))
    watch = Watch(patched)

    def works(model: Any) -> Callable[[], torch.Tensor]:
        return lambda: run(case, model, EVALUATIONS)

    # Buffers and kernels are there from the second run on.
    works(patched)()
    works(model)()
    with watch.on():
        works(patched)()
    yield from _waiting(watch)
    yield _flagged(works(patched), works(model), watch.on_gpu)
    yield _uploaded(works(patched), works(model))


def _waiting(watch: Watch) -> Iterator[Row]:
    first, *later = watch.seen
    switched = [e for e in later if e.slots]
    yield Row("Switches before the first evaluation of a run", f"{_ms(first.seconds)}, {first.slots} slots")
    what = "Switches that leave the device at work"
    if not switched:
        yield Row(what, "nothing switched: nothing was looked at", "", FAILED)
        return
    slots = [e.slots for e in switched]
    took = spread([1000 * e.seconds for e in switched], ".2f", " ms")
    yield Row("Switches before a later evaluation", f"{took}, {min(slots)} to {max(slots)} slots")
    if not watch.on_gpu:
        yield Row(what, "a CPU does not run ahead", "", SKIPPED)
        return
    busy = sum(e.busy for e in switched)
    yield Row(
        what,
        f"in {busy} of {len(switched)} evaluations with switches",
        "all of them",
        OK if busy == len(switched) else FAILED,
    )


def _flagged(ours: Work, bare: Work, on_gpu: bool) -> Row:
    what = "Waits for the device that torch flags"
    if not on_gpu:
        return Row(what, "torch flags none on a CPU", "", SKIPPED)
    with waits() as all_of_them:
        ours()
    with waits() as hosts:
        bare()
    right, said = judged(all_of_them, sum(hosts.values()), EVALUATIONS)
    aim = f"{EVALUATIONS + 1} in {EVALUATIONS} evaluations, no others of ours"
    return Row(what, said, aim, OK if right else FAILED)


def _uploaded(ours: Work, bare: Work) -> Row:
    what, mine, hosts = "Uploads of a run", uploads(ours), uploads(bare)
    count, size = mine.pinned - hosts.pinned, mine.pinned_bytes - hosts.pinned_bytes
    seconds, pageable = mine.pinned_seconds - hosts.pinned_seconds, mine.pageable_bytes - hosts.pageable_bytes
    if mine.pinned + mine.pageable_bytes == 0:
        return Row(what, "the profiler sees no copies here", "", SKIPPED)
    rate = f", {size / seconds / 2**30:.1f} GiB/s while they run" if seconds > 0 else ""
    found = f"{count} pinned, {size / _MIB:.2f} MiB{rate}; from other memory {pageable / _MIB:.2f} MiB"
    return Row(what, found, "all but 1 % pinned", OK if size > 0 and pageable <= 0.01 * size else MISSED)


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.2f} ms"
