"""Who is shown: a subject and its styles of the small world, their files, and a server that has them."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.host.server import Server
from tools.serving import serving
from world.pairs import TRIGGERS
from world.places import BASE_FILE, VAE_FILE, WEIGHTS

KIND = "redundant"
WORLD = "toy model, 3.8 M parameters"


@dataclass(frozen=True)
class Cast:
    """A subject, and one or more styles, by their names in the world."""

    subject: str
    styles: tuple[str, ...]

    @property
    def words(self) -> str:
        """The triggers of all of them."""
        return " ".join(TRIGGERS[name] for name in (self.subject, *self.styles))

    @property
    def title(self) -> str:
        """``rocket in mosaic``."""
        return f"{self.subject} in {' and '.join(self.styles)}"

    @property
    def files(self) -> tuple[str, ...]:
        """File names of the LoRAs, the subject's first."""
        return tuple(lora_file(name) for name in (self.subject, *self.styles))


PAIR = Cast("skull", ("neon",))
"""Hero, banner and help pages show it: K-LoRA does it well."""
FAILS = Cast("octopus", ("blueprint",))
"""The README shows it: K-LoRA does it badly at any balance (at most .13, by s and s*, -1 to 1 by eighths)."""
LEAN = {"schedule": "s", "balance": -0.25}
"""What the three set beside the workflows' own settings: found by eye on tuning pairs."""


def lora_file(name: str) -> str:
    """The LoRA of a subject or a style, as the server lists it."""
    return f"{name}.safetensors"


@contextlib.contextmanager
def serving_world() -> Iterator[Server]:
    """A server with the world's base, VAE and LoRAs."""
    with tempfile.TemporaryDirectory(prefix="klora-world-") as folder:
        models = Path(folder)
        for kind in ("diffusion_models", "vae", "loras"):
            (models / kind).mkdir()
        (models / "diffusion_models" / BASE_FILE.name).symlink_to(BASE_FILE)
        (models / "vae" / VAE_FILE.name).symlink_to(VAE_FILE)
        for name in TRIGGERS:
            (models / "loras" / lora_file(name)).symlink_to(WEIGHTS / f"{KIND}-{name}.safetensors")
        with serving(models=models) as server:
            yield server
