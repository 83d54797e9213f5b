"""`make world`: trains everything that is missing, in order, two processes at a time. Resumes where it was
stopped.

python -m world [TRAININGS]
"""

from __future__ import annotations

import subprocess
import sys
import time

from .places import BASE_FILE, COMPONENTS_FILE, JUDGE_FILE, VAE_FILE, WORK, ensure_folders
from .training.base import STEPS

Command = list[str]


def stages(trainings: str) -> list[tuple[str, list[Command]]]:
    """Stages in order; the commands of one run side by side."""
    return [
        (
            "components of the VAE",
            [] if COMPONENTS_FILE.exists() else [["world.model.fit_vae", "components"]],
        ),
        ("base model", [] if _base_is_done() else [["world.training.base"]]),
        ("decoder of the VAE", [] if VAE_FILE.exists() else [["world.model.fit_vae", "decoder"]]),
        ("judge", [] if JUDGE_FILE.exists() else [["world.judging.network"]]),
        ("LoRAs", [["world.training.loras", "2", trainings]]),
        ("gate", [["world.training.gate", trainings]]),
    ]


def _base_is_done() -> bool:
    from safetensors import safe_open

    if not BASE_FILE.exists():
        return False
    with safe_open(BASE_FILE, "pt") as file:
        return f"step {STEPS} of {STEPS}" in (file.metadata() or {}).get("small_world", "")


def _losses() -> str:
    """The last line of every training's log."""
    logs = sorted([*WORK.glob("*.log"), *WORK.glob("logs/*.log")])
    return "\n".join(
        f"{log.stem:24s} {log.read_text().splitlines()[-1]}" for log in logs if log.stat().st_size
    )


def main() -> int:
    """Run the stages; the loss table at the end, also kept as losses.txt."""
    ensure_folders()
    begun = time.monotonic()
    for name, commands in stages(sys.argv[1] if len(sys.argv) > 1 else "3"):
        sys.stdout.write(
            f"== {name}: {'running' if commands else 'already there'} ({time.monotonic() - begun:.0f} s)\n"
        )
        sys.stdout.flush()
        running = [subprocess.Popen([sys.executable, "-m", *command]) for command in commands]
        if any([process.wait() for process in running]):
            sys.stdout.write(f"{name} failed: see above\n")
            return 1
    (WORK / "losses.txt").write_text(_losses() + "\n")
    sys.stdout.write(f"{_losses()}\nDone in {(time.monotonic() - begun) / 60:.0f} minutes.\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
