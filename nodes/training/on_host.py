"""What klora_core.train asks of a model, answered by the host: its own noising, its own forward."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import comfy.model_management
import comfy.samplers
import torch
from torch import Tensor

from ...klora_core.apply import Spot
from ...klora_core.errors import KLoraError, printable
from ...klora_core.names import Slot
from ...klora_core.train import Changes, Checkpointed, Layers, Noised
from ..host import PREFIX, RULES, of_model
from .conditions import Conditions


class OnHost:
    """A second model as klora_core.train's ``Model``; conditions are the host's CONDITIONINGs.

    ``layers`` has the hooks, and tells which layers never ran.
    """

    def __init__(self, patcher: Any, layers: Layers) -> None:
        self._patcher, self.layers = patcher, layers
        self.device = patcher.load_device
        self._sampling = patcher.model.model_sampling
        self._conditions = Conditions(patcher.model, self.device)

    def noised(self, latent: Tensor, noise: Tensor, percent: Tensor) -> Noised:
        """In float64: at the end of the schedule the target is a small difference of large numbers."""
        sampling = self._sampling
        sigma = torch.tensor([float(sampling.percent_to_sigma(float(p))) for p in percent])
        # On the CPU: not every device counts in float64.
        latent, noise, level = (t.to("cpu", torch.float64) for t in (latent, noise, sigma))
        x = sampling.noise_scaling(level, noise.clone(), latent)
        # The picture is a straight line of the network's output, by whichever of the host's ways.
        at_0, at_1 = (
            sampling.calculate_denoised(level, f(x), x) for f in (torch.zeros_like, torch.ones_like)
        )
        target = (latent - at_0) / (at_1 - at_0)
        return Noised(*(t.to(self.device, torch.float32) for t in (x, level, target)))

    def predict(self, x: Tensor, sigma: Tensor, condition: Sequence[Any], changes: Changes | None) -> Tensor:
        """The network's own output. An interrupt by the user comes from here."""
        comfy.model_management.throw_exception_if_processing_interrupted()
        with self.layers.showing(changes), _plain_output(self._patcher.model, self._sampling):
            made = comfy.samplers.calc_cond_batch(
                self._patcher.model,
                [self._conditions.of(condition, x)],
                x.to(self.device),
                sigma.to(self.device),
                {"transformer_options": self._options(sigma)},
            )
        return made[0]

    def check_gradients(
        self, latent: Tensor, condition: Sequence[Any], changes: Changes, numbers: Sequence[Tensor]
    ) -> None:
        """Raises KLoraError for a network that the host computes in ways without gradients.

        ``numbers`` are those that are learned: they are left without any.
        """
        x, sigma, target = self.noised(latent, torch.zeros_like(latent), torch.full((len(latent),), 0.5))
        try:
            with torch.inference_mode(False), torch.enable_grad():
                (self.predict(x, sigma, condition, changes) - target).square().mean().backward()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            reason = str(error).partition("\n")[0]
            raise KLoraError(
                f"{of_model(self._patcher)} gives no gradients in this ComfyUI ({printable(reason)}).",
                "Use another base model",
            ) from error
        finally:
            for number in numbers:
                number.grad = None

    def _options(self, sigma: Tensor) -> dict[str, Any]:
        options = dict(self._patcher.model_options["transformer_options"])
        # Networks that jump to the next step's noise level are asked for no jump.
        return options | {"sample_sigmas": sigma[:1].to(self.device).repeat(2)}


@contextmanager
def on_host(patcher: Any, slots: Mapping[Slot, int]) -> Iterator[OnHost]:
    """A second model with hooks on the layers of ``slots`` (each with its rows) and its blocks checkpointed.

    All that is put on it comes off again, whatever happens.
    """
    with (
        Layers(patcher.model, slots, where, RULES) as layers,
        Checkpointed(patcher.model.diffusion_model, layers),
    ):
        yield OnHost(patcher, layers)


def where(slot: Slot, out: int) -> tuple[Spot, ...]:
    """Where a slot lies in a model of the host."""
    return (Spot(f"{PREFIX}{slot.weight}", slot.rows),)


@contextmanager
def _plain_output(model: Any, sampling: Any) -> Iterator[None]:
    """The host makes a picture of every output: here the output is what is asked for."""
    plain = copy.copy(sampling)
    plain.calculate_denoised = _as_it_is
    model.model_sampling = plain
    try:
        yield
    finally:
        model.model_sampling = sampling


def _as_it_is(sigma: Tensor, output: Tensor, x: Tensor) -> Tensor:
    return output
