"""`make world`: trains everything that is missing, in order, two processes at a time. Resumes where it was
stopped.

python -m world [TRAININGS]
"""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from .places import BASE_FILE, COMPONENTS_FILE, JUDGE_FILE, VAE_FILE, WORK, ensure_folders
from .training.base import STEPS

Command = list[str]
Lane = list[Command]


def stages(trainings: str) -> list[tuple[str, list[Lane]]]:
    """Stages in order; the lanes of one run side by side, a lane's commands one after another."""
    decoder = [] if VAE_FILE.exists() else [["world.model.fit_vae", "decoder"]]
    judge = [] if JUDGE_FILE.exists() else [["world.judging.network"]]
    return [
        (
            "components of the VAE",
            [[] if COMPONENTS_FILE.exists() else [["world.model.fit_vae", "components"]]],
        ),
        (
            "base model; beside it the VAE's decoder and the judge",
            [[] if _base_is_done() else [["world.training.base"]], decoder + judge],
        ),
        ("LoRAs", [[["world.training.loras", "2", trainings]]]),
        ("gate", [[["world.gate.gate", "LORAS"], ["world.gate.gate", "PAIRS"]]]),
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


def _run(lane: Lane) -> bool:
    """Whether every command of the lane succeeded."""
    return all(subprocess.run([sys.executable, "-m", *command]).returncode == 0 for command in lane)


def main() -> int:
    """Run the stages; the loss table at the end, also kept as losses.txt."""
    ensure_folders()
    begun = time.monotonic()
    for name, lanes in stages(sys.argv[1] if len(sys.argv) > 1 else "3"):
        state = "running" if any(lanes) else "already there"
        sys.stdout.write(f"== {name}: {state} ({time.monotonic() - begun:.0f} s)\n")
        sys.stdout.flush()
        with ThreadPoolExecutor(len(lanes)) as pool:
            done = list(pool.map(_run, lanes))
        if not all(done):
            sys.stdout.write(f"{name} failed: see above\n")
            return 1
    (WORK / "losses.txt").write_text(_losses() + "\n")
    sys.stdout.write(f"{_losses()}\nDone in {(time.monotonic() - begun) / 60:.0f} minutes.\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
