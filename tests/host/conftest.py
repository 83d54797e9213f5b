"""The host lane: a real ComfyUI in this process, on the CPU, with tiny models in the real formats.

Run by the host's interpreter (`make test-host`). Under any other interpreter nothing here is collected.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest

from tools.host.find import find_host

_NARROW = 128

_HOST = find_host()
_INSIDE = _HOST is not None and _HOST.runs_here()

if not _INSIDE:
    collect_ignore_glob = ["*"]
else:
    from tools.host.inprocess import enter_host, load_pack

    # At import, not in a fixture: the tests' own module-level imports need the host.
    enter_host()
    # The user folder here is that of a person.
    os.environ["KLORA_SCORES_ON_DISK"] = "0"
    import comfy.cldm.cldm
    import comfy.controlnet
    import comfy.ops
    import comfy.sample
    import comfy.samplers
    import comfy.sd
    import comfy.supported_models
    import comfy.utils
    import folder_paths
    import torch

    from tools.tiny import MODELS_DIR, loras, model_path, models
    from tools.tiny.architectures import SD15_UNET

    # Tiny layers gain nothing from a second thread and stall badly when another process shares the cores.
    torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that share the server come first, in one worker: each worker would start one of its own."""
    items.sort(key=lambda item: "served" not in getattr(item, "fixturenames", ()))


def pytest_collection_finish() -> None:
    """What the host and the tests are made of stays: no collection of garbage goes through it again."""
    gc.collect()
    gc.freeze()


class Loaded(NamedTuple):
    """What CheckpointLoaderSimple hands out."""

    model: Any
    clip: Any
    vae: Any


class Conds(NamedTuple):
    """A prompt and what to avoid, in the host's conditioning format."""

    positive: list
    negative: list


@pytest.fixture(scope="session")
def served(tmp_path_factory) -> Iterator[Any]:
    """A real server with every tiny family, for shipped workflows and graphs by hand; one for all tests."""
    from tests.support.host.shipped_runs import serving_all

    with serving_all(tmp_path_factory.mktemp("loras")) as server:
        yield server


@pytest.fixture(scope="session")
def models_dir():
    """The tiny models' folder, known to the host, with every family's LoRA pair in it."""
    loras.ensure()
    for folder in ("checkpoints", "diffusion_models", "vae", "loras"):
        folder_paths.add_model_folder_path(folder, str(MODELS_DIR / folder), is_default=True)
    return MODELS_DIR


@pytest.fixture(autouse=True)
def _as_the_host_runs_nodes() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture(scope="session")
def pack() -> ModuleType:
    """The pack, imported as the host imports a folder of custom_nodes."""
    return load_pack()


def _load_checkpoint(name: str, with_clip: bool) -> Loaded:
    with torch.inference_mode():
        model, clip, vae, _ = comfy.sd.load_checkpoint_guess_config(
            str(model_path("checkpoints", name)), output_vae=with_clip, output_clip=with_clip
        )
    return Loaded(model, clip, vae)


@pytest.fixture(scope="session")
def _whole_sd15(models_dir) -> Loaded:
    models.ensure("sd15")
    return _load_checkpoint("tiny-sd15.safetensors", with_clip=True)


@pytest.fixture(scope="session")
def _narrow_sd15(_whole_sd15: Loaded) -> Loaded:
    """All layers of the tiny SD1.5 under the same names, at a quarter of the work; what samples much takes it
    as its `_sd15`. The host tells SD1.5 by its width, so it is told that this one is SD1.5's.
    """
    with torch.no_grad():
        weights = models.unet(SD15_UNET | {"model_channels": _NARROW})
    config = comfy.supported_models.SD15.unet_config
    with torch.inference_mode(), patch.dict(config, model_channels=_NARROW):
        return _whole_sd15._replace(model=comfy.sd.load_diffusion_model_state_dict(weights))


@pytest.fixture(scope="session")
def _sd15(_whole_sd15: Loaded) -> Loaded:
    return _whole_sd15


@pytest.fixture
def sd15(_sd15: Loaded) -> Loaded:
    """The tiny SD1.5; model and clip are this test's own clones over shared weights."""
    return Loaded(_sd15.model.clone(), _sd15.clip.clone(), _sd15.vae)


@pytest.fixture(scope="module")
def pair(_sd15: Loaded) -> tuple[dict[str, Any], dict[str, Any]]:
    """A subject's and a style's LoRA for the tiny SD1.5."""
    from tests.support.host.nodes import unet_pair

    return unet_pair(_sd15.model.model)


@pytest.fixture(scope="session")
def sd15_conds(_whole_sd15: Loaded) -> Conds:
    """Two encoded prompts for the tiny SD1.5."""

    def encode(text: str) -> list:
        with torch.inference_mode():
            return _whole_sd15.clip.encode_from_tokens_scheduled(_whole_sd15.clip.tokenize(text))

    return Conds(encode("a corgi in a field, oil painting"), encode("blurry"))


@pytest.fixture(scope="session")
def _sdxl(models_dir) -> Any:
    models.ensure("sdxl")
    return _load_checkpoint("tiny-sdxl.safetensors", with_clip=False).model


@pytest.fixture
def sdxl_model(_sdxl: Any) -> Any:
    """The tiny SDXL's diffusion model."""
    return _sdxl.clone()


@pytest.fixture(scope="session")
def _flux(models_dir) -> Any:
    models.ensure("flux")
    with torch.inference_mode():
        return comfy.sd.load_diffusion_model(str(model_path("diffusion_models", "tiny-flux.safetensors")))


@pytest.fixture
def flux_model(_flux: Any) -> Any:
    """The tiny FLUX diffusion model."""
    return _flux.clone()


def _random_conds(tokens: int, width: int, pooled: int) -> Conds:
    rng = torch.Generator().manual_seed(5)

    def one() -> list:
        context = torch.randn(1, tokens, width, generator=rng)
        return [[context, {"pooled_output": torch.randn(1, pooled, generator=rng)}]]

    return Conds(one(), one())


@pytest.fixture
def sdxl_conds() -> Conds:
    """Random conditioning of SDXL's shape, since its text encoders take a gigabyte."""
    return _random_conds(77, 2048, 1280)


@pytest.fixture
def flux_conds() -> Conds:
    """Random conditioning of the tiny FLUX's shape."""
    return _random_conds(16, 256, 768)


@pytest.fixture
def controlled(_sd15: Loaded):
    """`controlled(conds)` -> both conditionings under a random ControlNet for the tiny SD1.5."""
    torch.manual_seed(0)
    width = _sd15.model.model.diffusion_model.model_channels
    config = SD15_UNET | {"model_channels": width}
    config = {k: v for k, v in config.items() if k not in ("out_channels", "transformer_depth_output")}
    with torch.inference_mode(False):
        network = comfy.cldm.cldm.ControlNet(**config, hint_channels=3, operations=comfy.ops.manual_cast)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.02)
    control = comfy.controlnet.ControlNet(network.eval().requires_grad_(False))
    hint = control.copy().set_cond_hint(torch.rand(1, 3, 64, 64), 0.8, (0.0, 1.0))

    def add(conds: Conds) -> Conds:
        more = {"control": hint, "control_apply_to_uncond": True}
        return Conds(*([[c[0], {**c[1], **more}] for c in cond] for cond in conds))

    return add


@pytest.fixture
def sample():
    """`sample(model, positive, negative, **KSampler's settings)` -> final latent, noise fixed by the seed."""

    def run(
        model: Any,
        positive: list,
        negative: list,
        steps: int = 4,
        cfg: float = 4.0,
        sampler_name: str = "euler",
        scheduler: str = "normal",
        denoise: float = 1.0,
        seed: int = 7,
        start_step: int | None = None,
        last_step: int | None = None,
        force_full_denoise: bool = False,
        disable_noise: bool = False,
        latent: torch.Tensor | None = None,
        size: tuple[int, int] = (6, 6),
        **kwargs: Any,
    ) -> torch.Tensor:
        latent = torch.zeros(1, 4, *size) if latent is None else latent
        latent = comfy.sample.fix_empty_latent_channels(model, latent)
        noise = torch.zeros_like(latent) if disable_noise else comfy.sample.prepare_noise(latent, seed)
        return comfy.sample.sample(
            model,
            noise,
            steps,
            cfg,
            sampler_name,
            scheduler,
            positive,
            negative,
            latent,
            denoise=denoise,
            disable_noise=disable_noise,
            start_step=start_step,
            last_step=last_step,
            force_full_denoise=force_full_denoise,
            disable_pbar=True,
            seed=seed,
            **kwargs,
        )

    return run
