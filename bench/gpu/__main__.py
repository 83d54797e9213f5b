"""`python -m bench.gpu [--rehearse] [--only CHECK ...] [--budget SECONDS]`: see the package.

Needs Python 3.10 and a ComfyUI with its own environment (`tools.host` says where it is looked for); nothing
is installed. Exit status: 0, also without a GPU; 1 where a check failed; 2 where there is no host to ask.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import replace

from tools.host.find import REPO, HostError, require_host

from . import page
from .runner import Answer, Check, Command, run_all

RESULTS = REPO / "bench" / "GPU.md"
LOGS = REPO / "build" / "gpu"
BUDGET = 600.0
# A rehearsal may share its machine.
_REHEARSAL = 4

# The cheap ones and those that need no compiler first: what the budget cuts off is at the end.
CHECKS = (
    Check("scoring", "Scoring a LoRA pair against plain torch", 60, 4),
    Check("switches", "Switches: no waiting for the device, pinned uploads", 60, 7),
    Check("low-vram", "Low VRAM: half of the model moves in and out", 60, 9),
    Check("dynamic-vram", "Dynamic VRAM, the host's default", 60, 9),
    Check("steps-sdxl", "Step time: SDXL, 1024 x 1024, bf16", 120, 12),
    Check("compile-inductor", "torch.compile by core's node, inductor", 120, 7),
    Check("compile-cudagraphs", "torch.compile by core's node, CUDA graphs without inductor", 60, 7),
    Check("steps-flux", "Step time: FLUX format, 1024 x 1024, bf16", 150, 34),
    Check("compile-reduce-overhead", "torch.compile, inductor with CUDA graphs (reduce-overhead)", 150, 7),
)


def main(arguments: list[str] | None = None) -> int:
    """Run the checks, printing each as it is done; without ``--rehearse`` and ``--only`` write GPU.md."""
    options = _options(arguments)
    start = time.monotonic()
    try:
        python = str(require_host().python)
        facts = machine_facts(python)
    except HostError as error:
        print(f"bench-gpu: {error}", file=sys.stderr)
        return 2
    free = float(facts.pop("free"))
    if not options.rehearse and not facts["card"]:
        print(
            f"bench-gpu: no GPU: torch {facts['torch']} of the host finds no CUDA device; nothing measured."
        )
        return 0
    where = "rehearsal on the CPU, on small shapes" if options.rehearse else "; ".join(facts.values())
    print(f"bench-gpu: {where}; at most {options.budget:g} s; logs in {LOGS}", flush=True)

    slower = _REHEARSAL if options.rehearse else 1
    checks = [
        replace(check, limit=slower * check.limit)
        for check in CHECKS
        if not options.only or check.name in options.only
    ]
    whole = not (options.rehearse or options.only)
    answers: list[Answer] = []
    left = options.budget - (time.monotonic() - start)
    for answer in run_all(
        checks,
        child_command(python, options.rehearse),
        left,
        LOGS,
        float("inf") if options.rehearse else free,
    ):
        answers.append(answer)
        print(f"\n{page.section(answer)}", flush=True)
        if whole:
            # Each time: what is known stays known, whatever comes next.
            RESULTS.write_text(page.markdown(facts, answers, time.monotonic() - start))
    print(f"bench-gpu: {page.summary(answers)}; {time.monotonic() - start:.0f} s", end="")
    print(f"; written to {RESULTS}" if whole else "")
    return int(page.failed(answers))


def child_command(python: str, rehearse: bool) -> Command:
    """What runs a check."""
    return lambda check: [python, "-m", "bench.gpu.child", check.name, *["--rehearse"] * rehearse]


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description="What only a GPU can answer.")
    parser.add_argument("--rehearse", action="store_true", help="on the CPU, on small shapes; writes no page")
    parser.add_argument("--only", nargs="+", choices=[check.name for check in CHECKS], help="writes no page")
    parser.add_argument("--budget", type=float, default=BUDGET, help="seconds for all of it (%(default)g)")
    return parser.parse_args(arguments)


def machine_facts(python: str) -> dict[str, str]:
    """What the host's torch says of the machine."""
    command = [python, "-m", "bench.gpu.machine"]
    try:
        done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=60, check=True)
        return json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        raise HostError(f"{python} said nothing for 60 s when asked for its GPU.") from None
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or [""])[-1]
        raise HostError(f"{python} can't say what GPU there is: {last}") from None


if __name__ == "__main__":
    raise SystemExit(main())
